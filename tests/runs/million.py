"""`python -m tests.runs.million [N]`: a journal of N effects (1,000,000 unless told otherwise) is
made, and resumed by another process; both tell their time per effect and their memory.

Half of the effects are calls of a function, half of models, ten at once. The store does not wait
for the disk, which is no part of what is looked at. Exit code 1 when a process takes more memory
than MEMORY_MAX, or the resume asks for something.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from tempfile import TemporaryDirectory
from typing import Any

from omega import Interpreter
from omega.durable.connection import connect
from omega.durable.sqlite import SQLiteStore
from omega.errors import RunStopped
from omega.llm.request import LLMReply, LLMRequest, Usage
from omega.runs.session import RunSettings

N = 1_000_000
AT_ONCE = 10
MEMORY_MAX = 400 << 20  # bytes of a process; it does not grow with N
RUN = "long"
PROGRAM = """
(define (ask i) (string-length (llm.infer (number->string i))))
(define (go i sum)
  (if (= i rounds)
      sum
      (go (+ i 1)
          (+ sum (apply + (par-map ask (iota at-once))) (apply + (map pay (iota at-once)))))))
(define sum (go 0 0))
(wait-signal "go")
sum
"""


class Model:
    name = model = "model"
    needs_real_time = False

    def __init__(self) -> None:
        self.asked = 0

    async def infer(self, request: LLMRequest, *, sleep: Callable[[float], Any]) -> LLMReply:
        self.asked += 1
        return LLMReply(f"<{request.prompt}>", Usage(1, 1), "model", "stop")

    async def aclose(self) -> None:
        pass


class _Unsynced:
    """A connection that does not wait for the disk."""

    def __init__(self, db: Any) -> None:
        self._db = db

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        is_pragma = sql == "PRAGMA synchronous = FULL"
        return self._db.execute("PRAGMA synchronous = OFF" if is_pragma else sql, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


def one_process(path: str, effects: int) -> dict[str, Any]:
    """Begin the run, or go on with it."""
    store = SQLiteStore(path, connect=lambda path: _Unsynced(connect(path)))
    model, paid = Model(), 0

    def pay(i: int) -> int:
        nonlocal paid
        paid += 1
        return i

    host = Interpreter(store=store, virtual_time=True, llm=model, runs=RunSettings(park_after_s=0))
    host.define("pay", pay, effect="paid")
    is_resumed = bool(store.runs())
    if is_resumed:
        store.signal(RUN, "go", None, key="go", who="million")
    program = f"(define rounds {effects // (2 * AT_ONCE)}) (define at-once {AT_ONCE})" + PROGRAM
    before = time.process_time()
    value = None
    try:
        value = host.run_durable(program, id=RUN)
    except RunStopped as stopped:
        assert not is_resumed and stopped.state == "suspended"
    took = time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    totals = store.run(RUN).totals
    store.close()
    asked = model.asked + paid
    return {"value": value, "us": took / effects * 1e6, "peak": peak, "asked": asked,
            "effects": totals.effects, "file": os.path.getsize(path)}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.runs.million", description=__doc__)
    parser.add_argument("effects", type=int, nargs="?", default=N)
    parser.add_argument("--store", help="(of a process that is started)")
    given = parser.parse_args()
    if given.store:
        sys.stdout.write(json.dumps(one_process(given.store, given.effects)))
        return 0
    is_bad = False
    with TemporaryDirectory() as folder:
        for what, most in (("begun", given.effects), ("resumed", 0)):
            words = [str(given.effects), "--store", os.path.join(folder, "runs.db")]
            told = subprocess.run(
                [sys.executable, "-m", "tests.runs.million", *words], stdout=subprocess.PIPE
            ).stdout
            did = json.loads(told)
            bad = did["asked"] != most or did["peak"] > MEMORY_MAX
            is_bad |= bad
            sys.stdout.write(
                f"{'BAD' if bad else '   '} {what}: {did['effects']:,} effects in the journal,"
                f" {did['asked']:,} asked, {did['us']:.1f} us of CPU each,"
                f" {did['peak'] / 1e6:.0f} MB at most, file {did['file'] / 1e6:.0f} MB\n"
            )
    return 1 if is_bad else 0


if __name__ == "__main__":
    sys.exit(main())
