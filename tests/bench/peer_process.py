"""An engine of the peers' environment in a process of its own, kept alive and driven line by line.

Owns: which interpreter that environment has, `PeerProcess`, a context manager. Refuses: knowing any
engine: peers/engine.py does, and says what the lines are.

Invariant: an answer belongs to the request just made. A process that failed or was too slow is
killed with all it started; the next request starts another.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.bench.kit import Skipped, clock

ENGINE = Path(__file__).parent / "peers" / "engine.py"
ENVIRONMENT = Path(__file__).parents[2] / ".peers"
VARIABLE = "OMEGA_BENCH_PEERS"
STARTS_WITHIN_S = 180.0  # basilisp compiles itself on its first start
ENDS_WITHIN_S = 5.0


class PeerFailed(Exception):
    """A program the peer cannot do; its text says why, shortly."""


class TooSlow(PeerFailed):
    """It took longer than it was given."""


def interpreter() -> str:
    """The interpreter the peers are installed for. Raises Skipped where there is none."""
    named = os.environ.get(VARIABLE)
    if named:
        return named
    made = ENVIRONMENT / "bin" / "python"
    if not made.exists():
        raise Skipped(f"no {ENVIRONMENT.name}: `make peers` makes it, or {VARIABLE} names a Python")
    return str(made)


class PeerProcess:
    """version: of the engine. Raises Skipped if it is not installed or does not load."""

    def __init__(self, engine: str) -> None:
        self._command = [interpreter(), str(ENGINE), engine]
        self._child: subprocess.Popen[bytes] | None = None
        self._unread = b""
        try:
            self.version = self._start()
        except PeerFailed as failed:
            raise Skipped(str(failed)) from None

    def ask(self, program: str, within_s: float) -> dict[str, Any]:
        """What engine.py answers for a program. Raises PeerFailed."""
        if self._child is None:
            self._start()
        assert self._child is not None and self._child.stdin is not None
        try:
            self._child.stdin.write(program.encode() + b"\n")
            self._child.stdin.flush()
            return self._answer(within_s)
        except (OSError, PeerFailed) as failed:
            self._kill()
            if isinstance(failed, OSError):
                raise PeerFailed(str(failed)) from None
            raise

    def _start(self) -> str:
        # Basilisp needs the files it compiles itself to, whatever this environment says.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        try:
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
            found = self._answer(STARTS_WITHIN_S)
        except (OSError, PeerFailed) as failed:
            self._kill()
            raise PeerFailed(str(failed)) from None
        if "absent" in found:
            self._kill()
            raise PeerFailed(f"{found['absent']} is not installed in the peers' environment")
        return str(found["version"])

    def _answer(self, within_s: float) -> dict[str, Any]:
        assert self._child is not None and self._child.stdout is not None
        source = self._child.stdout.fileno()
        until = clock() + within_s
        while b"\n" not in self._unread:
            if not select.select([source], [], [], max(0.0, until - clock()))[0]:
                raise TooSlow(f"> {within_s:g} s")
            some = os.read(source, 1 << 16)
            if not some:
                raise PeerFailed("its process ended")
            self._unread += some
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            found: dict[str, Any] = json.loads(line)
        except ValueError:
            raise PeerFailed("its answer is no JSON") from None
        if "error" in found:
            raise PeerFailed(found["error"])
        return found

    def _kill(self) -> None:
        child, self._child, self._unread = self._child, None, b""
        if child is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # a session of its own: nobody else is in it
        self._closed(child)

    def _closed(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdin is not None and child.stdout is not None
        with suppress(OSError):
            child.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            child.wait(ENDS_WITHIN_S)
        child.stdout.close()

    def __enter__(self) -> PeerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._closed(self._child)
        self._kill()
