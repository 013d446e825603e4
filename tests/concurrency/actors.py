"""Actors: tasks that do what they are told, and a pure model of how they take turns.

Owns: `Actors`, real tasks on a real scheduler; `Turns`, what they must do, in plain lists.
Refuses: to know what is waited for: the machines that use both do.

A machine tells actors what to do, perhaps several before any of them runs, and then lets all of
them go on; the scheduler is fifo with slices of one step, so the order of their turns is the order
in which they became ready, and time passes only where an actor spends it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.concurrency import Scheduler, SchedulerConfig, VirtualDriver
from omega.errors import Cancelled, OmegaError

US = 1e-6


class Actors:
    """log: per actor, how each of its commands ended."""

    def __init__(self) -> None:
        config = SchedulerConfig(fairness_mode="fifo", yield_every=1)
        self.s = Scheduler(config, driver=VirtualDriver())
        self.tasks: list[Any] = []
        self.mail: list[Any] = []
        self.log: list[list[Any]] = []
        self.at_end: list[Callable[[], None] | None] = []

    def add(self) -> int:
        i = len(self.tasks)
        self.log.append([])
        self.mail.append(self.s.channel(1, f"mail of {i}"))
        self.at_end.append(None)
        self.tasks.append(self.s.spawn(lambda: self._live(i), name=str(i)))
        self.tasks[i].observed = True
        self.settle()
        return i

    def _live(self, i: int) -> None:
        try:
            while True:
                command = self.mail[i].recv()
                self.s._check()
                self.log[i].append(outcome(command))
                self.s._check()
        finally:
            at_end = self.at_end[i]
            if at_end is not None:
                at_end()

    def tell(self, i: int, command: Callable[[], Any]) -> None:
        """Put `command` into the mail of an actor that waits for it."""
        mail = self.mail[i]
        task, gen, branch, _ = mail.receivers.entries.popleft()
        assert self.s.claim(task, gen, branch, command)

    def is_idle(self, i: int) -> bool:
        """Whether it waits for its next command."""
        task = self.tasks[i]
        return not task.is_done and task.waiting is self.mail[i].recv_event()

    def settle(self, after_us: int = 0) -> None:
        """Let all of them go on, and time pass."""
        reached: list[bool] = []
        self.s.call_later(after_us * US, lambda: reached.append(True))
        self.s.run_until(lambda: bool(reached) and not self.s.has_work())
        self.s._check()
        for task in self.tasks:
            if task.state == "error":
                raise task.outcome

    def close(self) -> None:
        self.s._check()
        self.s.close()
        assert self.s.live == 0
        assert not self.s._stacks


def outcome(command: Callable[[], Any]) -> Any:
    """("ok", value), or the kind of error; whoever is cancelled is not asked again."""
    try:
        return ("ok", command())
    except Cancelled:
        return "cancelled"
    except OmegaError as error:
        return error.kind


# ---------------------------------------------------------------------- the model


class Wait:
    """What an actor of the model waits for; result: how that ended, once it has."""

    def __init__(self, branches: list[Any], is_plain: bool) -> None:
        self.branches = branches
        self.is_plain = is_plain  # no choice: the scheduler sees cycles
        self.result: Any = None
        self.timed_out = False  # the time around it is over


class Turns:
    """Actors in plain lists: `ready` is who goes on next, with its new command if it has one."""

    def __init__(self) -> None:
        self.now_us = 0
        self.seq = 0
        self.ready: list[tuple[int, Callable[[int], None] | None]] = []
        self.timers: list[tuple[int, int, Callable[[], None]]] = []
        self.log: list[list[Any]] = []
        self.waits: dict[int, Wait] = {}
        self.asked: set[int] = set()  # to end
        self.ended: set[int] = set()
        self.idle: set[int] = set()
        self.at_end: Callable[[int], None] = lambda i: None
        self.forget: Callable[[int], None] = lambda i: None

    def add(self) -> int:
        self.log.append([])
        self.idle.add(len(self.log) - 1)
        return len(self.log) - 1

    def tell(self, i: int, command: Callable[[int], None]) -> None:
        self.idle.discard(i)
        self.ready.append((i, command))

    def settle(self, after_us: int = 0) -> None:
        until = self.now_us + after_us
        self._run()
        while True:
            due = [timer for timer in self.timers if timer[0] <= until]
            if not due:
                break
            self.pass_time(max(min(due)[0] - self.now_us, 0))
            self._run()
        self.now_us = max(until, self.now_us)

    def _run(self) -> None:
        while self.ready:
            i, command = self.ready.pop(0)
            if command is not None:
                command(i)
            elif i in self.waits:
                self._woken(i, self.waits.pop(i))
            if i not in self.waits:
                self._next(i)

    def _woken(self, i: int, wait: Wait) -> None:
        result = wait.result
        if result == "told to end":
            result = "timeout-error" if wait.timed_out else "cancelled"
        self.log[i].append(result)

    def _next(self, i: int) -> None:
        """It comes back for the next command."""
        if i in self.asked:
            self.ended.add(i)
            self.idle.discard(i)
            self.at_end(i)
        else:
            self.idle.add(i)

    # -- what commands are made of

    def after(self, us: int, then: Callable[[], None]) -> None:
        self.seq += 1
        self.timers.append((self.now_us + us, self.seq, then))

    def pass_time(self, us: int) -> None:
        """Everything due on the way happens, in order."""
        self.now_us += us
        due = sorted(timer for timer in self.timers if timer[0] <= self.now_us)
        self.timers = [timer for timer in self.timers if timer[0] > self.now_us]
        for _, _, then in due:
            then()

    def start(self, i: int, wait: Wait, timeout_us: int | None) -> Wait:
        """`i` begins to wait, perhaps for a limited time."""
        self.waits[i] = wait
        if timeout_us is not None:

            def over() -> None:
                if self.waits.get(i) is wait:
                    wait.timed_out = True
                    self.wake(i, "told to end")

            self.after(timeout_us, over)
        return wait

    def wake(self, i: int, result: Any) -> bool:
        """The first one wins."""
        wait = self.waits[i]
        if wait.result is not None:
            return False
        wait.result = result
        self.forget(i)
        self.ready.append((i, None))
        return True

    def cancel(self, i: int) -> bool:
        if i in self.ended or i in self.asked:
            return False
        self.asked.add(i)
        if i in self.waits:
            self.wake(i, "told to end")
        elif i in self.idle:
            self.idle.discard(i)
            self.ready.append((i, None))
        return True
