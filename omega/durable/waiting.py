"""The surroundings of a store: the wall clock, a pause, chance; and how to wait for a busy file.

Owns: the only sleep of Omega that is none of the scheduler's, since a store is also used where no
scheduler is. Refuses: to know what is waited for.

SQLite's own busy handler waits in fixed, growing steps, and starves whoever has waited longest
(measured: shares of 181/5566/1/1 for four processes). Short pauses of random length, none longer
for having waited, do better, but whoever has just written finds the file free before anybody who
pauses does. So whoever is about to write takes the `Turn` first, and keeps it until the file is
his: the one before him, coming back, is then one of those who wait.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from types import ModuleType

try:
    import fcntl as _fcntl

    fcntl: ModuleType | None = _fcntl
except ImportError:  # Windows: there are pauses only
    fcntl = None

PAUSE_LEAST_S = 0.000_05
PAUSE_FIRST_S = 0.000_1  # the longest of the first pauses
PAUSE_MOST_S = 0.000_4
PAUSE_GROWTH = 1.2
WAIT_S = 10.0  # in all
YEAR_US = 31_556_952_000_000
TURN_S = 0.1  # then whoever has the turn is taken to be stopped: it is passed by until it has given

LOOK_US = 1_000

Clock = Callable[[], int]
Pause = Callable[[float], None]


def wall_us() -> int:
    """Microseconds since 1970: leases are compared between processes, so it is the wall clock."""
    return time.time_ns() // 1000


def date(us: int) -> str:
    """A time of the wall clock, for people."""
    from datetime import UTC, datetime

    try:
        return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):  # no calendar goes so far
        return f"the year {1970 + us // YEAR_US:,}"


def pause(seconds: float) -> None:
    time.sleep(seconds)


def chance() -> random.Random:
    """Seeded by the system: processes that share a file must not pause in step."""
    return random.Random()


def pauses(rng: random.Random, total_s: float = WAIT_S) -> Iterator[float]:
    """Seconds to pause, one after the other, until they have come to `total_s`."""
    most, waited = PAUSE_FIRST_S, 0.0
    while waited < total_s:
        seconds = rng.uniform(PAUSE_LEAST_S, most)
        waited += seconds
        most = min(PAUSE_MOST_S, most * PAUSE_GROWTH)
        yield seconds


class Turn:
    """Who is the next to write, of all who write to files of one folder: a lock on the folder. It
    is a courtesy, nothing depends on it: where there is none, or somebody keeps it too long, one
    goes on without.
    """

    __slots__ = ("_folder", "_is_passed_by", "_pause", "_rng")

    def __init__(self, path: str, rng: random.Random, pause: Pause) -> None:
        self._rng, self._pause = rng, pause
        self._folder: int | None = None
        self._is_passed_by = False
        if fcntl is not None:
            try:
                self._folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                pass

    def take(self) -> None:
        if self._folder is None:
            return
        is_mine = self._took()
        if not is_mine and not self._is_passed_by:
            for seconds in pauses(self._rng, TURN_S):
                self._pause(seconds)
                if is_mine := self._took():
                    break
        self._is_passed_by = not is_mine

    def is_free(self) -> bool:
        """Whether nobody waits to write: whoever does not wait himself need not take it."""
        if self._folder is None:
            return True
        is_free = self._took()
        if is_free:
            self.give()
            self._is_passed_by = False
        return is_free or self._is_passed_by

    def _took(self) -> bool:
        assert fcntl is not None and self._folder is not None
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # not on this file system
            self.close()
        return True

    def give(self) -> None:
        if self._folder is not None:
            assert fcntl is not None
            fcntl.flock(self._folder, fcntl.LOCK_UN)

    def close(self) -> None:
        folder, self._folder = self._folder, None
        if folder is not None:
            os.close(folder)
