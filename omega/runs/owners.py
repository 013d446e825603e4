"""Who holds the lease of a run: a process, and whether it is surely dead.

Owns: `own_name`, `disown`, `is_dead`, `take_over`. Refuses: to guess: of a process elsewhere
nothing is known, and its lease is waited for.

A name says on which machine since which start of it, in which space of process numbers, which
process, started when; and something of chance, since a process may run several.
"""

from __future__ import annotations

import os
import secrets
import socket

from omega.durable.records import Lease, RunRecord
from omega.durable.store import Store

# Of this process: a store that has no room could not be told that nobody acts under them any more.
_disowned: set[str] = set()


def own_name() -> str:
    """A name of this process, another one at each call."""
    return f"{socket.gethostname()} {_here()} {os.getpid()} {_start(os.getpid())} {_chance()}"


def disown(name: str) -> None:
    """Nobody acts under that name of this process any more."""
    _disowned.add(name)


def is_dead(name: str) -> bool:
    """Whether who has that name has surely ended: the process, or what it did under this name."""
    if name in _disowned:
        return True
    parts = name.split(" ")
    if len(parts) != 5:
        return False
    _, here, pid, start, _ = parts
    if here != _here() or here == UNKNOWN or not pid.isdigit():
        return False
    return _start(int(pid)) != start


def take_over(store: Store, record: RunRecord, ttl_us: int) -> Lease:
    """The lease of a run for this process. One whose process has surely died is not waited for.
    Raises RunOwned, RunEnded.
    """
    dead = record.owner if record.owner is not None and is_dead(record.owner) else None
    return store.acquire(record.id, own_name(), ttl_us, dead=dead)


UNKNOWN = "?"


def _chance() -> str:
    return secrets.token_hex(4)


def _here() -> str:
    """The machine, since its start, and the space of process numbers."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
        return f"{boot[:13]}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return UNKNOWN


def _start(pid: int) -> str:
    """When a process was started, in ticks of its machine; "-" when there is none."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return "-"
    return "-" if fields[0] == "Z" else fields[19]  # a zombie does nothing any more
