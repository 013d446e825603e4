"""Stores of runs: what a journaled effect costs, and how processes share a file.

Owns: `CASES`. The reference of a step is what it must at least do: two bare `INSERT; COMMIT` of the
same bytes into a file of the same kind, synchronous=FULL.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import statistics
import tempfile
from pathlib import Path
from typing import Any

from omega.durable.records import Batch, Intent, NewRun, Result
from omega.durable.sqlite import SQLiteStore
from tests.bench.kit import Bench, Case, Row, clock

STEPS = 200
WRITERS = 4
WRITE_S = 3.0
WORK_S = 0.002  # between two writes, as in the table of peers
LINE = json.dumps({"kind": "llm.infer", "task": "main", "prompt": "x" * 300})
FOLDER = Path(__file__).parents[2] / "build"  # a disk, not a file system in memory


def folder() -> tempfile.TemporaryDirectory[str]:
    FOLDER.mkdir(exist_ok=True)
    return tempfile.TemporaryDirectory(dir=FOLDER)


def step_cost(bench: Bench) -> Row:
    with folder() as place:
        store = SQLiteStore(f"{place}/runs.db")
        store.create(NewRun("r1", "job", {}))
        lease = store.acquire("r1", "w", 3_600_000_000)
        raw = sqlite3.connect(f"{place}/raw.db", isolation_level=None)
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("PRAGMA synchronous = FULL")
        raw.execute("CREATE TABLE journal (seq INTEGER PRIMARY KEY, facts BLOB) STRICT")
        steps, number = bench.size(STEPS), 0

        def ours() -> float:
            nonlocal number
            began = clock()
            for _ in range(steps):
                number += 1
                intent = Intent(number, "main", number, "llm", "paid", "h" * 64, "x", 10)
                store.append(lease, Batch([LINE], [intent]))
                store.append(lease, Batch([LINE], (), [Result(number, "ok", 5, 7)]))
            return (clock() - began) / steps * 1e6

        def bare() -> float:
            began = clock()
            for _ in range(steps):
                for _ in range(2):
                    raw.execute("BEGIN IMMEDIATE")
                    raw.execute("INSERT INTO journal (facts) VALUES (?)", (LINE.encode(),))
                    raw.execute("COMMIT")
            return (clock() - began) / steps * 1e6

        figures = bench.pairs(ours, bare, waits=True)
        store.close()
        raw.close()
    name = "store: intent + result, beside two bare commits"
    return Row(name, "us", figures[0], figures[1], ratio=figures[2], goal=1.3)


def write(path: str, name: str, seconds: float, work_s: float, told: Any, start: Any) -> None:
    """One writer: how many entries, and its longest wait for one."""
    store = SQLiteStore(path)
    store.create(NewRun(name, "job", {}))
    lease = store.acquire(name, name, 3_600_000_000)
    start.wait()
    until, count, longest = clock() + seconds, 0, 0.0
    while clock() < until:
        began = clock()
        store.append(lease, Batch([LINE]))
        ended = clock()
        longest = max(longest, ended - began)
        count += 1
        while clock() < ended + work_s:
            pass
    told.put((count, longest))


def shared(bench: Bench, work_s: float) -> tuple[list[int], float]:
    """(entries of each writer, the longest wait in seconds)."""
    context = multiprocessing.get_context("spawn")
    with folder() as place:
        told, start = context.Queue(), context.Barrier(WRITERS)
        seconds = WRITE_S / 3 if bench.quick else WRITE_S
        writers = [
            context.Process(
                target=write, args=(f"{place}/runs.db", f"r{i}", seconds, work_s, told, start)
            )
            for i in range(WRITERS)
        ]
        SQLiteStore(f"{place}/runs.db").close()
        for writer in writers:
            writer.start()
        found = [told.get(timeout=120) for _ in writers]
        for writer in writers:
            writer.join()
    return [count for count, _ in found], max(longest for _, longest in found)


def longest_wait(bench: Bench, work_s: float, name: str) -> Row:
    counts, longest = shared(bench, work_s)
    mean = statistics.mean(counts)
    worst = max(abs(count - mean) / mean for count in counts)
    shares = "/".join(map(str, sorted(counts)))
    return Row(
        name,
        "ms",
        longest * 1e3,
        goal=150,
        judged="omega",
        holds=worst <= 0.25,
        note=f"entries {shares}: {worst:.0%} from even, 25% allowed; {os.cpu_count()} cores",
    )


CASES = [
    Case("store: intent + result, beside two bare commits", step_cost),
    Case(
        "store: longest wait of 4 processes that write",
        lambda bench: longest_wait(bench, 0.0, "store: longest wait of 4 processes that write"),
    ),
    Case(
        "store: the same with 2 ms of work between",
        lambda bench: longest_wait(bench, WORK_S, "store: the same with 2 ms of work between"),
    ),
]
