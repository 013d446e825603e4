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

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple, Protocol

from omega.concurrency.durable import SIGNAL, DurableDriver, VirtualDurableDriver, _Durable
from omega.concurrency.outside import External
from omega.concurrency.replaying import _Replaying
from omega.errors import Cancelled, HostError

RECALLED = "recalled"  # the effect class of a call that is not made: nothing is paid for it
Key = tuple[str, str, int, str]  # what kind of effect, task, number, hash
Fact = Sequence[Any]
RANK = 1 << 48  # facts of one journal at most; a place is the number of a fact in a journal
MADE_AGAIN = -1  # instead of a place
ENTRIES_TIMED = 16  # in memory: outcomes are asked for about in their order
NAME_BYTES = 12  # of the name of a key: a million of them meet by chance once in 10^17 times


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


class Source(Protocol):
    """A journal that is recalled. instead: the number of an effect, and what comes of it instead;
    None: nothing, it is made again.
    """

    instead: tuple[int, Any]

    def entries(self) -> Iterator[list[list[Any]]]:
        """Its facts, from the first one on, an entry at a time."""

    def entry(self, at: int) -> list[list[Any]]:
        """The same that `entries` gives as its so manieth, from 0 on."""


class Effects:
    """What a journal tells of effects, fact by fact: who has asked for what, and where it ended."""

    def __init__(self) -> None:
        self.us = self.clock_us = 0  # what the clock has shown last
        self.open: dict[int, tuple[Key, str]] = {}  # by number
        self._last = 0  # the function of the host that was asked last: it ends before any other

    def ended(self, fact: Fact) -> tuple[int, Key, str] | None:
        """(number, or 0 when it has none; who asked for what; the same in words) of the effect
        whose end this fact tells.
        """
        kind = fact[0]
        if kind == "clock":
            self.clock_us += sum(fact[1:])
            self.us = max(self.us, self.clock_us)
        elif kind == "timers":
            self.us = max(self.us, fact[4])
        elif kind == "call" and len(fact) > 3:
            _, number, label, task, n, asked, hash_ = fact
            self.open[number] = (label, task, n, hash_), asked
        elif kind == "asked":
            _, number, task, n, what, asked, hash_ = fact
            self.open[number] = (what, task, n, hash_), asked
            self._last = number
        elif kind == "effect":
            _, task, n, what, asked, hash_, _ = fact
            number, self._last = self._last, 0
            self.open.pop(number, None)
            return number, (what, task, n, hash_), asked
        elif kind == "ended":
            self.us = self.us if fact[3] is None else fact[3]
            if fact[4] in self.open:
                return fact[4], *self.open.pop(fact[4])
        return None


