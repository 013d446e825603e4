"""What an interpreter is given to be recorded, or replayed: its driver, its door's tap, its files.

Owns: `Recording`, `Replay`: what a tape's first line says of an interpreter, and the end of both.
Refuses: to know which facts there are.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from fractions import Fraction
from types import FrameType
from typing import Any

from omega import __version__
from omega.calls import Models
from omega.calls.calls import CallingScheduler
from omega.concurrency import Driver, SchedulerConfig, VirtualDriver
from omega.concurrency.limits import all_tasks
from omega.concurrency.recording import check_recordable, recording_like
from omega.concurrency.replaying import ReplayDriver, VirtualReplayDriver
from omega.effects import Grants, Tap
from omega.errors import HostError, Span
from omega.limits import Limits
from omega.lisp.sites import places
from omega.llm.budget import PICO, Budget
from omega.tape.files import TapeReader, TapeWriter
from omega.tape.models import kept_models, models_again
from omega.tape.taps import Recorder, Replayer


class Recording:
    """A run that is recorded. about: what the tape is to say of it besides (JSON data). prompts:
    whether the beginnings of prompts are in it, or only their hashes. is_program: it ends with
    `end`, which tells its exit code, and not with its interpreter.
    """

    is_program = False
    is_replay = False
    scheduler = CallingScheduler
    failure = None

    def __init__(
        self, path: str, about: dict[str, Any] | None = None, *, prompts: bool = True
    ) -> None:
        self.tape = TapeWriter(path, prompts)
        self._about = about or {}
        self._driver: Any = None

    @classmethod
    def of(cls, path: str, driver: Driver, *, prompts: bool = True) -> Recording:
        """What records a run by `driver`. Raises HostError, before there is a file, if it cannot
        be recorded.
        """
        check_recordable(driver)
        return cls(path, prompts=prompts)

    def begin(self, facts: dict[str, Any], driver: Driver, *parts: Any) -> Driver:
        """Write what the interpreter is made with; its driver, in place of `driver`."""
        self._driver = recording_like(driver, self.tape)
        python = ".".join(map(str, sys.version_info[:3]))
        settings = settings_of(facts, driver, *parts)
        self.tape.begin({"version": __version__, "python": python, **settings, **self._about})
        return self._driver  # type: ignore[no-any-return]

    def attach(self, interpreter: Any) -> None:
        interpreter.door.tap = tap = Recorder(self.tape, interpreter.scheduler)
        watch_files(interpreter, tap)

    def interrupted(self) -> bool:
        """Ctrl-C. False: it is part of the run."""
        return False

    def close(self) -> None:
        """Its interpreter has been closed."""
        if not self.is_program:
            self.end()

    def end(self, status: int | None = None) -> int | None:
        """The run is over; a second time does nothing. status: the exit code of a program; it is
        answered. Raises LispFileError when the tape could not be written.
        """
        if self.tape.is_open:
            self._driver.arrived("end", status)
            lost = self.tape.close()
            if lost is not None:
                raise lost
        return status


class Replay:
    """A run that is had again from `tape`. is_program: as of Recording. takes_any_text: the texts
    may be others, as long as they do the same. scheduler: the class of its scheduler.
    """

    is_program = False
    is_replay = True
    takes_any_text = False

    def __init__(
        self, tape: TapeReader, scheduler: type[CallingScheduler] = CallingScheduler
    ) -> None:
        self.tape, self.scheduler = tape, scheduler
        self.tap: Replayer
        self._driver: ReplayDriver | VirtualReplayDriver
        self._rt: Any = None

    @property
    def models(self) -> Models:
        """Those of the recorded run, as far as they decide anything: none of them is asked."""
        return models_again(self.tape.header["models"])

    def begin(self, facts: dict[str, Any], driver: Driver, *parts: Any) -> Driver:
        """The interpreter's driver, in place of `driver`. Raises HostError when it is made in
        another way than the recorded one.
        """
        recorded = self.tape.header
        for name, value in json.loads(json.dumps(settings_of(facts, driver, *parts))).items():
            if recorded.get(name) != value:
                raise HostError(
                    f"{self.tape.path} was recorded with {name} {json.dumps(recorded.get(name))}, "
                    f"not {json.dumps(value)}",
                    hint="omega.replay(path) makes an interpreter as it was",
                )
        if isinstance(driver, VirtualDriver):
            self._driver = VirtualReplayDriver(self.tape, driver.start_s)
        else:
            self._driver = ReplayDriver(self.tape)
        return self._driver

    def attach(self, interpreter: Any) -> None:
        self._rt = interpreter.runtime
        interpreter.door.tap = self.tap = Replayer(self.tape, interpreter.scheduler)
        self.tap.takes_any_text = self.takes_any_text
        self.tape.locate = self._place
        watch_files(interpreter, self.tap)

    @property
    def failure(self) -> HostError | None:
        """Why the replay ended before the recorded run did."""
        return self._driver.failure

    def pause(self, is_paused: bool) -> None:
        """While it is paused, whoever looks at the run changes nothing of it."""
        self._driver.is_paused = self.tap.is_paused = is_paused

    def interrupted(self) -> bool:
        """Ctrl-C. False: it is part of the run."""
        return False

    def close(self) -> None:
        """Its interpreter has been closed."""
        if not self.is_program:
            self.end()

    def end(self, status: int | None = None) -> int | None:
        """The exit code of the recorded program. Raises ReplayDivergence when something of the tape
        is left that was not met.
        """
        head = self.tape.head
        self.tape.close()
        if self._driver.stop_soon is not None:
            raise self._driver.stop_soon
        if self._driver.failure is None and not self.tape.is_at_end:
            over = self.tape.is_over
            self._driver.failure = self.tape.ended() if over else self.tape.left_over()
            raise self._driver.failure
        if head is None or head[0] != "end" or head[4] is None:
            return status
        return int(head[4])

    def _place(self, task_id: str | None) -> tuple[str | None, Span | None]:
        """What a task is called, and where in the program it is; None: the one that runs."""
        scheduler = self._driver.scheduler
        task = scheduler.current
        frame: FrameType | None = sys._getframe(1)
        if task_id is not None:
            task = next((task for task in all_tasks(scheduler) if task.has_id(task_id)), None)
            frame = None if task is None or task.stack is None else task.stack.gr_frame
        name = None if task is None else task.name or task.short_id()
        for _, span in running_places(self._rt, frame):
            return name, span
        return name, None


def settings_of(
    facts: dict[str, Any],
    driver: Driver,
    config: SchedulerConfig,
    limits: Limits,
    grants: Any,
    models: Models,
    budget: Budget | None,
) -> dict[str, Any]:
    """What a run depends on, of what its interpreter was made with: as JSON data."""
    return {
        **facts,
        "virtual_time": driver.virtual,
        "start_s": driver.start_s if isinstance(driver, VirtualDriver) else 0.0,
        "scheduler": asdict(config),
        "limits": {name: getattr(limits, name) for name in Limits.__slots__},
        "grants": {"llm": grants.llm, "stdin": grants.stdin},
        "models": kept_models(models),
        "budget": None if budget is None else list(budget.limits),
    }


def arguments_of(header: dict[str, Any]) -> dict[str, Any]:
    """With what arguments to make the interpreter that a tape was recorded with."""
    return {
        "llm": models_again(header["models"]),
        "budget": budget_of(header),
        "grants": Grants(**header["grants"]),
        "scheduler": SchedulerConfig(**header["scheduler"]),
        "limits": Limits(**header["limits"]),
        "seed": header["seed"],
        "driver": VirtualDriver(header["start_s"]) if header["virtual_time"] else None,
        "optimize": header["optimize"],
    }


def budget_of(header: dict[str, Any]) -> Budget | None:
    kept = header["budget"]
    if kept is None:
        return None
    calls, tokens, cost = kept
    return Budget(calls, tokens, None if cost is None else Fraction(cost, PICO))


def running_places(rt: Any, frame: FrameType | None) -> Iterator[tuple[str, Span]]:
    """(procedure, place) of the calls that run, innermost first, from a frame on."""
    while frame is not None:
        if is_of_program(rt, frame):
            yield from places(frame.f_code, frame.f_lasti)
        frame = frame.f_back


def is_of_program(rt: Any, frame: FrameType) -> bool:
    """Whether a frame runs code of the program, and not of the library."""
    code = frame.f_code
    is_generated = frame.f_globals is rt.registers and code is not rt.drive.__code__
    return is_generated and not code.co_filename.startswith("<omega")


def watch_files(interpreter: Any, tap: Tap) -> None:
    modules = interpreter._evaluator.modules
    modules.files = _Files(modules.files, tap)


class _Files:
    """The files of a program's text (modules.Files), by way of a tap."""

    def __init__(self, files: Any, tap: Tap) -> None:
        self._files, self.tap = files, tap

    def locate(self, name: tuple[str | int, ...], importer: str) -> str | None:
        asked = f"the library ({' '.join(map(str, name))}) for {importer}"
        found: str | None = self._ask(asked, lambda: self._files.locate(name, importer))
        return found

    def included(self, written: str, importer: str) -> str:
        asked = f"the file {written} for {importer}"
        return str(self._ask(asked, lambda: self._files.included(written, importer)))

    def read(self, path: str) -> str:
        return str(self._ask(f"the text of {path}", lambda: self._files.read(path)))

    def _ask(self, key: str, act: Callable[[], Any]) -> Any:
        return self.tap.file(key, act)
