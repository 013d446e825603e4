"""The surroundings of a store: the wall clock, a pause, chance; and how to wait for a busy file.

Owns: the only sleep of Omega that is none of the scheduler's, since a store is also used where no
scheduler is. Refuses: to know what is waited for.

SQLite's own busy handler waits in fixed, growing steps, and starves whoever has waited longest
(measured: shares of 181/5566/1/1 for four processes). Short pauses of random length, none longer
for having waited, share a file evenly.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

PAUSE_LEAST_S = 0.000_05
PAUSE_FIRST_S = 0.000_1  # the longest of the first pauses
PAUSE_MOST_S = 0.000_4
PAUSE_GROWTH = 1.2
WAIT_S = 10.0  # in all

Clock = Callable[[], int]
Pause = Callable[[float], None]


def wall_us() -> int:
    """Microseconds since 1970: leases are compared between processes, so it is the wall clock."""
    return time.time_ns() // 1000


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
