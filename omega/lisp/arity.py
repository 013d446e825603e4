"""Wrong numbers of arguments: one wording, whether they are seen before the run or in it.

Owns: the fact and the hint of a call that does not fit, the note that says where the procedure is.
Refuses: finding such calls: findings.py does before the run, conditions.py in it.
"""

from __future__ import annotations

from omega.errors import Span

ANONYMOUS = "lambda"


class Misfit:
    """A call with `given` arguments of what takes from `low` to `high` (None: any number).

    shape: the procedure as it is called, `(f x . more)`. of_program: the user wrote it.
    """

    __slots__ = ("given", "high", "low", "name", "of_program", "parameters", "shape")

    def __init__(
        self,
        name: str,
        shape: str | None,
        given: int,
        low: int,
        high: int | None,
        *,
        of_program: bool,
    ) -> None:
        self.name, self.given, self.low, self.high = name, given, low, high
        self.of_program = of_program
        head, _, parameters = shape[1:-1].partition(" ") if shape else (name, "", "...")
        # The name may be another one of a primitive, or one that holds blanks: then only the shape
        # as it is can be shown.
        self.parameters = parameters if head == name else "..."
        self.shape = _call(name, parameters) if head == name or shape is None else shape

    @property
    def is_one(self) -> bool:
        """Whether the call does not fit indeed."""
        return self.given < self.low or (self.high is not None and self.given > self.high)

    @property
    def fact(self) -> str:
        return f"{self._shown('is called as')}, but it is given {_count(self.given, 'argument')}"

    @property
    def hint(self) -> str:
        missing = self.low - self.given
        if missing > 0:
            return self._too_few(missing)
        return self._too_many(self.given - (self.high or 0))

    def _shown(self, verb: str) -> str:
        if self.name == ANONYMOUS:
            return f"this procedure {verb} {_call('f', self.parameters)}"
        return f"`{self.name}` {verb} {self.shape}"

    def _too_few(self, missing: int) -> str:
        # Required parameters come first, each a word.
        names = self.parameters.split()[self.given : self.low]
        if len(names) < missing or any(not _is_name(name) for name in names):
            return f"give {_count(missing, 'argument')} more"
        hint = f"give {' and '.join(f'`{name}`' for name in names)} as well"
        if self.of_program:
            hint += f", or make a parameter optional by a default: ({names[-1]} value)"
        return hint

    def _too_many(self, extra: int) -> str:
        if self.high == 0:
            hint = f"leave {'it' if extra == 1 else 'them'} out"
        else:
            hint = f"leave out the last {'one' if extra == 1 else str(extra)}"
        if not self.of_program or self.parameters == "...":
            return hint
        more = f"{self.parameters} . more" if self.parameters else "more"
        if self.name == ANONYMOUS:
            head = f"(lambda {f'({more})' if self.parameters else more} ...)"
        else:
            head = f"(define ({self.name} {more if self.parameters else '. more'}) ...)"
        return f"{hint}, or take any number: {head}"


def defined_here(name: str, place: Span) -> tuple[str, Span]:
    """The note of an error about a call: where the procedure stands."""
    text = "the procedure is here" if name == ANONYMOUS else f"`{name}` is defined here"
    return text, place


def _call(name: str, parameters: str) -> str:
    return f"({name} {parameters})" if parameters else f"({name})"


def _is_name(word: str) -> bool:
    return not set("()[].:\"'").intersection(word)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
