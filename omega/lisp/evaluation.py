"""The procedures that evaluate what a program made or names: eval, environments, load, macroexpand.
R7RS 6.12, 6.14.

Owns: `Environment`, `evaluation_procedures`.
Refuses: reaching anything that the program could not write itself: a form is expanded like a text,
and paid for, all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from omega.errors import LispValueError
from omega.lisp.data import Symbol, to_list
from omega.lisp.environment import TopLevel
from omega.lisp.primitives.check import wrong_type

if TYPE_CHECKING:
    from omega.lisp.evaluator import Evaluator

REPORTS = (5, 7)  # of these scheme-report-environment knows the names
SYNTAX_R5RS = """and begin case cond define define-syntax delay do if lambda let let* let-syntax
letrec letrec-syntax or quasiquote quote set!"""
READ_CHARACTERS = 1 << 16  # at once
MARKING = frozenset({"eval", "load"})  # may answer with the marker


class Environment:
    """What `eval` evaluates in. top: a top level of its own; None: the program's."""

    lisp_type = "environment"

    __slots__ = ("top",)

    def __init__(self, top: TopLevel | None) -> None:
        self.top = top


def evaluation_procedures(ev: Evaluator) -> dict[str, Callable[..., Any]]:
    rt = ev.runtime
    program = Environment(None)

    def eval_(form: Any, environment: Any = program) -> Any:
        """(eval form [environment]) -> its value, in the program's own environment or in one that
        `environment` made. In tail position, a tail call.
        """
        if not isinstance(environment, Environment):
            raise wrong_type("eval", 2, "an environment", environment)
        return rt.tail(ev.prepare_form(form, environment.top), ())

    def environment(*import_sets: Any) -> Environment:
        """(environment import-set ...) -> an environment with what these give, such as
        '(scheme base), and nothing else. Nothing can be defined in it.
        """
        return Environment(ev.compiler.new_environment(list(import_sets)))

    def interaction_environment() -> Environment:
        """(interaction-environment) -> the program's own environment: what eval defines there, the
        program has.
        """
        return program

    def scheme_report_environment(version: Any = REPORTS[-1]) -> Environment:
        """(scheme-report-environment version) -> an environment with the names of the report, 5 or
        7.
        """
        report("scheme-report-environment", version)
        names = ["r5rs"] if version == REPORTS[0] else _R7RS
        return environment(*(_library(name) for name in names))

    def null_environment(version: Any = REPORTS[-1]) -> Environment:
        """(null-environment version) -> an environment with the report's syntax only."""
        report("null-environment", version)
        only = [Symbol.of("only"), _library("r5rs"), *map(Symbol.of, SYNTAX_R5RS.split())]
        return environment(to_list(only))

    def report(name: str, version: Any) -> None:
        if type(version) is not int:
            raise wrong_type(name, 1, "the number of a report", version)
        if version not in REPORTS:
            raise LispValueError(
                f"`{name}` knows the reports 5 and 7, not {version}",
                hint="(interaction-environment) has all that the program has",
            )

    def load(path: Any, environment: Any = program) -> Any:
        """(load file [environment]) -> the value of its last form: evaluates the forms of a program
        file.
        """
        if not isinstance(environment, Environment):
            raise wrong_type("load", 2, "an environment", environment)
        return rt.tail(ev.prepare_file(_read(rt, path), path, environment.top), ())

    def macroexpand(form: Any) -> Any:
        """(macroexpand form) -> the form with the macro uses at its head expanded; what is no use
        of one, itself.
        """
        return ev.compiler.macroexpand(form)

    def features() -> Any:
        """(features) -> the list of what `cond-expand` finds here."""
        from omega.lisp.library.standard import FEATURES

        return to_list([Symbol.of(name) for name in FEATURES])

    found: dict[str, Callable[..., Any]] = {
        "eval": eval_, "environment": environment, "load": load, "macroexpand": macroexpand,
        "interaction-environment": interaction_environment, "features": features,
        "scheme-report-environment": scheme_report_environment,
        "null-environment": null_environment,
    }  # fmt: skip
    for name, function in found.items():
        function.__qualname__ = function.__name__ = name
    return found


_R7RS = (
    "base", "case-lambda", "char", "cxr", "eval", "file", "inexact", "lazy", "load",
    "process-context", "read", "repl", "time", "write",
)  # fmt: skip


def _library(name: str) -> Any:
    return to_list([Symbol.of("scheme"), Symbol.of(name)])


def _read(rt: Any, path: Any) -> str:
    """The text of a file, by the effect that opens files."""
    file = rt.perform("file.open-read", path)
    try:
        parts = []
        left = rt.limits.source_bytes + 1
        while left > 0:
            part = file.read(min(left, READ_CHARACTERS))
            if not part:
                break
            parts.append(part)
            left -= len(part)
            rt.charge(len(part) // 8)
        return "".join(parts)
    finally:
        file.close()
