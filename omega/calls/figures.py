"""What calls of models come to: per model, counts, times, tokens and money.

Owns: `Figures` of one model, their sum, the table that `--stats` prints.
Refuses: a clock; whoever counts says how long things took.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from omega.llm.budget import dollars
from omega.llm.request import Usage


class Span:
    """Durations that were seen, in seconds."""

    __slots__ = ("count", "longest_s", "sum_s")

    def __init__(self) -> None:
        self.count = 0
        self.sum_s = self.longest_s = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.sum_s += seconds
        self.longest_s = max(self.longest_s, seconds)

    @property
    def mean_s(self) -> float | None:
        return self.sum_s / self.count if self.count else None

    def join(self, other: Span) -> None:
        self.count += other.count
        self.sum_s += other.sum_s
        self.longest_s = max(self.longest_s, other.longest_s)


class Figures:
    """calls: attempts that were sent. replies: those that answered. failures: calls that failed for
    good. retries, hedges: attempts beyond a call's first. cached, shared: answers that no call was
    made for. cost: pico-dollars; is_priced: whether all of the tokens have a price. title: whose
    they are; vendor_name: what the provider calls that model, if it is one and has a name.
    """

    __slots__ = (
        *("cached", "cached_tokens", "calls", "cost", "failures", "first_token", "hedges"),
        *("input_tokens", "is_priced", "latency", "output_tokens", "queued", "reasoning_tokens"),
        *("replies", "retries", "shared", "throttled", "title", "vendor_name", "written_tokens"),
    )

    def __init__(self, title: str = "all", vendor_name: str | None = None) -> None:
        self.title, self.vendor_name = title, vendor_name
        self.calls = self.replies = self.failures = self.retries = self.hedges = 0
        self.cached = self.shared = self.throttled = 0
        self.input_tokens = self.cached_tokens = self.output_tokens = 0
        self.written_tokens = self.reasoning_tokens = 0
        self.cost = 0
        self.is_priced = True
        self.queued, self.first_token, self.latency = Span(), Span(), Span()

    def spend(self, usage: Usage, cost: int | None) -> None:
        self.input_tokens += usage.input_tokens
        self.cached_tokens += usage.cached_tokens
        self.output_tokens += usage.output_tokens
        self.written_tokens += usage.written_tokens
        self.reasoning_tokens += usage.reasoning_tokens
        if cost is not None:
            self.cost += cost
        elif usage.total_tokens:
            self.is_priced = False

    @property
    def usd(self) -> Decimal | None:
        """None: a model has no price, so what was spent is not known."""
        return dollars(self.cost) if self.is_priced else None

    def as_data(self) -> dict[str, Any]:
        """Its figures, means of times in seconds."""
        return {
            "vendor_name": self.vendor_name,
            "calls": self.calls,
            "replies": self.replies,
            "retries": self.retries,
            "failures": self.failures,
            "hedges": self.hedges,
            "cached": self.cached,
            "shared": self.shared,
            "throttled": self.throttled,
            "input_tokens": self.input_tokens,
            "cached_tokens": self.cached_tokens,
            "written_tokens": self.written_tokens,
            "output_tokens": self.output_tokens,
            "reasoning_tokens": self.reasoning_tokens,
            "usd": self.usd,
            "queued_s": self.queued.mean_s,
            "first_token_s": self.first_token.mean_s,
            "latency_s": self.latency.mean_s,
        }

    def join(self, other: Figures) -> None:
        """Add another model's."""
        for name in (
            *("calls", "replies", "failures", "retries", "hedges", "cached", "shared"),
            *("throttled", "input_tokens", "cached_tokens", "output_tokens", "cost"),
            *("written_tokens", "reasoning_tokens"),
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.is_priced = self.is_priced and other.is_priced
        for name in ("queued", "first_token", "latency"):
            getattr(self, name).join(getattr(other, name))


def total(figures: Iterable[Figures]) -> Figures:
    whole = Figures()
    for each in figures:
        whole.join(each)
    return whole


def lines(figures: dict[str, Figures]) -> list[str]:
    """A table with a line per model, and one of all when there are several."""
    rows = [
        ("model", "calls", "retries", "failed", "queue", "first", "reply", "tokens", "USD"),
        *(_row(each) for each in figures.values() if each.calls or each.cached),
    ]
    if len(rows) > 2:
        rows.append(_row(total(figures.values())))
    if len(rows) == 1:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _row(figures: Figures) -> tuple[str, ...]:
    usd: Any = figures.usd
    return (
        # A program's text: it keeps to its line, and moves no cursor.
        "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in figures.title),
        f"{figures.calls:,}",
        f"{figures.retries:,}",
        f"{figures.failures:,}",
        _seconds(figures.queued),
        _seconds(figures.first_token),
        _seconds(figures.latency),
        f"{figures.input_tokens:,} + {figures.output_tokens:,}",
        "-" if usd is None else money(usd),
    )


def _seconds(span: Span) -> str:
    mean_s = span.mean_s
    return "-" if mean_s is None else f"{mean_s:.3f} s"


def money(usd: Decimal) -> str:
    """Dollars to the cent, or as far as it takes to show something."""
    if usd == 0 or usd >= Decimal("0.01"):
        return f"{usd:,.2f}"
    return f"{usd:.2g}" if usd >= Decimal("1e-6") else f"{usd:.1e}"
