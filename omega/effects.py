"""The effect door: the one way from a program to the outside.

Owns: `Door.perform`, the table of built-in effects, the check of grants. `Grants`.
Refuses: waiting without the scheduler; anything a grant does not allow.

Order, from the program outwards: handlers of the program (`with-handler`) > recorder or replayer
(the `tap`) > grants > what really does it. What waits (models, standard input) passes the tap by:
it is recorded where its end reaches the scheduler (concurrency/recording.py).
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from io import FileIO
from typing import TYPE_CHECKING, Any, Protocol

from omega.calls.calls import Calls
from omega.calls.flight import Identity, Receiver
from omega.concurrency import External, Scheduler
from omega.errors import HostError, LispError, LispFileError, LispTypeError, PermissionDenied
from omega.lisp.primitives.check import spend_each
from omega.llm import LLMRequest

if TYPE_CHECKING:
    from omega.llm.budget import Budget

FILE_HINT = "`file-exists?` tells before; `guard` with (condition-is? e 'file-error) handles it"

# Effects whose reply comes from outside, at once.
FACTS = frozenset(("env", "env-list", "file.open-read", "file.open-write", "file.exists",
                   "file.delete"))  # fmt: skip


Act = Callable[[], Any]


class Tap(Protocol):
    @property
    def is_over(self) -> bool:
        """Whether the run it replays has ended: what still unwinds is no part of it."""

    def reply(self, kind: str, arguments: tuple[Any, ...], act: Act) -> Any:
        """What `act` answers or raises, which reaches outside and does not wait."""

    def written(self, kind: str, act: Act) -> None:
        """`act`, which is done in a replay as well; that it fails is the fact."""

    def host(self, name: str, arguments: Any, act: Act) -> Any:
        """What a function of the host answers or raises."""

    def waits(self, external: External, name: str, arguments: Any) -> None:
        """The running task waits for a function of the host that runs elsewhere."""

    def entered(self) -> None:
        """The function of the host that runs now, if one does, uses the interpreter."""

    def file(self, key: str, act: Act) -> Any:
        """What is found of a file of the program's own text."""

    def text(self, filename: str, text: str) -> None:
        """The host gives a text to evaluate."""


class Grants:
    """What a program may reach. Each of read, write: paths (a folder grants what is below it), True
    for all.

    env: names, llm: whether the interpreter's model may be called, stdin: whether standard input
    may be read, scheduler: whether it may let more run at once, and longer, than the host's
    SchedulerConfig.
    """

    __slots__ = ("env", "llm", "read", "scheduler", "stdin", "write")

    def __init__(
        self,
        *,
        read: Sequence[str] | bool = (),
        write: Sequence[str] | bool = (),
        env: Sequence[str] | bool = (),
        llm: bool = True,
        stdin: bool = False,
        scheduler: bool = False,
    ) -> None:
        for name, many in (("read", read), ("write", write), ("env", env)):
            _check_many(name, many)
        for name, one in (("llm", llm), ("stdin", stdin), ("scheduler", scheduler)):
            if not isinstance(one, bool):
                raise HostError(f"Grants({name}=...) is True or False, not {one!r}")
        self.read = read if isinstance(read, bool) else tuple(os.path.realpath(p) for p in read)
        self.write = write if isinstance(write, bool) else tuple(os.path.realpath(p) for p in write)
        self.env = env if isinstance(env, bool) else tuple(env)
        self.llm = llm
        self.stdin = stdin
        self.scheduler = scheduler

    @classmethod
    def everything(cls) -> Grants:
        """What a user's own script may do from the command line."""
        return cls(read=True, write=True, env=True, stdin=True, scheduler=True)


def _check_many(name: str, value: Any) -> None:
    """Raises HostError for what is neither a list of texts nor True or False. A text is no list:
    the characters of "/tmp" would grant "/".
    """
    kinds = str if name == "env" else (str, os.PathLike)
    is_many = isinstance(value, (list, tuple, set, frozenset))
    if isinstance(value, bool) or (is_many and all(isinstance(each, kinds) for each in value)):
        return
    is_one = isinstance(value, (str, os.PathLike))
    raise HostError(
        f"Grants({name}=...) is a list of {'names' if name == 'env' else 'paths'}, True or False,"
        f" not {value!r}",
        hint=f"write {name}=[{value!r}]" if is_one else None,
    )


