"""What may go wrong with stores of runs on this machine, before it does.

Owns: `Finding`, `examine`: the version of SQLite, the file system, the room that is left, the file.
Refuses: to change anything, to open a store, to print.

The facts are gathered by `facts` and judged by `examine`, which is a function of them alone.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from omega.durable.connection import WAL_BYTES
from omega.durable.schema import SQLITE_MIN

# Two connections that write and checkpoint at the same time may damage the file:
# https://sqlite.org/wal.html#walresetbug
WAL_RESET_BUG = ((3, 7, 0), (3, 51, 2))
FREE_BYTES_LITTLE = 1024 * 1024 * 1024
FREE_BYTES_LEAST = 64 * 1024 * 1024

NETWORK = {
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre"),
    *("gfs2", "ocfs2", "beegfs", "virtiofs", "vboxsf", "vmhgfs", "prl_fs", "drvfs", "sshfs"),
}
MEMORY = {"tmpfs", "ramfs"}
OVERLAY = {"overlay", "aufs", "unionfs"}
SYNCHRONOUS = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}

MOUNTS = "/proc/mounts"


@dataclass(frozen=True, slots=True)
class Finding:
    """severity: "error" (will lose or damage something), "warning" (may), "note"."""

    severity: str
    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """path: of the store, which need not be there. filesystem: its type, mount: where it begins;
    None where the system does not tell. wal_bytes: of the log beside it. synchronous: of a
    connection that is open, if one is.
    """

    path: str
    sqlite: tuple[int, ...]
    filesystem: str | None
    mount: str | None
    free_bytes: int
    wal_bytes: int
    folder_is_there: bool
    synchronous: int | None = None


def facts(
    path: str,
    *,
    sqlite: tuple[int, ...] | None = None,
    synchronous: int | None = None,
    mounts: Callable[[], str] | None = None,
) -> Facts:
    """Of the store at `path`. sqlite: the version that is used, by default the module `sqlite3`'s.
    mounts: the text that lists what is mounted.
    """
    if sqlite is None:
        import sqlite3

        sqlite = sqlite3.sqlite_version_info
    folder = os.path.dirname(os.path.realpath(path))
    is_there = os.path.isdir(folder)
    filesystem, mount = _mounted((mounts or _mounts)(), os.path.realpath(path))
    try:
        wal_bytes = os.path.getsize(path + "-wal")
    except OSError:
        wal_bytes = 0
    free = shutil.disk_usage(folder).free if is_there else 0
    return Facts(path, sqlite, filesystem, mount, free, wal_bytes, is_there, synchronous)


def _mounts() -> str:
    try:
        with open(MOUNTS, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _mounted(mounts: str, path: str) -> tuple[str | None, str | None]:
    """(type, place) of the file system that holds `path`: the last one mounted at the longest place
    that it begins with.
    """
    found: tuple[str | None, str | None] = (None, None)
    for line in mounts.splitlines():
        words = line.split()
        if len(words) < 3:
            continue
        place = words[1]  # spaces and the like are written in octal
        for code, character in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
            place = place.replace(code, character)
        is_below = path == place or path.startswith(place.rstrip("/") + "/")
        if is_below and len(place) >= len(found[1] or ""):
            found = (words[2], place)
    return found


def examine(facts: Facts) -> list[Finding]:
    """What there is to say, the worst first; nothing of what is as it should be."""
    found = [*_of_sqlite(facts), *_of_the_place(facts), *_of_the_file(facts)]
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted(found, key=lambda finding: order[finding.severity])


def _of_sqlite(facts: Facts) -> list[Finding]:
    version = ".".join(map(str, facts.sqlite))
    if facts.sqlite < SQLITE_MIN:
        least = ".".join(map(str, SQLITE_MIN))
        text = f"SQLite {version} is too old for a store of runs: it needs {least}"
        return [Finding("error", text, "use a Python with a newer SQLite")]
    found = [Finding("note", f"SQLite {version}")]
    first, last = WAL_RESET_BUG
    if first <= facts.sqlite[:3] <= last:
        found.append(
            Finding(
                "warning",
                f"SQLite {version} has a rare mistake that may damage a store when several"
                " processes write to it at the same moment (the WAL-reset bug, mended in 3.51.3)",
                "use a Python with SQLite 3.51.3 or newer, or let one process write; make backups",
            )
        )
    return found


def _of_the_place(facts: Facts) -> list[Finding]:
    if not facts.folder_is_there:
        text = f"{facts.path}: its folder is not there"
        return [Finding("error", text, "make it, or name another file")]
    found = []
    kind = facts.filesystem or ""
    where = f"{facts.path} is on {kind} ({facts.mount})"
    if kind in NETWORK:
        found.append(
            Finding(
                "error",
                f"{where}: SQLite's WAL mode does not work over a network, and its locks may not"
                " hold there",
                "keep the store on a local disk",
            )
        )
    elif kind.startswith("fuse"):
        found.append(
            Finding(
                "warning",
                f"{where}: whether locks and syncs hold depends on the program behind it",
                "keep the store on a local disk",
            )
        )
    elif kind in MEMORY:
        found.append(
            Finding(
                "warning",
                f"{where}: it is gone when the machine restarts",
                "keep the store on a disk, unless its runs may be lost",
            )
        )
    elif kind in OVERLAY:
        found.append(
            Finding(
                "warning",
                f"{where}: in a container it is gone with the container",
                "keep the store on a volume",
            )
        )
    if facts.free_bytes < FREE_BYTES_LITTLE:
        severity = "error" if facts.free_bytes < FREE_BYTES_LEAST else "warning"
        left = f"{facts.free_bytes / 1024 / 1024:,.0f} MiB"
        text = f"{facts.path}: its disk has {left} left"
        found.append(Finding(severity, text, "make room: runs stop at a full disk"))
    return found


def _of_the_file(facts: Facts) -> list[Finding]:
    found = []
    if facts.wal_bytes > WAL_BYTES:
        found.append(
            Finding(
                "warning",
                f"{facts.path}-wal has {facts.wal_bytes / 1024 / 1024:,.0f} MiB: something reads"
                " the store in one long transaction, and the log grows until it ends",
                "end programs that keep a transaction open; the next write then cuts the log",
            )
        )
    if facts.synchronous is not None and facts.synchronous < 2:
        name = SYNCHRONOUS.get(facts.synchronous, str(facts.synchronous))
        found.append(
            Finding(
                "error",
                f"{facts.path} is written with synchronous={name}: a power failure loses what was"
                " acknowledged, and paid effects are paid again",
                "leave it at FULL",
            )
        )
    return found
