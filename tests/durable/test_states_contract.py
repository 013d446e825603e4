"""What every store does with signals, states and runs that have ended."""

from __future__ import annotations

import json
import math

import pytest

from omega.durable.records import Change, NewRun
from omega.durable.store import Store
from omega.errors import Fenced, HostError, OmegaBug, RunEnded, RunOwned, StoreError
from tests.durable.kit import SECOND, TTL, Clock, Kept, blob, fact, intent, journal, new

# -- signals ---------------------------------------------------------------------------------------


def test_a_signal_is_left_once_and_taken_once(store: Store, clock: Clock) -> None:
    store.create(new())
    assert store.signal("r1", "go", {"x": [1]}, key="a", who="me")
    assert not store.signal("r1", "other", 2, key="a", who="you")
    clock.passes(5)
    assert store.signal("r1", "go", None, key="b", who="you")
    first, second = store.signals("r1")
    assert (first.name, first.value, first.key, first.who) == ("go", {"x": [1]}, "a", "me")
    assert (second.value, second.at_us, second.taken_seq) == (None, clock.now, None)
    assert first.id < second.id
    lease = store.acquire("r1", "w", TTL)
    store.append(lease, fact("took", taken=[first.id]))
    assert store.signals("r1") == [second]
    assert [s.taken_seq for s in store.signals("r1", waiting_only=False)] == [1, None]
    for not_there in (first.id, 99):
        with pytest.raises(OmegaBug, match="there is no signal"):
            store.append(lease, fact("again", taken=[not_there]))
    assert not store.signal("r1", "go", 1, key="a", who="me")  # also when it was taken
    assert store.signal("r1", "go", 1, key="c", who="me")


def test_a_key_belongs_to_its_run(store: Store) -> None:
    for id in ("r1", "r2"):
        store.create(new(id))
        assert store.signal(id, "go", 1, key="a", who="me")


def test_a_suspended_run_is_due_when_its_time_or_its_signal_comes(
    store: Store, clock: Clock
) -> None:
    for id in ("time", "signal", "both", "early"):
        store.create(new(id))
        lease = store.acquire(id, "w", TTL)
        if id == "early":
            store.signal(id, "go", 1, key="k", who="me")  # came before it was suspended
        wake = None if id == "signal" else clock.now + 100 * SECOND
        names = () if id == "time" else ("go", "stop")
        store.append(lease, fact("zzz", change=Change("suspended", None, wake, names)))
    run = store.run("both")
    assert (run.state, run.owner, run.wake_at_us, run.waits_for) == (
        *("suspended", None, clock.now + 100 * SECOND),
        ("go", "stop"),
    )
    assert [r.id for r in store.due()] == ["early"]
    clock.passes(1)
    store.signal("both", "unasked", 1, key="u", who="me")
    store.signal("time", "go", 1, key="u", who="me")
    assert [r.id for r in store.due()] == ["early"]
    store.signal("signal", "stop", 1, key="s", who="me")
    clock.passes(1)
    store.signal("both", "go", 1, key="s", who="me")
    assert [r.id for r in store.due()] == ["early", "signal", "both"]
    assert [r.id for r in store.due(limit=2)] == ["early", "signal"]
    clock.passes(100 * SECOND)
    assert [r.id for r in store.due()] == ["early", "signal", "both", "time"]
    store.acquire("both", "w", TTL)
    run = store.run("both")
    assert (run.wake_at_us, run.waits_for) == (None, ())


# -- states ----------------------------------------------------------------------------------------


def test_an_ended_run_refuses_everything_but_questions(store: Store) -> None:
    store.create(new())
    lease = store.acquire("r1", "w", TTL)
    store.append(lease, fact("end", change=Change("completed", outcome={"value": 3})))
    run = store.run("r1")
    assert (run.state, run.owner, run.outcome, run.reason) == (
        "completed",
        None,
        {"value": 3},
        None,
    )
    with pytest.raises(RunEnded, match="run r1 has ended: it is completed"):
        store.acquire("r1", "w", TTL)
    with pytest.raises(RunEnded):
        store.signal("r1", "go", 1, key="k", who="me")
    with pytest.raises(RunEnded):
        store.change("r1", Change("cancelled", "late", outcome=None), who="me")
    with pytest.raises(Fenced, match="it is completed"):
        store.append(lease, fact("more"))
    assert store.due() == [] and journal(store, "r1") == [["end"]]


def test_an_outcome_may_be_nothing(store: Store) -> None:
    store.create(new())
    store.append(store.acquire("r1", "w", TTL), fact(change=Change("completed")))
    assert store.run("r1").outcome is None and store.run("r1").state == "completed"


