"""The Lisp names that show what is going on: ps.

Owns: what they print. Refuses: to change anything.
"""

from __future__ import annotations

from omega.bindings.base import SHOW_STEPS, Bindings, Table
from omega.concurrency.config import FINAL_STATES
from omega.concurrency.listing import tree


def seeing(b: Bindings, table: Table) -> None:
    def ps() -> None:
        """(ps) -> unspecified: prints the tasks that have not ended, each below the one that made
        it: state, steps so far, what it waits for and since which slice
        """
        # Ids are paths: in a chain of tasks, each is as long as the chain so far.
        known = b.scheduler.known_tasks()
        b.spend(len(known), SHOW_STEPS)
        b.spend(sum(task.own_path()[2] for task in known))
        lines = [line for line in b.scheduler.tasks() if line.state not in FINAL_STATES]
        b.rt.current_output().write(tree(lines) + "\n", b.rt.limits)

    table["ps"] = ps
