"""The loopback model server in a process of its own, so that its CPU is not the client's.

Owns: `ServerProcess`, a context manager, and what runs inside (`python -m
tests.bench.loopback_process OPTIONS`). Wire: the child prints its URL and key on one line, then
answers each line of its input, "counts" or "calls", with one line of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

MODEL = "loopback-model"


class ServerProcess:
    """limits: as LoopbackLimits takes them. pieces: the answer, as it is streamed. bytes_per_s: of
    every body.
    """

    def __init__(
        self,
        latency_s: float,
        *,
        limits: dict[str, Any] | None = None,
        pieces: list[str] | None = None,
        bytes_per_s: float | None = None,
    ) -> None:
        options = {"limits": limits, "pieces": pieces, "bytes_per_s": bytes_per_s}
        words = json.dumps({"latency_s": latency_s, **options})
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.loopback_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._child.stdin is not None
        self._child.stdin.write(words + "\n")
        self.base_url, self.api_key = self._asked("")

    def peak_and_requests(self) -> tuple[int, int]:
        """(most in flight at once, requests) since the server started."""
        counts = self.counts()
        return counts["peak"], counts["requests"]

    def counts(self) -> dict[str, int]:
        """Its snapshot."""
        found: dict[str, int] = self._asked("counts")
        return found

    def calls(self) -> list[tuple[str, str, float, float | None]]:
        """(prompt, outcome, when it arrived, when it was over) of each call, by this machine's
        monotonic clock.
        """
        return [tuple(call) for call in self._asked("calls")]  # type: ignore[misc]

    def _asked(self, command: str) -> Any:
        assert self._child.stdin is not None and self._child.stdout is not None
        if command:
            self._child.stdin.write(command + "\n")
        self._child.stdin.flush()
        return json.loads(self._child.stdout.readline())

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait()
        self._child.stdout.close()


def main() -> None:
    from time import monotonic

    from omega.testing.loopback import LoopbackLimits, LoopbackReply, LoopbackServer

    options = json.loads(sys.stdin.readline())
    pieces, limits = options["pieces"], options["limits"]
    reply = LoopbackReply("ok") if pieces is None else LoopbackReply("".join(pieces), pieces=pieces)
    with LoopbackServer(
        latency_s=options["latency_s"],
        model=MODEL,
        reply=reply,
        bytes_per_s=options["bytes_per_s"],
        limits=None if limits is None else LoopbackLimits(**limits),
    ) as server:
        began = monotonic() - server.now_s()
        print(json.dumps([server.base_url, server.api_key]), flush=True)
        for command in sys.stdin:
            found: Any
            if command.strip() == "calls":
                found = [
                    [c.prompt, c.outcome, began + c.arrived_s, c.ended_s and began + c.ended_s]
                    for c in server.calls
                ]
            else:
                seen = server.snapshot()
                found = {name: getattr(seen, name) for name in seen.__slots__}
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
