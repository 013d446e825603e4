"""What a store refuses, in the same words whatever keeps it.

Owns: the errors of runs and leases: place, fact, what is expected, hint. Refuses: errors of files,
which are connection.py's.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any, Protocol

from omega.durable import states
from omega.durable.records import Lease, RunRecord
from omega.errors import Fenced, HostError, RunEnded, RunExists, RunOwned, StoreError, UnknownRun

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # files are named by it
ID_WANTED = "letters, digits, dots, dashes and underscores, 100 at most"
ALIKE_AMONG = 1000  # runs, the newest, whose ids are compared with one that is unknown
SHOWN_CHARS = 100  # of an id that none is


class Held(Protocol):
    """What a run shows of its owner."""

    @property
    def generation(self) -> str: ...
    @property
    def epoch(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def owner(self) -> str | None: ...


def checked_id(id: Any) -> str:
    """An id for a run. Raises HostError for one that no run can have."""
    if isinstance(id, str) and ID.fullmatch(id):
        return id
    raise HostError(
        f"the id of a run is of {ID_WANTED}, got {shown_id(id)}",
        hint="it begins with a letter or a digit; leave it out, and the run gets a new one",
    )


def shown_id(id: Any) -> str:
    if isinstance(id, str):
        return ascii(id if len(id) <= SHOWN_CHARS else id[:SHOWN_CHARS] + "...")
    return f"a value of the type {type(id).__name__}"


def late(at: Held | None, lease: Lease) -> str | None:
    """Why a lease is not the latest one of its run; None when it is."""
    if at is None:
        return "there is no such run any more"
    if at.generation != lease.generation:
        return "the store was restored from a backup since"
    if at.epoch != lease.epoch:
        return f"{at.owner or 'somebody'} has taken it over since (epoch {at.epoch})"
    if at.state != "running":
        return f"it is {at.state}"
    return None if at.owner == lease.owner else f"{at.owner} holds it"


def too_late(place: str, lease: Lease, what: str, why: str) -> Fenced:
    return Fenced(
        f"{place}: run {lease.run}: {what} of {lease.owner} comes too late (epoch {lease.epoch}):"
        f" {why}",
        hint="nothing was written: stop working at this run, it goes on elsewhere",
    )


def unknown(place: str, run: str, among: Sequence[str]) -> UnknownRun:
    """among: ids, the newest first."""
    alike = difflib.get_close_matches(run, among[:ALIKE_AMONG], n=3)
    hint = f"did you mean {' or '.join(alike)}?" if alike else "is this the right store?"
    return UnknownRun(f"{place}: there is no run {run}", run, hint=hint)


def one_of(place: str, prefix: str, found: Sequence[str], among: Sequence[str]) -> str:
    """The one of the ids in their order that begin with `prefix`; itself when it is one. Every id
    begins with nothing: that names no run.
    """
    if not prefix:
        raise UnknownRun(
            f"{place}: a run has an id, and this one is empty",
            prefix,
            hint="give the id, or as much of its beginning as no other has",
        )
    if prefix in found or len(found) == 1:
        return prefix if prefix in found else found[0]
    if not found:
        raise unknown(place, prefix, among)
    names = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
    raise UnknownRun(
        f"{place}: the ids of several runs begin with {prefix}: {names}",
        prefix,
        hint="give more of the id",
    )


def taken(place: str, run: str) -> RunExists:
    return RunExists(
        f"{place}: there is a run {run} already",
        run,
        hint=f"give the new one another id, or go on with that one: omega resume {run}",
    )


def no_incarnation(place: str, run: RunRecord, incarnation: Any) -> HostError:
    many = f"{run.incarnation} incarnation{'s' if run.incarnation > 1 else ''}"
    return HostError(
        f"{place}: run {run.id} has {many}, got number {incarnation!r}",
        hint="they are counted from 1 on; the last one is taken when none is named",
    )


def ended(place: str, run: str, state: str) -> RunEnded:
    return RunEnded(
        f"{place}: run {run} has ended: it is {state}",
        run,
        state=state,
        hint="start another one, or fork it",
    )


def owned(place: str, run: str, owner: str, until_us: int, now_us: int) -> RunOwned:
    left = (until_us - now_us) / 1e6
    return RunOwned(
        f"{place}: {owner} holds run {run} for {left:.1f} s more",
        run,
        owner=owner,
        until_us=until_us,
        hint="ask its owner to stop, or wait until the lease has passed",
    )


def no_change(place: str, run: str, old: str, new: str) -> HostError:
    allowed = [name for name in states.STATES[old].next if name != "running"]
    return HostError(
        f"{place}: run {run} is {old}: it cannot become {new}",
        hint=f"it may become {', '.join(allowed)}",
    )


def no_data(run: str, why: str) -> HostError:
    return HostError(
        f"the value of a signal for run {run} is not JSON data: {why}",
        hint="send null, true, false, finite numbers, strings, lists and objects of them",
    )


def entry_unknown(place: str, run: str, seq: int) -> StoreError:
    return StoreError(
        f"{place}: run {run} has no entry {seq} to fork at",
        hint="fork at an entry that it has, or at 0: from its beginning",
    )


def no_content(place: str, hash: str) -> StoreError:
    return StoreError(
        f"{place}: there is no content {hash}",
        hint="it goes with the last run that refers to it",
    )
