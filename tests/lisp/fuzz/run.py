"""`make fuzz`: random programs by the ten thousand, on all cores.

Owns: the search in one process (`search`), many of them (`main`), what is printed.

A program is made from "SEED:NUMBER", so each can be made again. What disagrees is made smaller and
printed as a text for tests/lisp/corpus/.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator
from queue import Empty
from random import SystemRandom
from typing import Any

from tests.lisp.fuzz.entries import ENTRIES, try_entry
from tests.lisp.fuzz.forms import Form, written
from tests.lisp.fuzz.generator import Generator
from tests.lisp.fuzz.shrinker import shrunk
from tests.lisp.fuzz.workbench import Bench, Disagreement

BATCH = 50  # programs between two reports of a process
FAILURES_MAX = 20  # shown
SHARES_MAX = 150  # forms whose share is shown
PROGRESS_S = 20.0
PROGRAMS_PER_TRIAL = 2  # so many programs, one text of nonsense for each reader


class Found:
    """What some programs came to. ends, forms: how many ended so, or have this form."""

    def __init__(self) -> None:
        self.programs = self.discarded = 0
        self.ends: Counter[str] = Counter()
        self.forms: Counter[str] = Counter()
        self.failures: list[tuple[str, str, str]] = []  # name, smaller text, disagreement
        self.nonsense: list[str] = []  # what came of it that should not
        self.seconds = 0.0

    def add(self, other: Found) -> None:
        self.programs += other.programs
        self.discarded += other.discarded
        self.ends += other.ends
        self.forms += other.forms
        self.failures += other.failures
        self.nonsense += other.nonsense
        self.seconds += other.seconds


def search(seed: str, numbers: range, *, minimise: bool = True) -> Iterator[Found]:
    """Try the programs of these numbers; what was found, batch by batch."""
    bench = Bench()
    found = Found()
    began = time.process_time()
    for number in numbers:
        name = f"{seed}:{number}"
        forms = Generator(name).program()
        # Each as one text or form by form in turn: both are tried of a few.
        what = disagreement(bench, forms, number)
        found.programs += 1
        if what is None:
            found.discarded += 1
        else:
            _count(found, bench, forms)
        if what:
            smaller = _minimised(bench, forms, what) if minimise else forms
            text = "\n".join(written(form) for form in smaller)
            found.failures.append((name, text, (disagreement(bench, smaller) or what).text))
        if found.programs == BATCH:
            found.seconds = time.process_time() - began
            yield found
            found, began = Found(), time.process_time()
    found.seconds = time.process_time() - began
    bench.close()
    yield found


def disagreement(bench: Bench, forms: list[Form], number: int | None = None) -> Disagreement | None:
    """As `Bench.disagreement`; whatever goes wrong in the bench itself is one, too. number: which
    of the two ways to give the text is tried; None: both.
    """
    texts = [written(form) for form in forms]
    whole, split = (True, True) if number is None else (number % 2 == 0, number % 2 == 1)
    try:
        return bench.disagreement(texts, whole=whole, split=split)
    except Exception as error:
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        where = f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}" if at is not None else ""
        return Disagreement(
            f"{type(error).__name__}: {error} ({where})", frozenset({(type(error).__name__, where)})
        )


def _count(found: Found, bench: Bench, forms: list[Form]) -> None:
    assert bench.outcome is not None
    kind, what = bench.outcome.end
    found.ends[what if kind == "error" else kind] += 1
    heads: set[str] = set()
    work: list[Any] = list(forms)
    while work:
        form = work.pop()
        if isinstance(form, list):
            if form and isinstance(form[0], str):
                heads.add(form[0])
            work += form
    found.forms.update(heads)


def _minimised(bench: Bench, forms: list[Form], found: Disagreement) -> list[Form]:
    """A smaller program of which nothing else is wrong."""

    def shows(smaller: list[Form]) -> bool:
        what = disagreement(bench, smaller)
        return bool(what) and what is not None and what.sort <= found.sort

    return shrunk(forms, shows)


def _work(seed: str, numbers: range, trials: int, queue: Any) -> None:
    """What one process does: programs, then nonsense."""
    os.nice(5)
    for found in search(seed, numbers):
        queue.put(found)
    found = Found()
    for name in ENTRIES:
        found.nonsense += try_entry(name, f"{seed}:{numbers.start}", trials)
    queue.put(found)
    queue.put(None)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lisp.fuzz")
    parser.add_argument("--programs", type=int, default=50_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first program")
    parser.add_argument("--seed", default=None, help="any text")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--show", metavar="NUMBER", type=int, help="print one program and stop")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else str(SystemRandom().randrange(10**9))
    if given.show is not None:
        print("\n".join(written(form) for form in Generator(f"{seed}:{given.show}").program()))
        return 0
    print(f"seed {seed}: {given.programs} programs on {given.jobs} processes", flush=True)
    total = _searched(seed, given.first, given.programs, given.jobs)
    print(_summary(total))
    for name, text, what in total.failures[:FAILURES_MAX]:
        print(f"\n--- program {name}\n{what}\n; for the corpus:\n{text}")
    for wrong in total.nonsense[:FAILURES_MAX]:
        print(f"\n--- {wrong}")
    return 1 if total.failures or total.nonsense else 0


def _searched(seed: str, first: int, programs: int, jobs: int) -> Found:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    share = -(-programs // jobs)
    stop = first + programs
    workers = [
        context.Process(
            target=_work,
            args=(seed, range(at, min(at + share, stop)), share // PROGRAMS_PER_TRIAL, queue),
            daemon=True,
        )
        for at in range(first, stop, share)
    ]
    for worker in workers:
        worker.start()
    total, left = Found(), len(workers)
    began, told = time.monotonic(), 0.0
    try:
        while left:
            found = _next(queue, workers)
            if found is None:
                left -= 1
                continue
            total.add(found)
            for name, text, _ in found.failures:
                print(f"disagreement in {name}:\n{text}\n", flush=True)
            passed = time.monotonic() - began
            if passed - told > PROGRESS_S:
                told = passed
                print(
                    f"{total.programs} programs, {len(total.failures)} disagree, "
                    f"{total.programs / passed:.1f} a second",
                    flush=True,
                )
    finally:
        for worker in workers:
            worker.terminate()
    return total


def _next(queue: Any, workers: list[Any]) -> Found | None:
    """What the next process has to tell. One that has died must not be waited for."""
    while True:
        try:
            found: Found | None = queue.get(timeout=5)
            return found
        except Empty:
            if any(worker.exitcode not in (None, 0) for worker in workers):
                raise RuntimeError("a process has died: a program may have ended it") from None


def _summary(found: Found) -> str:
    compared = found.programs - found.discarded
    speed = found.programs / max(found.seconds, 0.001)
    return "\n".join(
        (
            f"{found.programs} programs, {speed:.1f} for a second of processor time: {compared} "
            f"compared, {found.discarded} left out (they go on for too long, or are none)",
            f"{len(found.failures)} disagree; {len(found.nonsense)} kinds of nonsense got through",
            "ends:  " + _shares(found.ends, compared),
            "forms: " + _shares(found.forms, compared),
        )
    )


def _shares(counts: Counter[str], of: int) -> str:
    return ", ".join(
        f"{what} {100 * count / max(of, 1):.1f}%" for what, count in counts.most_common(SHARES_MAX)
    )
