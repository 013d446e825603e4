"""`python -m tests.concurrency.ties [N]`: N ties (a million), how each kind went, and the time.

Owns: two things that happen in the same microsecond of virtual time, in every order: a result and a
cancel, a hand-off and a timeout, a slot given and its taker told to end. Refuses: to say who wins;
it counts that nothing is lost, nothing is delivered twice, no slot is gone.

Orders: which of the two is asked for first; whether it is a timer's callback or a task that does
it; how many microseconds before the moment that task wakes, to spend them in steps: then the other
one's timer comes due while it runs, and fires at the next look, before or behind what it did.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from omega.concurrency import Mutex, Scheduler, SchedulerConfig, Semaphore, VirtualDriver
from omega.errors import Cancelled, TaskCancelled, TimeoutExpired

BATCH = 200  # ties in one scheduler
AT_S = 0.001  # the first moment, from when they are set up
APART_S = 50e-6  # more than what two ties spend in steps
POLICIES = ("fifo", "round-robin", "priority")
SLICES = (1, 10, 100)
LEADS_US = (0, 1, 3)
# (who is asked first, how each of the two acts: a lead, or None for a timer's callback)
ORDERS = list(itertools.product((False, True), (None, *LEADS_US), (None, *LEADS_US)))

Verify = Callable[[], str]


class Tie:
    """What the kinds share. at_s: when it happens; `order` is one of ORDERS."""

    def __init__(self, s: Scheduler, at_s: float, order: tuple[bool, int | None, int | None]):
        self.s, self.at_s = s, at_s
        self.swapped, self.first_lead, self.second_lead = order

    def both(self, first: Callable[[], Any], second: Callable[[], Any]) -> None:
        """Have both happen at the moment; `first` may wait, so it is always a task."""
        pair = [(first, self.first_lead or 0), (second, self.second_lead)]
        for what, lead in reversed(pair) if self.swapped else pair:
            if lead is None:
                self.s.call_at(self.at_s, what)
            else:
                self.s.spawn(lambda what=what, lead=lead: self._act(what, lead))

    def _act(self, what: Callable[[], Any], lead_us: int) -> None:
        self.s.sleep(self.at_s - lead_us * 1e-6 - self.s.driver.now())
        self.s.charge(lead_us)
        what()


def result_and_cancel(tie: Tie) -> Verify:
    """A task ends, and is told to; somebody waits for it."""
    s, heard, changed = tie.s, [], []
    ended = s.cell()

    def body() -> int:
        s.sync(ended.event)
        return 7

    def waiter() -> None:
        try:
            heard.append(("ok", s.await_task(task)))
        except TaskCancelled:
            heard.append(("cancelled", None))

    task = s.spawn(body)
    s.spawn(waiter)
    tie.both(ended.put, lambda: changed.append(s.cancel(task, "tie")))

    def verify() -> str:
        assert len(heard) == len(changed) == 1, "heard once, told once"
        assert heard[0] == (("ok", 7) if task.state == "completed" else ("cancelled", None))
        assert task.state == "completed" or changed[0], "cancelled by nobody"
        return f"{task.state}, the cancel {'came in time' if changed[0] else 'was too late'}"

    return verify


def own_end_and_cancel(tie: Tie) -> Verify:
    """A sleep that is the task's last wait ends in the moment of the cancel."""
    s, heard, changed = tie.s, [], []

    def body() -> int:
        s.sleep(tie.at_s - s.driver.now())
        heard.append(7)
        return 7

    task = s.spawn(body)
    tie.both(lambda: None, lambda: changed.append(s.cancel(task, "tie")))

    def verify() -> str:
        assert len(changed) == 1
        assert (task.state == "completed") == (heard == [7]), "slept to its end, or did not"
        assert task.state == "completed" or changed[0]
        return f"{task.state}, the cancel {'came in time' if changed[0] else 'was too late'}"

    return verify


def hand_off_and_timeout(tie: Tie) -> Verify:
    """A value is sent, and the time of its receiver is up."""
    s, channel = tie.s, tie.s.channel(0)
    got, sent, left = [], [], []

    def receiver() -> None:
        try:
            got.append(s.with_timeout(tie.at_s - s.driver.now(), channel.recv))
        except TimeoutExpired:
            left.append(True)

    def sender() -> None:
        try:
            s.with_timeout(0.0005, lambda: channel.send(7))
            sent.append(7)
        except TimeoutExpired:
            pass

    s.spawn(receiver)
    tie.both(sender, lambda: None)

    def verify() -> str:
        assert got == sent, "a value is received exactly where it was sent"
        assert len(got) + len(left) == 1
        assert not channel.items and not channel.receivers and not channel.senders
        return "handed over" if got else "timed out"

    return verify


