"""Messages for a durable run, as the run gets them.

Owns: `Mailboxes`: each message is received once, in the order in which they came; none is lost when
whoever waited for it has left.
Refuses: to keep them: the store does, until the journal tells that the run has them.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import Any

from omega.bindings.json_data import from_json
from omega.concurrency import External, Mutex, Scheduler
from omega.concurrency.durable import LOOK_S, SIGNAL
from omega.durable.store import Store

PREFIX = "omega:"  # names of what is told to the run itself


class _Box:
    """Of one name. turn: of whoever may look for a message now. left: messages that came when
    nobody wanted them any more.
    """

    __slots__ = ("left", "turn")

    def __init__(self, scheduler: Scheduler, name: str) -> None:
        self.turn = Mutex(scheduler, f"the signal `{name}`, for others before")
        self.left: deque[Any] = deque()


class Mailboxes:
    """Of one run. A wait is a call of the outside that ends with (id, value) of a message."""

    def __init__(self, store: Store, run: str, scheduler: Scheduler, tap: Any, rt: Any) -> None:
        self._store, self._run, self._scheduler, self._tap = store, run, scheduler, tap
        self._charge = rt.charge
        self._boxes: dict[str, _Box] = {}
        self._taken: set[int] = set()  # in this process: the journal may not tell yet

    def wait(self, name: str) -> Any:
        """The value of the next message of that name."""
        box = self._boxes.get(name)
        if box is None:
            box = self._boxes[name] = _Box(self._scheduler, name)
        with box.turn.held():
            value = box.left.popleft() if box.left else self._next(name, box)
        return from_json(value, self._charge)

    def _next(self, name: str, box: _Box) -> Any:
        has_left = False

        def ended(external: External) -> None:
            if has_left and external.error is None:
                box.left.append(external.value[1])

        scheduler = self._scheduler
        external = scheduler.external(
            lambda: self._found(name, external), on_done=ended, waits_for=f"the signal `{name}`"
        )
        external.subject = (self._tap.next_identity(), [name])
        external.effect_class = SIGNAL
        try:
            return scheduler.sync(external.event)[1]
        finally:
            has_left = True
            if external.done and external.error is None and sys.exc_info()[0] is not None:
                box.left.append(external.value[1])

    async def _found(self, name: str, external: External) -> tuple[int, Any]:
        """A message, once there is one."""
        driver = self._scheduler.driver
        while True:
            for signal in self._store.signals(self._run):
                if signal.name == name and signal.id not in self._taken:
                    self._taken.add(signal.id)
                    return signal.id, signal.value
            if driver.virtual:
                await driver.pause(external)  # time does not pass for it: the run is parked
            else:
                await driver.sleep(LOOK_S)
