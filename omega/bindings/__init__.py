"""The Lisp names backed by other packages: tasks, scopes, channels, locks, models, clock, chance.

Owns: `install`, which puts them all into an interpreter's library.
Refuses: mechanism. Each entry checks its arguments, converts units and calls the scheduler or the
door.
"""

from __future__ import annotations

from typing import Any

from omega.bindings.base import Bindings, Table
from omega.bindings.budgets import budgets
from omega.bindings.durable_runs import durable_runs
from omega.bindings.exploring import exploring
from omega.bindings.generators import generators
from omega.bindings.handled import handled
from omega.bindings.locks import locks
from omega.bindings.models import models
from omega.bindings.progress import progress
from omega.bindings.seeing import seeing
from omega.bindings.tasks import groups, tasks
from omega.bindings.testing import testing
from omega.bindings.tools import tools
from omega.bindings.waits import events, scopes
from omega.bindings.world import Exit, world
from omega.lisp.primitives.registry import Native

PARTS = (
    tasks,
    groups,
    scopes,
    generators,
    events,
    locks,
    models,
    tools,
    handled,
    budgets,
    world,
    durable_runs,
    testing,
    exploring,
    seeing,
    progress,
)


def table_of(bindings: Bindings) -> Table:
    """Every name of this package and its procedure."""
    table: Table = {}
    for part in PARTS:
        part(bindings, table)
    return table


def install(interpreter: Any) -> None:
    """Put every name of this package into the interpreter's library."""
    bindings = Bindings(interpreter)
    for name, function in table_of(bindings).items():
        function.__qualname__ = function.__name__ = name
        bindings.rt.install(name, function, Native(name))
    bindings.rt.set_up_ports()


__all__ = ["Exit", "install"]
