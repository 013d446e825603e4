"""The governor: which waiting LLM calls may be sent now.

A pure state machine: no clock, no I/O, no scheduler. Whoever drives it says what happened and what
time it is, and acts on the answers:

    ask(id) --> queued --admit()--> admitted --started()--> started --finished()--> gone
                  |  ^                  |                      |
      withdraw()  |  +-----requeue()----+----------------------+
      or refused  v
                 gone

- Admission is all or nothing, in one call of `admit`: a slot under the hard cap over all, a slot
  under the lane's learned cap, its open gate, what the call needs of the lane's buckets, and what
  it can use at most of its budgets.
- A call holds a slot while admitted or started, that is from `admit` until `finished` or `requeue`:
  one of the two, once. A second release is our bug and fails an assertion. A cancelled call keeps
  its slot until its connection is closed, because its driver calls `finished` only then.
- Order: larger priority first, then the groups of a lane in turn, then the order of `ask`
  (`turns.py`). Of several lanes that can send, the one whose head has the older turn. A call that
  is requeued for a retry keeps its turn, holds no slot while it waits, and lets others pass until
  it is due. Who waits for what is in `waiting.py`.
- A call that cannot be had is refused, by `admit`, as soon as that is certain or (for the queue
  before it) to be expected: its deadline comes before it could be sent, the gate stays closed
  longer than anybody waits, the lane's quota is used up, or its budget will never allow it.
  `Refusal` says which.
- A reservation in a budget is held over a retry, unless the failed attempt used some of it.

Refuses: prices, providers, when to retry and with what delay.

Invariants (`_check`):
    in_flight <= the largest limit since the oldest call in flight was admitted; never negative
    asked == queued + in_flight + finished + withdrawn + refused
    admitted == in_flight + finished + requeued
    every queued call waits in its lane, in one place
Cost: O(log n) in the queued calls for each call and each change of it; O(lanes) for `admit` and
`next_due_s`. A call that is refused costs its own O(log n), whenever that is.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from itertools import count
from typing import Any, Generic, TypeVar

from omega.errors import HostError, LimitExceeded, OmegaError
from omega.llm.budget import NOTHING, ONE_CALL, Amounts, Budget, Elastic
from omega.llm.lane import Lane, LaneLimits, Outcome
from omega.llm.outlook import Outlook, WaitingLane
from omega.llm.refusals import Refusal, spent, too_late
from omega.llm.turns import Key
from omega.llm.waiting import ADMITTED, GONE, QUEUED, STARTED, Call

LIMIT_MAX = 1_000_000

# Refused by the provider for coming too fast: the gate and the cap answer that, and a call that
# comes later is no storm. Other retries come out of the lane's allowance.
_PACED = ("concurrency", "rate", "slope")

Id = TypeVar("Id", bound=Hashable)


class Admission(Generic[Id]):
    """What `admit` gives. calls: those that may be sent, in order; refused: those that must not."""

    __slots__ = ("calls", "refused")

    def __init__(self, calls: list[Id], refused: list[Refusal[Id]]) -> None:
        self.calls, self.refused = calls, refused


class Governor(Generic[Id]):
    """Admits calls up to `limit` at a time, over all lanes.

    Call ids are any hashable values, unique among the live calls; so are keys of lanes.
    Counters, readable at any time: `in_flight`, `peak`, `queued` now; `asked`, `admitted`,
    `finished_count`, `withdrawn`, `requeued`, `refused` in all. Times are seconds of any one clock
    that never goes back.
    """

    def __init__(self, limit: int) -> None:
        self._calls: dict[Id, Call[Id]] = {}
        self._lanes: dict[Hashable, WaitingLane[Id]] = {}
        self._clock = count(1)
        self._place = 0
        self._now_s = float("-inf")
        self._wanting: dict[Budget, int] = {}  # how many calls wait for it
        self._refusals: list[Refusal[Id]] = []  # told by the next `admit`
        self.in_flight = self.peak = self.queued = 0
        self.asked = self.admitted = self.finished_count = self.withdrawn = 0
        self.requeued = self.refused = 0
        self._limit = 0
        self.set_limit(limit)

    # What the program wants

    def lane(self, key: Hashable, limits: LaneLimits | None = None) -> Lane:
        """The lane `key`, made with `limits` when it is new: without any, as `LaneLimits()`."""
        lane = self._lanes.get(key)
        if lane is None:
            number = len(self._lanes)
            lane = WaitingLane(key, number, limits or LaneLimits(), self._clock)
            self._lanes[key] = lane
        return lane

    def ask(
        self,
        call_id: Id,
        lane: Hashable = None,
        *,
        priority: int = 0,
        group: Hashable = None,
        input_tokens: int = 0,
        output_tokens: int = 0,
        deadline_s: float | None = None,
        budget: Budget | None = None,
        reserve: Amounts = ONE_CALL,
        elastic: Elastic | None = None,
        now_s: float = 0.0,
    ) -> None:
        """Queue a call of `lane`. Larger `priority` goes first; groups of equal priority in turn.

        input_tokens, output_tokens: what it will probably count in the lane's buckets. deadline_s:
        when it must have been sent. budget: the innermost one it is paid from, `reserve` what it
        can use of it at most. elastic: what it takes besides when it is admitted, as far as those
        who wait for the same budget, and may be sent, leave it an equal share (`extra_of`).
        """
        assert call_id not in self._calls, f"call {call_id!r} is already known"
        self._advance(now_s)
        self.lane(lane)
        home = self._lanes[lane]
        self._place += 1
        call: Call[Id] = Call(call_id, home, self._place, priority, group, self._now_s)
        call.needs = (1, input_tokens + output_tokens, input_tokens, output_tokens)
        call.budget, call.deadline_s = budget, deadline_s
        call.reserve = call.needed = reserve
        call.elastic = elastic
        self._calls[call_id] = call
        self.asked += 1
        self.queued += 1
        self._wants(call, 1)
        home.retries.deposit()
        home.hedges.deposit()
        if not self._is_hopeless(call, home):
            home.waiting.add(call, self._now_s)

    def withdraw(self, call_id: Id) -> bool:
        """Forget a queued call.

        False when it is not queued: it holds a slot (or is unknown), and must finish.
        """
        call = self._calls.get(call_id)
        if call is None or call.state is not QUEUED:
            return False
        self._home(call).waiting.discard(call)
        self._forget(call)
        self.withdrawn += 1
        return True

    def set_priority(self, call_id: Id, priority: int) -> None:
        """Change the priority of a call; a queued one moves, keeping its place among equals."""
        call = self._calls[call_id]
        if call.priority == priority:
            return
        if call.state is QUEUED:
            self._home(call).waiting.move(call, priority)
        call.priority = priority

    def try_hedge(self, lane: Hashable) -> bool:
        """Whether a second call for the same answer may be asked for, beside one in `lane`: within
        the lane's share of hedges. True counts it.
        """
        self.lane(lane)
        return self._lanes[lane].hedges.take()

    # What may happen

    def admit(self, now_s: float) -> Admission[Id]:
        """The calls that may be sent now, each holding a slot from here on, and those that are
        refused.
        """
        self._advance(now_s)
        for lane in self._lanes.values():
            if lane.waiting.count:
                lane.waiting.ripen(self._now_s)
                self._refuse_late(lane)
        admitted: list[Id] = []
        stalled = list(self._lanes.values())
        while stalled:
            before, stalled = len(admitted), self._admit_from(stalled, admitted)
            if len(admitted) == before:
                break
        self.peak = max(self.peak, self.in_flight)
        refused, self._refusals = self._refusals, []
        return Admission(admitted, refused)

    def next_due_s(self) -> float | None:
        """When time alone lets `admit` give something; None when only `finished`, `ask` or
        `set_limit` can.

        A moment that has passed already means: call `admit` now.
        """
        if self._refusals:
            return self._now_s
        now_s = self._now_s
        found: list[float] = []
        for lane in self._lanes.values():
            if not lane.waiting.count:
                continue
            late = lane.waiting.earliest_deadline()
            if late is not None and late.deadline_s is not None:
                found.append(max(now_s, late.deadline_s))
            if self._capacity() <= 0 or lane.is_full:
                continue
            first = lane.waiting.first()
            if first is not None:
                found.append(lane.ready_s(first[1].needs, now_s))
            due_s = lane.waiting.next_due_s()
            if due_s is not None:
                found.append(max(due_s, lane.open_s(now_s)))
        return min(found, default=None)

    def is_holding(self, call_id: Id) -> bool:
        """Whether the call holds a slot."""
        call = self._calls.get(call_id)
        return call is not None and call.state is not QUEUED

    def extra_of(self, call_id: Id) -> int:
        """How much of what it may take besides an admitted call has got."""
        return self._calls[call_id].extra

    # What did happen

    def started(self, call_id: Id) -> None:
        """An admitted call is on its way to the provider: from now on it may cost money.

        Once per admission.
        """
        call = self._calls[call_id]
        assert call.state is ADMITTED, f"call {call_id!r} is {call.state}, not admitted"
        call.state = STARTED

    def note(self, call_id: Id, outcome: Outcome, *, now_s: float | None = None) -> None:
        """The headers of an answer that is not over yet: of `outcome`, only its limits count."""
        self._advance(now_s)
        call = self._calls[call_id]
        assert call.state is STARTED, f"call {call_id!r} is {call.state}, not started"
        if outcome.limits is not None:
            call.lane.adopt(outcome.limits, call.taken, call.sent_s, self._now_s)

    def finished(
        self, call_id: Id, outcome: Outcome | None = None, *, now_s: float | None = None
    ) -> None:
        """The call is over and its connection closed, however it went: its slot is free.

        Exactly once. Without an outcome nothing is known: a call that was started is charged what
        it had reserved, one that was not is charged nothing.
        """
        self._advance(now_s)
        call = self._release(call_id, outcome)
        reservation, call.reservation = call.reservation, None
        if reservation is not None:
            reservation.settle(_used(call, outcome))
        del self._calls[call_id]
        call.state = GONE
        self.finished_count += 1

    def requeue(
        self,
        call_id: Id,
        due_s: float | None = None,
        outcome: Outcome | None = None,
        *,
        now_s: float | None = None,
    ) -> str | None:
        """Give the slot back and wait again, with the turn it had; not before `due_s`, when given.

        None when it waits. Else the reason why it may not, "retries" (the lane's share of retries
        is used up) or "deadline" (it comes before `due_s`), and nothing has happened: the attempt
        is final, and the call holds its slot until it is `finished`.
        """
        self._advance(now_s)
        call = self._calls.get(call_id)
        assert call is not None and call.state is not QUEUED, f"call {call_id!r} holds no slot"
        due_s = self._now_s if due_s is None else due_s
        if call.deadline_s is not None and call.deadline_s < due_s:
            return "deadline"
        is_paced = outcome is not None and outcome.throttle in _PACED
        if call.state is STARTED and not is_paced and not self._home(call).retries.take():
            return "retries"
        self._release(call_id, outcome)
        if call.reservation is not None and (used := _used(call, outcome)) != NOTHING:
            call.reservation.settle(used)
            call.reservation = None
        if call.reservation is None:
            call.reserve = call.needed
            self._wants(call, 1)
        call.state = QUEUED
        call.due_s = due_s
        self.queued += 1
        self.requeued += 1
        self._home(call).waiting.add(call, self._now_s)
        return None

    def close_gate(self, until_s: float, lane: Hashable = None) -> None:
        """Send nothing in `lane` before `until_s`; for who knows the moment from elsewhere.

        Gates only move later: the strictest answer of the provider counts.
        """
        self.lane(lane).gate.close_until(until_s)

    @property
    def limit(self) -> int:
        """How many calls may be in flight."""
        return self._limit

    def set_limit(self, limit: int) -> None:
        """Change the cap, 1..LIMIT_MAX. Calls in flight above a lowered one finish undisturbed."""
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LIMIT_MAX:
            raise HostError(f"the limit of LLM calls must be 1..{LIMIT_MAX}, got {limit!r}")
        self._limit = limit

    def outlooks(self, now_s: float) -> dict[Hashable, Outlook]:
        """Of the lanes whose calls have to wait for a time. Looking changes nothing."""
        seen = {lane.key: lane.outlook(now_s) for lane in self._lanes.values()}
        return {key: outlook for key, outlook in seen.items() if outlook is not None}

    def stats(self, now_s: float) -> dict[str, Any]:
        """What there is to see: the totals, and each lane by its key (`WaitingLane.stats`).

        next_s: the next moment something can happen by time alone, or None.
        """
        self._advance(now_s)
        lanes = {lane.key: lane.stats(self._now_s) for lane in self._lanes.values()}
        return {
            "limit": self._limit,
            "in_flight": self.in_flight,
            "peak": self.peak,
            "queued": self.queued,
            "asked": self.asked,
            "finished": self.finished_count,
            "withdrawn": self.withdrawn,
            "requeued": self.requeued,
            "refused": self.refused,
            "next_s": self.next_due_s(),
            "lanes": lanes,
        }

    # Inside

    def _advance(self, now_s: float | None) -> None:
        if now_s is not None and now_s > self._now_s:
            self._now_s = now_s

    def _home(self, call: Call[Id]) -> WaitingLane[Id]:
        lane = call.lane
        assert isinstance(lane, WaitingLane)
        return lane

    def _capacity(self) -> int:
        """How many more calls may be in flight now. Negative after the limit was lowered."""
        return self._limit - self.in_flight

    def _admit_from(
        self, lanes: list[WaitingLane[Id]], admitted: list[Id]
    ) -> list[WaitingLane[Id]]:
        """Admit what these lanes have, best first.

        Gives the lanes whose head waits for a bucket and has a budget: what was admitted after it
        was looked at may have taken that, and then it does not hold up its lane.
        """
        heads: list[tuple[Key, int, WaitingLane[Id], Call[Id]]] = []
        for lane in lanes:
            self._stand(heads, lane)
        stalled = []
        while heads:
            _, _, lane, call = heapq.heappop(heads)
            if self._has_budget(call, lane) and not self._try_send(call, lane):
                if call.budget is not None:  # it holds up its lane, and everyone behind it
                    stalled.append(lane)
                continue
            if call.state is ADMITTED:
                admitted.append(call.call_id)
            self._stand(heads, lane)
        return stalled

    def _stand(
        self, heads: list[tuple[Key, int, WaitingLane[Id], Call[Id]]], lane: WaitingLane[Id]
    ) -> None:
        """The first call of the lane stands for it, if anything of the lane can be sent at all."""
        if self.in_flight >= self._limit:
            heads.clear()  # nor can anything of another
            return
        if not lane.waiting.count or lane.is_full or lane.open_s(self._now_s) > self._now_s:
            return
        first = lane.waiting.first()
        if first is not None:
            heapq.heappush(heads, (first[0], lane.number, lane, first[1]))

    def _has_budget(self, call: Call[Id], lane: WaitingLane[Id]) -> bool:
        """Whether its budgets can take the call. False: it now waits elsewhere, or is refused."""
        if call.budget is None or call.reservation is not None:
            return True
        if lane.waiting.has_lines:
            for level in call.budget.levels:
                if lane.waiting.is_behind(call, level):
                    lane.waiting.park(call, level)
                    return False
        try:
            short = call.budget.shortage(call.reserve)
        except LimitExceeded as error:
            lane.waiting.discard(call)
            self._refuse(call, lane, "budget", None, error)
            return False
        if short is not None:
            lane.waiting.park(call, short)
            return False
        return True

    def _try_send(self, call: Call[Id], lane: WaitingLane[Id]) -> bool:
        """Give the call, whose turn it is and which has its budgets, all that it needs.

        False when it waits for a bucket. One that would wait for it beyond its deadline is refused.
        """
        ready_s = lane.ready_s(call.needs, self._now_s)
        if ready_s > self._now_s:
            if call.deadline_s is None or ready_s <= call.deadline_s:
                return False
            lane.waiting.discard(call)
            self._refuse(call, lane, lane.blocker(call.needs, self._now_s), ready_s)
            return True
        lane.waiting.take(call)
        if call.budget is not None and call.reservation is None:
            if call.elastic is not None:
                self._stretch(call, call.budget, call.elastic)
            call.reservation = call.budget.reserve(call.reserve)
            assert call.reservation is not None
            self._wants(call, -1)
        call.number, call.taken = lane.send(call.needs, self._now_s)
        call.sent_s = self._now_s
        call.state = ADMITTED
        self.queued -= 1
        self.in_flight += 1
        self.admitted += 1
        return True

    def _wants(self, call: Call[Id], change: int) -> None:
        """It waits for its budgets, or does not any more."""
        for level in () if call.budget is None else call.budget.levels:
            count = self._wanting.get(level, 0) + change
            if count:
                self._wanting[level] = count
            else:
                del self._wanting[level]

    def _stretch(self, call: Call[Id], budget: Budget, elastic: Elastic) -> None:
        """Reserve more than it needs: its share of what is left."""
        slots = self._capacity()
        call.extra = budget.spare(
            call.needed,
            elastic.each,
            elastic.most,
            lambda level: min(slots, self._wanting.get(level, 1)),
        )
        calls, tokens, cost = elastic.each
        needed, extra = call.needed, call.extra
        more = Amounts(calls * extra, tokens * extra, cost * extra)
        call.reserve = Amounts(*map(sum, zip(needed, more, strict=True)))

    def _release(self, call_id: Id, outcome: Outcome | None) -> Call[Id]:
        """The one place where a slot becomes free."""
        call = self._calls.get(call_id)
        assert call is not None and call.state is not QUEUED, f"call {call_id!r} holds no slot"
        lane = self._home(call)
        self.in_flight -= 1
        if call.state is ADMITTED:
            lane.unsend(call.needs, self._now_s)
            return call
        if outcome is not None:
            duration_s = self._now_s - call.sent_s
            lane.learn(outcome, call.number, call.taken, duration_s, self._now_s)
        lane.release(call.needs, outcome, self._now_s)
        return call

    def _forget(self, call: Call[Id]) -> None:
        """A queued call is gone; what a retry still held in a budget is free."""
        del self._calls[call.call_id]
        call.state = GONE
        self.queued -= 1
        reservation, call.reservation = call.reservation, None
        if reservation is not None:
            reservation.refund()
        else:
            self._wants(call, -1)

    def _refuse(
        self,
        call: Call[Id],
        lane: WaitingLane[Id],
        reason: str,
        start_s: float | None,
        error: OmegaError | None = None,
    ) -> None:
        """The call, which does not wait any more, is not to be."""
        self._forget(call)
        self.refused += 1
        lane.refused += 1
        wait_s = None if start_s is None else start_s - call.asked_s
        if error is None:
            error = too_late(call, lane, reason, wait_s)
        self._refusals.append(Refusal(call.call_id, reason, wait_s, error))

    def _is_hopeless(self, call: Call[Id], lane: WaitingLane[Id]) -> bool:
        """Refuse a new call that can never fit its budget, or is not expected to make its deadline.

        It does not wait yet.
        """
        if call.budget is not None:
            try:
                call.budget.shortage(call.reserve)
            except LimitExceeded as error:
                self._refuse(call, lane, "budget", None, error)
                return True
        if lane.spent_until_s > self._now_s:
            self._refuse(call, lane, "quota", lane.spent_until_s, spent(lane))
            return True
        if call.deadline_s is None:
            return False
        ahead = lane.waiting.ahead_of(call.priority, call.group)
        share = ahead / lane.waiting.count if lane.waiting.count else 0.0
        _, tokens, put, got = lane.waiting.needs
        before = (ahead, int(tokens * share), int(put * share), int(got * share))
        start_s, reason = lane.expected_s(call.needs, ahead, before, self._limit, self._now_s)
        if start_s <= call.deadline_s:
            return False
        self._refuse(call, lane, reason, start_s)
        return True

    def _refuse_late(self, lane: WaitingLane[Id]) -> None:
        """Refuse who cannot be sent before its deadline, or would wait too long for the gate, or
        for a quota.
        """
        now_s, waiting = self._now_s, lane.waiting
        if lane.spent_until_s > now_s:
            for call in waiting.everyone():
                waiting.discard(call)
                self._refuse(call, lane, "quota", lane.spent_until_s, spent(lane))
        if lane.gate.until_s - now_s > lane.limits.gate_wait_s_max:
            for call in waiting.everyone():
                waiting.discard(call)
                self._refuse(call, lane, "gate", lane.gate.until_s)
        late = waiting.earliest_deadline()
        start_s = now_s if late is None else lane.open_s(now_s)
        while late is not None:
            assert late.deadline_s is not None
            if late.deadline_s >= start_s and late.deadline_s > now_s:
                break
            waiting.discard(late)
            if late.deadline_s <= now_s:
                self._refuse(late, lane, "deadline", now_s)
            else:
                reason = "gate" if lane.gate.until_s >= start_s else "requests"
                self._refuse(late, lane, reason, start_s)
            late = waiting.earliest_deadline()

    def _check(self) -> None:
        """Assert the invariants. For tests, after every step."""
        states = [call.state for call in self._calls.values()]
        assert self.queued == states.count(QUEUED) >= 0
        assert self.in_flight == len(states) - self.queued >= 0
        gone = self.finished_count + self.withdrawn + self.refused
        assert self.asked == self.queued + self.in_flight + gone
        assert self.admitted == self.in_flight + self.finished_count + self.requeued
        assert self.peak >= self.in_flight
        assert self.queued == sum(lane.waiting.count for lane in self._lanes.values())
        assert self.in_flight == sum(lane.in_flight for lane in self._lanes.values())
        wanting: dict[Budget, int] = {}
        for call in self._calls.values():
            if call.state is QUEUED and call.reservation is None and call.budget is not None:
                for level in call.budget.levels:
                    wanting[level] = wanting.get(level, 0) + 1
        assert wanting == self._wanting
        for lane in self._lanes.values():
            lane.waiting._check()
            assert all(self._calls[call.call_id] is call for call in lane.waiting.everyone())


def _used(call: Call[Any], outcome: Outcome | None) -> Amounts:
    """What an attempt is charged."""
    if call.state is ADMITTED:
        return NOTHING
    if outcome is None or outcome.used is None:
        return call.reserve
    return outcome.used