def hand_off_and_cancels(tie: Tie) -> Verify:
    """A value is sent, and its receiver and its sender, if there is one yet, are told to end."""
    s, channel = tie.s, tie.s.channel(0)
    got, sent = [], []

    def receiver() -> None:
        got.append(channel.recv())

    def sender() -> None:
        try:
            s.with_timeout(0.0005, lambda: channel.send(7))
            sent.append(7)
        except TimeoutExpired:
            pass  # nobody is left

    first = s.spawn(receiver)
    box: list[Any] = []
    tie.both(
        lambda: box.append(s.spawn(sender)),
        lambda: (s.cancel(first, "tie"), [s.cancel(task, "tie") for task in box]),
    )

    def verify() -> str:
        assert len(got) == len(sent), "neither lost nor doubled"
        return f"{first.state} receiver, {box[0].state} sender"

    return verify


def slot_and_cancel(tie: Tie) -> Verify:
    """A semaphore's slot is handed to a task that is told to end."""
    s, slots = tie.s, Semaphore(tie.s, 1)
    inside = []

    def taker() -> None:
        with slots.held():
            inside.append(len(inside))
            assert slots.free == 0
            s.yield_now()

    def holder() -> None:
        slots.release()

    s.spawn(slots.acquire)  # before the others begin; another task gives it back
    tasks = [s.spawn(taker) for _ in range(2)]
    tie.both(holder, lambda: s.cancel(tasks[0], "tie"))

    def verify() -> str:
        assert slots.free == slots.slots == 1, "no slot is gone, none was made"
        assert not slots.waiters
        assert tasks[1].state == "completed", "it came to who waits behind"
        ran = "had it" if len(inside) == 2 else "never had it"
        return f"the first {ran} and {tasks[0].state}, the second {tasks[1].state}"

    return verify


def mutex_and_timeout(tie: Tie) -> Verify:
    """A mutex is handed to a task whose time is up."""
    s, mutex = tie.s, Mutex(tie.s)
    inside, left = [], []

    def holder() -> None:
        with mutex.held():
            tie._act(lambda: None, tie.first_lead or 0)

    def taker() -> None:
        try:
            s.with_timeout(tie.at_s - s.driver.now(), lambda: held())
        except TimeoutExpired:
            left.append(True)

    def held() -> None:
        with mutex.held():
            inside.append(s.current)
            assert mutex.holder is s.current
            s.yield_now()

    s.spawn(holder)
    s.spawn(taker)
    s.spawn(held)

    def verify() -> str:
        assert mutex.free == 1
        assert mutex.holder is None
        assert not mutex.waiters
        assert 1 <= len(inside) <= 2
        return f"{len(inside)} inside, {len(left)} timed out"

    return verify


def two_ends(tie: Tie) -> Verify:
    """A task's own timeout and a cancel; a cell that would let it go on is put besides."""
    s, gate, seen = tie.s, tie.s.cell(), []

    def body() -> str:
        try:
            return str(s.sync(gate.event))
        except Cancelled as error:
            seen.append(error)
            raise

    task = s.spawn(body, timeout=tie.at_s - s.driver.now())
    task.observed = True
    tie.both(gate.put, lambda: s.cancel(task, "tie"))

    def verify() -> str:
        assert task.is_done
        assert (task.state == "completed") == (not seen), "one end"
        return task.state if task.state != "error" else type(task.outcome).__name__

    return verify


KINDS: dict[str, Callable[[Tie], Verify]] = {
    kind.__name__.replace("_", " "): kind
    for kind in (
        result_and_cancel,
        own_end_and_cancel,
        hand_off_and_timeout,
        hand_off_and_cancels,
        slot_and_cancel,
        mutex_and_timeout,
        two_ends,
    )
}


def run(total: int, deep: bool = False) -> dict[str, Counter[str]]:
    """Make `total` ties, in schedulers of BATCH; counts per kind. deep: checks every invariant at
    the end of each batch, which takes as long again."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in KINDS}
    done = 0
    plan = itertools.cycle(itertools.product(ORDERS, KINDS))
    configs = itertools.cycle(itertools.product(POLICIES, SLICES))
    while done < total:
        policy, every = next(configs)
        config = SchedulerConfig(fairness_mode=policy, yield_every=every)  # type: ignore[arg-type]
        s = Scheduler(config, driver=VirtualDriver())
        verified = []
        for k, (order, name) in zip(range(min(BATCH, total - done)), plan, strict=False):
            # Neighbours in pairs share their moment; the pairs do not.
            tie = Tie(s, AT_S + (k // 2) * APART_S, order)
            verified.append((name, KINDS[name](tie)))
        s.run()
        for name, verify in verified:
            counts[name][verify()] += 1
        assert s.live == s.started == s.running_count() == 0
        for task in s.unobserved_failures():
            raise task.outcome
        if deep:
            s._check()
        s.close()
        done += len(verified)
    return counts


def main(arguments: list[str]) -> int:
    total = int(arguments[0].replace("_", "")) if arguments else 1_000_000
    began = time.perf_counter()
    counts = run(total)
    took = time.perf_counter() - began
    for name, ways in counts.items():
        print(f"{name}: {sum(ways.values()):,}")
        for way, count in sorted(ways.items()):
            print(f"    {count:>9,}  {way}")
    print(f"{total:,} ties in {took:.1f} s: nothing lost, nothing twice, no slot gone")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
