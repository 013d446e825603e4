"""Who decides in an explored run: a given schedule, and what strategies (strategies.py) make of it.

Owns: `Follower`, what it does where the schedule says nothing; the horizon of a run.
Refuses: running programs (runs.py), the order in which schedules are tried (search.py).

Whatever decides, a run notes each decision that is not the usual one as a Deviation: following
these gives the same run again, without the dice.

Beyond its horizon a run is healed: turns are fair, and nothing more goes wrong. What does not end
then, does not end because of the program. A run that takes no steps comes there by its events (how
often a task was given the processor) or by time. None of the three hangs on how finely a run is
looked at: then following would not give the same run.

Steps take no time before the horizon. Time passes when nothing is ready, and where a schedule says
so: what a timer meets is decided like everything else, not by how long a slice is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from omega.concurrency import Task, invariants
from omega.concurrency.choices import SLICE_STEPS, Chooser
from omega.concurrency.config import FINAL_STATES
from omega.concurrency.limits import all_tasks, end_all
from omega.concurrency.listing import steps_of
from omega.errors import LimitExceeded, OmegaBug
from omega.exploration.schedule import CLOCK, START, Deviation, Schedule

FAIR_SLICE = 100
PATIENCE = 4  # a run may take so many times its horizon
_TURN = "turn"  # go behind the others, by no decision

Place = tuple[str, str, int, int]  # kind, task, step, turn


class Horizon(NamedTuple):
    """Where a run is healed: after so many steps, or events, or so much time, whatever is first.

    grace: events it may take after time has healed it, however late it gets.
    """

    steps: int
    events: int = 1 << 60
    time_us: int = 1 << 60
    grace: int = 100

    @property
    def fuel(self) -> int:
        """How many steps a run may take."""
        return PATIENCE * self.steps


class Follower(Chooser):
    """Follows `schedule`, and the usual order where that says nothing or what cannot be.

    taken: the deviations that had an effect, in order.
    breach: an invariant of the kernel that did not hold, looked at every so many slice ends.
    healed_at: the steps from which on the run is healed. is_endless: it has gone on for too long.
    """

    def __init__(self, schedule: Schedule, horizon: Horizon) -> None:
        self.schedule, self.horizon = schedule, horizon
        self.healed_at = horizon.steps
        self._is_healed = self.is_endless = False
        self.events = 0
        self._events_next = horizon.events  # at so many events something is due
        self._time_next = horizon.time_us
        self._grace = 0  # once time has healed the run: how many events it may come to
        self.taken: list[Deviation] = []
        self.breach: str | None = None
        self._check_every = self._checks_in = 1
        self._preempts: dict[str, deque[tuple[tuple[int, int], str]]] = {}
        self._others: dict[Place, str] = {}
        for each in sorted(schedule, key=lambda each: (each.step, each.turn)):
            if each.kind == "preempt":
                planned = self._preempts.setdefault(each.task, deque())
                planned.append(((each.step, each.turn), each.choice))
            else:
                self._others[each[:4]] = each.choice
        self._ids: dict[Task, str] = {}
        self._dooms: dict[Task, tuple[int, int]] = {}  # of a task: its steps, how often there
        self._turns: dict[tuple[str, str, int], int] = {}
        self._last: Task | None = None  # who was given the processor last
        self._since = 0  # steps it had taken then
        self._target: str | None = None  # who runs next, decided at a slice end

    # -- what strategies decide ----------------------------------------------------------------

    def steps_to_point(self, task: Task) -> int:
        """After how many steps of `task` `stop` is asked; at least 1."""
        planned = self._preempts.get(self.id_of(task)) if self._preempts else None
        return max(1, planned[0][0][0] - task.steps) if planned else SLICE_STEPS

    def is_point(self, task: Task) -> bool:
        """At a slice end of `task`: whether to ask `stop`."""
        planned = self._preempts.get(self.id_of(task)) if self._preempts else None
        return planned is not None and len(planned) > 0 and planned[0][0] <= self._moment(task)

    def stop(self, task: Task, ready: list[Task]) -> str | None:
        """At a slice end of `task`: who runs instead (an id or CLOCK); None lets it go on."""
        planned = self._preempts.get(self.id_of(task))
        choice, now = None, self._moment(task)
        while planned and planned[0][0] <= now:
            choice = planned.popleft()[
                1
            ]  # the last that was passed over, if it has none of its own
        return choice

    def order(self, place: Place, ready: list[Task]) -> int:
        """Which of the ready tasks goes on, by index."""
        choice = self._others.get(place)
        return 0 if choice is None else max(0, self._index(choice, ready))

    def begin(self, place: Place, n: int) -> int:
        """With which of `n` branches a choice of events begins."""
        choice = self._others.get(place, "0")
        return int(choice) % n if choice.isdecimal() and choice.isascii() else 0

    def befall(self, place: Place, choices: Iterable[str]) -> str | None:
        """What befalls a call of the outside, of `choices`; None: nothing."""
        choice = self._others.get(place)
        return choice if choice is not None and choice in choices else None

    # -- the kernel's questions ----------------------------------------------------------------

    def slice(self, task: Task) -> int:
        self._target = None  # nobody else was there to take its place
        n = self.healed_at - self.kernel.steps
        if n <= 0:
            return FAIR_SLICE
        # The least of three, and at least 1. Spelled out: asked at every slice end.
        left = SLICE_STEPS - task.steps + self._since
        if left < n:
            n = left
        to_point = self.steps_to_point(task)
        if to_point < n:
            n = to_point
        return n if n > 0 else 1

    def slice_ended(self, task: Task, ready: Iterable[Task]) -> None:
        self._target = None
        self._checks_in -= 1
        if not self._checks_in:
            self._checks_in = self._check_every
            self.check()
        if self.kernel.steps >= self.healed_at:
            self._heal()
            self._target = _TURN
            return
        if not self.is_point(task):
            if task.steps - self._since >= SLICE_STEPS:
                self._target = _TURN
            return
        others = [each for each in ready if each.state not in FINAL_STATES]
        when_us = self.next_event_us()
        if not others and when_us is None:
            return
        choice = self.stop(task, others)
        if choice is not None and (
            when_us is not None if choice == CLOCK else self._index(choice, others) >= 0
        ):
            self.note(self.moment(task), choice)
            if choice == CLOCK:
                assert when_us is not None
                self.kernel.driver.skip_to(when_us)
            self._target = choice
        elif task.steps - self._since >= SLICE_STEPS:
            self._target = _TURN

    def doomed(self, task: Task) -> None:
        at, times = self._dooms.get(task, (0, 0))
        self._dooms[task] = (task.steps, times + 1 if at == task.steps else 1)

    def preempts(self, task: Task) -> bool:
        return self._target is not None

    def next(self, ready: list[Task]) -> int:
        self.events += 1
        kernel = self.kernel
        if self.events >= self._events_next or kernel.steps >= self.healed_at:
            self._heal()
        target, self._target = self._target, None
        if target is not None:
            chosen = max(0, self._index(target, ready))
        elif len(ready) == 1 or kernel.steps >= self.healed_at:
            chosen = 0
        else:
            last = self._last
            place = self._place("next", last, 0 if last is None else last.steps)
            chosen = self.order(place, ready)
            if chosen:
                self.note(place, self.id_of(ready[chosen]))
        self._last = task = ready[chosen]
        self._since = task.steps
        if kernel.steps + SLICE_STEPS > self.healed_at and not self._is_healed:
            kernel.cut_slice(task)  # a new slice ends at the horizon
        return chosen

    def branch(self, task: Task, n: int) -> int:
        place = self._place("branch", task, steps_of(self.kernel, task))
        chosen = 0 if self.is_fair else self.begin(place, n)
        if chosen:
            self.note(place, str(chosen))
        return chosen

    def call_befalls(
        self, kind: str, key: str, text: str, count: int, choices: Iterable[str]
    ) -> str | None:
        """What befalls the `count`-th call of this kind with this text, whose hash is `key`."""
        place = (kind, key, count, 0)
        choice = None if self.is_fair else self.befall(place, choices)
        if choice is not None:
            self.note(place, choice)
        return choice

    def time_passed(self, now_us: int) -> None:
        """Time has jumped, and it is so late now."""
        if now_us < self._time_next:
            return
        if self._grace:
            if self.events >= self._grace:
                self._give_up()
            return
        self._grace = self.events + self.horizon.grace
        self._time_next = PATIENCE * self.horizon.time_us
        self._heal()

    def _heal(self) -> None:
        """The run is beyond its horizon. Slices that began before are over."""
        kernel = self.kernel
        if not self._is_healed:
            self._is_healed = True
            self.healed_at = min(self.healed_at, kernel.steps)
            self._events_next = max(self.events, self.horizon.events) * PATIENCE
            for task in all_tasks(kernel):
                kernel.cut_slice(task)
        elif self.events >= self._events_next:
            self._give_up()

    def _give_up(self) -> None:
        if not self.is_endless:
            self.is_endless = True
            self.kernel.add_chore(self._end)

    def _end(self) -> None:
        """On the hub: every task ends now."""
        reason = "the run does not end"
        end_all(self.kernel, LimitExceeded("wall", None, None, reason), reason)

    def check_every(self, slices: int, first: int) -> None:
        """Look at the invariants every so many slice ends only, at the first one after `first`."""
        self._check_every, self._checks_in = slices, 1 + first % slices

    def check(self) -> None:
        """Look at the kernel's invariants. Once one does not hold, the run ends."""
        if self.breach is None:
            self.breach = invariants.breach(self.kernel)
            if self.breach is not None:
                self.kernel.fuel_end = self.kernel.steps
                raise OmegaBug(self.breach)

    def forget(self) -> None:
        """The run is over: let go of all that it was made of."""
        self._ids.clear()
        self._dooms.clear()
        self._last = None
        self.__dict__.pop("kernel", None)  # there is none yet if Ctrl-C came first

    # -- helpers -------------------------------------------------------------------------------

    def next_event_us(self) -> int | None:
        """Where time can jump to."""
        timers = self.kernel.timers
        return timers.next_event_us() if timers.heap else None

    @property
    def is_fair(self) -> bool:
        return self.kernel.steps >= self.healed_at

    def note(self, place: Place, choice: str) -> None:
        """A deviation has been decided."""
        self.taken.append(Deviation(*place, choice))

    def id_of(self, task: Task | None) -> str:
        if task is None:
            return START
        found = self._ids.get(task)
        if found is None:
            found = self._ids[task] = task.id
        return found

    def moment(self, task: Task) -> Place:
        """The slice end that `task` is at."""
        return ("preempt", self.id_of(task), *self._moment(task))

    def _moment(self, task: Task) -> tuple[int, int]:
        """Its steps, and which of the slice ends it is at that it comes to after so many, from 0.
        How often it has been there does not tell: that hangs on how finely the run is looked at.
        But one that has become doomed comes there without having taken a step, and once more when
        it has heeded that.
        """
        at, times = self._dooms.get(task, (0, 0)) if self._dooms else (0, 0)
        if not times or at != task.steps:
            return task.steps, 0
        return task.steps, 2 * times - (task.doom is not None)

    def _place(self, kind: str, task: Task | None, step: int) -> Place:
        key = (kind, self.id_of(task), step)
        turn = self._turns[key] = self._turns.get(key, -1) + 1
        return (*key, turn)

    def _index(self, target: str, ready: list[Task]) -> int:
        for i, task in enumerate(ready):
            if self.id_of(task) == target:
                return i
        return -1
