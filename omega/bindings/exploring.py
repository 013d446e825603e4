"""`check-schedules`: a procedure under many schedules, from within a program.

Owns: its Lisp name. Refuses: searching (omega/exploration does), which is loaded when it is used.
"""

from __future__ import annotations

from typing import Any

from omega.bindings.base import Bindings, Table, options, shown
from omega.concurrency.limits import check_wall
from omega.errors import LispTypeError, LispValueError
from omega.lisp.data import Symbol, list_items
from omega.lisp.primitives.check import wrong_type

RESULT_MAX = 10_000_000  # characters of a result that are compared


def exploring(b: Bindings, table: Table) -> None:
    def check_schedules(thunk: Any, *rest: Any) -> int:
        """(check-schedules thunk :runs 1000 :seed 0 :strategy 'mixed :deviations 2 :same #f
        :faults #f :schedule #f) -> how many runs there were: fewer than :runs when nothing else is
        left to try. Calls thunk under so many schedules, each time with tasks and time of their
        own; raises schedule-failure, or what the thunk raised, with the schedule under which it
        fails. :same #t: its value must always be the same. :strategy 'random, 'pct, 'systematic or
        'mixed. :faults #t: calls that leave the program may fail, or those in a list of llm
        (models), host (its functions that suspend) and files. :schedule: only this one, a failure's
        text
        """
        if not b.rt.is_procedure(thunk):
            raise wrong_type("check-schedules", 1, "a procedure without arguments", thunk)
        given = options(
            "check-schedules", 2, rest,
            runs=1000, seed=0, strategy=Symbol.of("mixed"), deviations=2, same=False, faults=False,
            schedule=False,
        )  # fmt: skip
        for name in ("runs", "seed", "deviations"):
            if type(given[name]) is not int:
                raise LispTypeError(
                    f"`check-schedules` expected a whole number for :{name}, got "
                    f"{shown(given[name])}"
                )
        return _checked(b, thunk, **given)

    table["check-schedules"] = check_schedules


def _checked(
    b: Bindings,
    thunk: Any,
    *,
    runs: int,
    seed: int,
    strategy: Any,
    deviations: int,
    same: Any,
    faults: Any,
    schedule: Any,
) -> int:
    from omega.exploration.programs import thunk_run
    from omega.exploration.schedule import read
    from omega.exploration.search import STRATEGIES, explore, follow
    from omega.exploration.story import told

    name = str(strategy)
    if name not in STRATEGIES:
        raise LispValueError(
            f"`check-schedules` knows no strategy {shown(strategy)}",
            hint=f"strategies: {', '.join(STRATEGIES)}",
        )
    kinds = _fault_kinds(faults)
    run = thunk_run(b.interpreter, thunk, faults=kinds)
    same_result = _written if same is not False else None

    def look(made: object) -> None:
        check_wall(b.scheduler)

    if schedule is not False:
        if not isinstance(schedule, str):
            raise LispTypeError(
                f"`check-schedules` expected a string for :schedule, got {shown(schedule)}"
            )
        made = follow(run, read(schedule), same_result=same_result, look=look)
        runs = 1
    else:
        made = explore(
            run,
            runs=runs,
            seed=seed,
            strategy=name,
            deviations=deviations,
            same_result=same_result,
            look=look,
        )
    if made.failure is not None:
        more = " :same #t" if same_result else ""
        if kinds:
            more += f" :faults '({' '.join(sorted(kinds))})"
        raise told(
            run, made, runs, lambda text: f'(check-schedules thunk{more} :schedule "{text}")'
        )
    return made.runs


def _fault_kinds(faults: Any) -> frozenset[str]:
    from omega.exploration.weather import FAULT_KINDS, fault_kinds

    if isinstance(faults, bool):
        return fault_kinds(faults)
    names = list_items(faults)
    if names is None or not all(isinstance(name, Symbol) for name in names):
        raise LispTypeError(
            f"`check-schedules` expected #t or a list of symbols for :faults, got {shown(faults)}",
            hint=f"symbols: {', '.join(FAULT_KINDS)}",
        )
    return fault_kinds(map(str, names))


def _written(value: Any) -> str:
    from omega.lisp.printer import write_string

    return write_string(value, labels="cycles", characters_max=RESULT_MAX)
