"""What befalls the calls of an explored run that leave it: models, functions of the host, files.

Owns: `Weather`, which asks the run's chooser about every call; the kinds of faults; outages.
Refuses: real time: an explored run waits for nothing. How a fault is done (faults.py, driver.py).

A call is known by its text (a prompt, a function's name, what is done to which file) and how often
that was asked. An outage is one decision: from that call on, whoever is asked of the same service
(a model, a function) fails, until its time is over or the run is healed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from zlib import crc32

from omega.errors import HostError
from omega.exploration.choosers import Follower

LLM, HOST, FILES = FAULT_KINDS = ("llm", "host", "files")
SLOW_S = 60.0
OUTAGE_S = 60.0
SLOW, OUTAGE = "slow", "outage"


def fault_kinds(asked: bool | Iterable[str]) -> frozenset[str]:
    """The kinds of faults of what was asked for: True is all. Raises HostError."""
    if isinstance(asked, bool):
        return frozenset(FAULT_KINDS if asked else ())
    names = [asked] if isinstance(asked, str) else list(asked)
    for name in names:
        if name not in FAULT_KINDS:
            raise HostError(
                f"there are no faults of {name!r}", hint=f"there are {', '.join(FAULT_KINDS)}"
            )
    return frozenset(names)


class Weather:
    """One run's. kinds: of faults that may befall."""

    def __init__(self, chooser: Follower, kinds: frozenset[str] = frozenset()) -> None:
        self.kinds = kinds
        self._chooser = chooser
        self._asked: dict[tuple[str, str], int] = {}
        self._down_until_us: dict[tuple[str, str], int] = {}

    def befalls(
        self, kind: str, text: str, choices: Sequence[str], service: str | None = None
    ) -> str | None:
        """What befalls the next call of this kind with this text, of `choices`; None: nothing.
        OUTAGE while its service is down; service: may be, if given.
        """
        key = f"{crc32(text.encode('utf-8', 'surrogatepass')):x}"
        count = self._asked[kind, key] = self._asked.get((kind, key), 0) + 1
        chooser = self._chooser
        now_us = chooser.kernel.now_us()
        if service is None:
            return chooser.call_befalls(kind, key, text, count, choices)
        if now_us < self._down_until_us.get((kind, service), 0) and not chooser.is_fair:
            return OUTAGE
        what = chooser.call_befalls(kind, key, text, count, choices)
        if what == OUTAGE:
            self._down_until_us[kind, service] = now_us + round(OUTAGE_S * 1e6)
        return what
