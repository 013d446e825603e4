"""Several processes go on with the runs of one store, each with several at once; one is killed.

The vendor keeps books of its own. Who takes over a run asks them what became of a call whose
process has died: so every run ends, and nothing is asked for twice.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omega import Interpreter
from omega.durable.records import Intent, RunRecord
from omega.errors import RunOwned, RunStopped
from omega.llm.request import LLMReply, LLMRequest, Usage
from omega.runs.owners import is_dead
from omega.runs.session import RunSettings
from omega.runs.unknown import RETRY
from tests.runs.kit import Books

RUNS, PROCESSES, AT_ONCE = 20, 3, 3
DIES_AT = 12  # calls of its process: while it goes on with three runs of five calls
WAIT_S = 60.0
LOOK_S = 0.005
QUOTE = '"'
PROGRAM = """
(define id (car (command-line)))
(define (ask what) (llm.infer (string-append id " " what)))
(wait-signal "go")
(define rated (par-map ask '("a" "b" "c")))
(sleep 3)
(define charged (charge id))
(list rated charged (ask "sum"))
"""


class BookedVendor:
    name = model = "vendor"
    needs_real_time = False

    def __init__(self, books: Books, dies_at: int) -> None:
        self._books, self._left = books, dies_at

    def asked(self, what: str) -> None:
        """It has got a request, and will be paid for it."""
        self._books.write(what)
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    async def infer(self, request: LLMRequest, *, sleep: Callable[[float], Any]) -> LLMReply:
        self.asked(str(request.prompt))
        await sleep(0.005)
        return LLMReply(f"<{request.prompt}>", Usage(1, 1), "m", "stop")

    async def aclose(self) -> None:
        pass


def host(folder: Path, dies_at: int = 0) -> Interpreter:
    books = Books(folder)
    vendor = BookedVendor(books, dies_at)

    def found_out(intent: Intent) -> Any:
        for what in books.read():
            if intent.kind == "host charge" and what == f"charge {intent.asked.strip(QUOTE)}":
                return len(what)
            if intent.asked == f"LLMRequest({what!r})":
                return f"<{what}>"
        return RETRY

    def charge(id: str) -> int:
        vendor.asked(f"charge {id}")
        return len(f"charge {id}")

    settings = RunSettings("ask", found_out, park_after_s=0)
    made = Interpreter(store=str(folder / "runs.db"), llm=vendor, runs=settings)
    made.define("charge", charge, effect="paid")
    return made


async def serve(made: Interpreter) -> None:
    """Go on with whatever is due, until all has ended."""
    runs, store = made.runs, made.runs.store
    taken: dict[str, asyncio.Task[Any]] = {}

    def is_due(record: RunRecord) -> bool:
        return record.owner is None or is_dead(record.owner)

    while any(record.outcome is None for record in store.runs()):
        found = [*store.due(), *filter(is_due, store.runs(states=("running",)))]
        for record in found:
            if record.id not in taken and len(taken) < AT_ONCE:
                taken[record.id] = asyncio.ensure_future(runs.go_on_async(record.id))
        await asyncio.sleep(LOOK_S)
        for id in [id for id, task in taken.items() if task.done()]:
            error = taken.pop(id).exception()
            is_parked = isinstance(error, RunStopped) and error.state == "suspended"
            if error is not None and not is_parked and not isinstance(error, RunOwned):
                raise error


def process(folder: Path, dies_at: int = 0) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            asyncio.run(serve(host(folder, dies_at)))
            status = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def test_every_run_ends_and_nothing_is_asked_for_twice(tmp_path: Path) -> None:
    made = host(tmp_path)
    ids = [f"r{i}" for i in range(RUNS)]
    for id in ids:
        with pytest.raises(RunStopped, match="waits for the signal"):
            made.runs.begin(PROGRAM, "served", [id], id=id)
    store = made.runs.store
    for id in ids:
        store.signal(id, "go", True, key="go", who="test")

    doomed = process(tmp_path, DIES_AT)
    end = time.monotonic() + WAIT_S
    while not Books(tmp_path).read():  # it has runs that are alive
        assert time.monotonic() < end
        time.sleep(LOOK_S)
    others = [process(tmp_path) for _ in range(PROCESSES - 1)]
    assert os.waitpid(doomed, 0)[1] == signal.SIGKILL
    for child in others:
        assert os.waitpid(child, 0)[1] == 0

    expected = [f"{id} {what}" for id in ids for what in ("a", "b", "c", "sum")]
    expected += [f"charge {id}" for id in ids]
    assert Counter(Books(tmp_path).read()) == Counter(expected)
    for id in ids:
        value = f'(("<{id} a>" "<{id} b>" "<{id} c>") {len(id) + 7} "<{id} sum>")'
        assert str(made.resume(id)) == value
        assert store.run(id).state == "completed"
    owners = {event["owner"].split(" ")[2] for id in ids for event in store.history(id)
              if event.get("owner")}  # fmt: skip
    assert {str(doomed), *map(str, others)} <= owners
    assert store.check() == []  # type: ignore[attr-defined]
    made.close()
