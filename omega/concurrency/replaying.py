"""Drivers that do to a scheduler what was done to it in a recorded run (recording.py), and wait for
nothing.

Owns: when each fact is due again, and that nothing else happens. Refuses: to run a coroutine, a
blocking call, a clock or a thread; to go on once the run differs from the recorded one.

The next fact with a position is the *head*. The hub is visited when the turns have come there; the
facts before it in the tape are those the kernel and the program ask for meanwhile.

When the run differs, or the tape ends, nothing of it may go on: neither handlers nor cleanup, which
would run on what nobody recorded. The task that asks is left where it is, and the hub raises what
happened for the host (`fail`).
"""

from __future__ import annotations

from _thread import allocate_lock
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

from omega.concurrency import idle
from omega.concurrency.driver import Driver, VirtualDriver, refuse_running_loop, running_loop
from omega.concurrency.limits import was_down
from omega.concurrency.outside import External, Inbox
from omega.concurrency.recording import LOOP, START, stage
from omega.concurrency.scheduler import Kernel
from omega.errors import HostError

POST_S = 60.0  # how long a thread of the host may take to post what it posted

Fact = Sequence[Any]  # kind, turns, stage, us or None, fields

# What the drive loop does between batches; the rest happens on a visit of the hub.
_BETWEEN = frozenset(("standstill", "returned", "act", "again", "end"))
_OF_CALLS = ("ended", "part")
_ON_VISITS = ("interrupt", "posts", "again")  # what only a visit of the hub brings in


class Tape(Protocol):
    stop: Callable[[HostError], NoReturn]  # how the replay ends; the driver sets it
    turns: Callable[[], int]  # how many there were so far; the driver sets it

    us: int  # what the clock has shown last
    slow: deque[list[Any]]  # the next slow slices: kind, turns, steps, returns, by, us

    @property
    def head(self) -> Fact | None:
        """The next fact with a position; None: the tape ends before it, torn."""

    @property
    def is_over(self) -> bool:
        """Whether nothing at all is left."""

    def take_head(self) -> Fact:
        """The head, taken off. Stops the replay when facts before it were not asked for."""

    def peek(self) -> Fact | None:
        """The next fact before the head: kind, fields."""

    def take(self, kind: str) -> Fact:
        """That fact, taken off. Stops the replay when it is of another kind."""

    def clock(self) -> int:
        """What the clock showed next. Stops the replay when it was not read here."""

    def outcome(self, kept: Any) -> tuple[Any, BaseException | None]:
        """The value or the error that a field holds."""

    def subject(self, subject: Any) -> list[Any]: ...

    def shown(self, fact: Fact) -> str:
        """A fact in words."""

    def miss(self, asked: str, by: str | None = None) -> NoReturn:
        """Stop the replay: `asked`, in words, is not what comes next. by: the id of the task that
        asks; None is the one that runs.
        """

    def left_over(self) -> HostError:
        """The error for a run that has come further although something is left in the tape."""

    def differs(self, fact: str) -> HostError:
        """The error for a run that differs from the recorded one."""

    def ended(self) -> HostError:
        """The error for a tape that ends although the run went on."""


