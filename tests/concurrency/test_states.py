"""The table of states, exhaustively: every state a task can be in x everything that can befall it.

Each cell names the state right after the event and the one at the end. All moves on the way are
looked up in `config.TRANSITIONS`, and all of them together are exactly that table.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from omega.concurrency import CancellationToken, VirtualDriver, hub
from omega.concurrency.config import FINAL_STATES, TRANSITIONS
from omega.errors import Deadlock, LimitExceeded, TaskCancelled, TimeoutExpired
from tests.concurrency.programs import steps
from tests.concurrency.states import watched_states

LETTERS = {
    "p": "pending",
    "r": "running",
    "s": "suspended",
    "C": "completed",
    "E": "error",
    "X": "cancelled",
}

# Where the subject is when the event befalls it.
WHERE = (
    "pending",  # never looked at
    "passed",  # pending, and passed over: there is no free slot
    "running",  # it has the processor and does it itself
    "queued",  # running, and waits for its next slice
    "parked",  # suspended
    "woken",  # suspended, and what it waited for has happened
    "woken-passed",  # the same, and there is no free slot
    "completed",
    "error",
    "cancelled",
)
# Read as: a subject that is `parked` is suspended right after it was cancelled, and ends cancelled.
TABLE = {
    #                pending passed running queued parked woken w-passed completed error cancelled
    "nothing":      "p>C     p>C    r>C     r>C    s>E    s>C   s>C      C>C       E>E   X>X",
    "wake":         "p>C     p>C    r>C     r>C    s>C    s>C   s>C      C>C       E>E   X>X",
    "late wake":    "-       -      r>C     r>C    s>E    s>C   s>C      C>C       E>E   X>X",
    "cancel":       "X>X     X>X    r>X     r>X    s>X    s>X   s>X      C>C       E>E   X>X",
    "cancel twice": "X>X     X>X    r>X     r>X    s>X    s>X   s>X      C>C       E>E   X>X",
    "cancel all":   "X>X     X>X    r>C     r>X    s>X    s>X   s>X      C>C       E>E   X>X",
    "cancel scope": "X>X     X>X    r>X     r>X    s>X    s>X   s>X      C>C       E>E   X>X",
    "token":        "X>X     X>X    r>X     r>X    s>X    s>X   s>X      C>C       E>E   X>X",
    "queue timeout": "E>E    E>E    r>C     r>C    s>E    s>C   s>C      C>C       E>E   X>X",
    "timeout":      "p>C     p>C    r>E     r>E    s>E    s>E   s>E      C>C       E>E   X>X",
    "wall limit":   "E>E     E>E    r>E     r>E    s>E    s>E   s>E      C>C       E>E   X>X",
    "out of fuel":  "p>E     p>E    r>E     r>E    s>E    s>E   s>E      C>C       E>E   X>X",
    "awaited":      "p>C     p>C    -       r>C    s>E    s>C   s>C      C>C       E>E   X>X",
    "interrupt":    "p>X     p>X    r>X     r>X    s>X    s>X   s>X      C>C       E>E   X>X",
    "configure":    "p>C     p>C    r>C     r>C    s>E    s>C   s>C      C>C       E>E   X>X",
    "fail":         "-       -      r>E     -      -      -     -        -         -     -",
    "close":        "X>X     X>X    -       X>X    X>X    X>X   X>X      C>C       E>E   X>X",
}  # fmt: skip
CELLS = [
    (event, where, cell)
    for event, row in TABLE.items()
    for where, cell in zip(WHERE, row.split(), strict=True)
    if cell != "-"  # cannot be: nothing waits, there is no body of its own that could do it
]


class TurnByTurn(VirtualDriver):
    """Comes back after every turn of a task."""

    def poll_switches(self):
        return 0

    def wants_control(self):
        return True


class Subject:
    """A task brought to `where`; `befall(event)` is done to it there."""

    def __init__(self, kit, where, event):
        self.where, self.event = where, event
        crowded = where in ("passed", "woken-passed")
        self.s = kit.scheduler(TurnByTurn(), max_concurrent_tasks=1 if crowded else 10)
        self.gate, self.token = self.s.cell(), CancellationToken()
        self.released = False
        self.got = []
        self.after = None
        options = {"token": self.token}
        if event == "queue timeout":
            options["queue_timeout"] = 0.01
        if event == "timeout":
            options["timeout"] = 0.01
        if event == "cancel scope":
            # The scope it is in is cancelled, not the task.
            self.s.spawn(lambda: self.s.with_scope(lambda: self._in_scope(options)))
            self._until(lambda: hasattr(self, "task"))
        else:
            self.task = self._made(options)
        getattr(self, f"_to_{where.replace('-', '_')}")()
        if where != "running":  # the body does it itself
            assert self.state == LETTERS[TABLE["nothing"].split()[WHERE.index(where)][0]]

    def _made(self, options):
        self.holder = self.s.spawn(self._hold) if self.where == "passed" else None
        return self.s.spawn(self._body, name="subject", **options)

    def _in_scope(self, options):
        self.scope = self.s.current.inner
        self.task = self._made(options)
        self.task.observed = True

    @property
    def state(self):
        return self.task.state

    # -- what the subject does

    def _body(self):
        where = self.where
        if where == "error":
            raise ValueError("as planned")
        if where in ("running", "cancelled"):
            self.befall() if where == "running" else self.s.cancel(self.task)
        if where == "queued":
            while not self.released:
                self.s.yield_now()
        if where in ("parked", "woken", "woken-passed"):
            self.got.append(self.s.sync(self.gate.event))
        self.s.check_cancellation()
        steps(self.s, 1)
        return 7

    def _hold(self):
        """Keeps the only slot."""
        while not self.released:
            self.s.yield_now()

    # -- bringing it there

    def _until(self, done):
        """Turn by turn, no further."""
        for _ in range(100):
            if done():
                break
            self.s.run_batch()
            self.s._check()
        assert done()

    def _to_pending(self):
        pass

    def _to_passed(self):
        self._until(lambda: self.task in self.s._passed_new)

    def _to_running(self):
        pass

    def _to_queued(self):
        self._until(lambda: self.state == "running")

    def _to_parked(self):
        self._until(lambda: self.state == "suspended")

    def _to_woken(self):
        self._to_parked()
        self.gate.put(1)
        assert self.task.is_ready

    def _to_woken_passed(self):
        self._to_parked()
        self.s.spawn(self._hold)
        self._until(lambda: self.s.running_count() == 1)
        self.gate.put(1)
        self._until(lambda: self.task in self.s._passed_ready)

    def _ended(self):
        self._until(lambda: self.task.is_done)

    _to_completed = _to_error = _to_cancelled = _ended

    # -- what befalls it

    def befall(self):
        try:
            self._befall(self.s, self.event)
        finally:
            self.after = self.state

    def _befall(self, s, event):
        if event == "wake":
            self.gate.put(1)
        elif event == "late wake":
            assert s.claim(self.task, -1, 0) is False
        elif event.startswith("cancel") and event not in ("cancel all", "cancel scope"):
            for _ in event.split():
                changed = s.cancel(self.task, "why")
                assert s.cancel(self.task, "again") is False, "idempotent"
                assert changed in (False, self.task.terms.cancel is not None)
        elif event == "cancel all":
            s.cancel_all("why")
        elif event == "cancel scope":
            s.cancel_scope(self.scope, "why")
        elif event == "token":
            self.token.cancel("why")
        elif event in ("queue timeout", "timeout"):
            self._at_its_time()
        elif event == "wall limit":
            s.set_wall_deadline(0.0)
            self._at_its_time(0)
        elif event == "out of fuel":
            s.set_fuel(s.steps_now())
        elif event == "awaited":
            s.spawn(self._await)
        elif event == "interrupt":
            s.interrupt()
        elif event == "configure":
            s.configure(fairness_mode="priority", yield_every=1)
        elif event == "fail":
            raise ValueError("as planned")
        elif event == "close":
            s.close()

    def _await(self):
        try:
            self.s.await_task(self.task)
        except (ValueError, TaskCancelled, Deadlock):
            pass

    def _at_its_time(self, seconds=0.01):
        """The clock shows the moment, nothing else happens."""
        if self.s.current is not None:
            steps(self.s, round(seconds * 1e6) + 200)
            return
        self.s.driver._offset_us += round(seconds * 1e6)
        hub.do_chores(self.s)

    def finish(self):
        """Everything else is out of the way: how does it end?"""
        self.released = True
        if self.s.closed:
            return
        try:
            self.s.wait(self.task)
        except (ValueError, TaskCancelled, TimeoutExpired, LimitExceeded, Deadlock):
            pass
        except KeyboardInterrupt:
            assert self.event == "interrupt"
        self.s._check()


def watched(kit, event, where):
    """(the subject, what was final before, every move of every task), once it is all over."""
    with watched_states() as moves:
        subject = Subject(kit, where, event)
        before = (subject.state, subject.task.outcome) if subject.task.is_done else None
        if where != "running":
            subject.befall()
        subject.finish()
    return subject, before, moves


@pytest.mark.parametrize(("event", "where", "cell"), CELLS)
def test_what_befalls_a_task_in_a_state_moves_it_as_the_table_says(kit, event, where, cell):
    after, end = (LETTERS[letter] for letter in cell.split(">"))
    subject, before, _ = watched(kit, event, where)
    assert (subject.after, subject.state) == (after, end)
    if before is not None:
        assert (subject.state, subject.task.outcome) == before, "what is final never changes"
    if where in ("woken", "woken-passed") and event != "close":
        assert subject.got == [1], "what was won is delivered, whatever comes after"


def test_all_moves_together_are_the_whole_table(kit):
    seen = {state: set() for state in TRANSITIONS}
    for event, where, _ in CELLS:
        for _, before, after in watched(kit, event, where)[2]:
            if before is not None:
                seen[before].add(after)
    assert seen == TRANSITIONS


def test_the_documented_table_of_states_is_the_one_in_the_code():
    page = (Path(__file__).parents[2] / "docs" / "embedding.md").read_text("utf-8")
    section = page.partition("## `Task`")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\w+) \|([^|]*)\|[^|]*\|$", section, re.MULTILINE)
    documented = {
        state: set(re.findall(r"\w+", after)) for state, after in rows if state != "state"
    }
    assert documented == TRANSITIONS
    assert {state for state, after in TRANSITIONS.items() if not after} == FINAL_STATES
