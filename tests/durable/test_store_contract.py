"""What every store does, whatever keeps the runs. Times are set; nothing here waits."""

from __future__ import annotations

import pytest

from omega.durable.records import Change, NewRun, Totals
from omega.durable.store import Store
from omega.errors import (
    Fenced,
    HostError,
    OmegaBug,
    RunExists,
    RunOwned,
    StoreError,
    UnknownRun,
)
from tests.durable.kit import TTL, Clock, Kept, blob, done, fact, intent, journal, new

# -- runs ------------------------------------------------------------------------------------------


def test_a_created_run_is_pending_and_read_back_as_it_was(store: Store, clock: Clock) -> None:
    made = store.create(new())
    assert made == store.run("r1") == store.find("r") == store.runs()[0] == store.due()[0]
    assert (made.state, made.epoch, made.seq, made.first_seq, made.incarnation) == (
        *("pending", 0, 0, 1),
        1,
    )
    assert made.header == {"args": [1, "ö", None]} and made.totals == Totals()
    assert made.created_us == made.updated_us == clock.now
    assert journal(store, "r1") == [] and store.effects("r1") == []


def test_an_id_is_taken_once(store: Store) -> None:
    store.create(new())
    with pytest.raises(RunExists, match="there is a run r1 already"):
        store.create(new())


@pytest.mark.parametrize("id", ["", "-x", ".x", "a/b", "a b", "a\n", "ö", "x" * 101, None, 7])
def test_an_id_that_cannot_name_a_file_is_refused(store: Store, id: object) -> None:
    with pytest.raises(HostError, match="the id of a run is of letters, digits, dots, dashes"):
        store.create(new(id))
    assert store.runs() == []


def test_an_unknown_run_is_told_with_those_like_it(store: Store) -> None:
    store.create(new("triage-7"))
    for ask in (
        lambda: store.run("triage-1"),
        lambda: store.find("triage-1"),
        lambda: store.acquire("triage-1", "w", TTL),
        lambda: store.signal("triage-1", "go", 1, key="k", who="me"),
        lambda: store.signals("triage-1"),
        lambda: store.history("triage-1"),
        lambda: store.journal("triage-1"),
        lambda: store.effects("triage-1"),
        lambda: store.span("triage-1"),
        lambda: store.change("triage-1", Change("cancelled", "no"), who="me"),
        lambda: store.create(new("x", parent="triage-1")),
    ):
        with pytest.raises(UnknownRun) as caught:
            ask()
        assert "there is no run triage-1" in str(caught.value)
        assert caught.value.hint == "did you mean triage-7?"


def test_a_prefix_finds_one_run_or_says_which_there_are(store: Store) -> None:
    for id in ("ab", "abc", "abd", "b"):
        store.create(new(id))
    assert store.find("abc").id == "abc" and store.find("b").id == "b"
    assert store.find("ab").id == "ab"  # a whole id
    with pytest.raises(UnknownRun, match="the ids of several runs begin with a: ab, abc, abd"):
        store.find("a")
    store.create(new("abe"))
    with pytest.raises(UnknownRun, match=r"begin with a: ab, abc, abd, \.\.\."):
        store.find("a")


@pytest.mark.parametrize("ids", [(), ("a",), ("a", "b")])
def test_nothing_is_no_prefix(store: Store, ids: tuple[str, ...]) -> None:
    for id in ids:
        store.create(new(id))
    with pytest.raises(UnknownRun, match="a run has an id, and this one is empty"):
        store.find("")


def test_runs_are_listed_newest_first_by_state_and_name(store: Store) -> None:
    for id in "abc":
        store.create(NewRun(id, "odd" if id == "b" else "even", {}))
    store.acquire("a", "w", TTL)
    assert [r.id for r in store.runs()] == ["c", "b", "a"]
    assert [r.id for r in store.runs(limit=2)] == ["c", "b"]
    assert [r.id for r in store.runs(states=["running"])] == ["a"]
    assert [r.id for r in store.runs(states=["pending", "running"], name="even")] == ["c", "a"]


