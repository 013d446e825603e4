"""The states of a run, and which may follow which: ONE table.

Owns: `STATES`, and what is made of it: the questions code asks, the CHECK constraints and triggers
of the SQLite file, the table in docs/internals.md. Refuses: to know who asks, or when.

A row says what a run in that state has (the columns that are filled then, and only then) and where
it may go. `running` to `running` is a takeover: another owner, a higher epoch.

Invariant: the schema of a file (schema.py) holds this table as it was when its format was made. A
change of the table is a new format, with a migration that makes the constraints anew.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class State:
    """name: as the store writes it. meaning: for people. next: states that may follow.
    has: "owner" (and a lease), "wait" (a time, or names of signals), "reason", "outcome".
    is_due: whether somebody is to go on with it by himself, at once or at some time.
    """

    name: str
    meaning: str
    next: tuple[str, ...]
    has: tuple[str, ...] = ()
    is_due: bool = False

    @property
    def is_end(self) -> bool:
        return not self.next


STATES: dict[str, State] = {
    state.name: state
    for state in (
        State(
            "pending",
            "has not begun, or is to go on: whoever is free takes it",
            ("running", "cancelled"),
            is_due=True,
        ),
        State(
            "running",
            "an owner goes on with it; when its lease has passed, another may take it over",
            (
                *("running", "pending", "suspended", "blocked"),
                *("completed", "failed", "cancelled"),
            ),
            ("owner",),
            is_due=True,
        ),
        State(
            "suspended",
            "parked until a time or a signal comes; nobody holds it",
            ("running", "pending", "cancelled"),
            ("wait",),
            is_due=True,
        ),
        State(
            "blocked",
            "needs a person; the reason says what for",
            ("running", "pending", "failed", "cancelled"),
            ("reason",),
        ),
        State("completed", "has ended with a value", (), ("outcome",)),
        State("failed", "has ended with an error", (), ("outcome", "reason")),
        State("cancelled", "was ended by somebody", (), ("outcome", "reason")),
    )
}
# What runs are blocked for, in the words of the store. Others may be told: the list is for people
# and for whoever shows runs, not for the file.
BLOCKED_FOR: dict[str, str] = {
    "unknown-outcome": "a paid effect was begun, and nobody knows whether it was made",
    "budget": "the next effect may cost more than is left",
    "divergence": "replay asks for something else than the journal holds",
    "disk-full": "there was no room for the next entry",
    "store-busy": "others kept the store, and the next entry had to wait",
}
FIRST = "pending"
ENDS = tuple(state.name for state in STATES.values() if state.is_end)


def is_allowed(old: str, new: str) -> bool:
    return new in STATES[old].next


def fits(state: str, *, reason: bool, wait: bool) -> bool:
    """Whether a change to `state` tells what a run in it has, and nothing else."""
    has = STATES[state].has
    return reason == ("reason" in has) and wait == ("wait" in has)


# -- for the file ----------------------------------------------------------------------------------

_COLUMNS = {
    "owner": ("owner IS NOT NULL", "lease_us IS NOT NULL", "lease_until_us IS NOT NULL"),
    "wait": ("(wake_at_us IS NOT NULL OR waits_for IS NOT NULL)",),
    "reason": ("reason IS NOT NULL",),
    "outcome": ("outcome IS NOT NULL",),
}


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def checks() -> list[str]:
    """The constraints of the table of runs, each as a line."""
    found = [f"CHECK (state IN ({_listed(list(STATES))}))"]
    for has, columns in _COLUMNS.items():
        names = _listed([state.name for state in STATES.values() if has in state.has])
        found += [f"CHECK ((state IN ({names})) = ({column}))" for column in columns]
    due = _listed([state.name for state in STATES.values() if state.is_due])
    found.append(f"CHECK (due_us IS NULL OR state IN ({due}))")
    surely = _listed([s.name for s in STATES.values() if s.is_due and "wait" not in s.has])
    found.append(f"CHECK (due_us IS NOT NULL OR state NOT IN ({surely}))")
    return found


def triggers() -> list[str]:
    """What a constraint cannot say, since it sees one row: how a run may change."""
    pairs = " OR ".join(
        f"(OLD.state = '{state.name}' AND NEW.state IN ({_listed(list(state.next))}))"
        for state in STATES.values()
        if state.next
    )
    return [
        f"""CREATE TRIGGER runs_begin BEFORE INSERT ON runs
WHEN NEW.state <> '{FIRST}' OR NEW.epoch <> 0
BEGIN SELECT RAISE(ABORT, 'a run begins as {FIRST}, with epoch 0'); END""",
        f"""CREATE TRIGGER runs_transition BEFORE UPDATE OF state ON runs
WHEN NOT ({pairs})
BEGIN SELECT RAISE(ABORT, 'this change of state is not allowed'); END""",
        # Not of the columns that every write of an owner changes: it would cost each a third more.
        f"""CREATE TRIGGER runs_end
BEFORE UPDATE OF id, name, parent, incarnation, first_seq, epoch, reason, outcome ON runs
WHEN OLD.state IN ({_listed(list(ENDS))})
BEGIN SELECT RAISE(ABORT, 'a run that has ended does not change'); END""",
        """CREATE TRIGGER runs_epoch BEFORE UPDATE OF epoch, owner ON runs
WHEN NEW.epoch < OLD.epoch
  OR (NEW.owner IS NOT NULL AND NEW.owner IS NOT OLD.owner AND NEW.epoch = OLD.epoch)
BEGIN SELECT RAISE(ABORT, 'a new owner has a higher epoch'); END""",
    ]


# -- for people ------------------------------------------------------------------------------------


def table() -> str:
    """The table in docs/internals.md."""
    lines = ["| state | what it means | has | may become |", "|---|---|---|---|"]
    for state in STATES.values():
        becomes = ", ".join(state.next) or "nothing: it has ended"
        has = ", ".join(state.has) or "-"
        lines.append(f"| `{state.name}` | {state.meaning} | {has} | {becomes} |")
    reasons = "; ".join(f"`{name}` ({meaning})" for name, meaning in BLOCKED_FOR.items())
    return "\n".join(lines) + f"\n\nA run is blocked for {reasons}.\n"
