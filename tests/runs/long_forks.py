"""`python -m tests.runs.long_forks [N]`: a run of N effects (20,000 unless told otherwise), half of
them models' replies of 2 KB, is forked at its first effect and at its last one, and its program is
replaced: each goes on in a process of its own, which tells its memory. What is recalled takes no
memory but an index: exit code 1 when a process has more than BYTES_MAX an effect more than the fork
at the last one, or pays for anything but what it is to.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from tempfile import TemporaryDirectory
from typing import Any

from omega import Interpreter
from omega.durable.connection import connect
from omega.durable.sqlite import SQLiteStore
from omega.errors import RunStopped
from omega.llm.request import LLMReply
from omega.runs.forks import fork, migrate, try_program
from omega.runs.session import RunSettings
from tests.runs.million import AT_ONCE, PROGRAM, RUN, Model, _Unsynced

N = 20_000
REPLY_CHARS = 2_000
BYTES_MAX = 400  # an effect that is recalled: its name, its place, and the tables they are in
# What is made with a copy of the run: (what a process does first, and another one then).
HOW = {"last": ("fork at the last", "resume"), "first": ("fork at the first", "resume"),
       "changed": ("change", "resume"), "tried": ("tried",)}  # fmt: skip


class Wordy(Model):
    async def infer(self, request: Any, *, sleep: Any) -> LLMReply:
        reply = await super().infer(request, sleep=sleep)
        text = f"{self.asked} {os.urandom(REPLY_CHARS // 2).hex()}"  # no two are alike, or short
        return LLMReply(text, reply.usage, "model", "stop")


def one_process(folder: str, how: str, effects: int) -> dict[str, Any]:
    path = os.path.join(folder, "runs.db")
    store = SQLiteStore(path, connect=lambda path: _Unsynced(connect(path)))
    model, paid = Wordy(), 0

    def pay(i: int) -> int:
        nonlocal paid
        paid += 1
        return i

    host = Interpreter(store=store, virtual_time=True, llm=model, runs=RunSettings(park_after_s=0))
    host.define("pay", pay, effect="paid")
    text = f"(define rounds {effects // (2 * AT_ONCE)}) (define at-once {AT_ONCE})" + PROGRAM
    changed = f"(define more 1) {text}"
    before_s = time.process_time()
    try:
        if how == "begun":
            host.run_durable(text, id=RUN)
        elif how == "tried":
            assert try_program(store, RUN, "new", changed, host.runs.run_text).is_same
        elif how == "change":
            migrate(store, RUN, "new", changed)
        elif how in ("fork at the first", "fork at the last"):
            numbers = [intent.number for intent, _ in store.effects(RUN)]
            fork(store, RUN, numbers[0 if "first" in how else -1], who="test")
        else:
            host.resume(store.runs(states=["pending"])[0].id)
    except RunStopped as stopped:
        assert stopped.state == "suspended", stopped
    took = time.process_time() - before_s
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    store.close()
    return {"us": took / effects * 1e6, "peak": peak, "asked": model.asked + paid}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.runs.long_forks", description=__doc__)
    parser.add_argument("effects", type=int, nargs="?", default=N)
    parser.add_argument("--child", nargs=2, help="(of a process that is started)")
    given = parser.parse_args()
    if given.child:
        sys.stdout.write(json.dumps(one_process(*given.child, given.effects)))
        return 0
    with TemporaryDirectory() as folder:
        whole = os.path.join(folder, "whole")
        os.mkdir(whole)
        show("begun", child(whole, "begun", given.effects), given.effects, 0)
        least, is_bad = 0, False
        for what, steps in HOW.items():
            place = shutil.copytree(whole, os.path.join(folder, what))
            for step in steps:
                did = child(place, step, given.effects)
            most = 1 if "fork" in steps[0] else 0
            least = least or did["peak"]
            more = max(0, did["peak"] - least) / given.effects
            show(what, did, given.effects, more)
            is_bad |= did["asked"] != most or more > BYTES_MAX
            shutil.rmtree(place)
    return 1 if is_bad else 0


def child(place: str, step: str, effects: int) -> dict[str, Any]:
    words = [str(effects), "--child", place, step]
    made = subprocess.run(
        [sys.executable, "-m", "tests.runs.long_forks", *words], stdout=subprocess.PIPE, check=True
    )
    told: dict[str, Any] = json.loads(made.stdout)
    return told


def show(what: str, did: dict[str, Any], effects: int, more: float) -> None:
    sys.stdout.write(
        f"{what}: {did['asked']:,} asked, {did['us']:.1f} us of CPU an effect,"
        f" {did['peak'] / 1e6:.0f} MB at most, {more:.0f} bytes more an effect\n"
    )


if __name__ == "__main__":
    sys.exit(main())
