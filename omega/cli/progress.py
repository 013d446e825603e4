"""Progress on standard error: a bar that is redrawn on a terminal, lines now and then elsewhere.

Owns: `ProgressBar`, what a bar says, how often it is drawn, and that the program's own output and
the bar do not write into each other; `Watch`, which tells of long waits besides.
Refuses: to count; to wait, or to set a timer: it is drawn when something has moved, and, on a
terminal, when the driver that waits for something asks (`tick`), so that its times go on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from omega.calls.calls import Calls
from omega.calls.seeing import LongWaits
from omega.cli import terminal
from omega.concurrency.clock import now_us
from omega.progress import Progress

LOOK_S = 1.0  # between two looks at who waits
YEAR_S = 365 * 86_400.0
REDRAWN_S = 0.1  # at most so often
TICK_S = 0.5  # so often while nothing moves
SAID_S = 10.0  # between two lines where nothing can be redrawn
WIDTH_MIN, WIDTH_MAX = 10, 40  # of the bar itself
COLUMNS = 80  # of a terminal that does not tell
ERASE = "\r\033[K"
FULL, HALF, EMPTY = "━", "╸", "─"


class ProgressBar:
    """facts: what else is told of the run, such as "3 in flight". is_free: whether the terminal's
    last line is: what a program has written of a line is not drawn over.
    """

    def __init__(
        self,
        facts: Callable[[], list[str]],
        now_s: Callable[[], float] | None = None,
        is_free: Callable[[], bool] = lambda: True,
    ) -> None:
        self._facts, self._is_free = facts, is_free
        self._now_s = now_s or (lambda: now_us() / 1e6)
        self._stream: Any = sys.stderr
        self._redraws = terminal.is_terminal(self._stream) and os.environ.get("TERM") != "dumb"
        self._has_colour = terminal.has_colour(self._stream)
        self._began_s: dict[Progress, float] = {}
        self._drawn_s: dict[Progress, float] = {}
        self._shown: Progress | None = None  # stands in the last line of the terminal

    def __call__(self, progress: Progress) -> None:
        """`progress` has begun, moved or ended."""
        now_s = self._now_s()
        if progress not in self._began_s:
            self._began_s[progress] = now_s
            self._drawn_s[progress] = now_s if not self._redraws else float("-inf")
        is_due = now_s - self._drawn_s[progress] >= (REDRAWN_S if self._redraws else SAID_S)
        if is_due or progress.is_over:
            self._draw(progress, now_s)
        if progress.is_over:
            del self._began_s[progress], self._drawn_s[progress]

    def tick(self) -> float | None:
        """Nothing moves: draw what is open again, if it is time. In how many seconds to be called
        again; None: nothing to be redrawn.
        """
        if not self._redraws or not self._began_s:
            return None
        progress = self._shown or next(reversed(self._began_s))
        now_s = self._now_s()
        left_s = self._drawn_s[progress] + TICK_S - now_s
        if left_s <= 0:
            self._draw(progress, now_s)
            left_s = TICK_S
        return left_s

    def hide(self) -> None:
        """Something else is about to be written to the terminal."""
        if self._shown is not None:
            self._shown = None
            self._write(ERASE)

    def _draw(self, progress: Progress, now_s: float) -> None:
        self._drawn_s[progress] = now_s
        took_s = now_s - self._began_s[progress]
        if not self._redraws:
            self._write(line_of(progress, took_s, self._facts()) + "\n")
            return
        is_free = self._is_free()
        if not is_free and not progress.is_over:
            return
        text = bar_of(progress, took_s, self._facts(), self._columns(), self._has_colour)
        self._write((ERASE if is_free else "\n") + text + ("\n" if progress.is_over else ""))
        self._shown = None if progress.is_over else progress

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or COLUMNS
        except (OSError, ValueError):
            return COLUMNS

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except UnicodeEncodeError:
            plain = text.replace(FULL, "#").replace(HALF, "#").replace(EMPTY, "-")
            self._stream.write(plain.encode("ascii", "replace").decode())
        except (OSError, AttributeError, ValueError):
            pass  # closed: nobody watches


class Watch:
    """Shows, while the driver waits, how far the program has come (bar), and says once of calls of
    models that they have to wait for long. say: writes a line.
    """

    def __init__(self, calls: Calls, say: Callable[[str], None]) -> None:
        self._calls, self._say = calls, say
        self._waits = LongWaits(self._clock)
        self._looked_s = float("-inf")
        self.bar: ProgressBar | None = None

    def tick(self) -> float | None:
        """In how many seconds to be called again; None: not for our sake."""
        again_s = None if self.bar is None else self.bar.tick()
        now_s = self._now_s()
        if self._calls.governor.queued:
            if now_s - self._looked_s >= LOOK_S:
                self._looked_s = now_s
                for line in self._waits.news(self._calls, now_s):
                    self._say(terminal_text(line))
            again_s = LOOK_S if again_s is None else min(again_s, LOOK_S)
        return again_s

    def _now_s(self) -> float:
        return self._calls.scheduler.driver.shown_us() / 1e6

    def _clock(self, moment_s: float) -> str:
        """`14:03:20 (in 1:20)`, with its day when that is another one."""
        from datetime import datetime, timedelta

        left_s = moment_s - self._now_s()
        now = datetime.now()
        then = now + timedelta(seconds=min(left_s, YEAR_S))
        day = "" if then.date() == now.date() else f"{then:%Y-%m-%d} "
        return f"{day}{then:%H:%M:%S} (in {duration(left_s)})"


def line_of(progress: Progress, took_s: float, facts: list[str]) -> str:
    """Where nothing can be redrawn: `triage: 412 of 1000 (41 %), 12.3/s, after 33 s, 48 s left`."""
    return f"{terminal_text(progress.label)}: " + ", ".join(_words(progress, took_s, facts))


def bar_of(
    progress: Progress, took_s: float, facts: list[str], columns: int, has_colour: bool
) -> str:
    """One line of a terminal that is `columns` wide."""
    words = "  ".join(_words(progress, took_s, facts))
    label = terminal_text(progress.label)
    if progress.total is None:
        return f"{label}  {words}"[: max(0, columns - 1)]
    room = columns - 1 - len(label) - len(words) - 4
    if room < WIDTH_MIN:
        return f"{label}  {words}"[: max(0, columns - 1)]
    return f"{label}  {_bar(progress, min(room, WIDTH_MAX), has_colour)}  {words}"


def terminal_text(text: str) -> str:
    """A program's text that moves no cursor and keeps to its line."""
    return "".join(c if c.isprintable() else " " for c in text)