def test_a_person_changes_what_nobody_owns(kept: Kept, store: Store, clock: Clock) -> None:
    store.create(new())
    lease = store.acquire("r1", "w1", TTL)
    with pytest.raises(RunOwned):
        store.change("r1", Change("cancelled", "enough"), who="me")
    store.append(lease, fact("?", change=Change("blocked", "unknown-outcome")))
    assert (store.run("r1").reason, store.due()) == ("unknown-outcome", [])
    again = store.change("r1", Change("pending"), who="me")
    assert (again.state, again.reason) == ("pending", None) and again == store.due()[0]
    with pytest.raises(HostError, match="run r1 is pending: it cannot become blocked") as caught:
        store.change("r1", Change("blocked", "x"), who="me")
    assert caught.value.hint == "it may become cancelled"
    lease = store.acquire("r1", "w1", TTL)
    clock.passes(TTL)
    store.change("r1", Change("cancelled", "its owner is gone", outcome=None), who="me")
    with pytest.raises(Fenced, match="it is cancelled"):
        store.append(lease, fact("late"))
    assert [(f["from"], f["to"], f["owner"]) for f in store.history("r1") if "to" in f] == [
        (None, "pending", None),
        ("pending", "running", "w1"),
        ("running", "blocked", "w1"),
        ("blocked", "pending", "me"),
        ("pending", "running", "w1"),
        ("running", "cancelled", "me"),
    ]


@pytest.mark.parametrize(
    "change",
    [
        Change("failed", None, outcome={}),
        Change("blocked"),
        Change("suspended"),
        Change("suspended", "why", 5),
        Change("completed", "why"),
        Change("pending", wake_at_us=5),
    ],
)
def test_a_change_that_does_not_tell_what_it_must_is_a_bug(store: Store, change: Change) -> None:
    store.create(new())
    lease = store.acquire("r1", "w", TTL)
    before = store.run("r1")
    with pytest.raises(OmegaBug, match="with what it was told"):
        store.append(lease, fact("a", intents=[intent(1)], change=change))
    assert store.run("r1") == before and store.effects("r1") == []


# -- pruning ---------------------------------------------------------------------------------------


def test_pruning_keeps_what_is_shared_and_what_goes_on(store: Store, clock: Clock) -> None:
    contents = {id: blob(id.encode()) | blob(b"shared") for id in "abcde"}
    for id in "abcde":
        store.create(new(id, blobs=contents[id]))
        lease = store.acquire(id, "w", TTL)
        store.append(lease, fact(id))
        if id != "e":
            store.signal(id, "go", 1, key="k", who="me")
            store.append(lease, fact(change=Change("completed")))
        clock.passes(SECOND)
    store.create(new("fork", parent="a", parent_seq=1))
    late = clock.now - 2 * SECOND  # d has ended after
    assert store.prune(ended_before_us=late, keep=["b"]) == 1
    assert [r.id for r in store.runs()] == ["fork", "e", "d", "b", "a"]
    with pytest.raises(StoreError):
        store.blob(next(iter(blob(b"c"))))
    assert store.blob(next(iter(blob(b"shared")))) == b"shared"
    store.change("fork", Change("cancelled", "no"), who="me")
    assert store.prune(ended_before_us=clock.now + 1) == 4  # the fork, then what it shared
    assert [r.id for r in store.runs()] == ["e"]
    assert store.blob(next(iter(blob(b"shared")))) == b"shared"
    store.create(new("a"))
    assert journal(store, "a") == [] and len(store.history("a")) == 1


@pytest.mark.parametrize("value", [math.inf, [math.nan], {"x": -math.inf}, b"x", {(1, 2): 3}])
def test_a_signal_that_is_not_json_is_refused(store: Store, value: object) -> None:
    store.create(new())
    with pytest.raises(HostError, match="the value of a signal for run r1 is not JSON data: "):
        store.signal("r1", "go", value, key="k", who="me")
    assert not store.signals("r1")
    assert store.signal("r1", "go", 1, key="k", who="me")


def test_a_signal_that_is_nested_too_deeply_is_refused(store: Store) -> None:
    store.create(new())
    value: list[object] = []
    for _ in range(200_000):
        value = [value]
    with pytest.raises(HostError, match="it is nested too deeply"):
        store.signal("r1", "go", value, key="k", who="me")
    while value:  # or the interpreter takes it apart by recursion
        value = value[0]  # type: ignore[assignment]


def test_what_is_told_is_json(store: Store) -> None:
    """Changing what was given, or what was told, changes nothing in the store."""
    value: dict[str, object] = {"x": [1]}
    store.create(NewRun("r1", "job", value))
    store.signal("r1", "go", value, key="k", who="me")
    value["x"].append(2)
    assert store.run("r1").header == store.signals("r1")[0].value == {"x": [1]}
    json.dumps(store.history("r1"))
