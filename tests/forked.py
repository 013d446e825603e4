"""The command line in processes that begin where all of Omega is imported already.

A short command spends most of its time on importing Omega, and the tests run some thousand. So one
process imports it and then forks for each command: the fork has the words, the folder, the
environment and the streams of the command, and runs `main` as `python -m omega` does. What is shown
of Python's own beginning (what is imported when, its options) is shown by tests that start Python;
those of the documentation do so for each command that is told there.

Owns: `Process`, `run`, and the process that forks (`python -m tests.forked`). Two of these take
turns: equal commands are to do the same whatever the hashes of texts are, as they would in two
processes of Python. Refuses: an environment that Python reads at its start, and systems without
fork: Python is started there.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from itertools import cycle
from pathlib import Path
from time import monotonic
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "-m", "omega"]
SEEDS = ("1", "2")  # of the hashes
READ_AT_START = ("PYTHON", "LC_", "LANG")
VENDORS = ("openai", "anthropic")  # their packages take longer than Omega
BEGIN_S = 60.0  # how long the process that forks may take to begin


# -- the process that forks ------------------------------------------------------------------------


def serve(path: str, with_vendors: bool) -> None:
    """Fork for each command, until whoever started us closes our standard input."""
    import gc

    _import_all(with_vendors)
    awake, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        os.write(1, b"ready\n")
        gc.collect()
        gc.freeze()
        askers: dict[int, socket.socket] = {}  # by the process that runs their command
        while True:
            ready, _, _ = select.select([0, listener, awake], [], [])
            if awake in ready:
                os.read(awake, 4096)
                for pid in list(askers):
                    found, status = os.waitpid(pid, os.WNOHANG)
                    if found:
                        _answer(askers.pop(pid), os.waitstatus_to_exitcode(status))
            if listener in ready:
                asker, _ = listener.accept()
                request, streams = _request(asker)
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    for each in (listener, asker, *askers.values()):
                        each.close()
                    os.close(awake)
                    os.close(wakes)
                    _be(request, streams)
                for stream in streams:
                    os.close(stream)
                askers[pid] = asker
                _answer(asker, pid)
            if 0 in ready:
                return


def _import_all(with_vendors: bool) -> None:
    from importlib import import_module
    from pkgutil import walk_packages

    import omega
    from omega.errors import Source

    for module in walk_packages(omega.__path__, "omega."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    from omega.lisp.reader import read_all

    read_all(Source("a text", "()"))  # makes the parser
    for name in VENDORS if with_vendors else ():
        import_module(name)


def _request(asker: socket.socket) -> tuple[dict[str, Any], list[int]]:
    head, streams, _, _ = socket.recv_fds(asker, 8, 3)
    size, text = int.from_bytes(head, "big"), b""
    while len(text) < size:
        text += asker.recv(size - len(text))
    return json.loads(text), list(streams)


def _answer(asker: socket.socket, number: int) -> None:
    try:
        asker.sendall(number.to_bytes(8, "big", signed=True))
    except OSError:
        pass  # it has gone


def _be(request: dict[str, Any], streams: list[int]) -> NoReturn:
    """The command, from here to the end of the process."""
    status = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        sys.path[0] = request["cwd"]
        sys.argv = [str(ROOT / "omega" / "__main__.py"), *request["words"]]
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            mine = getattr(sys, name)  # made by Python from the same environment
            stream = os.fdopen(number, mine.mode, encoding=mine.encoding, errors=mine.errors)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        from omega.cli.main import main

        status = main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


# -- whoever asks ----------------------------------------------------------------------------------


class _Forker:
    """A process that forks, and where it listens."""

    def __init__(self, seed: str, with_vendors: bool) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self._folder.name, "asked")
        words = ["-m", "tests.forked", self.path, *(("vendors",) if with_vendors else ())]
        self._process = subprocess.Popen(
            [sys.executable, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def end(self) -> None:
        self._process.communicate()
        self._folder.cleanup()


_forkers: dict[tuple[str, bool], _Forker] = {}
_seeds = cycle(SEEDS)


def end_all() -> None:
    """End the processes that fork; they are started again when somebody asks."""
    while _forkers:
        _forkers.popitem()[1].end()


def _forker(words: list[str]) -> _Forker:
    with_vendors = any(name in word for word in words for name in VENDORS)
    key = (next(_seeds), with_vendors)
    if key not in _forkers:
        _forkers[key] = _Forker(*key)
    return _forkers[key]


def is_forked(command: list[str], env: dict[str, str]) -> bool:
    """Whether a command with this environment can be forked."""

    def read_at_start(environment: Any) -> dict[str, str]:
        return {
            k: v
            for k, v in environment.items()
            if k.startswith(READ_AT_START) and k != "PYTHONPATH"
        }

    here = hasattr(os, "fork") and hasattr(socket, "send_fds")
    return here and command == COMMAND and read_at_start(env) == read_at_start(os.environ)


class Process:
    """A command that runs in a fork, used as a subprocess.Popen whose streams are pipes of text.

    stdin: what it reads; nothing else comes. merged: standard error is where standard output is.
    """

    def __init__(
        self,
        words: list[str],
        *,
        cwd: str | Path,
        env: dict[str, str],
        stdin: str = "",
        merged: bool = False,
    ) -> None:
        self.args = [*COMMAND, *words]
        self.returncode: int | None = None
        self._asker = socket.socket(socket.AF_UNIX)
        self._asker.connect(_forker(words).path)
        with tempfile.TemporaryFile() as given:
            given.write(stdin.encode())
            given.seek(0)
            out, out_of_it = os.pipe()
            err, err_of_it = os.pipe()
            request = json.dumps({"words": words, "cwd": str(cwd), "env": env}).encode()
            streams = [given.fileno(), out_of_it, out_of_it if merged else err_of_it]
            socket.send_fds(self._asker, [len(request).to_bytes(8, "big")], streams)
            self._asker.sendall(request)
            self.pid = self._number(BEGIN_S)
        os.close(out_of_it)
        os.close(err_of_it)
        self.stdout = os.fdopen(out, encoding="utf-8")
        self.stderr = os.fdopen(err, encoding="utf-8")

    def _number(self, timeout: float | None) -> int:
        self._asker.settimeout(timeout)
        answer = self._asker.recv(8)
        assert len(answer) == 8, "the process that forks has ended"
        return int.from_bytes(answer, "big", signed=True)

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._asker], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            try:
                self.returncode = self._number(timeout)
            except TimeoutError:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0) from None
            self._asker.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Everything it wrote, once it has ended."""
        end = None if timeout is None else monotonic() + timeout
        parts: dict[Any, list[bytes]] = {s: [] for s in (self.stdout, self.stderr) if not s.closed}
        unread = list(parts)
        while unread:
            left = None if end is None else max(0.0, end - monotonic())
            ready, _, _ = select.select(unread, [], [], left)
            if not ready:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            for stream in ready:
                part = os.read(stream.fileno(), 1 << 16)
                parts[stream].append(part)
                if not part:
                    unread.remove(stream)
        texts = [b"".join(kept).decode().replace("\r\n", "\n") for kept in parts.values()]
        for stream in parts:
            stream.close()
        self.wait(None if end is None else max(0.001, end - monotonic()))
        output, said = texts or ("", "")
        return output, said

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(
    command: list[str],
    words: list[str],
    *,
    cwd: str | Path,
    env: dict[str, str],
    stdin: str = "",
    merged: bool = False,
    timeout: float,
) -> subprocess.CompletedProcess[str]:
    """As subprocess.run does, with its streams captured."""
    if not is_forked(command, env):
        return subprocess.run(
            [*command, *words],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            text=True,
            cwd=cwd,
            env=env,
            timeout=timeout,
            check=False,
        )
    process = Process(words, cwd=cwd, env=env, stdin=stdin, merged=merged)
    try:
        output, said = process.communicate(timeout)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode or 0, output, said)


if __name__ == "__main__":
    serve(sys.argv[1], "vendors" in sys.argv)
