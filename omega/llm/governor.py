"""The governor: which waiting LLM calls may start now.

A pure state machine: no clock, no I/O, no scheduler.

Whoever drives it says what happened and what time it is, and acts on the answers:

    ask(id) --> queued --admit()--> admitted --started()--> started --finished()--> gone
                  |  ^                  |                      |
      withdraw()  |  +-----requeue()----+----------------------+
                  v
                 gone

- A call holds a slot while admitted or started, that is from `admit` until `finished` or `requeue`:
  one of the two, once. A second release is our bug and fails an assertion. A cancelled call keeps
  its slot until its connection is closed, because its driver calls `finished` only then.
- Order: larger priority first, then the order of `ask`. A call that is requeued for a retry keeps
  its original place, holds no slot while it waits, and lets others pass until it is due.
- One gate: after `close_gate(until_s)` nothing is admitted until then.

Refuses: prices, retries, providers. Buckets, budgets and a learned limit join in `_capacity` and
`admit`, so that admission stays all or nothing in one call.

Invariants (`_check`):
    in_flight <= the largest limit since the oldest call in flight was admitted; never negative
    asked == queued + in_flight + finished + withdrawn
    admitted == in_flight + finished + requeued
    every queued call is in exactly one heap under its live entry
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

from omega.errors import HostError

LIMIT_MAX = 1_000_000
STALE_ENTRIES_MIN = 64  # heaps are rebuilt when more than this and half of their entries are dead

_QUEUED, _ADMITTED, _STARTED = "queued", "admitted", "started"

Id = TypeVar("Id", bound=Hashable)


class _Call(Generic[Id]):
    """A call the governor knows.

    place: its turn among equals, given once. due_s: it is not admitted before.
    entry: changes whenever the call is put in a heap; older entries for it are dead.
    """

    __slots__ = ("call_id", "due_s", "entry", "place", "priority", "state")

    def __init__(self, call_id: Id, priority: int, place: int) -> None:
        self.call_id = call_id
        self.priority = priority
        self.place = place
        self.state = _QUEUED
        self.due_s = float("-inf")
        self.entry = 0


# (what sorts first, place, entry, call): place and entry are unique, so calls are never compared.
_Entry = tuple[float, int, int, _Call[Id]]


class Governor(Generic[Id]):
    """Admits calls up to `limit` at a time.

    Call ids are any hashable values, unique among the live calls.
    Counters, readable at any time: `in_flight`, `peak`, `queued` now; `asked`, `admitted`,
    `finished_count`, `withdrawn`, `requeued` in all. Times are seconds of any one clock that never
    goes back.
    """

    def __init__(self, limit: int) -> None:
        self._calls: dict[Id, _Call[Id]] = {}
        self._ready: list[_Entry[Id]] = []  # may start as soon as there is a slot
        self._later: list[_Entry[Id]] = []  # wait for their due time
        self._place = 0
        self._entry = 0
        self._now_s = float("-inf")
        self._gate_s = float("-inf")
        self.in_flight = 0
        self.peak = 0
        self.queued = 0
        self.asked = 0
        self.admitted = 0
        self.finished_count = 0
        self.withdrawn = 0
        self.requeued = 0
        self._limit = 0
        self.set_limit(limit)

    # What the program wants

    def ask(self, call_id: Id, priority: int = 0, *, now_s: float = 0.0) -> None:
        """Queue a call. Larger `priority` goes first."""
        assert call_id not in self._calls, f"call {call_id!r} is already known"
        self._advance(now_s)
        self._place += 1
        call = _Call(call_id, priority, self._place)
        self._calls[call_id] = call
        self.asked += 1
        self.queued += 1
        self._enqueue(call)

    def withdraw(self, call_id: Id) -> bool:
        """Forget a queued call.

        False when it is not queued: it holds a slot (or is unknown), and must finish.
        """
        call = self._calls.get(call_id)
        if call is None or call.state is not _QUEUED:
            return False
        del self._calls[call_id]
        call.entry = 0
        self.queued -= 1
        self.withdrawn += 1
        self._drop_stale()
        return True

    def set_priority(self, call_id: Id, priority: int) -> None:
        """Change the priority of a call; a queued one moves, keeping its place among equals."""
        call = self._calls[call_id]
        if call.priority == priority:
            return
        call.priority = priority
        if call.state is _QUEUED:
            self._enqueue(call)
            self._drop_stale()

    # What may happen

    def admit(self, now_s: float) -> list[Id]:
        """The calls that may start now, in order; each holds a slot from here on."""
        self._advance(now_s)
        admitted: list[Id] = []
        if self._now_s < self._gate_s:
            return admitted
        self._ripen()
        while self._ready and self._capacity() > 0:
            *_, entry, call = heapq.heappop(self._ready)
            if call.entry != entry:
                continue
            call.entry = 0
            call.state = _ADMITTED
            self.queued -= 1
            self.in_flight += 1
            self.admitted += 1
            admitted.append(call.call_id)
        self.peak = max(self.peak, self.in_flight)
        return admitted

    def next_due_s(self) -> float | None:
        """When time alone lets `admit` give a call; None when only `finished`, `ask` or `set_limit`
        can.

        A moment that has passed already means: call `admit` now.
        """
        if self._capacity() <= 0:
            return None
        for heap in (self._ready, self._later):
            while heap and heap[0][3].entry != heap[0][2]:
                heapq.heappop(heap)
        if self._ready:
            return max(self._gate_s, self._now_s)
        if self._later:
            return max(self._gate_s, self._later[0][0])
        return None

    def is_holding(self, call_id: Id) -> bool:
        """Whether the call holds a slot."""
        call = self._calls.get(call_id)
        return call is not None and call.state is not _QUEUED

    # What did happen

    def started(self, call_id: Id) -> None:
        """An admitted call is on its way to the provider: from now on it may cost money.

        Once per admission.
        """
        call = self._calls[call_id]
        assert call.state is _ADMITTED, f"call {call_id!r} is {call.state}, not admitted"
        call.state = _STARTED

    def finished(self, call_id: Id) -> None:
        """The call is over and its connection closed, however it went: its slot is free.

        Exactly once.
        """
        self._release(call_id)
        del self._calls[call_id]
        self.finished_count += 1

    def requeue(self, call_id: Id, due_s: float | None = None) -> None:
        """Give the slot back and wait again in the original place; not before `due_s`, when
        given.
        """
        call = self._release(call_id)
        call.state = _QUEUED
        call.due_s = due_s if due_s is not None else self._now_s
        self.queued += 1
        self.requeued += 1
        self._enqueue(call)

    def close_gate(self, until_s: float) -> None:
        """Admit nothing before `until_s`.

        Gates only move later: the strictest answer of the provider counts.
        """
        assert until_s == until_s, "a gate needs a time"
        self._gate_s = max(self._gate_s, until_s)

    @property
    def gate_s(self) -> float:
        """When the gate opens, or opened; -inf when it was never closed."""
        return self._gate_s

    @property
    def limit(self) -> int:
        """How many calls may be in flight."""
        return self._limit

    def set_limit(self, limit: int) -> None:
        """Change the cap, 1..LIMIT_MAX. Calls in flight above a lowered one finish undisturbed."""
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LIMIT_MAX:
            raise HostError(f"the limit of LLM calls must be 1..{LIMIT_MAX}, got {limit!r}")
        self._limit = limit

    # Inside

    def _advance(self, now_s: float) -> None:
        self._now_s = max(self._now_s, now_s)

    def _capacity(self) -> int:
        """How many more calls may be in flight now. Negative after the limit was lowered."""
        return self._limit - self.in_flight

    def _release(self, call_id: Id) -> _Call[Id]:
        """The one place where a slot becomes free."""
        call = self._calls.get(call_id)
        assert call is not None and call.state is not _QUEUED, f"call {call_id!r} holds no slot"
        self.in_flight -= 1
        return call

    def _enqueue(self, call: _Call[Id]) -> None:
        self._entry += 1
        call.entry = self._entry
        if call.due_s > self._now_s:
            heapq.heappush(self._later, (call.due_s, call.place, call.entry, call))
        else:
            heapq.heappush(self._ready, (-call.priority, call.place, call.entry, call))

    def _ripen(self) -> None:
        """Move the calls whose time has come to where their priority and place count."""
        while self._later and self._later[0][0] <= self._now_s:
            *_, entry, call = heapq.heappop(self._later)
            if call.entry == entry:
                self._enqueue(call)

    def _drop_stale(self) -> None:
        size = len(self._ready) + len(self._later)
        if size - self.queued > max(STALE_ENTRIES_MIN, size // 2):
            self._ready = [entry for entry in self._ready if entry[3].entry == entry[2]]
            self._later = [entry for entry in self._later if entry[3].entry == entry[2]]
            heapq.heapify(self._ready)
            heapq.heapify(self._later)

    def _check(self) -> None:
        """Assert the invariants. For tests, after every step."""
        states = [call.state for call in self._calls.values()]
        assert self.queued == states.count(_QUEUED) >= 0
        assert self.in_flight == len(states) - self.queued >= 0
        assert self.asked == self.queued + self.in_flight + self.finished_count + self.withdrawn
        assert self.admitted == self.in_flight + self.finished_count + self.requeued
        assert self.peak >= self.in_flight
        live = [e[3].call_id for e in self._ready + self._later if e[3].entry == e[2]]
        waiting = [c.call_id for c in self._calls.values() if c.state is _QUEUED]
        assert len(live) == len(waiting) and set(live) == set(waiting)
