"""A disk whose power fails: what was written and not yet synced is lost, whole or in part.

Owns: `Disk`, a VFS that keeps a log of what SQLite does to its files; `Disk.after`, the files as
they may be when the power fails at some moment of it.

A run is recorded once, with marks where something was acknowledged; a cut is made out of the log
as often as wanted. Each write since the last sync of its file is then there, is not there, or ends
at a sector, independently of the others: disks write in any order.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import apsw

SECTOR = 512


class Disk:
    """log: ("write", file, offset, bytes) | ("truncate", file, size) | ("sync", file) |
    ("delete", file), in their order; files by their names without folder.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.log: list[tuple[Any, ...]] = []
        self.vfs = _VFS(self)

    def after(self, cut: int, rng: random.Random) -> dict[str, bytes]:
        """The files when the power fails before entry `cut` of the log."""
        synced: dict[str, bytearray] = {}
        pending: dict[str, list[tuple[Any, ...]]] = {}
        for act in self.log[:cut]:
            if act[0] == "sync":
                for done in pending.pop(act[1], ()):
                    _apply(synced, done)
            else:
                pending.setdefault(act[1], []).append(act)
        for acts in pending.values():
            for act in acts:
                _apply_perhaps(synced, act, rng)
        return {file: bytes(content) for file, content in synced.items()}


def _apply_perhaps(files: dict[str, bytearray], act: tuple[Any, ...], rng: random.Random) -> None:
    chance = rng.random()
    if chance < 0.45:
        _apply(files, act)
    elif chance < 0.6 and act[0] == "write":
        _, file, offset, content = act
        sectors = (offset + len(content)) // SECTOR - offset // SECTOR
        if sectors:
            end = (offset // SECTOR + rng.randint(1, sectors)) * SECTOR
            _apply(files, ("write", file, offset, content[: end - offset]))


def _apply(files: dict[str, bytearray], act: tuple[Any, ...]) -> None:
    if act[0] == "delete":
        files.pop(act[1], None)
        return
    content = files.setdefault(act[1], bytearray())
    if act[0] == "truncate":
        del content[act[2] :]
        content.extend(bytes(act[2] - len(content)))
    else:
        _, _, offset, written = act
        if len(content) < offset:
            content.extend(bytes(offset - len(content)))
        content[offset : offset + len(written)] = written


class _VFS(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        super().__init__(disk.name, "")

    def xOpen(self, name: Any, flags: Any) -> apsw.VFSFile:
        path = name if isinstance(name, str) or name is None else name.filename()
        return _File(self.disk, name, flags, os.path.basename(path or "temporary"))

    def xDelete(self, name: str, sync: bool) -> None:
        super().xDelete(name, sync)
        self.disk.log.append(("delete", os.path.basename(name)))
        if sync:  # its folder, and with it that the file is gone
            self.disk.log.append(("sync", os.path.basename(name)))


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: Any, file: str) -> None:
        self.log, self.file = disk.log, file
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self.log.append(("write", self.file, offset, bytes(data)))

    def xTruncate(self, size: int) -> None:
        super().xTruncate(size)
        self.log.append(("truncate", self.file, size))

    def xSync(self, flags: int) -> None:
        # Not done: the machine's own disk has nothing to do with it.
        self.log.append(("sync", self.file))


def put(files: dict[str, bytes], folder: Path) -> None:
    for old in folder.iterdir():
        old.unlink()
    for name, content in files.items():
        if not name.endswith("-shm"):
            (folder / name).write_bytes(content)
