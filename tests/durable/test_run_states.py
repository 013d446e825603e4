"""The table of states, against itself, the documentation, and the file."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from omega.durable import schema, states
from omega.durable.records import Change, NewRun
from omega.durable.sqlite import SQLiteStore
from omega.errors import HostError, OmegaBug, RunEnded
from tests.durable.kit import TTL, Clock, Kept, fact

INTERNALS = Path(__file__).parents[2] / "docs" / "internals.md"
PAIRS = [(old, new) for old in states.STATES for new in states.STATES]


def told(state: str) -> Change:
    """A change to `state` with all that a run in it has."""
    has = states.STATES[state].has
    wake = 5 if "wait" in has else None
    return Change(state, "why" if "reason" in has else None, wake, (), {"v": 1})


def test_the_table_is_sound() -> None:
    table = states.STATES
    assert {next for state in table.values() for next in state.next} <= set(table)
    assert states.ENDS == ("completed", "failed", "cancelled")
    reached, more = {states.FIRST}, True
    while more:
        found = reached | {next for name in reached for next in table[name].next}
        more, reached = found != reached, found
    assert reached == set(table), "states that no run comes to"
    for state in table.values():
        ends = {"pending"} if state.is_end else set()
        assert ("outcome" in state.has) == state.is_end and not ends & set(state.next)


def test_the_documentation_shows_the_table() -> None:
    assert states.table() in INTERNALS.read_text("utf-8")


# What stands in the columns of a run in that state.
def columns(state: str) -> dict[str, Any]:
    has = states.STATES[state].has
    owned = "owner" in has
    return {
        "owner": "w" if owned else None,
        "lease_us": TTL if owned else None,
        "lease_until_us": TTL if owned else None,
        "wake_at_us": 5 if "wait" in has else None,
        "reason": "why" if "reason" in has else None,
        "outcome": "1" if "outcome" in has else None,
        "due_us": 5 if states.STATES[state].is_due else None,
    }


def statement(state: str, **other: Any) -> tuple[str, list[Any]]:
    values = {"state": state, **columns(state), **other}
    sets = ", ".join(f"{name} = ?" for name in values)
    return f"UPDATE runs SET {sets}, epoch = epoch + 1 WHERE id = 'r1'", list(values.values())


@pytest.fixture
def file(tmp_path: Path) -> sqlite3.Connection:
    SQLiteStore(str(tmp_path / "runs.db")).close()
    db = sqlite3.connect(tmp_path / "runs.db", isolation_level=None)
    db.execute("PRAGMA foreign_keys = ON")
    yield db
    db.close()


def bring(file: sqlite3.Connection, state: str) -> None:
    """A new run, taken to that state by allowed changes."""
    file.execute("DELETE FROM runs")
    file.execute(
        "INSERT INTO runs (id, name, state, parent_seq, incarnation, first_seq, seen_seq, epoch,"
        " due_us, created_us, updated_us) VALUES ('r1', 'job', 'pending', 0, 1, 1, 0, 0, 1, 1, 1)"
    )
    if state != "pending":
        file.execute(*statement("running"))
        if state != "running":
            file.execute(*statement(state))


def test_the_file_itself_refuses_every_change_that_is_not_in_the_table(
    file: sqlite3.Connection,
) -> None:
    tried = 0
    for old, new in PAIRS:
        bring(file, old)
        if states.is_allowed(old, new):
            file.execute(*statement(new))
            assert file.execute("SELECT state FROM runs").fetchone() == (new,)
        else:
            with pytest.raises(sqlite3.IntegrityError, match=r"not allowed|has ended"):
                file.execute(*statement(new))
            assert file.execute("SELECT state FROM runs").fetchone() == (old,)
        tried += 1
    assert tried == 49


@pytest.mark.parametrize("state", list(states.STATES))
def test_the_file_itself_refuses_a_run_that_has_what_its_state_has_not(
    file: sqlite3.Connection, state: str
) -> None:
    filled = {"owner": "w", "lease_us": 1, "lease_until_us": 1, "wake_at_us": 1}
    filled |= {"reason": "x", "outcome": "1", "due_us": 1}
    bring(file, "pending")
    if state != "running":
        file.execute(*statement("running"))
    for name, value in columns(state).items():
        other = filled[name] if value is None else None
        if state == "pending":
            sql = (f"UPDATE runs SET {name} = ? WHERE id = 'r1'", [other])
            bring(file, "pending")
        else:
            sql = statement(state, **{name: other})
        if name == "due_us" and state == "suspended":
            continue  # one that waits for a signal is due at no time that is known
        with pytest.raises(sqlite3.IntegrityError, match=r"CHECK constraint failed|a higher epoch"):
            file.execute(*sql)


def test_the_file_itself_refuses_a_beginning_in_the_middle_and_an_epoch_that_falls(
    file: sqlite3.Connection,
) -> None:
    bring(file, "running")
    for what in ("epoch = 0", "owner = 'other'", "state = 'unknown'", "seen_seq = -1"):
        with pytest.raises(sqlite3.IntegrityError):
            file.execute(f"UPDATE runs SET {what} WHERE id = 'r1'")
    with pytest.raises(sqlite3.IntegrityError, match="a run begins as pending"):
        file.execute(
            "INSERT INTO runs (id, name, state, outcome, parent_seq, incarnation, first_seq,"
            " seen_seq, epoch, created_us, updated_us)"
            " VALUES ('r2', 'job', 'completed', '1', 0, 1, 1, 0, 0, 1, 1)"
        )
    bring(file, "completed")
    for what in ("outcome = '2'", "incarnation = 7", "epoch = 5", "name = 'x'"):
        with pytest.raises(sqlite3.IntegrityError, match="has ended"):
            file.execute(f"UPDATE runs SET {what} WHERE id = 'r1'")


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_a_store_makes_the_changes_of_the_table_and_no_others(
    kept: Kept, clock: Clock, old: str, new: str
) -> None:
    store = kept.open()
    store.create(NewRun("r1", "job", {}))
    lease = None
    if old != "pending":
        lease = store.acquire("r1", "w", TTL)
        if old != "running":
            store.append(lease, fact("a", change=told(old)))
    allowed = states.is_allowed(old, new)
    before = store.run("r1")
    if new == "running":
        if old in states.ENDS:
            with pytest.raises(RunEnded):
                store.acquire("r1", "w", TTL)
        else:
            assert store.acquire("r1", "w", TTL).epoch == before.epoch + 1
        return
    if old == "running":
        store.append(lease, fact("b", change=told(new)))
    elif old in states.ENDS:
        with pytest.raises(RunEnded):
            store.change("r1", told(new), who="me")
    elif allowed:
        store.change("r1", told(new), who="me")
    else:
        with pytest.raises((HostError, OmegaBug), match=f"cannot become {new}"):
            store.change("r1", told(new), who="me")
    assert store.run("r1") == before or allowed
    assert store.run("r1").state == (new if allowed else old)


def test_the_schema_of_this_format_is_what_it_was_when_it_was_made() -> None:
    """A change of the table of states, or of the tables, is a new format: add a migration."""
    made = [hashlib.sha256("\n".join(m).encode()).hexdigest()[:16] for m in schema.MIGRATIONS]
    assert made == FORMATS


FORMATS = ["0d3c3aa3b85c9e87"]
