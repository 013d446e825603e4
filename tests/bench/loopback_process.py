"""The loopback model server in a process of its own, so that its CPU is not the client's.

Owns: `ServerProcess`, a context manager, and what runs inside (`python -m
tests.bench.loopback_process LATENCY_S [RATE BURST]`). Wire: the child prints its URL and key on one
line, then answers each line of its input with "peak requests limited".
"""

from __future__ import annotations

import subprocess
import sys

MODEL = "loopback-model"


class ServerProcess:
    def __init__(self, latency_s: float, rate: tuple[float, int] | None = None) -> None:
        """rate: (requests a second, at once), beyond which it answers 429."""
        words = [str(latency_s), *map(str, rate or ())]
        command = [sys.executable, "-m", "tests.bench.loopback_process", *words]
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.base_url, self.api_key = self._read()

    def seen(self) -> tuple[int, int, int]:
        """(most in flight at once, requests, those answered 429) since the server started."""
        assert self._child.stdin is not None
        self._child.stdin.write("\n")
        self._child.stdin.flush()
        peak, requests, limited = self._read()
        return int(peak), int(requests), int(limited)

    def _read(self) -> list[str]:
        assert self._child.stdout is not None
        return self._child.stdout.readline().split()

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait()
        self._child.stdout.close()


def main(latency_s: float, rate: float | None = None, burst: float = 1) -> None:
    from omega.testing.loopback import LoopbackLimits, LoopbackServer

    limits = None if rate is None else LoopbackLimits(requests_per_s=rate, burst=int(burst))
    with LoopbackServer(latency_s=latency_s, model=MODEL, reply="ok", limits=limits) as server:
        print(server.base_url, server.api_key, flush=True)
        for _ in sys.stdin:
            seen = server.snapshot()
            print(seen.peak, seen.requests, seen.limited, flush=True)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
