"""What is told of a machine and a store before something goes wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from omega.durable.doctor import Facts, examine, facts
from omega.durable.sqlite import SQLiteStore

GOOD = Facts("/data/runs.db", (3, 51, 3), "ext4", "/data", 1 << 40, 4096, True, 2)

MOUNTS = """
/dev/sda1 / ext4 rw,relatime 0 0
tmpfs /tmp tmpfs rw 0 0
server:/export /srv/my\\040data nfs4 rw 0 0
overlay /var/lib overlay rw 0 0
/dev/sdb1 /var/lib/data xfs rw 0 0
host0 /mnt/host fuse.sshfs rw 0 0
"""


def told(**changed: object) -> list[tuple[str, str]]:
    return [(f.severity, f.text) for f in examine(replace(GOOD, **changed))]


def test_a_good_place_has_only_its_version_told() -> None:
    assert told() == [("note", "SQLite 3.51.3")]


@pytest.mark.parametrize(
    ("version", "is_told"),
    [
        *(((3, 40, 1), True), ((3, 51, 2), True), ((3, 37, 0), True)),
        *(((3, 51, 3), False), ((3, 54, 1, 0), False)),
    ],
)
def test_versions_with_the_wal_reset_bug_are_warned_of(
    version: tuple[int, ...], is_told: bool
) -> None:
    found = [text for severity, text in told(sqlite=version) if severity == "warning"]
    assert bool(found) == is_told and all("WAL-reset bug" in text for text in found)


def test_a_version_without_strict_tables_is_an_error() -> None:
    assert told(sqlite=(3, 36, 9)) == [
        ("error", "SQLite 3.36.9 is too old for a store of runs: it needs 3.37.0")
    ]


@pytest.mark.parametrize(
    ("kind", "severity", "says"),
    [
        ("nfs4", "error", "does not work over a network"),
        ("cifs", "error", "does not work over a network"),
        ("9p", "error", "does not work over a network"),
        ("fuse.sshfs", "warning", "depends on the program behind it"),
        ("tmpfs", "warning", "gone when the machine restarts"),
        ("overlay", "warning", "gone with the container"),
    ],
)
def test_odd_file_systems_are_told(kind: str, severity: str, says: str) -> None:
    first, *_ = told(filesystem=kind, mount="/data")
    assert first[0] == severity and says in first[1] and f"is on {kind} (/data)" in first[1]


@pytest.mark.parametrize(
    ("path", "kind", "mount"),
    [
        ("/home/runs.db", "ext4", "/"),
        ("/tmp/runs.db", "tmpfs", "/tmp"),
        ("/tmpfoo/runs.db", "ext4", "/"),
        ("/srv/my data/runs.db", "nfs4", "/srv/my data"),
        ("/var/lib/x/runs.db", "overlay", "/var/lib"),
        ("/var/lib/data/runs.db", "xfs", "/var/lib/data"),
        ("/mnt/host/runs.db", "fuse.sshfs", "/mnt/host"),
    ],
)
def test_the_file_system_is_the_one_that_holds_the_file(path: str, kind: str, mount: str) -> None:
    found = facts(path, mounts=lambda: MOUNTS)
    assert (found.filesystem, found.mount) == (kind, mount)


def test_where_mounts_are_not_told_nothing_is_said_of_them() -> None:
    assert facts("/tmp/runs.db", mounts=lambda: "").filesystem is None
    assert told(filesystem=None, mount=None) == [("note", "SQLite 3.51.3")]


def test_little_room_a_long_log_and_weak_syncs_are_told(tmp_path: Path) -> None:
    assert told(free_bytes=500 << 20)[0] == ("warning", "/data/runs.db: its disk has 500 MiB left")
    assert told(free_bytes=5 << 20)[0] == ("error", "/data/runs.db: its disk has 5 MiB left")
    assert "has 100 MiB: something reads the store" in told(wal_bytes=100 << 20)[0][1]
    assert "synchronous=NORMAL" in told(synchronous=1)[0][1]
    assert told(folder_is_there=False, free_bytes=0)[0][0] == "error"


def test_the_facts_of_a_store_in_use_are_found(tmp_path: Path) -> None:
    path = str(tmp_path / "runs.db")
    store = SQLiteStore(path)
    synchronous = store.file.one("PRAGMA synchronous")[0]
    found = facts(path, synchronous=synchronous)
    assert found.synchronous == 2 and found.wal_bytes > 0 and found.free_bytes > 0
    assert not [f for f in examine(found) if "synchronous" in f.text or "-wal" in f.text]
    store.close()
    assert facts(str(tmp_path / "no" / "runs.db")).folder_is_there is False
