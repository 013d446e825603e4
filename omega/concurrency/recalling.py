"""Drivers of runs that begin anew on what another run got from outside: a changed program, a fork.

Owns: `Recall`: what a journal tells, by who asked for what; `RecallingDriver` and
`VirtualRecallingDriver`: how it is given again.
Refuses: to make anything twice that is recalled; to stop where the run asks for something else: it
is made, unless all is a trial: then it never ends, and is told at the end.

An outcome is recalled by the task that asked, the how manieth of its effects that was, and a hash
of what was asked. Outcomes come in the order in which they came, each once nothing else can run;
and time goes as it went: nobody waits again for what was waited for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

from omega.concurrency.durable import SIGNAL, DurableDriver, VirtualDurableDriver, _Durable
from omega.concurrency.outside import External
from omega.concurrency.replaying import _Replaying
from omega.errors import Cancelled, HostError

RECALLED = "recalled"  # the effect class of a call that is not made: nothing is paid for it
Key = tuple[str, str, int, str]  # what kind of effect, task, number, hash


class Recalled(NamedTuple):
    """at_us: what the clock had shown last. order: among all. outcome: as a journal keeps it."""

    at_us: int
    order: int
    outcome: Any
    parts: tuple[Any, ...] = ()


class Missed(NamedTuple):
    """An effect that is not recalled. was: what the other run asked for there; None: nothing."""

    kind: str
    task: str
    n: int
    asked: str
    was: str | None
    is_open: bool  # the other run asked for the same, and nobody knows what came of it


class Recall:
    """facts: of the other run's journal. outcomes are given once. instead: the number of an effect,
    and what comes of it instead; None: nothing, it is made again.
    """

    def __init__(self, facts: Iterable[list[Any]], instead: tuple[int, Any] = (0, None)) -> None:
        self._instead = instead
        self.begin_us = self.end_us = 0
        self.missed: list[Missed] = []
        self._found: dict[Key, deque[Recalled]] = {}
        self._asked: dict[tuple[str, str, int], str] = {}
        self._open: set[Key] = set()
        self._read(facts)

    def _read(self, facts: Iterable[list[Any]]) -> None:
        calls: dict[int, Key] = {}
        parts: dict[int, list[Any]] = {}
        us = clock_us = 0
        last = 0  # the function of the host that was asked last: it ends before any other
        for order, fact in enumerate(facts):
            kind = fact[0]
            if kind == "clock":
                clock_us += sum(fact[1:])
                us = max(us, clock_us)
                self.begin_us = self.begin_us or fact[1]
            elif kind == "timers":
                us = max(us, fact[4])
            elif kind == "call" and len(fact) > 3:
                _, number, label, task, n, asked, hash_ = fact
                calls[number] = self._asks(label, task, n, asked, hash_)
            elif kind == "asked":
                self._asks(*fact[4:5], *fact[2:4], *fact[5:7])
                last = fact[1]
            elif kind == "effect":
                _, task, n, what, asked, hash_, outcome = fact
                key = self._asks(what, task, n, asked, hash_)
                self._answers(key, Recalled(us, order, outcome), last)
                last = 0
            elif kind == "part":
                parts.setdefault(fact[4], []).append(fact[6])
            elif kind == "ended" and fact[4] in calls:
                us = us if fact[3] is None else fact[3]
                told = tuple(parts.pop(fact[4], ()))
                self._answers(calls[fact[4]], Recalled(us, order, fact[6], told), fact[4])
        self.end_us = us

    def forget(self, facts: Iterable[list[Any]]) -> None:
        """What the run that begins anew has got already, by its own facts."""
        calls: dict[int, list[Any]] = {}
        for fact in facts:
            if fact[0] == "call" and len(fact) > 3:
                calls[fact[1]] = fact[2:]
            elif fact[0] == "ended" and fact[4] in calls:
                self.take(*calls[fact[4]])
            elif fact[0] == "effect":
                self.take(fact[3], *fact[1:3], *fact[4:6])

    def _asks(self, kind: str, task: str, n: int, asked: str, hash_: str) -> Key:
        key = (kind, task, n, hash_)
        self._asked[key[:3]] = asked
        self._open.add(key)
        return key

    def _answers(self, key: Key, recalled: Recalled, number: int) -> None:
        """number: of the effect; 0: it has none."""
        self._open.discard(key)
        if number and number == self._instead[0]:
            if self._instead[1] is None:
                return
            recalled = Recalled(recalled.at_us, recalled.order, self._instead[1])
        self._found.setdefault(key, deque()).append(recalled)

    def take(self, kind: str, task: str, n: int, asked: str, hash_: str) -> Recalled | None:
        """What came of it; None: it was not asked for, or had not ended."""
        key = (kind, task, n, hash_)
        found = self._found.get(key)
        if not found:
            return None
        recalled = found.popleft()
        if not found:
            del self._found[key]
        return recalled

    def has(self, kind: str, task: str, n: int, asked: str, hash_: str) -> bool:
        return (kind, task, n, hash_) in self._found

    def miss(self, kind: str, task: str, n: int, asked: str, hash_: str) -> None:
        """It is made anew, or would be."""
        key = (kind, task, n, hash_)
        was = self._asked.get(key[:3])
        self.missed.append(Missed(kind, task, n, asked, was, key in self._open))

    @property
    def is_used_up(self) -> bool:
        return not self._found

    def left(self) -> list[tuple[Key, str]]:
        """What was not asked for again, with what it was."""
        return [(key, self._asked[key[:3]]) for key in self._found]


class _Recalling(_Durable):
    """What both do. outcome_of: what a kept outcome stands for. told: who asks for what, as fields.
    is_trial: what is not recalled never ends.
    """

    recall: Recall
    outcome_of: Callable[[Any], tuple[Any, BaseException | None]]
    told: Callable[[Any], list[Any]]
    is_trial = False
    _recalled: Recalled | None = None  # of the call that is being made

    def recalls(self, recall: Recall) -> None:
        self.recall = recall

    def _take(self, external: External) -> Recalled | None:
        fields = self.told(external.subject)
        if not fields:
            return None
        recalled = self.recall.take(external.label, *fields)
        if recalled is None and external.effect_class != SIGNAL:
            self.recall.miss(external.label, *fields)
        return recalled

    def _called(self, external: External, start: Callable[[External], None]) -> None:
        self._recalled = self._take(external)
        if self._recalled is not None:
            external.effect_class = RECALLED
        super()._called(external, start)

    def stop_trial(self) -> None:
        """Nothing more is recalled."""
        self.stop(HostError("the trial is over"))


class RecallingDriver(_Recalling, DurableDriver):
    """Real time, but as long as something is recalled the clock shows what it showed then."""

    _then_us: int | None = None  # what the clock shows; None: the world's time

    def recalls(self, recall: Recall) -> None:
        super().recalls(recall)
        # A trial waits for nothing, also where nothing tells what time it was.
        self._then_us = recall.begin_us or (self.clock_us() if self.is_trial else None)
        # When it comes, order, which call, what comes; None: its end, since it was aborted.
        self._pending: list[tuple[int, int, External, Recalled | None]] = []

    def adopt(self, replay: _Replaying) -> None:
        self._then_us = None
        super().adopt(replay)
        if not self.recall.is_used_up:
            self._then_us = self.clock_us() if not self._told_us else self._told_us
            self._down_us = 0  # it is told once time is real

    def restart(self, external: External) -> None:
        recalled = self._take(external)
        if recalled is not None:
            self._put_by(external, recalled)
        else:
            self._be_real()
            super().restart(external)

    def _put_by(self, external: External, recalled: Recalled) -> None:
        heappush(self._pending, (recalled.at_us, recalled.order, external, recalled))

    def clock_us(self) -> int:
        return super().clock_us() if self._then_us is None else self._then_us

    def _committed(self, start: Callable[[External], None], external: External) -> None:
        recalled, self._recalled = self._recalled, None
        if recalled is not None:
            self._put_by(external, recalled)
        elif not self.is_trial:
            self._be_real()
            super()._committed(start, external)

    def abort(self, external: External) -> None:
        if any(entry[2] is external for entry in self._pending):
            self._pending = [entry for entry in self._pending if entry[2] is not external]
            self._pending.append((0, -self.scheduler.turns - 1, external, None))
            heapify(self._pending)
        else:
            super().abort(external)

    def _be_real(self) -> None:
        """From now on time is the world's."""
        if self._then_us is not None:
            then_us, self._then_us = self._then_us, None
            self._set_clock(then_us)
            self._down_us += self.clock_us() - then_us
            self._seen_us = self._polled_us = self.clock_us()

    def _set_then(self, us: int) -> None:
        if self._then_us is not None and us > self._then_us:
            self._then_us = self._seen_us = self._polled_us = us

    def _between(self) -> None:
        super()._between()
        while self._then_us is None and self._pending:
            self._give()

    def _give(self) -> None:
        """The next outcome comes."""
        at_us, _, external, recalled = heappop(self._pending)
        self._set_then(at_us)
        if recalled is None:
            self.report(external, None, Cancelled(external.abort_reason))
            return
        for part in recalled.parts:
            self.report_part(external, self.outcome_of(part)[0])
        self.report(external, *self.outcome_of(recalled.outcome))

    def _jump(self) -> bool:
        """Nothing can run: what comes next, of what is recalled. False: nothing does."""
        if self._then_us is None:
            return False
        when_us = self.scheduler.timers.next_us()
        if self._pending and (when_us is None or self._pending[0][0] <= when_us):
            self._give()
            return True
        if when_us is not None and (self._pending or when_us <= self.recall.end_us):
            self._set_then(when_us)
            return True
        if self.is_trial:
            self.stop_trial()
        self._be_real()
        return True

    def _rest(self, seconds: float) -> None:
        if not self._jump() and not self._pending:
            super()._rest(seconds)

    def _pump(self) -> None:
        super()._pump()
        scheduler = self.scheduler
        is_idle = self.failure is None and not scheduler.has_work() and not scheduler.in_batch
        goes_on = False
        try:
            goes_on = is_idle and (self._jump() or bool(self._pending))
        except HostError as error:  # a trial is over
            self._give_up(error)
        if goes_on:
            self._schedule()  # what is recalled is given between two batches

    def resolve_idle(self, closed: bool) -> bool:
        return self._jump() or super().resolve_idle(closed)


