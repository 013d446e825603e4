"""`omega eval [OPTIONS] EXPR`: evaluate an expression and print its value as `write` does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omega.cli.options import usage

if TYPE_CHECKING:
    from omega.interpreter import Interpreter

FILENAME = "<eval>"


def run(given: dict[str, Any], arguments: list[str]) -> int:
    if len(arguments) != 1:
        how = "needs an EXPR" if not arguments else f"takes one EXPR, got {len(arguments)}"
        raise usage(f"eval {how}", "quote it for the shell: omega eval '(+ 1 2)'")
    from omega.cli.program import run_program

    return run_program(given, arguments[0], FILENAME, [FILENAME], written)


def written(interpreter: Interpreter, value: Any) -> str:
    """A value as `write` shows it; nothing for the unspecified one."""
    if value is None:
        return ""
    if type(value) is int and -(10**15) < value < 10**15:
        return str(value)  # without loading the printer
    from omega.lisp.data import Values
    from omega.lisp.printer import write_string

    items = value.items if type(value) is Values else (value,)
    most = interpreter.limits.alloc_items
    return "\n".join(write_string(item, characters_max=most) for item in items)
