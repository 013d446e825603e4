"""What the checks of a program's tests find: `Tests`, and the Lisp names that tell it.

Owns: the counts, the texts of failures, which groups are wanted. The forms are in
library/testing.omega. Told of nothing else, it writes failures to the error port, and the end of
the outermost group raises when there were some; `omega test` takes them itself.
Refuses: running checks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.bindings.base import Bindings, Table
from omega.codes import CODES, is_kind
from omega.errors import LispError, LispValueError, OmegaError, Span
from omega.lisp.data import Symbol
from omega.lisp.primitives import check

VALUE_MAX = 500  # characters of a value that are shown
SEPARATOR = " > "


class Tests:
    """passed, failed: checks; errors: groups that ended with an error. wanted: a part of the path
    of the groups that are run, or "". tell: gets the text of each failure.
    """

    def __init__(self) -> None:
        self.passed = self.failed = self.errors = 0
        self.wanted = ""
        self.tell: Callable[[str], None] | None = None

    @property
    def is_clean(self) -> bool:
        return not (self.failed or self.errors)


def testing(b: Bindings, table: Table) -> None:
    rt = b.rt
    tests = rt.tests = Tests()

    def path_text(path: Any) -> str:
        return SEPARATOR.join(reversed(check.walked(path, rt)[0]))

    def shown(value: Any) -> str:
        from omega.lisp.printer import shorten

        return shorten(value, VALUE_MAX)

    def tell(text: str) -> None:
        check.spend(rt, len(text))
        if tests.tell is not None:
            tests.tell(text)
        else:
            rt.current_error().write(text + "\n", rt.limits)

    def failed(path: Any, place: Any, form: Any, facts: list[tuple[str, str]]) -> None:
        from omega.lisp.report import excerpt

        tests.failed += 1
        span = Span(*place) if place else None
        head = f"{span}: " if span is not None else ""
        lines = [f"{head}failed: {path_text(path) or 'a check'}"]
        if span is not None:
            lines += excerpt(span, rt.source_of(span.file))
        facts = [("expression", shown(form)), *facts]
        width = max(len(what) for what, _ in facts)
        lines += [f"  {what + ':':<{width + 1}} {text}" for what, text in facts]
        tell("\n".join(lines))

    def error_text(condition: Any) -> str:
        if not isinstance(condition, OmegaError):
            return f"raise of {shown(condition)}"
        return f"error[{condition.code}] {condition.own_kind}: {condition.message}"

    def differs(path: Any, place: Any, form: Any, expected: Any, value: Any) -> None:
        """(%test-differs path place form expected value)"""
        failed(path, place, form, [("expected", shown(expected)), ("got", shown(value))])

    def raised(path: Any, place: Any, form: Any, condition: Any) -> None:
        """(%test-raised path place form condition)"""
        facts = [("got", error_text(condition))]
        if isinstance(condition, OmegaError):
            where = rt.conditions.as_condition(condition).span
            if where is not None:
                facts.append(("at", repr(where)))
        failed(path, place, form, facts)

    def no_error(path: Any, place: Any, form: Any, kind: Any, value: Any) -> None:
        """(%test-no-error path place form kind value)"""
        failed(path, place, form, [("expected", f"error {kind}"), ("got", shown(value))])

    def other_error(path: Any, place: Any, form: Any, kind: Any, text: Any, condition: Any) -> None:
        """(%test-other-error path place form kind text condition)"""
        expected = f"error {kind}" + (f" saying {shown(text)}" if text else "")
        failed(path, place, form, [("expected", expected), ("got", error_text(condition))])

    def fits(kind: Any, text: Any, condition: Any) -> bool:
        """(%test-fits? kind text condition)"""
        name = str(kind)
        if type(kind) is not Symbol or (
            name != "_" and name not in CODES and name not in rt.condition_kinds
        ):
            raise LispValueError(
                f"`check-error` knows no kind of condition {shown(kind)}",
                hint="a kind such as type-error, `_` for any, or (kind text) for its message",
            )
        if not isinstance(condition, OmegaError):
            return name in ("_", "raised") and not text
        below = name == "_" or name in getattr(condition, "kinds", ())
        below = below or (name in CODES and is_kind(condition.kind, name))
        return below and str(text) in condition.message

    def passed(path: Any) -> None:
        """(%test-passed path)"""
        tests.passed += 1

    def wanted(path: Any) -> bool:
        """(%test-wanted? path)"""
        return not tests.wanted or tests.wanted in path_text(path)

    def group_error(path: Any, condition: Any) -> None:
        """(%test-error path condition)"""
        from omega.lisp.report import report

        tests.errors += 1
        text = error_text(condition)
        if isinstance(condition, OmegaError):
            text = report(rt.conditions.as_condition(condition), rt.source_of)
        tell(f"the group {path_text(path)} ended with an error:\n{text}")

    def end(path: Any) -> None:
        """(%test-end path)"""
        is_outermost = len(check.walked(path, rt)[0]) == 1
        if tests.tell is None and is_outermost and not tests.is_clean:
            count = tests.failed + tests.errors
            tests.failed = tests.errors = 0
            raise LispError(f"{count} check{'s' * (count != 1)} or groups failed")

    told: Table = {
        "differs": differs,
        "raised": raised,
        "no-error": no_error,
        "other-error": other_error,
        "fits?": fits,
        "passed": passed,
        "wanted?": wanted,
        "error": group_error,
        "end": end,
    }
    table.update({f"%test-{name}": function for name, function in told.items()})
