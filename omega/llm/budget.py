"""Budgets: so many calls, tokens and dollars, and never more, however calls overlap.

Owns: `Amounts`, `Budget`, `Reservation`, the units of money. Refuses: to know what a call is, what
it costs (`prices.py`) and who waits (`governor.py`).

A call reserves the most it can use before it is sent, settles what it used when it is over, and is
refunded when it was never sent. A budget may lie inside another; whatever is reserved or settled
counts at every level outwards, at all of them or at none.

Money is whole pico-dollars (1e-12 USD): a price per million tokens with up to six decimals is a
whole number of them per token, so sums are exact, in any order.

Invariant, at every level and for each amount with a limit: settled + reserved <= limit + overrun,
where overrun is what calls used beyond what they had reserved: nothing, as long as reservations are
upper bounds. It is what was paid, so it counts. (tests/llm/test_budget.py)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from omega.errors import HostError, LimitExceeded

if TYPE_CHECKING:  # 2 ms that only who limits money needs
    from decimal import Decimal
    from fractions import Fraction

PICO = 10**12  # pico-dollars in a dollar
USD_MAX = 10**9

ANSWER_MIN = 64  # tokens: less is hardly an answer, and is paid all the same

KINDS = ("calls", "tokens", "usd")
_UNITS = ("calls", "tokens", "USD")


class Amounts(NamedTuple):
    """What a call needs or used. cost: pico-dollars."""

    calls: int = 0
    tokens: int = 0
    cost: int = 0


NOTHING = Amounts()
ONE_CALL = Amounts(1)


class Elastic(NamedTuple):
    """What a call takes beyond what it needs, where it can have it: `each`, up to `most` times."""

    each: Amounts
    most: int


def pico_dollars(usd: int | float | Decimal | Fraction, what: str = "an amount of USD") -> int:
    """Whole pico-dollars in `usd`, rounded down. A float means the decimal it is written as.

    Raises HostError, naming `what`, for anything but a number from 0 to USD_MAX.
    """
    from decimal import Decimal, InvalidOperation
    from fractions import Fraction

    number: Fraction | None = None
    if isinstance(usd, (int, float, Decimal, Fraction)) and not isinstance(usd, bool):
        try:
            number = Fraction(usd if isinstance(usd, Fraction) else Decimal(str(usd)))
        except (InvalidOperation, ValueError, OverflowError):  # NaN, infinity
            number = None
    if number is None or not 0 <= number <= USD_MAX:
        raise HostError(f"{what} must be a number from 0 to {USD_MAX:,}, got {usd!r}")
    return int(number * PICO)


def dollars(pico: int) -> Decimal:
    """Exactly `pico` pico-dollars, in dollars."""
    from decimal import Decimal

    return Decimal(pico).scaleb(-12)


class BudgetExceeded(LimitExceeded):
    """A budget does not allow a call, and no waiting will change that.

    limit: "calls", "tokens" or "usd". used: what it would come to. allowed: the budget's limit.
    budget: the `Budget`. spent: settled so far. wanted: what the call would reserve.
    """

    def __init__(self, budget: Budget, kind: int, wanted: int) -> None:
        allowed = budget.limits[kind]
        assert allowed is not None
        spent = budget.settled[kind]
        shown = _usd if kind == 2 else int
        unit = _UNITS[kind].removesuffix("s") if shown(spent + wanted) == 1 else _UNITS[kind]
        unit = f"{unit} in the budget `{budget.name}`"
        less = ", or ask for less (:max-tokens)" if kind else ""
        super().__init__(
            KINDS[kind],
            shown(spent + wanted),
            shown(allowed),
            unit,
            f"{shown(spent):,} spent, and this call may need {shown(wanted):,}:"
            f" give the budget more{less}",
        )
        self.budget = budget
        self.spent, self.wanted = shown(spent), shown(wanted)


def _usd(pico: int) -> float:
    return pico / PICO


class Budget:
    """See the module. None: no limit of that kind. usd: of any numeric type.

    settled, reserved: [calls, tokens, pico-dollars]; overrun: used beyond what was reserved.
    parent: the budget around this one. answer_min: tokens that an answer may have at least, when
    its request names no limit: fewer are not asked for. None: as around it.
    """

    __slots__ = (
        "_watchers",
        "answer_min",
        "limits",
        "name",
        "overrun",
        "parent",
        "reserved",
        "settled",
    )

    def __init__(
        self,
        calls: int | None = None,
        tokens: int | None = None,
        usd: int | float | Decimal | Fraction | None = None,
        *,
        parent: Budget | None = None,
        name: str = "budget",
        answer_min: int | None = None,
    ) -> None:
        if parent is not None and not isinstance(parent, Budget):
            raise HostError(
                f"the parent of budget `{name}` is a Budget or None, not a value of the type"
                f" {type(parent).__name__}"
            )
        self.name, self.parent = name, parent
        self.answer_min: int = _least(answer_min, parent, name)
        self.limits: tuple[int | None, int | None, int | None] = (
            _whole(calls, f"the calls of budget `{name}`"),
            _whole(tokens, f"the tokens of budget `{name}`"),
            None if usd is None else pico_dollars(usd, f"the USD of budget `{name}`"),
        )
        self.settled = [0, 0, 0]
        self.reserved = [0, 0, 0]
        self.overrun = [0, 0, 0]
        self._watchers: list[Callable[[Budget], None]] = []

    @property
    def levels(self) -> Iterator[Budget]:
        """This budget, and those around it, outwards."""
        level: Budget | None = self
        while level is not None:
            yield level
            level = level.parent

    @property
    def needs_price(self) -> bool:
        """Whether a call in it must have a price: a limit on money at any level."""
        return any(level.limits[2] is not None for level in self.levels)

    def shortage(self, wanted: Amounts) -> Budget | None:
        """The innermost budget that cannot take `wanted` before others give back what they have
        reserved; None when all can. Raises BudgetExceeded where not even that would help.
        """
        short: Budget | None = None
        for level in self.levels:
            for kind, amount in enumerate(wanted):
                limit = level.limits[kind]
                if limit is None or amount == 0:
                    continue
                left = limit - level.settled[kind] - amount
                if left < 0:
                    raise BudgetExceeded(level, kind, amount)
                if short is None and left < level.reserved[kind]:
                    short = level
        return short

    def reserve(self, wanted: Amounts) -> Reservation | None:
        """Reserve at all levels, or at none: None while others' reservations are in the way.

        Raises BudgetExceeded as `shortage` does.
        """
        assert min(wanted) >= 0, wanted
        if self.shortage(wanted) is not None:
            return None
        for level in self.levels:
            for kind, amount in enumerate(wanted):
                level.reserved[kind] += amount
        return Reservation(self, wanted)

    def spare(
        self, wanted: Amounts, each: Amounts, most: int, sharers: Callable[[Budget], int]
    ) -> int:
        """How often `each` may be reserved beside `wanted`, at most `most` times, by one of several
        calls that share alike what is left: `sharers(budget)` of them at that level.
        """
        for level in self.levels:
            for kind, amount in enumerate(each):
                limit = level.limits[kind]
                if limit is not None and amount:
                    left = limit - level.settled[kind] - level.reserved[kind]
                    share = left // max(1, sharers(level))
                    most = min(most, (share - wanted[kind]) // amount)
        return max(0, most)

    def watch(self, freed: Callable[[Budget], None]) -> None:
        """Have `freed(budget)` called whenever something reserved here is settled or refunded."""
        self._watchers.append(freed)

    def unwatch(self, freed: Callable[[Budget], None]) -> None:
        self._watchers.remove(freed)

    def left(self) -> dict[str, Any]:
        """What may still be reserved, by kind: for the kinds with a limit. USD as a Decimal."""
        found: dict[str, Any] = {}
        for kind, limit in enumerate(self.limits):
            if limit is not None:
                left = max(0, limit - self.settled[kind] - self.reserved[kind])
                found[KINDS[kind]] = dollars(left) if kind == 2 else left
        return found

    def spent(self) -> dict[str, Any]:
        """What was settled, by kind. USD as a Decimal."""
        calls, tokens, cost = self.settled
        return {"calls": calls, "tokens": tokens, "usd": dollars(cost)}

    def __repr__(self) -> str:
        return f"Budget({self.name!r}, spent={self.spent()}, left={self.left()})"

    def _check(self) -> None:
        """Assert the invariant. For tests, after every step."""
        for level in self.levels:
            for kind, limit in enumerate(level.limits):
                held = level.settled[kind] + level.reserved[kind]
                assert level.settled[kind] >= 0 and level.reserved[kind] >= 0
                assert limit is None or held <= limit + level.overrun[kind]


class Reservation:
    """Amounts held in a budget and in those around it, until they are settled or refunded, once."""

    __slots__ = ("budget", "is_open", "wanted")

    def __init__(self, budget: Budget, wanted: Amounts) -> None:
        self.budget, self.wanted = budget, wanted
        self.is_open = True

    def settle(self, used: Amounts) -> None:
        """The call is over, and used so much. What it did not use is free again.

        More than was reserved is counted as well: it is paid.
        """
        assert self.is_open, "a reservation is given back once"
        assert min(used) >= 0, used
        self.is_open = False
        for level in self.budget.levels:
            for kind, amount in enumerate(used):
                reserved = self.wanted[kind]
                level.reserved[kind] -= reserved
                level.settled[kind] += amount
                if amount > reserved:
                    level.overrun[kind] += amount - reserved
        # After all levels are settled: whoever is told sees one state, not a mixture.
        for level in self.budget.levels:
            for freed in tuple(level._watchers):
                freed(level)

    def refund(self) -> None:
        """Nothing was used."""
        self.settle(NOTHING)


def _least(answer_min: int | None, parent: Budget | None, name: str) -> int:
    if answer_min is None:
        return ANSWER_MIN if parent is None else parent.answer_min
    if isinstance(answer_min, bool) or not isinstance(answer_min, int) or answer_min < 1:
        what = f"the answer_min of budget `{name}`"
        raise HostError(f"{what} must be a whole number >= 1, got {answer_min!r}")
    return answer_min


def _whole(value: int | None, what: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise HostError(f"{what} must be a whole number >= 0, got {value!r}")
    return value