class _Replaying(Driver):
    """What both do. Mixed into a driver."""

    cuts_slices = False

    def __init__(self, tape: Tape, *settings: Any) -> None:
        super().__init__(*settings)
        self.tape = tape
        self.failure = None  # else the replay is over because of it
        self.is_paused = False  # somebody looks at the run: what that asks for is no part of it
        self.stop_soon: HostError | None = None  # nobody was told of it yet
        self._calls = 0
        self._live: dict[int, External] = {}
        self._posted = allocate_lock()  # open while a thread of the host may have posted
        self._nudge: Any = None  # a future of the host's loop, which is to act

    def bind(self, scheduler: Kernel) -> None:
        super().bind(scheduler)
        scheduler.inbox = _ReplayedInbox(self)
        self.tape.stop = self.stop
        self.tape.turns = lambda: scheduler.turns

    # ------------------------------------------------------------------ positions

    def is_here(self, head: Fact) -> bool:
        """Whether the run has come to the position of `head`."""
        us = head[3]
        return (
            head[1] == self.scheduler.turns
            and head[2] == stage(self.scheduler)
            and (us is None or us <= self.now_us())
        )

    def due(self, kind: str) -> Fact | None:
        """The head, if it is of this kind and its time has come."""
        head = self.tape.head
        if head is None or head[0] != kind or self.failure is not None or not self.is_here(head):
            return None
        return head

    def take_head(self) -> Fact:
        """The head, which is met now."""
        head = self.tape.take_head()
        if self.tape.is_over:
            self.took_last()
        return head

    def took_last(self) -> None:
        """The tape is torn here: at the same visit of the hub more may have come in."""
        self.scheduler.add_chore(self._check_end)

    def _look(self) -> None:
        """A visit of the hub begins: what is due there by itself."""
        self._pass_marks()
        self._check_end()
        head = self.tape.head
        if head is None:
            return
        if head[1] < self.scheduler.turns:
            self._diverge(f"it has gone past what came from outside: {self.tape.shown(head)}")
        if self.due("interrupt") is not None:
            self.scheduler._interrupted = True

    def _pass_marks(self) -> None:
        """Pass what nobody asks for: how far a run had come, how long it was down."""
        while self.due("mark") is not None or self.due("down") is not None:
            fact = self.take_head()
            if fact[0] == "down":
                was_down(self.scheduler, fact[4])

    def heard_interrupt(self) -> None:
        if self.due("interrupt") is not None:
            self.take_head()

    def _switches_left(self) -> int:
        """How many switches until the hub is to be visited for the head."""
        head = self.tape.head
        if head is None:  # torn: beyond the facts that are left, nothing is known of any turn's end
            return -1
        return max(0, int(head[1]) - self.scheduler.turns - 1 + int(head[2][0]))

    # ------------------------------------------------------------------ the end

    def _check_end(self) -> None:
        if self.failure is None and self.tape.is_over:
            self.stop(self.tape.ended())

    def _diverge(self, fact: str) -> NoReturn:
        self.stop(self.tape.differs(fact))

    # ------------------------------------------------------------------ driving

    def drive(self, done: Callable[[], bool]) -> None:
        refuse_running_loop()
        if self.failure is not None:
            return
        try:
            self._drive(done)
        except BaseException:
            if self.due("returned") is not None:  # then the recorded run got the same
                self.take_head()
            raise
        if self.due("returned") is None:
            self.tape.miss("the end of a run by the host")
        self.take_head()

    def _drive(self, done: Callable[[], bool]) -> None:
        """Go on until the host got control back."""
        raise NotImplementedError

    def advance(self) -> None:
        """Go on a little, between batches."""
        raise NotImplementedError

    async def drive_async(self, done: Callable[[], bool]) -> None:
        import asyncio

        while not done() and self.failure is None:
            if self.due("act") is not None:
                if self._nudge is None:
                    self._nudge = asyncio.get_running_loop().create_future()
                await asyncio.shield(self._nudge)
            else:
                self.advance()
                await asyncio.sleep(0)

    def decided(self, question: str, decide: Callable[[], int]) -> int:
        self._check_end()
        kept = self.tape.peek()
        if kept is None or list(kept[:2]) != ["decided", question]:
            self.tape.miss(self.tape.shown(["decided", question, 0]))
        return int(self.tape.take("decided")[2])

    def acted(self, what: str, whom: str | None) -> None:
        if self.failure is not None or self.is_paused:
            return
        self.advance_to_act()
        head = self.due("act")
        if head is None or [what, whom] != list(head[4:6]):
            if what == "close":  # goes on all the same, and tells at its end
                is_torn = self.tape.head is None
                self.stop_soon = self.tape.ended() if is_torn else self.tape.left_over()
                self.failure = self.stop_soon
                return
            self.tape.miss(f"an act of the host: {what} {whom or ''}".rstrip())
        self.take_head()
        self.notify()

    def advance_to_act(self) -> None:
        """The host is about to act: its loop may let it do so earlier than last time."""
        while self.failure is None and self.due("act") is None:
            if self.tape.head is None or not self.is_guest_now():
                break
            self.advance()

    def notify(self) -> None:
        nudge, self._nudge = self._nudge, None
        if nudge is not None and not nudge.done():
            nudge.set_result(None)

    def wake(self) -> None:
        try:
            self._posted.release()
        except RuntimeError:
            pass  # it is open already

    def await_post(self) -> None:
        """Wait for a thread of the host, which is to post what it posted in the recorded run."""
        if not self._posted.acquire(timeout=POST_S):
            self._diverge(f"a thread of the host has posted nothing for {POST_S:g} s; it had")

    def is_guest_now(self) -> bool:
        return running_loop() is not None

    def close(self, abandon: bool = False) -> None:
        self.notify()

    # ------------------------------------------------------------------ externals

    def start(self, external: External) -> None:
        """Nothing is started: what came of it is told when it came."""
        if self.failure is not None:
            return
        self._live[self.number_call()] = external
        asked = [self._calls, external.label, *self.tape.subject(external.subject)]
        kept = self.tape.peek()
        if kept is None or list(kept) != ["call", *asked]:
            by = asked[2] if len(asked) > 2 else None
            self.tape.miss(self.tape.shown(["call", *asked]), by)
        self.tape.take("call")
        head = self.due("ended")
        if head is not None and head[4] == self._calls and head[5] == START:
            self.call_news()

    def number_call(self) -> int:
        """The number of what is called next outside."""
        self._calls += 1
        return self._calls

    def start_blocking(self, external: External) -> None:
        self.start(external)

    def abort(self, external: External) -> None:
        """It ends when it ended."""

    def pause(self, external: External) -> Any:
        raise NotImplementedError  # no coroutine runs

    def go_on(self, external: External) -> None:
        """It goes on when it did."""

    def call_news(self) -> None:
        """The head tells of the end of a call, or of a part of its result."""
        kind, _, _, _, number, _, outcome = self.take_head()
        external = self._live.get(number)
        if external is None or external.done:
            self._diverge(f"call {number} ended here, which has not been made")
        value, error = self.tape.outcome(outcome)
        if kind == "part":
            self.report_part(external, value)
            return
        del self._live[number]
        self.report(external, value, error)

    def is_again_due(self) -> bool:
        """Whether the head tells of a call that is made again. That call, and whatever else is told
        before, was made at the same position: by a timer, say, whose time has come only now.
        """
        return self.due("again") is not None and self.tape.peek() is None

    def made_again(self) -> bool:
        """Whether the head tells that a call was started once more, by the next process."""
        if not self.is_again_due():
            return False
        number = self.take_head()[4]
        external = self._live.get(number)
        if external is None:
            self._diverge(f"call {number} was made again here, which has not been made")
        self._start_again(external)
        return True

    def _start_again(self, external: External) -> None:
        """Its end is told when it came."""