class VirtualRecallingDriver(_Recalling, VirtualDurableDriver):
    """Virtual time: what is recalled comes at the time at which it came."""

    def restart(self, external: External) -> None:
        recalled = self._take(external)
        if recalled is not None:
            external.start, external.function = (lambda: self._again(external, recalled)), None
        super().restart(external)

    def _committed(self, start: Callable[[External], None], external: External) -> None:
        recalled, self._recalled = self._recalled, None
        if recalled is not None and external.function is not None:
            self.report(external, *self.outcome_of(recalled.outcome))
        elif recalled is not None:
            external.start = lambda: self._again(external, recalled)
            super()._committed(start, external)
        elif not self.is_trial:
            super()._committed(start, external)
        elif external.start is not None:  # it has to have a coroutine, which never ends
            external.start = lambda: self.pause(external)
            super()._committed(start, external)

    async def _again(self, external: External, recalled: Recalled) -> Any:
        for part in recalled.parts:
            await self.tell(external, self.outcome_of(part)[0])
        late_us = recalled.at_us - self.now_us()
        if late_us > 0:
            await self.sleep(late_us / 1e6)
        value, error = self.outcome_of(recalled.outcome)
        if error is not None:
            raise error
        return value

    def resolve_idle(self, closed: bool) -> bool:
        if self.is_trial:
            self.stop_trial()
        return super().resolve_idle(closed)