class Recall:
    """sources: the journal of the run that is recalled; then those of the runs that this one was
    recalling itself, and was not through with. Of each attempt at an effect the first journal that
    has its outcome tells it. Each outcome is given once.

    What is in memory is where an outcome is told: a journal may be larger than that.
    is_trial: what is missed is to be told.
    """

    # Invariant: the outcomes of a key that are left are the last ones of it, in their order; each
    # is in the journal nearest to this run that tells of that attempt.

    def __init__(self, sources: Sequence[Source], *, is_trial: bool = False) -> None:
        self._sources, self._is_trial = sources, is_trial
        self.begin_us = self.end_us = 0
        self.passed_over: frozenset[int] = frozenset()  # places that nobody has to ask for
        self._missed: list[tuple[str, str, int, str, str]] = []
        self._found: dict[bytes, list[int]] = {}
        self._left = 0  # outcomes, in all
        self._parts: dict[int, list[int]] = {}  # from the place of an end
        self._instead: dict[int, Any] = {}  # by place
        # Of each entry: the place of its first fact, and what the clock had shown before it.
        self._places, self._clocks, self._times = array("q"), array("q"), array("q")
        self._first_entries: list[int] = []  # of the sources
        self._timed: dict[int, list[tuple[int, Fact]]] = {}  # entries that were asked for of late
        for rank, source in enumerate(sources):
            self._read(rank * RANK, source)

    def _read(self, place: int, source: Source) -> None:
        effects, parts = Effects(), dict[int, list[int]]()
        seen: Counter[bytes] = Counter()
        told = {key: len(found) for key, found in self._found.items()}  # by nearer journals
        self._first_entries.append(len(self._places))
        for facts in source.entries():
            self._places.append(place)
            self._clocks.append(effects.clock_us)
            self._times.append(effects.us)
            for fact in facts:
                if fact[0] == "clock":
                    self.begin_us = self.begin_us or fact[1]
                elif fact[0] == "part":
                    parts.setdefault(fact[4], []).append(place)
                ended = effects.ended(fact)
                if ended is not None:
                    number, key, _ = ended
                    name = _name(key)
                    seen[name] += 1
                    if seen[name] > told.get(name, 0):
                        self._add(name, place, number, source.instead)
                    told_in = parts.pop(number, None)
                    if told_in is not None and fact[0] == "ended":
                        self._parts[place] = told_in
                place += 1
        self.end_us = max(self.end_us, effects.us)

    def _add(self, name: bytes, place: int, number: int, instead: tuple[int, Any]) -> None:
        if number and number == instead[0]:
            if instead[1] is None:
                place = MADE_AGAIN
            else:
                self._instead[place] = instead[1]
        self._left += place != MADE_AGAIN
        self._found.setdefault(name, []).append(place)

    def forget(self, facts: Iterable[Fact]) -> None:
        """What the run that begins anew has got already, by its own facts."""
        effects = Effects()
        for fact in facts:
            ended = effects.ended(fact)
            if ended is not None:
                self._take(ended[1])

    def _take(self, key: Key) -> int:
        """The place of its next outcome; MADE_AGAIN: there is none."""
        name = _name(key)
        places = self._found.get(name)
        if places is None:
            return MADE_AGAIN
        place = places.pop(0)
        if not places:
            del self._found[name]
        self._left -= place != MADE_AGAIN
        return place

    def take(self, kind: str, task: str, n: int, asked: str, hash_: str) -> Recalled | None:
        """What came of it; None: it was not asked for, or had not ended."""
        place = self._take((kind, task, n, hash_))
        if place == MADE_AGAIN:
            return None
        us, fact = self._fact(place)
        parts = tuple(self._fact(each)[1][6] for each in self._parts.pop(place, ()))
        return Recalled(us, place, self._instead.pop(place, fact[6]), parts)

    def _fact(self, place: int) -> tuple[int, Fact]:
        """What the clock had shown there, and the fact."""
        at = bisect_right(self._places, place) - 1
        timed = self._timed.get(at)
        if timed is None:
            if len(self._timed) >= ENTRIES_TIMED:
                del self._timed[next(iter(self._timed))]
            timed = self._timed[at] = self._entry(place // RANK, at)
        return timed[place - self._places[at]]

    def _entry(self, rank: int, at: int) -> list[tuple[int, Fact]]:
        """The facts of an entry, each with what the clock had shown there."""
        effects = Effects()
        effects.clock_us, effects.us = self._clocks[at], self._times[at]
        timed: list[tuple[int, Fact]] = []
        for fact in self._sources[rank].entry(at - self._first_entries[rank]):
            effects.ended(fact)
            timed.append((effects.us, fact))
        return timed

    def has(self, kind: str, task: str, n: int, asked: str, hash_: str) -> bool:
        return self._found.get(_name((kind, task, n, hash_)), [MADE_AGAIN])[0] != MADE_AGAIN

    @property
    def is_used_up(self) -> bool:
        return not self._left

    # ------------------------------------------------------------------ what a trial tells

    def miss(self, kind: str, task: str, n: int, asked: str, hash_: str) -> None:
        """It is made anew, or would be."""
        if self._is_trial:
            self._missed.append((kind, task, n, asked, hash_))

    def missed(self) -> list[Missed]:
        """What was not recalled."""
        wanted = {each[:3] for each in self._missed}
        was: dict[tuple[str, str, int], str] = {}
        verdicts: dict[Key, bool] = {}  # whether it is open; the nearest journal knows
        for rank, source in enumerate(self._sources):
            effects, place = Effects(), rank * RANK
            here: dict[tuple[str, str, int], str] = {}
            ends: dict[Key, bool] = {}
            for facts in source.entries():
                for fact in facts:
                    ended = effects.ended(fact)
                    if ended is not None and ended[1][:3] in wanted:
                        ends[ended[1]] = False
                        if place not in self.passed_over:
                            here[ended[1][:3]] = ended[2]
                    place += 1
            for key, asked in effects.open.values():
                ends[key] = True
                here[key[:3]] = asked
            was, verdicts = {**here, **was}, {**ends, **verdicts}
        return [
            Missed(kind, task, n, asked, was.get((kind, task, n)),
                   verdicts.get((kind, task, n, hash_), False))
            for kind, task, n, asked, hash_ in self._missed
        ]  # fmt: skip

    def left(self) -> list[tuple[Key, str]]:
        """What was not asked for again, with what it was."""
        places = self._left_places() - self.passed_over
        found: dict[Key, str] = {}
        for rank, source in enumerate(self._sources):
            effects, place = Effects(), rank * RANK
            for facts in source.entries():
                for fact in facts:
                    ended = effects.ended(fact)
                    if ended is not None and place in places:
                        found.setdefault(*ended[1:])
                    place += 1
        return list(found.items())

    def pass_over(self) -> None:
        """What is left of other journals than the nearest does not count: the run itself would not
        ask for it.
        """
        self.passed_over = frozenset(place for place in self._left_places() if place >= RANK)

    def _left_places(self) -> frozenset[int]:
        return frozenset(
            place for places in self._found.values() for place in places if place != MADE_AGAIN
        )


def _name(key: Key) -> bytes:
    text = "\0".join(map(str, key))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=NAME_BYTES).digest()


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

    def _pump_once(self) -> None:
        super()._pump_once()
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