class ReplayDriver(_Replaying):
    """What was recorded in real time. The hub is visited where the next fact was met, and nowhere
    else: a task that is alone stays where it is.
    """

    stay_turns = 0  # the next visit is at the position of a fact, and that is a number of turns

    def __init__(self, tape: Tape) -> None:
        super().__init__(tape)
        self._seen_us = 0
        self._returns = 0

    def now_us(self) -> int:
        if self.failure is None and not self.is_paused:
            self._check_end()
            self._seen_us = self.tape.clock()
        return self._seen_us

    def now_ns(self) -> int:
        return self._seen_us * 1000

    def shown_us(self) -> int:
        """What the clock showed last: the tape does not tell more."""
        return self._seen_us

    def due_us(self) -> int:
        if self.due("down") is not None:
            self._pass_marks()
        if self.due("timers") is None:
            return -1  # no timer was due
        self._seen_us = us = int(self.take_head()[4])
        return us

    def is_past(self, when_us: int) -> bool:
        fact = self.tape.peek()
        now = ["wall", self.scheduler.turns, self.scheduler.steps_now()]
        if fact is None or list(fact) != now:
            return False
        self.tape.take("wall")
        return True

    def poll_switches(self) -> int:
        self._look()
        return self._switches_left()

    def take_head(self) -> Fact:
        head = super().take_head()
        scheduler = self.scheduler
        if scheduler.in_batch:  # a visit too early would be told apart, if a stack is needed then
            scheduler.poll_after(self._switches_left())
        return head

    def host_returned(self, name: str) -> None:
        self._returns += 1
        self._look_at_watchdog(name)

    def leaves(self) -> None:
        self._look_at_watchdog(None)

    def tell_held(self) -> None:
        """Also of those that were seen where this run does not look: nobody listened to the one of
        the two, or the hub was visited there.
        """
        slow, scheduler = self.tape.slow, self.scheduler
        now = [scheduler.turns, scheduler.steps_now(), self._returns]
        if scheduler.current is None:
            now[0] += 1  # the last turn is over
        while slow and slow[0][1:4] < now:
            scheduler.watchdog.took_once(slow.popleft()[5])

    def _look_at_watchdog(self, by: str | None) -> None:
        slow, scheduler = self.tape.slow, self.scheduler
        if not slow or self.failure is not None:
            return
        now = [scheduler.turns, scheduler.steps_now(), self._returns]
        while slow and slow[0][1:4] < now:
            scheduler.watchdog.took_once(slow.popleft()[5])
        if slow and slow[0][1:5] == [*now, by]:
            self.held(slow.popleft()[5], by)

    def poll_due(self) -> bool:
        self._pass_marks()
        self._check_end()
        self._look_at_watchdog(None)
        head = self.tape.head
        if head is None:  # a slice end has been looked at: see _switches_left
            self.scheduler.poll_after(0)
            return False
        return bool(self.scheduler.turns >= head[1] + head[2][0])

    def wants_control(self) -> bool:
        if self.failure is not None:
            raise self.failure
        self._pass_marks()
        head = self.tape.head
        if head is None or not self.is_here(head):
            return False
        return head[0] in _BETWEEN or (head[0] in _OF_CALLS and head[5] == LOOP)

    def _drive(self, done: Callable[[], bool]) -> None:
        while self.due("returned") is None:
            self.advance()

    def advance(self) -> None:
        self._check_end()
        if self.made_again():
            return
        head = self.tape.head
        scheduler = self.scheduler
        is_here = head is not None and self.is_here(head)
        if head is not None and is_here:
            if head[0] in _OF_CALLS and head[5] == LOOP:
                self.call_news()
                return
            if head[0] == "standstill" and not scheduler.has_work():
                self.take_head()
                idle.resolve_idle(scheduler, head[4])
                return
            if head[0] in ("returned", "act", "end"):
                self._diverge(f"it goes on where the recorded run had {self.tape.shown(head)}")
        turns, asked = scheduler.turns, self.tape.peek()
        scheduler.run_batch()
        if scheduler.turns != turns or self.tape.head is not head or scheduler.has_work():
            return
        if self.tape.peek() is not asked:
            return
        if head is None:
            self.stop(self.tape.ended())
        if (is_here and head[0] != "standstill") or not self.is_here(head):
            self._diverge(f"it stands still, and is to meet {self.tape.shown(head)}")