# -- leases ----------------------------------------------------------------------------------------


def test_a_lease_is_exclusive_until_it_passes(kept: Kept, store: Store, clock: Clock) -> None:
    store.create(new())
    lease = store.acquire("r1", "w1", TTL)
    assert (lease.epoch, lease.until_us, lease.generation) == (
        *(1, clock.now + TTL),
        store.generation,
    )
    other = kept.open()
    with pytest.raises(RunOwned) as caught:
        other.acquire("r1", "w2", TTL)
    assert (caught.value.owner, caught.value.until_us) == ("w1", lease.until_us)
    assert other.due() == []
    clock.passes(TTL)
    assert [r.id for r in other.due()] == ["r1"]
    assert store.append(lease, fact("late, and nobody came")) == 1  # good until taken over
    clock.passes(TTL)
    assert other.acquire("r1", "w2", TTL).epoch == 2
    assert (store.run("r1").owner, store.run("r1").state) == ("w2", "running")


def test_a_late_writer_is_fenced_and_remembered(kept: Kept, store: Store, clock: Clock) -> None:
    store.create(new())
    late = store.acquire("r1", "w1", TTL)
    store.append(late, fact("one"))
    clock.passes(TTL)
    lease = kept.open().acquire("r1", "w2", TTL)
    before = store.run("r1")
    for write in (
        lambda: store.append(late, fact("two", intents=[intent(1)], blobs=blob(b"x"))),
        lambda: store.transact(late, lambda db: pytest.fail("it must not come to this")),
        lambda: store.renew(late, TTL),
    ):
        with pytest.raises(Fenced, match=r"run r1: \w+ of w1 comes too late \(epoch 1\): w2 has"):
            write()
    assert store.run("r1") == before and journal(store, "r1") == [["one"]]
    with pytest.raises(StoreError):
        store.blob(next(iter(blob(b"x"))))
    refused = [f for f in store.history("r1") if "refused" in f]
    assert [(f["refused"], f["owner"], f["epoch"]) for f in refused] == [
        *(("append", "w1", 1), ("transact", "w1", 1)),
        ("renew", "w1", 1),
    ]
    assert store.append(lease, fact("two")) == 2


def test_a_lease_of_an_owner_who_gave_the_run_back_is_worth_nothing(store: Store) -> None:
    store.create(new())
    lease = store.acquire("r1", "w1", TTL)
    store.append(lease, fact("one", change=Change("pending")))
    with pytest.raises(Fenced, match="it is pending"):
        store.append(lease, fact("two"))
    assert store.acquire("r1", "w1", TTL).epoch == 2
    with pytest.raises(Fenced, match="epoch 2"):
        store.append(lease, fact("two"))


def test_an_owner_may_take_its_own_run_again(store: Store) -> None:
    store.create(new())
    first = store.acquire("r1", "w1", TTL)
    assert store.acquire("r1", "w1", TTL).epoch == 2
    with pytest.raises(Fenced):
        store.renew(first, TTL)


