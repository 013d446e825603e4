"""A scheduler that stops before a given step of a given task, without changing what happens.

Owns: which steps are held back from which slices. Refuses: to trace: generated code runs as ever,
and the slice that holds the step is cut right before it. What is cut off is given back afterwards,
as if the slice had not ended. So a stop is exact, and costs nothing before it is there.

Invariant: of a task in `_held`, the step iterator and the held steps together are what is left of
its slice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import repeat
from typing import Any

from omega.calls.calls import CallingScheduler
from omega.concurrency import Task, limits


class SteppingScheduler(CallingScheduler):
    """stop: called in the task, right before the step that was waited for."""

    stop: Callable[[Task], None]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.has_stopped = False
        self._held: dict[Task, int] = {}
        self._wanted: tuple[str, int] | None = None  # a task's id, a step of it
        self._other_than: Task | None = None  # or: the next step of any task but this one
        self._passing: Task | None = None  # takes steps within one charge, and stops behind it
        self.listeners.append(self._heard)

    # ------------------------------------------------------------------ what is waited for

    def stop_before(self, task_id: str, step: int) -> None:
        self._aim((task_id, step), None)

    def stop_at_other(self, task: Task) -> None:
        """Stop before the next step of another task."""
        self._aim(None, task)

    def go_on(self) -> None:
        self._aim(None, None)

    def _aim(self, wanted: tuple[str, int] | None, other_than: Task | None) -> None:
        self._wanted, self._other_than = wanted, other_than
        for task in self.all_tasks():
            if task.stack is not None:
                self._cut(task)

    def _goal(self, task: Task) -> int | None:
        """The step of `task` that is waited for."""
        if task is self._passing:
            return None
        if self._other_than is not None:
            return None if task is self._other_than else self.taken(task) + 1
        if self._wanted is not None and task.has_id(self._wanted[0]):
            return self._wanted[1]
        return None

    def taken(self, task: Task) -> int:
        """How many steps a task has taken."""
        if task.stack is None:
            return task.steps
        return task.steps + task.left - int(task.it.__length_hint__())

    def _cut(self, task: Task) -> None:
        """Have the slice of `task` end before the step that is waited for, or where it would."""
        it = task.it
        left = int(it.__length_hint__())
        whole = left + self._held.pop(task, 0)
        goal = self._goal(task)
        keep = whole
        if goal is not None and goal > self.taken(task):
            keep = min(whole, goal - 1 - self.taken(task))
        if keep == left and whole == left:
            return
        used = task.left - left
        task.steps += used
        self.steps += used
        deque(it, 0)  # a loop may hold it; it then comes for the one in force
        if keep < whole:
            self._held[task] = whole - keep
        task.it, task.left = repeat(None, keep), keep
        if self.steps + whole > self.fuel_end:
            limits.trim(self, task)
        if task is self.current:
            self.registers["_it"] = task.it

    def _heard(self, event: dict[str, Any]) -> None:
        if event["event"] == "TaskStarted" and self.current is not None:
            self._cut(self.current)

    # ------------------------------------------------------------------ where steps are taken

    def _is_at_stop_in(self, me: Task | None, steps: int = 1) -> bool:
        """Whether the next so many steps of `me`, which runs, hold the one that is waited for."""
        if me is None or me.stack is None:
            return False
        goal = self._goal(me)
        return goal is not None and 0 < goal - self.taken(me) <= steps

    def _stop_in(self, me: Task) -> None:
        self.has_stopped = True
        self._wanted = self._other_than = None
        self.stop(me)
        self._aim(self._wanted, self._other_than)

    def slice_end(self) -> None:
        me = self.current
        if self.registers["_it"].__length_hint__():
            return
        if self._held and me in self._held and self._is_at_stop_in(me):
            assert me is not None
            self._stop_in(me)
            if me.it.__length_hint__():
                return
        super().slice_end()
        if me is not None and self.current is me:
            self._cut(me)
            if not me.it.__length_hint__():
                self.slice_end()

    def charge(self, steps: int) -> None:
        """The work of a primitive has no inside to stop in: the stop is before it."""
        me = self.current
        if me is not None and self._is_at_stop_in(me, steps):
            self._stop_in(me)
            self._passing = me
            self._cut(me)
            super().charge(steps)
            self._passing = None
            if self._wanted is not None and me.has_id(self._wanted[0]):
                self._wanted = (self._wanted[0], max(self._wanted[1], self.taken(me) + 1))
        elif me is not None and me in self._held and steps >= me.it.__length_hint__():
            deque(me.it, 0)  # just up to the stop: the slice has not ended
            return
        else:
            super().charge(steps)
        if me is not None and self.current is me:
            self._cut(me)

    def owe(self, items: int, steps_each: int = 1) -> None:
        """As `charge`, but there is no stopping here: the stop is behind it. What is owed comes out
        of the held steps as well.
        """
        me = self.current
        held = 0 if me is None else self._held.get(me, 0)
        if me is None or not held:
            super().owe(items, steps_each)
            return
        before, left = self.taken(me), int(me.it.__length_hint__())
        super().owe(items, steps_each)
        owed, paid = self.taken(me) - before, left - int(me.it.__length_hint__())
        self._held[me] = max(0, held - (owed - paid))
        if self._wanted is not None and me.has_id(self._wanted[0]):
            self._wanted = (self._wanted[0], max(self._wanted[1], self.taken(me) + 1))
        self._cut(me)

    def yield_now(self) -> None:
        me = self.current
        if self._is_at_stop_in(me):
            assert me is not None
            self._stop_in(me)
        super().yield_now()
        if me is not None and self.current is me:
            self._cut(me)
