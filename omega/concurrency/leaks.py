"""Leaks: what is left behind when a scheduler is about to be closed.

Owns: what counts as left behind, and its wording.
Refuses: to keep anything alive: things that are gone have no holder and no reader to miss them.

Left behind are: tasks that have not ended and were not asked to (daemons excepted: they are there
to the end), mutexes whose holder has ended, semaphores with slots taken and no task left to give
them back, channels with values nobody received.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from omega.concurrency import limits, listing
from omega.concurrency.channels import Channel
from omega.concurrency.config import PENDING, SUSPENDED
from omega.concurrency.sync import Mutex, Semaphore
from omega.concurrency.task import Task

if TYPE_CHECKING:
    from omega.concurrency.scheduler import Kernel

TASK_HINT = "await it, cancel it, or make it a daemon"
CHANNEL_HINT = "receive until it is closed, or send no more than is wanted"
LOCK_HINT = "give back what is taken, however the section ends that needs it"


class Leak(NamedTuple):
    """text: what was left behind. origin: where it was made, as `Kernel.made` was told."""

    text: str
    hint: str
    origin: Any = None


def find(kernel: Kernel) -> list[Leak]:
    """What is left behind now: tasks in spawn order, then things in the order they were made."""
    left = [
        task
        for task in limits.all_tasks(kernel)
        if not task.daemon and task.terms.cancel is None and task.doom is None
    ]
    leaks = [Leak(_of_task(kernel, task), TASK_HINT) for task in left]
    for thing, origin in list(kernel.made.items()):
        text = _of_thing(thing, is_last=not left)
        if text is not None:
            hint = CHANNEL_HINT if isinstance(thing, Channel) else LOCK_HINT
            leaks.append(Leak(text, hint, origin))
    return leaks


def _of_task(kernel: Kernel, task: Task) -> str:
    if task.state == PENDING:
        how = "has not begun"
    elif task.state == SUSPENDED:
        how = f"has not ended: it waits for {listing.describe(task.waiting, kernel.now_us())}"
    else:
        how = "has not ended"
    where = listing.place(task)
    return f"task {task.label} {how}" + ("" if where is None else f" (spawned at {where})")


def _of_thing(thing: Any, is_last: bool) -> str | None:
    if isinstance(thing, Channel):
        count = len(thing.items)
        values = "a value" if count == 1 else f"{count} values"
        return f"{thing.name} holds {values} nobody received" if count else None
    if isinstance(thing, Mutex):
        if thing.holder is None or not thing.holder.is_done:
            return None
        return f"{thing.name} is still held by task {thing.holder.label}, which has ended"
    if isinstance(thing, Semaphore):
        taken = thing.slots - thing.free
        if taken <= 0 or not is_last:
            return None
        return f"{thing.name} has {taken} of {thing.slots} slots taken, and no task is left"
    return None