class Door:
    def __init__(
        self, scheduler: Scheduler, grants: Grants, calls: Calls, rng: random.Random
    ) -> None:
        self.scheduler, self.grants, self.calls, self.dice = scheduler, grants, calls, rng
        self.rt: Any = None  # the Runtime, once there is one
        self.tap: Tap | None = None  # asked instead of the outside: omega/tape
        self.wait_signal: Callable[[str], Any] | None = None  # of a durable run
        self.continue_as: Callable[[str, list[Any]], None] | None = None  # the same
        self.continued: Sequence[Any] = ()  # the arguments it goes on with, as a journal has them
        # Of a fork of a durable run: what it asks a model instead, by who asks.
        self.replaced: Callable[[Identity, LLMRequest], LLMRequest] | None = None
        self.arguments: list[str] = []
        self.output: Any = None  # where the program's output goes; standard output when None
        self.errors: Any = None  # the same of its error output; standard error when None
        self._effects: dict[str, Callable[..., Any]] = {
            "llm.infer": self._llm_infer,
            "llm.stream": self._llm_stream,
            "now": self._now,
            "jiffy": lambda: int(scheduler.driver.now() * 1e6),
            "random": self._random,
            "sleep": scheduler.sleep,
            "signal.wait": self._wait_signal,
            "command-line": lambda: list(self.arguments),
            "env": self._env,
            "env-list": self._env_list,
            "stdin.read-line": self._stdin_line,
            "stdout.write": self._write_out,
            "stderr.write": lambda text: (self.errors or sys.stderr).write(text),
            "file.open-read": self._open_read,
            "file.open-write": self._open_write,
            "file.exists": self._exists,
            "file.delete": self._delete,
        }

    def prepare(self, kind: str, request: Any) -> None:
        """Have the model of `request` ready before the effect `kind` is performed and its time
        begins; a handler of the program needs none.
        """
        if self._handler_of(kind, self.rt.host.dynamics()) is None:
            self.calls.prepare(request)

    def _handler_of(self, kind: str, dyn: Any) -> tuple[Any, Any, Any] | None:
        """The program's innermost handler of an effect: the procedure, what ends its form, and the
        handlers outside of that. To search is paid for.
        """
        entry = dyn.effects
        found = None
        passed = 0
        while entry is not None:
            handlers, tag, entry = entry
            handler = handlers.get(kind)
            if handler is not None:
                found = handler, tag, entry
                break
            passed += 1
        spend_each(self.rt, passed)
        return found

    def perform(self, kind: str, arguments: tuple[Any, ...]) -> Any:
        """The reply to an effect, or a raised condition."""
        dyn = self.rt.host.dynamics()
        found = self._handler_of(kind, dyn)
        if found is not None:
            handler, tag, outer = found  # unpacked in the call, they would go through C
            return self._handled(dyn, handler, tag, outer, arguments)
        act = self._effects.get(kind)
        if act is None:
            raise LispError(
                f"nothing handles the effect `{kind}`",
                kind="unhandled-effect",
                hint="handle it with (with-handler ((" + kind + " (lambda (...) reply))) ...)",
            )
        if self.tap is not None and kind in FACTS:
            return self.tap.reply(kind, arguments, lambda: act(*arguments))
        if len(arguments) == 1:
            # Many a task waits in here, and unpacked arguments go through C: half a kilobyte of the
            # stack that is put aside when it does.
            return act(arguments[0])
        return act(*arguments)

    def _handled(
        self, dyn: Any, handler: Any, tag: Any, outer: Any, arguments: tuple[Any, ...]
    ) -> Any:
        """Run a handler where the effect was performed; it sees the handlers outside its form."""
        saved, saved_tag = dyn.effects, dyn.abort
        dyn.effects, dyn.abort = outer, tag
        failure: BaseException | None = None
        try:
            value = self.rt.call_with(handler, arguments)
        except BaseException as raised:
            failure = raised
        dyn.effects, dyn.abort = saved, saved_tag
        if failure is not None:
            raise failure
        return value

    # -- models, time, chance ------------------------------------------------------------------

    def _llm_infer(self, request: Any) -> Any:
        identity, request = self._paid_effect("llm.infer", request)
        return self.calls.infer(identity, request, self.budget)

    def _llm_stream(self, request: Any, deliver: Any) -> Any:
        """deliver: a procedure, which is called with every piece."""
        receiver = getattr(deliver, "__self__", None)
        if not isinstance(receiver, Receiver):  # one of a program's own handler
            receiver = _Procedure(self.rt, deliver)
        identity, request = self._paid_effect("llm.stream", request)
        return self.calls.stream(identity, request, receiver, self.budget)

    def _paid_effect(self, kind: str, request: Any) -> tuple[Identity, LLMRequest]:
        """The identity of a call of a model, which is granted; and what is asked."""
        if not isinstance(request, LLMRequest):
            raise LispTypeError(
                f"the effect `{kind}` expected a request, got {self.rt.shorten(request)}",
                hint=f"a handler is given one; ({kind} prompt ...) makes one",
            )
        if not self.grants.llm:
            raise PermissionDenied(
                "calling a model is not granted here", hint="grant it with Grants(llm=True)"
            )
        identity = self.scheduler.running_task("call a model").next_effect()
        return identity, request if self.replaced is None else self.replaced(identity, request)

    @property
    def budget(self) -> Budget | None:
        """What calls made here are paid from."""
        budget: Budget | None = self.rt.host.dynamics().budget
        return budget or self.calls.budget

    def _now(self) -> float:
        driver = self.scheduler.driver
        return driver.now() if driver.virtual else self._fact("now", _wall_clock)

    def _wait_signal(self, name: str) -> Any:
        if self.wait_signal is None:
            raise LispError(
                f"nobody can send the signal `{name}`: this is no durable run",
                kind="unhandled-effect",
                hint="omega run --durable, or Interpreter(store=...).run_durable; in a test, handle"
                " it with (with-handler ((signal.wait (lambda (name) value))) ...)",
            )
        return self.wait_signal(name)

    def _random(self) -> float:
        return self.dice.random()

    # -- environment and standard input --------------------------------------------------------

    def _env(self, name: str) -> Any:
        allowed = self.grants.env
        if allowed is not True and name not in (allowed or ()):
            raise PermissionDenied(
                f"reading the environment variable {name} is not granted",
                hint=f"run with --allow-env={name}, or Grants(env=[{name!r}])",
            )
        return os.environ.get(name, False)

    def _env_list(self) -> list[tuple[str, str]]:
        """Those that may be read."""
        allowed = self.grants.env
        names = os.environ if allowed is True else sorted(allowed or ())
        return [(name, os.environ[name]) for name in names if name in os.environ]

    def _check_stdin(self) -> None:
        if not self.grants.stdin:
            raise PermissionDenied(
                "reading standard input is not granted",
                hint="run without --sandbox, or Grants(stdin=True)",
            )

    def _stdin_line(self) -> str:
        self._check_stdin()
        return self._blocking(_read_line, "standard input")

    def _write_out(self, text: str) -> None:
        if self.tap is None or not self.tap.is_over:
            (sys.stdout if self.output is None else self.output).write(text)

    def _fact(self, kind: str, act: Callable[[], Any]) -> Any:
        return act() if self.tap is None else self.tap.reply(kind, (), act)

    def _blocking(self, read: Callable[[], str], what: str) -> str:
        """Read where it may block: other tasks go on. Under virtual time, and outside of tasks,
        just read.
        """
        if self.scheduler.current is None or self.scheduler.driver.virtual:
            line: str = self._fact("stdin.read-line", read)
            return line
        text: str = self.scheduler.sync(self.scheduler.blocking(read, waits_for=what).event)
        return text

    # -- files ---------------------------------------------------------------------------------

    def allow_reading(self, path: str) -> str:
        """`path` as it may be opened. Raises PermissionDenied when the program may not read it."""
        return self._allow(path, self.grants.read, "reading", "read")

    def _allow(self, path: Any, granted: bool | tuple[str, ...], verb: str, flag: str) -> str:
        if not isinstance(path, str):
            from omega.lisp.hints import hint_for

            shown = self.rt.shorten(path)
            raise LispTypeError(
                f"a file name must be a string, got {shown}",
                hint=hint_for("", "a string", path, shown),
            )
        if "\0" in path:
            raise LispFileError(f"a file name cannot hold a NUL character: {path!r}")
        real = os.path.realpath(path)
        if granted is not True:
            roots = granted or ()
            if not any(
                real == root or real.startswith(root.rstrip(os.sep) + os.sep) for root in roots
            ):
                raise PermissionDenied(
                    f"{verb} {path} is not granted",
                    hint=f"run with --allow-{flag}={path}, or Grants({flag}=[{path!r}])",
                )
        # The path that was checked is the one that is used: a link changed meanwhile cannot lead
        # elsewhere unseen.
        return path if granted is True else real

    def _open(self, path: str, mode: str, **options: Any) -> Any:
        try:
            return open(path, mode, **options)
        except OSError as error:
            raise LispFileError(f"cannot open {path}: {_reason(error)}", hint=FILE_HINT) from None

    def _open_read(self, path: Any, binary: bool = False) -> Any:
        allowed = self.allow_reading(path)
        if os.path.isdir(allowed):
            raise LispFileError(f"cannot open {path}: it is a directory", hint="name a file in it")
        if binary:
            return self._open(allowed, "rb")
        return _TextFile(self._open(allowed, "r", encoding="utf-8-sig", newline=""), path)

    def _open_write(self, path: Any, append: bool = False, binary: bool = False) -> Any:
        allowed = self._allow(path, self.grants.write, "writing", "write")
        mode = "a" if append else "w"
        if binary:
            return _OutputFile(self._open(allowed, mode + "b"), path)
        return _OutputFile(self._open(allowed, mode, encoding="utf-8", newline=""), path)

    def open_again(self, path: str, append: bool = False, binary: bool = False) -> Any:
        """An output file that the run had open in another process: to append to it."""
        return self._open_write(path, True, binary)

    def is_there(self, path: str) -> bool:
        """Whether there is a file that the program might delete."""
        return os.path.exists(self._allow(path, self.grants.write, "deleting", "write"))

    def _exists(self, path: Any) -> bool:
        return os.path.exists(self._allow(path, self.grants.read, "looking at", "read"))

    def _delete(self, path: Any) -> None:
        allowed = self._allow(path, self.grants.write, "deleting", "write")
        try:
            os.unlink(allowed)
        except OSError as error:
            raise LispFileError(f"cannot delete {path}: {_reason(error)}", hint=FILE_HINT) from None


