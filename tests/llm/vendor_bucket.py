"""A vendor that counts requests and tells of it in headers, and a client that lives by its bucket
alone, in virtual time.

Owns: `Vendor` (what is true), `Wire` (how long things take), `drive`: so many calls as fast as the
bucket lets them go, each refused one again. Refuses: gates, caps, queues: only the bucket paces.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from omega.llm.buckets import Bucket
from omega.llm.told import ROUND

ROUNDINGS: dict[str, Callable[[float], int]] = {
    "down": math.floor,
    "up": math.ceil,
    "nearest": round,
}


class Vendor:
    """A token bucket, full at the start, seen only through headers.

    rounding: of what remains. reset_s: the unit in which resets are told, rounded to the nearest;
    0: as they are.
    """

    def __init__(self, rate_s: float, burst: int, rounding: str, reset_s: float) -> None:
        self.rate_s, self.burst, self.level, self.at_s = rate_s, burst, float(burst), 0.0
        self._round, self._reset_s = ROUNDINGS[rounding], reset_s

    def arrive(self, now_s: float) -> bool:
        """Whether a call that arrives now is answered."""
        self._advance(now_s)
        if self.level < 1 - 1e-9:
            return False
        self.level -= 1
        return True

    def headers(self, now_s: float) -> tuple[int, int, float]:
        """(limit, remaining, seconds until full)"""
        self._advance(now_s)
        reset_s = (self.burst - self.level) / self.rate_s
        if self._reset_s:
            reset_s = round(reset_s / self._reset_s) * self._reset_s
        return self.burst, self._round(self.level), reset_s

    def _advance(self, now_s: float) -> None:
        self.level = min(self.burst, self.level + self.rate_s * (now_s - self.at_s))
        self.at_s = now_s


class Wire(NamedTuple):
    """Seconds: the least a call takes to the vendor, and what chance adds to it; the same for the
    way back, the answering included. at_end: headers are written with the answer, not on arrival.
    stall_s: at the beginning of every second nothing leaves for so long, whatever was sent: the
    process has to share its processor.
    """

    there_s: float
    there_jitter_s: float
    back_s: float
    back_jitter_s: float
    at_end: bool
    stall_s: float = 0.0


class Driven(NamedTuple):
    """What a client got. throttled: the share of the requests that were refused, of those that were
    counted. used: the share of the vendor's rate that it had, from when it had
    to wait until its last request.
    """

    throttled: float
    used: float


class _Client:
    def __init__(
        self, bucket: Bucket, vendor: Vendor, wire: Wire, calls: int, dice: Random, tells: bool
    ):
        self.tells = tells
        self.bucket, self.vendor, self.wire, self.dice = bucket, vendor, wire, dice
        self.wanted = calls
        self.events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self.number = self.under_way = self.answers = 0
        self.now_s = self.last_s = 0.0
        self.waited_s: float | None = None  # when it first had to wait
        self.requests = self.refused = self.got = 0

    def later(self, after_s: float, step: Callable[..., None], *about: Any) -> None:
        self.number += 1
        heapq.heappush(self.events, (self.now_s + after_s, self.number, step, about))

    def send(self) -> None:
        self.bucket.take(1, self.now_s)
        self.wanted -= 1
        self.under_way += 1
        self.last_s = self.now_s
        counts = self.answers >= ROUND or not self.tells, self.waited_s is not None
        self.requests += counts[0]
        stalled_s = max(0.0, self.wire.stall_s - self.now_s % 1)
        there_s = stalled_s + self.wire.there_s + self.dice.random() * self.wire.there_jitter_s
        self.later(there_s, self.arrive, self.bucket.taken, self.now_s, *counts)

    def arrive(self, *about: Any) -> None:
        is_ok = self.vendor.arrive(self.now_s)
        told = None if self.wire.at_end else self.vendor.headers(self.now_s)
        back_s = self.dice.random() * self.wire.back_jitter_s + self.wire.back_s * is_ok
        self.later(back_s, self.answer, is_ok, told, *about)

    def answer(
        self, is_ok: bool, told: Any, taken: float, sent_s: float, is_late: bool, waited: bool
    ) -> None:
        limit, remaining, reset_s = told or self.vendor.headers(self.now_s)
        now_s = self.now_s
        if self.tells:
            self.bucket.adopt(
                limit, remaining, reset_s, taken_before=taken, sent_s=sent_s, now_s=now_s
            )
        elif not is_ok:
            self.bucket.refused(taken, now_s)
        self.under_way -= 1
        self.answers += 1
        self.wanted += not is_ok
        self.refused += is_late and not is_ok
        self.got += waited and is_ok

    def step(self) -> None:
        if self.wanted and self.answers:
            ready_s = self.bucket.ready_s(1, self.now_s)
            if self.waited_s is None and ready_s > self.now_s:
                self.waited_s = self.now_s
            if not self.events or ready_s < self.events[0][0]:
                self.now_s = ready_s
                self.send()
                return
        self.now_s, _, step, about = heapq.heappop(self.events)
        step(*about)


def drive(
    bucket: Bucket, vendor: Vendor, wire: Wire, calls: int, dice: Random, tells: bool = True
) -> Driven:
    """`calls` calls, the first of them alone, as fast as `bucket` lets them go.

    tells: whether the vendor tells of its bucket in headers. Then requests are counted once a round
    of answers has come; else all of them are.
    """
    client = _Client(bucket, vendor, wire, calls, dice, tells)
    client.send()
    while client.wanted or client.under_way:
        client.step()
    assert client.waited_s is not None, "so few calls prove nothing"
    permitted = vendor.rate_s * (client.last_s - client.waited_s)
    throttled = client.refused / max(1, client.requests)
    return Driven(throttled, client.got / permitted)
