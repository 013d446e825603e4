"""What every store of runs does, whatever keeps it.

Owns: the `Store` protocol. One contract suite holds its backends to it.

Every method is one transaction: all of it, or nothing, and durable when it returns. The state of a
run, its history and whatever else changes with it change together. Whoever writes to a run holds
its lease, and that is looked at inside of the transaction: a lease that has passed is good until
somebody else has taken the run over; one with an older epoch, or from before the store was
restored, is refused (`Fenced`), and the refusal is kept.

Raises, from any method: StoreError for a file that is foreign, damaged, newer or cannot be used;
StoreFull when there is no room, and StoreBusy when others held it for too long: with both nothing
was changed, and the same call may be made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from omega.durable.records import (
    Batch,
    Change,
    Intent,
    Lease,
    NewRun,
    Result,
    RunRecord,
    Signal,
)


class Store(Protocol):
    @property
    def generation(self) -> str:
        """Another one after each restore: leases from before are worth nothing."""

    # -- runs ----------------------------------------------------------------------------------

    def create(self, run: NewRun) -> RunRecord:
        """A run in the state "pending". Raises RunExists for an id that is taken, HostError for one
        that no run can have.
        """

    def run(self, id: str, *, incarnation: int | None = None) -> RunRecord:
        """incarnation: header, first_seq and seq are those of an earlier one; all else is as it is
        now. Raises UnknownRun, whose hint names runs that are like it; HostError for an incarnation
        that there is not.
        """

    def find(self, prefix: str) -> RunRecord:
        """The one run whose id begins so. Raises UnknownRun, also when there are several, or
        nothing is given.
        """

    def runs(
        self, *, states: Sequence[str] = (), name: str | None = None, limit: int = 100
    ) -> list[RunRecord]:
        """The newest first."""

    def due(self, limit: int = 100) -> list[RunRecord]:
        """Runs that somebody should go on with now: pending; suspended whose time has come or that
        have a signal they wait for; running whose lease has passed. Those longest due first.
        """

    # -- ownership -----------------------------------------------------------------------------

    def acquire(self, run: str, owner: str, ttl_us: int, *, dead: str | None = None) -> Lease:
        """Take a run over: its epoch rises, its state becomes "running", whatever it waited for or
        was blocked by. Raises RunOwned (owner, until) while another's lease lasts, RunEnded for one
        that has ended, UnknownRun. dead: an owner that is known to have died: its lease is worth
        nothing.
        """

    def renew(self, lease: Lease, ttl_us: int) -> Lease:
        """The lease, longer. Raises Fenced."""

    # -- the journal ---------------------------------------------------------------------------

    def append(self, lease: Lease, batch: Batch) -> int:
        """The entry's seq (the last one's, when the batch has neither facts nor effects, and there
        is none). Raises Fenced. A change of
        state that is none of states.py, a second result of an effect and a signal that was taken
        before are bugs (OmegaBug). A change to a state other than "running" ends the lease; any
        other write extends it, once less than half of it is left.
        """

    def transact(
        self, lease: Lease, act: Callable[[Any], Batch], *, called: str | None = None
    ) -> int:
        """`append` of what `act(connection)` answers, in one transaction with what it does there.
        What it raises undoes everything and is raised again. The connection is lent for the call:
        what would end the transaction, or change the store's own tables, is refused (HostError,
        which names `called`).
        """

    def journal(
        self,
        run: str,
        after: int = 0,
        until: int | None = None,
        *,
        incarnation: int | None = None,
    ) -> Iterator[list[str]]:
        """The facts of the entries (after, until] of the latest incarnation, or of another one,
        shared ones included, an entry at a time; streaming. Raises StoreError for an entry that is
        damaged.
        """

    def span(self, run: str, incarnation: int | None = None) -> tuple[int, int]:
        """(after, until): the entries of an incarnation, of the latest by default, are those; none
        of one that there is not.
        """

    def blob(self, hash: str) -> bytes:
        """Raises StoreError when it is not there, or its content is not what its name says."""

    def effects(
        self, run: str, *, open_only: bool = False, incarnation: int | None = None
    ) -> list[tuple[Intent, Result | None]]:
        """The effects of the latest incarnation, or of another one, by number, shared ones included
        as they were at the entry where the run was forked off; open_only: those without a result.
        """

    # -- signals -------------------------------------------------------------------------------

    def signal(self, run: str, name: str, value: Any, *, key: str, who: str) -> bool:
        """Leave a message for a run. False: there was one with this key before, and nothing is
        changed. Raises UnknownRun, RunEnded, HostError for a value that is not JSON data.
        """

    def signals(self, run: str, *, waiting_only: bool = True) -> list[Signal]:
        """In the order in which they came. waiting_only: that the run has not received yet."""

    # -- the rest ------------------------------------------------------------------------------

    def change(self, run: str, change: Change, *, who: str) -> RunRecord:
        """Change the state of a run that nobody owns (cancel it, have a blocked one go on). Raises
        RunOwned while a lease lasts, RunEnded, HostError for a change that states.py does not have.
        """

    def history(self, run: str) -> list[dict[str, Any]]:
        """Its states: at_us, from, to, reason, owner, epoch; and refused writes: at_us, refused
        (what), owner, epoch.
        """

    def prune(self, *, ended_before_us: int, keep: Sequence[str] = ()) -> int:
        """Delete runs that ended before; how many. keep: ids of runs that stay. One whose journal
        another shares stays, so does one that a row of the host's refers to, and blobs that nothing
        refers to go. Some runs are deleted in one
        transaction, not all of them: each wholly, and others write in between.
        """

    def backup(self, path: str) -> None:
        """A copy, while others write. Raises StoreError when there is something at `path`."""

    def close(self) -> None: ...
