"""The beginning and the end of providers: ready before they are first asked, closed at last.

Owns: `Preparing`: which providers are ready, and who waits until they are; `close_soon`. Refuses:
to know what it is that they do; of a vendor's, the SDK is loaded, which takes up to a second.

What an interpreter waits for once is no part of how long a call takes. Calls that were sent before
would count it: in their figures, in their `:timeout`, in the mean by which the governor expects how
long others wait; and all that were sent meanwhile would come to the vendor in one moment.

A provider is made ready when a task first asks it, whether it has been in this process or not: so a
recorded run does the same again. A model that is asked by no task, but in place of another, gets
itself ready in its first attempt.
"""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import Any

from omega.concurrency import Cell, External, Scheduler
from omega.llm.provider import Provider

WAITS_FOR = "a provider of models that gets ready"


# Ends of connections under way in hosts' loops, which themselves hold tasks only weakly.
_closing: set[Any] = set()


def close_soon(closing: Coroutine[Any, Any, None]) -> None:
    """Have the running asyncio loop close connections."""
    import asyncio

    task = asyncio.Task(closing, loop=asyncio.get_running_loop())
    _closing.add(task)
    task.add_done_callback(_closing.discard)


class Preparing:
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._cells: dict[int, Cell] = {}  # by the id of a provider, which its models keep

    def is_needed(self, provider: Provider) -> bool:
        """Whether a task has to wait before it asks `provider`."""
        if not hasattr(provider, "prepare"):
            return False
        cell = self._cells.get(id(provider))
        return cell is None or not cell.full

    def wait(self, provider: Any) -> bool:
        """Have the running task wait until `provider` is ready, or has failed to be: then its first
        attempt tells why. False when there was nothing to wait for.
        """
        if not self.is_needed(provider):
            return False
        cell = self._cells.get(id(provider))
        if cell is None:
            made = cell = self._cells[id(provider)] = self._scheduler.cell(WAITS_FOR)
            sleep = self._scheduler.driver.sleep

            def done(external: External) -> None:
                made.put(None)

            start = partial(provider.prepare, sleep=sleep)
            self._scheduler.external(start, on_done=done, waits_for=WAITS_FOR)
        self._scheduler.sync(cell.event)
        return True
