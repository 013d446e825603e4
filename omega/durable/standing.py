"""What the owner of a run knows from its last write, so that the next one need not read it.

Owns: `Standing`; `ADD`, the statement that writes an entry and asks whether it may. Refuses: to be
believed: where it is wrong, the statement writes nothing.
"""

from __future__ import annotations

from omega.durable import writes
from omega.durable.records import Batch, Lease
from omega.errors import OmegaBug

# What is looked at inside of the transaction that writes, in the statement that does: see `late`.
ADD = (
    f"INSERT INTO journal ({writes.ENTRY}) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
    " FROM runs r, store s WHERE r.number = ? AND r.epoch = ? AND r.owner = ?"
    " AND r.state = 'running' AND s.generation || '-' || s.token = ?"
)


class Standing:
    """Where the journal of a run stands for its owner, who alone writes to it."""

    __slots__ = (
        *("_epoch", "_generation", "_owner", "lease_us", "number", "seq", "tally"),
        "until_us",
    )

    def __init__(self, lease: Lease, written: writes.Written) -> None:
        assert written.until_us is not None
        self._epoch, self._owner, self._generation = lease.epoch, lease.owner, lease.generation
        self.number, self.seq, self.tally = written.number, written.seq, written.tally
        self.lease_us, self.until_us = written.lease_us, written.until_us

    def is_of(self, lease: Lease) -> bool:
        return (
            self._epoch == lease.epoch
            and self._owner == lease.owner
            and self._generation == lease.generation
        )


def is_entry(batch: Batch) -> bool:
    """Whether a batch is an entry of the journal, and nothing else."""
    return (
        bool(batch.facts or batch.intents or batch.results)
        and batch.change is None
        and batch.continues_with is None
        and not batch.blobs
        and not batch.taken
    )


def is_higher(number: int) -> bool:
    raise OmegaBug(f"the effect {number} is not above those before")