def _bar(progress: Progress, width: int, has_colour: bool) -> str:
    total = max(progress.total or 0, 1)
    halves = min(2 * width, 2 * width * progress.done // total)
    full = FULL * (halves // 2) + HALF * (halves % 2)
    empty = EMPTY * (width - len(full))
    if not has_colour:
        return full + empty
    colour = terminal.RED if progress.failed else terminal.CYAN
    return f"{colour}{full}{terminal.PLAIN}{empty}"


def _words(progress: Progress, took_s: float, facts: list[str]) -> list[str]:
    done, total = progress.done, progress.total
    words = [f"{done:,}" if total is None else f"{done:,} of {total:,}"]
    if total:
        words[0] += f" ({min(100, 100 * done // total)} %)"
    rate = done / took_s if took_s > 0 else 0.0
    if rate:
        words.append(f"{rate:.3g}/s" if rate < 1000 else f"{rate:,.0f}/s")
    if progress.is_over:
        words.append(f"in {duration(took_s)}")
    else:
        words.append(f"after {duration(took_s)}")
        if total is not None and rate and done < total:
            words.append(f"{duration((total - done) / rate)} left")
    if progress.failed:
        words.append(f"{progress.failed:,} failed")
    return words + facts


def duration(seconds: float) -> str:
    """`0.4 s`, `48 s`, `2:05`, `1:02:05`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
