"""Where `--write` puts the table: all of it in docs/benchmarks.md, some rows of it in the README.

Owns: the marks, `HEADLINES`. Refuses: to change a figure: what was missed is shown as missed.
"""

from __future__ import annotations

from pathlib import Path

from tests.bench.kit import Row, machine, markdown

ROOT = Path(__file__).parents[2]
WHOLE, SOME = ROOT / "docs" / "benchmarks.md", ROOT / "README.md"
OPENING, CLOSING = "<!-- bench -->", "<!-- /bench -->"
# The README's rows: name of the row, and what is said of it there.
HEADLINES = {
    "fib(25)": "`fib(25)`, beside the same in Python",
    "geometric mean of the rows above": "23 programs, geometric mean, beside the same in Python",
    "omega eval 1, warm": "`omega eval 1`, warm, beside `python -c pass`",
    "spawn and finish a task": "a task, spawned and finished, beside asyncio's",
    "switch between two tasks": "a switch between two tasks, beside asyncio's",
    "memory of an unstarted task": "memory of a task that has not begun, beside asyncio's",
    "1000 calls of 20 ms, limit 64: wall": "1,000 calls of a model, 64 at once, beside the SDK",
    "1000 calls of 20 ms, limit 64: CPU per call": "the same: CPU per call",
    "a recorded run of agents, replayed": "a recorded run of agents, replayed, beside the run",
    "durable: a paid effect, beside a step of DBOS on SQLite": (
        "an effect of a durable run, beside a step of DBOS on SQLite"
    ),
}


def write(groups: list[tuple[str, list[Row]]], foot: list[str]) -> None:
    """Put the table where it belongs, between the marks."""
    measured = f"on {machine()}"
    _put(
        WHOLE,
        [
            f"Measured {measured}. Both sides of a row were measured in turns; cores may be shared",
            "with other work: trust ratios, not figures.",
            "",
            *markdown(groups),
            "",
            *(f"- {item}" for item in foot),
        ],
    )
    rows = {row.name: row for _, some in groups for row in some}
    _put(
        SOME,
        [
            "| | Omega | beside | | ratio |",
            "|---|---|---|---|---|",
            *(_headline(words, rows[name]) for name, words in HEADLINES.items() if name in rows),
            "",
            f"Measured {measured}. {foot[0].partition(':')[0]}: [all rows](docs/benchmarks.md).",
        ],
    )


def _headline(words: str, row: Row) -> str:
    _, omega, reference, unit, ratio, *_ = row.cells()
    return f"| {words} | {omega} | {reference} | {unit} | {ratio} |"


def _put(path: Path, lines: list[str]) -> None:
    before, opening, rest = path.read_text(encoding="utf-8").partition(OPENING)
    _, closing, after = rest.partition(CLOSING)
    assert opening and closing, f"{path.name} has lost its marks around the table"
    table = "\n".join([*lines, ""])
    path.write_text(f"{before}{OPENING}\n{table}{CLOSING}{after}", encoding="utf-8")