class VirtualReplayDriver(_Replaying, VirtualDriver):
    """What was recorded under virtual time: the clock works as it did, the hub is visited when it
    was, coroutines sleep as told.
    """

    def poll_switches(self) -> int:
        self._look()
        switches, head = VirtualDriver.poll_switches(self), self.tape.head
        if head is not None and head[0] == "again":  # its process had fewer timers left
            switches = min(switches, self._switches_left())
        return switches

    def poll_due(self) -> bool:
        self._pass_marks()
        self._check_end()
        head = self.tape.head
        if head is not None and head[0] in _ON_VISITS and self.is_here(head):
            return True
        return VirtualDriver.poll_due(self)

    def wants_control(self) -> bool:
        if self.failure is not None:
            raise self.failure
        return self.is_again_due() or VirtualDriver.wants_control(self)

    def _drive(self, done: Callable[[], bool]) -> None:
        while self._advance(done, closed=True) or self.is_again_due():
            pass

    def advance(self) -> None:
        self._check_end()
        self._advance(lambda: False, closed=False)

    def _advance(self, done: Callable[[], bool], closed: bool) -> bool:
        return self.made_again() or VirtualDriver._advance(self, done, closed)

    def has_more(self) -> bool:
        return self.is_again_due() or VirtualDriver.has_more(self)

    def _start_again(self, external: External) -> None:
        timer = self._running.pop(external, None)
        if timer is not None:
            timer.cancel()
        self._step(external, None)

    def resolve_idle(self, closed: bool) -> bool:
        if self.due("standstill") is None:
            self.tape.miss("a standstill")
        self.take_head()
        return VirtualDriver.resolve_idle(self, closed)

    def start(self, external: External) -> None:
        _Replaying.start(self, external)
        self._step(external, None)

    def abort(self, external: External) -> None:
        VirtualDriver.abort(self, external)

    def go_on(self, external: External) -> None:
        VirtualDriver.go_on(self, external)

    def start_blocking(self, external: External) -> None:
        _Replaying.start(self, external)
        self._resumed(external, None)

    def _resumed(self, external: External, error: BaseException | None) -> float | None:
        if self.failure is not None:
            return None
        while self.due("part") is not None:
            self.call_news()
        slept = self.due("slept")
        if slept is None:
            # Neither: its process was dead by then, and the next one makes it again.
            if self.due("ended") is not None:
                self.call_news()
            return None
        self.take_head()
        return float(slept[5])

    def notify(self) -> None:
        _Replaying.notify(self)

    def wake(self) -> None:
        _Replaying.wake(self)


class _ReplayedInbox(Inbox):
    """Posts are made where they were made. What the host's own threads post waits for that."""

    __slots__ = ("_driver",)

    def __init__(self, driver: _Replaying) -> None:
        super().__init__()
        self._driver = driver

    @property
    def filled(self) -> bool:
        return self._driver.due("posts") is not None

    def take(self) -> list[Callable[[], None]]:
        count = self._driver.take_head()[4]
        return [self._make_next] * count

    def _make_next(self) -> None:
        driver = self._driver
        if driver.failure is not None:
            return
        if driver.due("ended") is not None:
            driver.call_news()
            return
        if driver.tape.is_over:
            driver.took_last()
            return
        if driver.due("post") is None:
            return  # what was posted was lost with its process
        driver.take_head()
        while not self._calls:
            driver.await_post()
        self._calls.popleft()()
