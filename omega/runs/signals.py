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
from omega.errors import LispValueError, UnknownRun

PREFIX = "omega:"  # names of what is told to the run itself
SOMEBODY = "somebody"  # has sent a message, and it is not known any more who


def checked_name(name: str) -> str:
    """The name of a signal. Raises LispValueError for one that nobody can send or wait for."""
    if not name:
        raise LispValueError("a signal has a name, and this one is empty")
    if name.startswith(PREFIX):
        raise LispValueError(
            f"names that begin with {PREFIX} are the run's own, got {name!r}",
            hint="omega runs resolve says what became of an effect",
        )
    return name


def shown_name(name: str) -> str:
    """A name in one line, with nothing in it that a terminal acts on."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)


def label_of(name: str) -> str:
    """What a wait for a signal is called in a journal."""
    return f"the signal `{name}`"


def is_wait(label: str) -> bool:
    return label.startswith("the signal `")


def received(label: str, kept: Any) -> tuple[int, Any] | None:
    """(id, value as a journal keeps it) of the message that a wait has ended with; None: it has
    ended with none, or was no wait. label, kept: of its call, and of the end of that.
    """
    how, content = kept
    if how != "ok" or not is_wait(label):
        return None
    id, value = content["tuple"]
    return id, value


def senders(store: Store, run: str) -> dict[int, str]:
    """Who has sent the messages that the journal of a run tells of, by their ids. A fork has
    received some that were sent to the run it comes from.
    """
    found: dict[int, str] = {}
    left, seen = [run], set()
    while left:
        id = left.pop()
        seen.add(id)
        try:
            record = store.run(id)
            found |= {each.id: each.who for each in store.signals(id, waiting_only=False)}
        except UnknownRun:
            continue  # pruned since
        from_ = (record.parent, record.header.get("recalls", {}).get("run"))
        left += [each for each in from_ if each is not None and each not in seen]
    return found


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
        """The value of the next message of that name. Raises LispValueError: see `checked_name`."""
        box = self._boxes.get(name)
        if box is None:
            checked_name(name)
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
            lambda: self._found(name, external), on_done=ended, waits_for=label_of(name)
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
