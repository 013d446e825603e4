"""How things are measured and shown.

Owns: `Case`, `Row`, `Bench`, interleaved measuring, the table. Refuses: knowing what is measured.

Machines are shared and noisy, so a figure means little and a ratio of two figures taken at the same
moment a lot: both sides of a row run in turns, A B A B. What only computes is timed by the CPU it
used, and its ratio is that of the two best: a core that is lent out for a while only makes a round
slower. What waits is timed by the clock, and its ratio is the median of the pairs' ratios.
"""

from __future__ import annotations

import gc
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

clock = time.perf_counter
cpu = time.process_time

PAIRS_MIN, PAIRS_MAX = 7, 30
PAIR_BUDGET_S = 1.5
CALIBRATION_LOOPS = 200_000

Figure = Callable[[], float]


class Skipped(Exception):
    """A row that cannot be measured here; its text says why."""


class Row:
    """One line of the table.

    omega, reference: in `unit`. ratio: omega over reference. goal: the most that is allowed
    of `judged` ("ratio" or "omega"), None where there is none. holds: False marks a MISS whatever
    the goal says. note: shown behind.
    """

    __slots__ = ("goal", "holds", "judged", "name", "note", "omega", "ratio", "reference", "unit")

    def __init__(
        self,
        name: str,
        unit: str,
        omega: float,
        reference: float | None = None,
        *,
        ratio: float | None = None,
        goal: float | None = None,
        judged: str = "ratio",
        holds: bool = True,
        note: str = "",
    ) -> None:
        self.name, self.unit, self.omega, self.reference = name, unit, omega, reference
        if ratio is None and reference:
            ratio = omega / reference
        self.ratio, self.goal, self.judged, self.holds, self.note = ratio, goal, judged, holds, note

    @property
    def verdict(self) -> str:
        if not self.holds:
            return "MISS"
        if self.goal is None:
            return ""
        value = self.omega if self.judged == "omega" else self.ratio
        return "ok" if value is not None and value <= self.goal else "MISS"

    def cells(self) -> list[str]:
        goal = ""
        if self.goal is not None:
            goal = f"<= {self.goal:g}" + ("x" if self.judged == "ratio" else "")
        return [
            self.name,
            short(self.omega),
            short(self.reference),
            self.unit,
            "" if self.ratio is None else times(self.ratio),
            goal,
            self.verdict,
            self.note,
        ]


def short(value: float | None) -> str:
    if value is None:
        return "-"
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def times(ratio: float) -> str:
    return f"{ratio:.2f}x" if ratio >= 0.01 else f"{ratio:.1g}x"


class Bench:
    """What a row may ask. quick: small sizes, three pairs. skipped: name -> why."""

    def __init__(self, *, quick: bool = False) -> None:
        self.quick = quick
        self.skipped: dict[str, str] = {}
        self.kept: dict[str, Any] = {}

    def size(self, full: int, least: int = 1) -> int:
        return max(least, full // 10) if self.quick else full

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """`make()`, made at most once in a run."""
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]

    def pairs(
        self, ours: Figure, theirs: Figure, *, waits: bool = False, most: int = PAIRS_MAX
    ) -> tuple[float, float, float]:
        """(our figure, theirs, the ratio) of at most `most` rounds taken in turns.

        waits: the work waits for something, so medians; else the best of each.
        """
        if most > 3:
            ours(), theirs()  # warm
        first: list[float] = []
        second: list[float] = []
        until = clock() + PAIR_BUDGET_S
        while self._goes_on(len(first), until, most):
            for function, figures in ((ours, first), (theirs, second)):
                gc.collect()
                figures.append(function())
        if not waits:
            return min(first), min(second), min(first) / max(min(second), 1e-9)
        ratio = statistics.median(a / max(b, 1e-9) for a, b in zip(first, second, strict=True))
        return statistics.median(first), statistics.median(second), ratio

    def best(self, figure: Figure) -> float:
        figure()
        figures: list[float] = []
        until = clock() + PAIR_BUDGET_S / 2
        while self._goes_on(len(figures), until, PAIRS_MAX):
            gc.collect()
            figures.append(figure())
        return min(figures)

    def _goes_on(self, done: int, until: float, most: int) -> bool:
        if self.quick:
            return done < min(3, most)
        return done < min(PAIRS_MIN, most) or (done < most and clock() < until)


class Case:
    """A row to be: `run(bench)` measures it. Raises Skipped."""

    __slots__ = ("name", "run")

    def __init__(self, name: str, run: Callable[[Bench], Row]) -> None:
        self.name, self.run = name, run


def timed(
    function: Callable[[], Any], unit_s: float = 1e-3, now: Callable[[], float] = cpu
) -> Figure:
    """A figure: the time of one `function()` in units of `unit_s` seconds."""

    def figure() -> float:
        began = now()
        function()
        return (now() - began) / unit_s

    return figure


def geometric_mean(values: Iterable[float]) -> float:
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


def calibration_ns() -> list[float]:
    """Nanoseconds per turn of an empty loop, a few times: how noisy the machine is."""
    found = []
    for _ in range(9):
        began = clock()
        for _ in range(CALIBRATION_LOOPS):
            pass
        found.append((clock() - began) / CALIBRATION_LOOPS * 1e9)
    return sorted(found)


def calibration_text() -> str:
    found = calibration_ns()
    return f"{found[0]:.1f} / {found[len(found) // 2]:.1f} / {found[-1]:.1f}"


def machine() -> str:
    """Facts of the machine, none of which names it."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, {os.cpu_count()} cores, {sys.platform}"


# -- the table -------------------------------------------------------------------------------------

HEAD = ["row", "omega", "reference", "unit", "ratio", "goal", "", "note"]
WIDTHS = [47, 9, 9, 7, 8, 10, 5, 0]


def line(cells: list[str]) -> str:
    shown = [
        cell.ljust(width) if i in (0, 3, 6, 7) else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    ]
    return " ".join(shown).rstrip()


def markdown(groups: list[tuple[str, list[Row]]]) -> Iterator[str]:
    yield "| " + " | ".join(name or "verdict" for name in HEAD) + " |"
    yield "|" + "---|" * len(HEAD)
    for title, rows in groups:
        yield f"| **{title}** |" + " |" * (len(HEAD) - 1)
        for row in rows:
            cells = [cell.replace("|", "\\|") for cell in row.cells()]
            cells[6] = "**MISS**" if cells[6] == "MISS" else cells[6]
            yield "| " + " | ".join(cells) + " |"
