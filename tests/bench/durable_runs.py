"""Durable runs: what an effect costs that is kept, and how fast a run goes on.

Owns: `CASES`. Beside an effect stand what it must at least do, two bare `INSERT; COMMIT` at
synchronous=FULL, and a step of DBOS on SQLite, if `make peers` has installed it.
"""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from omega import Interpreter
from omega.durable.sqlite import SQLiteStore
from omega.errors import RunStopped
from omega.llm import ScriptedProvider
from omega.runs.session import RunSettings
from tests.bench.kit import Bench, Case, Row, Skipped, clock
from tests.bench.stores import folder

STEPS = 200
AGENTS, CALLS = 100, 5
CALL_MS = 50
GOING_ON = f"durable: going on behind {AGENTS * CALLS} calls of {CALL_MS} ms, beside the run"
PEER = Path(__file__).parents[2] / ".peers" / "bin" / "python"
DBOS = Path(__file__).parent / "peers" / "dbos_steps.py"


def host(path: str, **options: Any) -> Interpreter:
    made = Interpreter(store=SQLiteStore(path), **options)
    made.define("step", lambda n: n + 1, effect="paid")
    return made


def effects(path: str, steps: int, id: str) -> float:
    """Seconds that so many paid effects take, in a run of their own."""
    made = host(path)
    took = [0.0, 0.0]
    made.define("start", lambda: took.__setitem__(0, clock()), effect="pure")
    made.define("end", lambda: took.__setitem__(1, clock()), effect="pure")
    program = f"(start) (let loop ((i 0)) (when (< i {steps}) (loop (step i)))) (end)"
    made.run_durable(program, id=id)
    return took[1] - took[0]


def effect_cost(bench: Bench) -> Row:
    name = "durable: a paid effect of a run, beside two bare commits"
    with folder() as place:
        raw = sqlite3.connect(f"{place}/raw.db", isolation_level=None)
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("PRAGMA synchronous = FULL")
        raw.execute("CREATE TABLE journal (seq INTEGER PRIMARY KEY, facts BLOB) STRICT")
        steps, runs = bench.size(STEPS), 0
        line = b'["effect","1",1,"host step","1234","0123456789abcdef",["ok",1235]]'

        def ours() -> float:
            nonlocal runs
            runs += 1
            return effects(f"{place}/runs.db", steps, f"r{runs}") / steps * 1e6

        def bare() -> float:
            began = clock()
            for _ in range(2 * steps):
                raw.execute("BEGIN IMMEDIATE")
                raw.execute("INSERT INTO journal (facts) VALUES (?)", (line,))
                raw.execute("COMMIT")
            return (clock() - began) / steps * 1e6

        figures = bench.pairs(ours, bare, waits=True)
        raw.close()
    return Row(name, "us", figures[0], figures[1], ratio=figures[2], goal=1.3)


def beside_dbos(bench: Bench) -> Row:
    name = "durable: a paid effect, beside a step of DBOS on SQLite"
    if not PEER.exists():
        raise Skipped("make peers installs DBOS")
    steps = bench.size(STEPS)
    with folder() as place:
        done = subprocess.run(
            [PEER, DBOS, place, str(steps)], capture_output=True, text=True, timeout=300
        )
        if done.returncode:
            raise Skipped(f"DBOS does not run: {done.stderr.strip().splitlines()[-1:]}")
        theirs = float(done.stdout.split()[-1])
        ours = effects(f"{place}/runs.db", steps, "r") / steps * 1e6
    return Row(name, "us", ours, theirs, goal=0.2)


def going_on(bench: Bench) -> Row:
    """A run is parked before its end, and another process would go on with it."""
    program = f"""
    (define (agent n)
      (let loop ((i 0) (got '()))
        (if (< i {CALLS}) (loop (+ i 1) (cons (llm.infer (string-append "a" (number->string n) " "
          (number->string i))) got)) (length got))))
    (define all (par-map agent (iota {bench.size(AGENTS)})))
    (end)
    (wait-signal "go")
    """
    rules = [{"match": ".*", "reply": "noted", "latency_ms": CALL_MS}]

    def went(path: str) -> float:
        """Seconds until the end is near."""
        parks = RunSettings(park_after_s=0)
        made, ended = host(path, llm=ScriptedProvider(rules), runs=parks), 0.0

        def end() -> None:
            nonlocal ended
            ended = clock()

        made.define("end", end, effect="pure")
        began = clock()
        with suppress(RunStopped):
            made.run_durable(program, id="r")
        return ended - began

    with folder() as place:
        took = [went(f"{place}/runs.db") for _ in range(2)]
    return Row(GOING_ON, "ms", took[1] * 1e3, took[0] * 1e3, goal=0.05)


CASES = (
    Case("durable: a paid effect of a run, beside two bare commits", effect_cost),
    Case("durable: a paid effect, beside a step of DBOS on SQLite", beside_dbos),
    Case(GOING_ON, going_on),
)
