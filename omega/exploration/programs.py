"""One run of an Omega program under a chooser: in an interpreter of its own, or, for a procedure,
in this one.

Owns: `program_run`, `thunk_run`.
Refuses: to choose; what counts as a failure (runs.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import Any

from omega.calls import CallingScheduler, Calls
from omega.concurrency import SchedulerConfig, Task
from omega.concurrency.hub import cancel_watched
from omega.concurrency.limits import out_of_fuel
from omega.effects import Grants
from omega.errors import HostError, LispError, OmegaError, TaskError
from omega.exploration.choosers import Follower, StillDriver
from omega.exploration.runs import PATIENCE, Endless, Outcome, Run, outcome
from omega.exploration.weather import Weather
from omega.limits import Limits
from omega.llm import Provider, provider_from_spec
from omega.llm.spec import DEFAULT_SPEC

Llm = str | Callable[[], Provider] | None


class ExitStatus(LispError):
    """A run ended with `(exit n)`, n being no success."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the program ends with exit status {status}")


def program_run(
    new_interpreter: Callable[..., Any],
    text: str,
    filename: str,
    *,
    llm: Llm = None,
    config: SchedulerConfig | None = None,
    limits: Limits | None = None,
    grants: Grants | None = None,
    arguments: Sequence[str] = (),
    load_path: Sequence[str] = (),
    seed: int = 0,
    faults: bool = False,
) -> Run:
    """Runs of a text as a program, each in a new interpreter under virtual time. The value of one
    is what it wrote.

    new_interpreter: the class Interpreter. llm: a specification, or what makes a new provider for
    each run. grants: nothing by default. A run raises what reading and compiling the text raise.
    """

    def run(chooser: Follower) -> Outcome:
        provider = llm() if callable(llm) else provider_from_spec(llm or DEFAULT_SPEC)
        if provider.needs_real_time:
            raise HostError(
                f"the provider `{provider.name}` needs real time, and runs that are explored have "
                "none",
                hint="use the scripted provider",
            )
        output = StringIO()
        with new_interpreter(
            llm=Weather(provider, chooser, faults=faults),
            scheduler=config,
            limits=limits,
            grants=grants,
            seed=seed,
            driver=StillDriver(chooser.horizon),
            output=output,
            load_path=load_path,
        ) as omega:
            omega.scheduler.choose_by(chooser)
            omega.scheduler.set_fuel(PATIENCE * chooser.horizon)
            omega.door.arguments = list(arguments)
            omega.only_text()
            main = omega.spawn_text(text, filename)

            def leave() -> None:
                if not main.is_done:
                    omega.scheduler.cancel(main, "the program exits")

            omega.on_exit = leave
            result = outcome(omega.scheduler, lambda: omega.scheduler.wait(main))
            omega.leaks()  # a run may end anywhere: what is left behind then is no news
            status = omega.exit_status
            if status is not None:
                result = result._replace(failure=ExitStatus(status) if status else None)
            if isinstance(result.failure, OmegaError):
                omega.explained(result.failure)
            return result._replace(value=output.getvalue())

    return run


def thunk_run(
    interpreter: Any,
    call: Callable[[], Any],
    *,
    faults: bool = False,
) -> Run:
    """Runs of `call()` in this interpreter, each on a scheduler as good as new, under virtual time.
    What it finds in globals and in what it closes over stays from run to run.
    """

    def run(chooser: Follower) -> Outcome:
        scheduler = interpreter.scheduler
        left = max(0, scheduler.fuel_end - scheduler.steps_now())
        with _apart(interpreter, chooser, faults) as interrupted:
            scheduler.set_fuel(min(PATIENCE * chooser.horizon, left))
            main = scheduler.spawn(interpreter.task_body(call), name="main")
            result = outcome(scheduler, lambda: scheduler.wait(main))
        scheduler.charge(result.steps)
        if isinstance(result.failure, Endless) and left <= PATIENCE * chooser.horizon:
            out_of_fuel(scheduler)
        if interrupted:
            scheduler.interrupt()
        return result

    return run


class _Apart(CallingScheduler):
    """A scheduler while what it was doing is put aside: it must not wake what waits there."""

    __slots__ = ()

    def claim(self, task: Task, gen: int, branch: int, value: Any = None) -> bool:
        scope = task.scope
        while scope.parent is not None:
            scope = scope.parent
        if scope is not self.root:
            raise TaskError(
                f"task {task.label} waits outside of the schedules that are tried",
                hint="channels and locks of a run are made in it: it is called again and again",
            )
        return super().claim(task, gen, branch, value)


@contextmanager
def _apart(interpreter: Any, chooser: Follower, faults: bool) -> Iterator[list[bool]]:
    """Inside, the interpreter's scheduler, calls and dice are as if just made, and time is virtual;
    the running task, and all there was, wait outside. Answers what becomes true when Ctrl-C came.
    """
    scheduler, door = interpreter.scheduler, interpreter.door
    kept = {
        name: getattr(scheduler, name)
        for kind in type(scheduler).__mro__
        for name in getattr(kind, "__slots__", ())
        if name != "__weakref__" and hasattr(scheduler, name)
    }
    calls, dice = interpreter.calls, door.dice.getstate()
    interrupted: list[bool] = []

    def interrupt() -> None:
        interrupted.append(True)
        cancel_watched(scheduler)

    try:
        scheduler.__class__ = _Apart
        scheduler.__init__(
            scheduler.config,
            driver=StillDriver(chooser.horizon),
            registers=scheduler.registers,
            depth_max=scheduler.depth_max,
        )
        scheduler.on_interrupt = interrupt
        scheduler.choose_by(chooser)
        door.dice.seed(0)
        weather = Weather(calls.provider, chooser, faults=faults)
        door.calls = interpreter.calls = scheduler.calls = Calls(scheduler, weather, door.dice)
        try:
            yield interrupted
        finally:
            scheduler.close()
    finally:
        scheduler.__class__ = CallingScheduler
        for name, value in kept.items():
            setattr(scheduler, name, value)
        door.calls = interpreter.calls = calls
        door.dice.setstate(dice)
        me = scheduler.current
        if me is not None and me.stack is not None:
            scheduler.registers["_it"] = me.it