def test_a_write_extends_the_lease_once_less_than_half_is_left(store: Store, clock: Clock) -> None:
    store.create(new())
    lease = store.acquire("r1", "w1", TTL)
    clock.passes(TTL // 2)
    store.append(lease, fact("a"))
    assert store.run("r1").lease_until_us == lease.until_us
    clock.passes(1)
    store.append(lease, fact("b"))
    assert store.run("r1").lease_until_us == clock.now + TTL
    longer = store.renew(lease, 3 * TTL)
    assert store.run("r1").lease_until_us == longer.until_us == clock.now + 3 * TTL
    clock.passes(3 * TTL - 1)
    store.transact(longer, lambda db: fact("c"))
    assert store.run("r1").lease_until_us == clock.now + 3 * TTL  # as long as was asked for last


def test_a_restored_store_refuses_whoever_wrote_before(kept: Kept, clock: Clock) -> None:
    store = kept.open()
    for id in ("r1", "r2"):
        store.create(new(id))
    lease = store.acquire("r1", "w1", TTL)
    store.append(lease, fact("kept"))
    copy, before = kept.copy(), store.generation
    store.append(lease, fact("lost"))
    other = store.acquire("r2", "w1", TTL)
    store.create(new("r3"))
    third = store.acquire("r3", "w1", TTL)
    after = kept.put_back(copy)
    assert after == store.generation != before  # also for whoever had it open
    assert journal(store, "r1") == [["kept"]] and store.run("r2").state == "pending"
    for dead in (lease, other):
        with pytest.raises(Fenced, match="the store was restored from a backup since"):
            store.append(dead, fact("late"))
    with pytest.raises(Fenced, match="there is no such run any more"):
        store.append(third, fact("late"))
    assert [r.id for r in store.due()] == ["r2", "r1"] or [r.id for r in store.due()] == [
        *("r1", "r2"),
    ]
    assert store.acquire("r1", "w2", TTL).generation == after
    assert kept.put_back(copy) != after


# -- the journal -----------------------------------------------------------------------------------


def test_entries_are_read_back_in_order_and_within_bounds(kept: Kept, store: Store) -> None:
    store.create(new())
    lease = store.acquire("r1", "w", TTL)
    wanted = [[f"fact {i}", "", "ö" * i * 40] for i in range(1, 301)]
    for i, facts in enumerate(wanted, 1):
        assert store.append(lease, fact(*facts)) == i
    assert journal(kept.open(), "r1") == wanted
    assert journal(store, "r1", 200) == wanted[200:]
    assert journal(store, "r1", 3, 5) == wanted[3:5]
    assert journal(store, "r1", 300) == journal(store, "r1", 5, 5) == []


def test_a_batch_without_facts_and_effects_tells_the_last_entry(store: Store) -> None:
    store.create(new())
    lease = store.acquire("r1", "w", TTL)
    assert store.append(lease, fact()) == store.append(lease, fact(blobs=blob(b"x"))) == 0
    assert store.append(lease, fact(intents=[intent(1)])) == 1
    assert store.append(lease, fact("a")) == 2
    assert store.append(lease, fact(results=[done(1)])) == 3
    assert store.append(lease, fact("")) == 4
    assert store.append(lease, fact()) == store.append(lease, fact(change=Change("pending"))) == 4
    assert journal(store, "r1") == [[], ["a"], [], [""]]


def test_content_is_kept_once_and_told_by_its_hash(store: Store) -> None:
    content = blob(b"(display 1)" * 1000) | blob(b"") | blob(bytes(range(256)) * 3)
    store.create(new(blobs=content))
    lease = store.acquire("r1", "w", TTL)
    store.append(lease, fact("a", blobs=content | blob(b"more")))
    for hash, bytes_ in (content | blob(b"more")).items():
        assert store.blob(hash) == bytes_
    with pytest.raises(StoreError, match="there is no content abc"):
        store.blob("abc")
    with pytest.raises(OmegaBug, match="has another sha256"):
        store.append(lease, fact("b", blobs={"0" * 64: b"x"}))
    assert journal(store, "r1") == [["a"]]


def test_effects_have_totals(store: Store) -> None:
    store.create(new())
    lease = store.acquire("r1", "w", TTL)
    store.append(lease, fact("1", intents=[intent(1, 50), intent(2, 70, "idempotent")]))
    assert store.effects("r1", open_only=True) == [
        *((intent(1, 50), None), (intent(2, 70, "idempotent"), None)),
    ]
    assert store.run("r1").reserved == 120
    store.append(lease, fact("2", results=[done(2, 3, 4)], intents=[intent(3)]))
    assert store.run("r1").reserved == 50
    store.append(lease, fact("3", results=[done(1, 30, 40, "error"), done(3, outcome="unknown")]))
    assert store.run("r1").reserved == 0
    assert store.effects("r1") == [
        (intent(1, 50), done(1, 30, 40, "error")),
        (intent(2, 70, "idempotent"), done(2, 3, 4)),
        (intent(3), done(3, outcome="unknown")),
    ]
    assert store.run("r1").totals == Totals(2, 33, 44) and not store.effects("r1", open_only=True)


@pytest.mark.parametrize("again", [True, False])
def test_an_effect_ends_once_and_begins_once(store: Store, again: bool) -> None:
    store.create(new())
    lease = store.acquire("r1", "w", TTL)
    store.append(lease, fact("1", intents=[intent(1)]))
    store.append(lease, fact("2", results=[done(1, 1, 1)]))
    before = store.run("r1")
    with pytest.raises(OmegaBug):
        store.append(lease, fact("3", results=[done(1 if again else 2, 5, 5)]))
    with pytest.raises(OmegaBug):
        store.append(lease, fact("3", intents=[intent(1)]))
    assert store.run("r1") == before and journal(store, "r1") == [["1"], ["2"]]


def test_what_an_entry_brings_besides_changes_nothing_of_its_effects(
    kept: Kept, store: Store, clock: Clock
) -> None:
    """Blobs, signals, longer leases: they are written in another way."""
    store.create(new())
    lease = store.acquire("r1", "w", TTL)
    store.signal("r1", "go", 1, key="k", who="me")
    ways = [
        lambda n: {},
        lambda n: {"blobs": blob(b"x" * n)},
        lambda n: {"taken": [store.signals("r1")[0].id]} if n == 2 else {},
        lambda n: clock.passes(TTL // 2 + 1) or {},
    ]
    for n in range(40):
        more = ways[n % 4](n)
        ended = [done(n - 3, 1, 2)] if n >= 3 else []
        store.append(lease, fact(f"{n}", intents=[intent(n, 5)], results=ended, **more))
        run = store.run("r1")
        assert (run.reserved, run.totals.effects) == (5 * min(n + 1, 3), max(0, n - 2))
    assert [i.number for i, _ in kept.open().effects("r1", open_only=True)] == [37, 38, 39]


def test_a_new_incarnation_begins_behind_its_entry_and_keeps_the_totals(store: Store) -> None:
    store.create(new())
    lease = store.acquire("r1", "w", TTL)
    store.append(lease, fact("a", intents=[intent(1)]))
    store.append(lease, fact("b", results=[done(1, 1, 2)], continues_with={"args": 2}))
    run = store.run("r1")
    assert (run.incarnation, run.first_seq, run.seq, run.header) == (2, 3, 2, {"args": 2})
    assert run.totals == Totals(1, 1, 2) and run.state == "running"
    assert journal(store, "r1") == [] and store.effects("r1") == []
    store.append(lease, fact("c", intents=[intent(1)]))  # numbers begin anew
    assert journal(store, "r1") == [["c"]] and store.effects("r1") == [(intent(1), None)]
    assert store.span("r1") == store.span("r1", 2) == (2, 3) and store.span("r1", 1) == (0, 2)
    assert store.span("r1", 3) == store.span("r1", 0) == (0, 0)


def test_an_earlier_incarnation_is_told_as_it_was_left(store: Store) -> None:
    store.create(new())
    lease = store.acquire("r1", "w", TTL)
    store.append(lease, fact("a", intents=[intent(1)]))
    store.append(lease, fact("b", results=[done(1)], continues_with={"args": 2}))
    store.append(lease, fact("c", intents=[intent(1)], continues_with=None))
    store.append(lease, fact("d", results=[done(1)], continues_with={"args": 3}))
    first, second = (store.run("r1", incarnation=each) for each in (1, 2))
    assert (first.incarnation, first.first_seq, first.seq) == (1, 1, 2)
    assert (first.header, second.header) == (new().header, {"args": 2})
    assert (second.incarnation, second.first_seq, second.seq) == (2, 3, 4)
    assert store.run("r1", incarnation=3) == store.run("r1")
    assert (first.state, first.epoch) == ("running", 1)
    assert store.effects("r1", incarnation=1) == [(intent(1), done(1))]
    assert store.effects("r1", incarnation=3) == store.effects("r1", incarnation=4) == []
    assert store.effects("r1", incarnation=1, open_only=True) == []
    for none in (0, -1, 4):
        with pytest.raises(HostError, match=f"run r1 has 3 incarnations, got number {none}"):
            store.run("r1", incarnation=none)


def test_a_run_does_not_begin_anew_while_effects_are_open(store: Store) -> None:
    store.create(new())
    lease = store.acquire("r1", "w", TTL)
    store.append(lease, fact("a", intents=[intent(1, 5)]))
    before = store.run("r1")
    with pytest.raises(OmegaBug, match="begins anew with effects that are open"):
        store.append(lease, fact("b", continues_with={}))
    assert store.run("r1") == before
    store.append(lease, fact("b", results=[done(1)], continues_with={}))
    assert store.run("r1").reserved == 0


def test_a_run_that_is_pruned_while_it_is_read_is_unknown(kept: Kept, clock: Clock) -> None:
    store = kept.open()
    store.create(new())
    lease = store.acquire("r1", "w", TTL)
    for i in range(300):
        store.append(lease, fact(str(i)))
    store.append(lease, fact(change=Change("completed")))
    entries = store.journal("r1")
    assert next(entries) == ["0"]
    assert kept.open().prune(ended_before_us=clock.now + 1) == 1
    if kept.name != "memory":  # which reads what it held on to
        with pytest.raises(UnknownRun):
            list(entries)


# -- forks -----------------------------------------------------------------------------------------


def test_a_fork_shares_the_entries_and_effects_up_to_its_entry(store: Store) -> None:
    store.create(new())
    lease = store.acquire("r1", "w", TTL)
    store.append(lease, fact("1", intents=[intent(1, 9)]))
    store.append(lease, fact("2", results=[done(1, 5, 5)], intents=[intent(2, 9)]))
    store.append(lease, fact("3", results=[done(2, 5, 5)]))
    fork = store.create(new("r2", parent="r1", parent_seq=2))
    assert (fork.parent, fork.parent_seq, fork.seq, fork.first_seq) == ("r1", 2, 2, 1)
    assert fork.totals == Totals()  # it has paid nothing
    assert journal(store, "r2") == [["1"], ["2"]]
    assert store.effects("r2") == [(intent(1, 9), done(1, 5, 5)), (intent(2, 9), None)]
    mine = store.acquire("r2", "w", TTL)
    assert store.append(mine, fact("3b", results=[done(2, 7, 8)], intents=[intent(3)])) == 3
    assert store.effects("r2")[1:] == [(intent(2, 9), done(2, 7, 8)), (intent(3), None)]
    assert store.effects("r1")[1] == (intent(2, 9), done(2, 5, 5))
    assert store.run("r2").totals == Totals(1, 7, 8)
    assert journal(store, "r2", 1) == [["2"], ["3b"]] and journal(store, "r1", 2) == [["3"]]


def test_a_fork_begins_no_effect_that_it_shares(store: Store) -> None:
    store.create(new())
    lease = store.acquire("r1", "w", TTL)
    store.append(lease, fact("1", intents=[intent(1), intent(3)]))
    store.append(lease, fact("2", results=[done(1)]))
    store.create(new("r2", parent="r1", parent_seq=2))
    mine = store.acquire("r2", "w", TTL)
    for number in (1, 3):
        with pytest.raises(OmegaBug, match=f"there is an effect {number} already"):
            store.append(mine, fact("3", intents=[intent(number)]))
    assert store.append(mine, fact("3", intents=[intent(2)])) == 3


def test_forks_of_forks_share_what_their_ancestors_have(store: Store) -> None:
    store.create(new())
    lease = store.acquire("r1", "w", TTL)
    for i in range(1, 5):
        store.append(lease, fact(f"r1 {i}"))
    for depth in range(2, 9):
        store.create(new(f"r{depth}", parent=f"r{depth - 1}", parent_seq=depth + 1))
        lease = store.acquire(f"r{depth}", "w", TTL)
        for i in range(depth + 2, depth + 5):
            assert store.append(lease, fact(f"r{depth} {i}")) == i
    assert journal(store, "r8") == [
        *(["r1 1"], ["r1 2"], ["r1 3"]),
        *([f"r{d} {d + 2}"] for d in range(2, 8)),
        *(["r8 10"], ["r8 11"], ["r8 12"]),
    ]
    store.create(new("low", parent="r8", parent_seq=2))  # below where r8 was forked off
    assert journal(store, "low") == [["r1 1"], ["r1 2"]]
    store.create(new("bare", parent="r8"))
    assert journal(store, "bare") == []
    with pytest.raises(StoreError, match="run r8 has no entry 13 to fork at"):
        store.create(new("high", parent="r8", parent_seq=13))


def test_a_fork_of_an_earlier_incarnation_shares_that_one(store: Store) -> None:
    store.create(new())
    lease = store.acquire("r1", "w", TTL)
    for i in range(1, 7):
        last = {"continues_with": {"at": i}} if i % 2 == 0 else {}
        store.append(lease, fact(f"{i}", **last))
    fork = store.create(new("r2", parent="r1", parent_seq=4))
    assert (fork.first_seq, fork.incarnation) == (3, 1)
    assert journal(store, "r2") == [["3"], ["4"]]
    mine = store.acquire("r2", "w", TTL)
    store.append(mine, fact("5b", continues_with={}))
    store.append(mine, fact("6b"))
    assert journal(store, "r2") == [["6b"]]
    store.create(new("r3", parent="r2", parent_seq=5))
    assert journal(store, "r3") == [["3"], ["4"], ["5b"]]
    assert [store.span("r2", each) for each in (1, 2)] == [(2, 5), (5, 6)]
    low = store.create(new("r4", parent="r2", parent_seq=2))  # of what r2 itself does not share
    assert (low.first_seq, journal(store, "r4")) == (1, [["1"], ["2"]])


# -- transactions with what is the host's ----------------------------------------------------------


class Own:
    """The host's own data beside the runs: a count."""

    def __init__(self, kept: Kept, store: Store) -> None:
        self.memory, self.store = kept.name == "memory", store
        lease = store.acquire("r1", "setup", TTL)
        if not self.memory:
            sql = "CREATE TABLE mine (n INTEGER)"
            store.transact(lease, lambda db: (db.execute(sql), fact(change=Change("pending")))[1])
        else:
            store.append(lease, fact(change=Change("pending")))

    def add(self, db: object) -> None:
        if self.memory:
            db["mine"] = db.get("mine", 0) + 1
        else:
            db.execute("INSERT INTO mine VALUES (1)")

    def count(self) -> int:
        if self.memory:
            return self.store.tables.get("mine", 0)
        return self.store.file.one("SELECT count(*) FROM mine")[0]


def test_what_a_transaction_does_and_what_it_writes_is_one(kept: Kept, store: Store) -> None:
    store.create(new())
    own = Own(kept, store)
    lease = store.acquire("r1", "w", TTL)

    def act(db: object) -> object:
        own.add(db)
        return fact("added", intents=[intent(1, 0, "transactional")], results=[done(1)])

    assert store.transact(lease, act) == 1
    assert own.count() == 1 and journal(store, "r1") == [["added"]]

    class Mine(Exception):
        pass

    def fails(db: object) -> object:
        own.add(db)
        raise Mine("no")

    def is_a_bug(db: object) -> object:
        own.add(db)
        return fact("again", results=[done(7)])

    for broken, error in ((fails, Mine), (is_a_bug, OmegaBug)):
        with pytest.raises(error):
            store.transact(lease, broken)
        assert own.count() == 1 and journal(store, "r1") == [["added"]]
    with pytest.raises(KeyboardInterrupt):
        store.transact(lease, lambda db: (_ for _ in ()).throw(KeyboardInterrupt()))
    assert store.transact(lease, act_without_effect(own)) == 2 and own.count() == 2


def act_without_effect(own: Own) -> object:
    def act(db: object) -> object:
        own.add(db)
        return fact("more")

    return act
