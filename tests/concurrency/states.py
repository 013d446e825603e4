"""Watching states: every move of every task, checked against the one table of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from omega.concurrency.config import PENDING, TRANSITIONS
from omega.concurrency.task import Task

Moves = list[tuple[Task, str | None, str]]


@contextmanager
def watched_states() -> Iterator[Moves]:
    """Every assignment of a state while inside, as (task, before, after).

    An assignment the table does not know, or of the state a task is in already, is an error.
    """
    slot: Any = Task.__dict__["state"]
    moves: Moves = []

    def move(task: Task, after: str) -> None:
        before = _value(slot, task)
        allowed = {PENDING} if before is None else TRANSITIONS[before]
        assert after in allowed, f"task {task.id} moved from {before} to {after}"
        slot.__set__(task, after)
        moves.append((task, before, after))

    Task.state = property(slot.__get__, move)  # type: ignore[assignment,misc]
    try:
        yield moves
    finally:
        Task.state = slot


def _value(slot: Any, task: Task) -> Any:
    try:
        return slot.__get__(task)
    except AttributeError:  # not set yet: it is being made
        return None
