"""What the tests of durable runs share: programs, a vendor that keeps its own books, processes that
are killed at any statement of the store.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from omega import Interpreter
from omega.durable.connection import connect
from omega.durable.sqlite import SQLiteStore
from omega.errors import LLMError
from omega.llm.request import LLMReply, LLMRequest, Usage
from omega.runs.session import RunSettings
from omega.runs.unknown import Policy

RUN = "r1"

FAN_OUT = """
(define (ask n) (llm.infer (string-append "rate " (number->string n))))
(define rated (par-map ask (iota 6)))
(define best (llm.infer (string-append "best of " (apply string-append rated))))
(charge "report" (string-length best))
(list rated best)
"""

RACE = """
(define (ask text) (lambda () (llm.infer text)))
(define first (await-any (async (ask "quick")) (async (ask "slow")) (async (ask "slower"))))
(define late (async (ask "slow and unwanted")))
(sleep 5)
(cancel late "not needed")
(define timed (guard (e ((timeout-error? e) 'too-late)) (with-timeout 50 (llm.infer "slow one"))))
(define rest (par-map (lambda (n) (charge "item" n)) (list 1 2 3)))
(list first timed rest (llm.infer "quick end"))
"""

RETRIES = """
(define (ask n) (llm.infer (string-append "flaky " (number->string n))))
(define got (par-map ask (iota 4)))
(define refused (guard (e (#t 'refused)) (llm.infer "refuse this")))
(define (later n) (if (= n 0) (llm.infer "quick") (begin (sleep 1000) (later (- n 1)))))
(define again (later 3))
(note "all retried")
(list got refused again)
"""

SIGNALS = """
(define out (open-output-file "out.txt"))
(define (put . items) (for-each (lambda (item) (display item out)) items) (newline out))
(put "draft " (llm.infer "quick draft"))
(define said (wait-signal "approve"))
(put "said " said)
(note (string-append "said " said))
(define never (wait-signal "never" :timeout 50 :default 'none))
(define second (wait-signal "approve"))
(define done (par-map (lambda (n) (charge "step" n)) (list 1 2)))
(put "done " done)
(close-port out)
(list said never second done)
"""

PROGRAMS = {"fan-out": FAN_OUT, "race": RACE, "retries": RETRIES, "signals": SIGNALS}


class Books:
    """What was asked of the outside, in a file that no crash touches."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "books.txt"

    def write(self, line: str) -> None:
        number = os.open(self._path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
        os.write(number, (line + "\n").encode())
        os.close(number)

    def read(self) -> list[str]:
        return self._path.read_text().splitlines() if self._path.exists() else []


class Vendor:
    """Answers at once or late, by the prompt. What begins with "flaky" fails at first."""

    name = "vendor"
    needs_real_time = False
    model = "m"

    def __init__(self, books: Books) -> None:
        self._books = books

    async def infer(self, request: LLMRequest, *, sleep: Callable[[float], Any]) -> LLMReply:
        asked = str(request.prompt)
        is_new = asked not in self._books.read()
        self._books.write(asked)
        await sleep(3600.0 if "slow" in asked else 0.010)
        if asked.startswith("flaky") and is_new:
            raise LLMError("busy", kind="llm-unavailable", status=503, retryable=True)
        if asked.startswith("refuse"):
            raise LLMError("no", kind="refused", status=400)
        return LLMReply(f"<{asked}>", Usage(len(asked), 2), "m", "stop")

    async def aclose(self) -> None:
        pass


class Doomed:
    """A connection whose process dies before or after its so manieth statement."""

    def __init__(self, db: sqlite3.Connection, at: int, is_after: bool) -> None:
        self._db, self._at, self._is_after, self.made = db, at, is_after, 0

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        self.made += 1
        if sql.startswith("PRAGMA synchronous"):  # the machine lives on: its disk need not be
            sql = "PRAGMA synchronous = OFF"  # waited for
        if self.made == self._at and not self._is_after:
            os.kill(os.getpid(), signal.SIGKILL)
        done = self._db.execute(sql, parameters)
        if self.made == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


OPENED: list[SQLiteStore] = []  # by the test that runs; conftest.py closes them


class World:
    """One run: its store, its vendor, its host."""

    def __init__(self, folder: Path, program: str, is_virtual: bool = True) -> None:
        self.folder, self.program, self.is_virtual = folder, program, is_virtual
        self.books = Books(folder)
        self.path = str(folder / "runs.db")
        self.db: Doomed | None = None
        self.on_full: Callable[[Any], object] = lambda error: None

    def store(self, at: int = 0, is_after: bool = False) -> SQLiteStore:
        def doomed(path: str) -> Doomed:
            self.db = Doomed(connect(path), at, is_after)
            return self.db

        OPENED.append(SQLiteStore(self.path, connect=doomed))
        return OPENED[-1]

    def host(self, store: Any, policy: Policy) -> Interpreter:
        from omega import Grants

        def charge(what: str, amount: int) -> int:
            self.books.write(f"charge {what} {amount}")
            return amount * 2

        def note(connection: Any, text: str) -> str:
            connection.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")
            connection.execute("INSERT INTO notes VALUES (?)", (text,))
            return text

        made = Interpreter(
            store=store,
            virtual_time=self.is_virtual,
            llm=Vendor(self.books),
            grants=Grants(read=True, write=True),
            runs=RunSettings(policy, park_after_s=0, on_full=self.on_full),
        )
        made.define("charge", charge, effect="paid")
        made.define("note", note, effect="transactional")
        return made

    def runs(self, store: Any) -> Any:
        return self.host(store, "ask").runs

    def go(
        self, policy: Policy = "retry", at: int = 0, is_after: bool = False, run: str = RUN
    ) -> Any:
        """Run it to its end, or until this process dies. run: another one, which is there."""
        before = os.getcwd()
        os.chdir(self.folder)
        store = None
        try:
            store = self.store(at, is_after)
            host = self.host(store, policy)
            while True:
                try:
                    if run == RUN:
                        return str(host.run_durable(PROGRAMS[self.program], id=RUN))
                    return str(host.resume(run))
                except Exception as error:
                    if not self._signals(store, error, run):
                        raise
        finally:
            os.chdir(before)
            if store is not None:
                store.close()

    def _signals(self, store: Any, error: Exception, run: str) -> bool:
        """Whether a run that waits for a signal has got one."""
        if getattr(error, "state", None) != "suspended":
            return False
        sent = len(store.signals(run, waiting_only=False))
        return bool(store.signal(run, "approve", f"yes {sent}", key=f"k{sent}", who="test"))

    def die(self, at: int, is_after: bool, policy: Policy = "retry", run: str = RUN) -> bool:
        """Run it in a process of its own that dies at a statement. False: it came to its end."""
        child = os.fork()
        if child == 0:
            status = 1
            try:
                self.go(policy, at, is_after, run)
                status = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        assert ended in (0, signal.SIGKILL), f"the process ended with {ended}"
        return ended == signal.SIGKILL