class _Procedure(Receiver):
    """A procedure of the program's that a stream is sent to."""

    __slots__ = ("_procedure", "_rt")

    def __init__(self, rt: Any, procedure: Any) -> None:
        self._rt, self._procedure = rt, procedure

    def send(self, piece: str) -> None:
        self._rt.call(self._procedure, piece)


def _wall_clock() -> float:
    return time.time()


def _read_line() -> str:
    return "" if sys.stdin is None else sys.stdin.readline()  # None: closed before we began


class _TextFile:
    """A text file's handle; what is not UTF-8 is a condition that says where."""

    def __init__(self, file: Any, path: str) -> None:
        self._file, self._path, self._lines = file, path, 0

    def read(self, n: int) -> str:
        try:
            text: str = self._file.read(n)
        except UnicodeDecodeError as error:
            line = self._lines + error.object.count(b"\n", 0, error.start) + 1
            raise LispFileError(
                f"{self._path} is not UTF-8 text: byte 0x{error.object[error.start]:02x}, in line "
                f"{line} or soon after",
                kind="bad-encoding",
                hint="save the file as UTF-8",
            ) from None
        except OSError as error:
            raise LispFileError(f"cannot read {self._path}: {_reason(error)}") from None
        self._lines += text.count("\n")
        return text

    def close(self) -> None:
        self._file.close()


class _OutputFile:
    """An output file's handle; a full disk is a condition."""

    def __init__(self, file: Any, path: str) -> None:
        self._file, self._path = file, path

    def raw(self) -> FileIO:
        """The open file, without a buffer, instead of this handle: before anything is written."""
        number = os.dup(self._file.fileno())
        self._file.close()
        return FileIO(number, "ab")

    def write(self, data: Any) -> None:
        guarded(self._path, lambda: self._file.write(data))

    def flush(self) -> None:
        guarded(self._path, self._file.flush)

    def close(self) -> None:
        guarded(self._path, self._file.close)


def guarded(path: str, act: Callable[[], Any]) -> None:
    """`act()`, which writes to the file at `path`: what goes wrong is a condition."""
    try:
        act()
    except (OSError, UnicodeEncodeError) as error:
        reason = _reason(error) if isinstance(error, OSError) else "not representable as UTF-8"
        raise LispFileError(f"cannot write {path}: {reason}") from None


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
