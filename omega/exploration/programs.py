"""One run of an Omega program under a chooser: in an interpreter of its own, or, for a procedure,
in this one.

Owns: `program_run`, `thunk_run`.
Refuses: to choose; what counts as a failure (runs.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from io import StringIO
from random import Random
from typing import TYPE_CHECKING, Any, NoReturn

from omega.calls.calls import Calls
from omega.calls.models import Models
from omega.concurrency import SchedulerConfig, Task
from omega.concurrency.clock import now_us
from omega.concurrency.hub import cancel_watched
from omega.concurrency.limits import check_wall, out_of_fuel
from omega.concurrency.outside import Inbox
from omega.concurrency.scheduler import Kernel
from omega.concurrency.stacks import LentStacks
from omega.effects import Grants
from omega.errors import HostError, LimitExceeded, LispError, OmegaError, TaskError
from omega.exploration.allowance import Allowance
from omega.exploration.choosers import Follower
from omega.exploration.driver import StillDriver
from omega.exploration.faults import FaultTap, WeatheredProvider
from omega.exploration.runs import Outcome, Run, outcome
from omega.exploration.strategies import SEED, dice_of_runs
from omega.exploration.weather import FILES, Weather, fault_kinds
from omega.limits import Limits
from omega.llm import Provider

if TYPE_CHECKING:
    from omega.llm.budget import Budget

Llm = str | Callable[[], Provider | Models] | None
Faults = bool | Iterable[str]  # which kinds of them: weather.FAULT_KINDS; True: all


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
    budget: Callable[[], Budget | None] | None = None,
    config: SchedulerConfig | None = None,
    grants: Grants | None = None,
    arguments: Sequence[str] = (),
    load_path: Sequence[str] = (),
    faults: Faults = False,
    limits: Limits | None = None,
    allowance: Allowance | None = None,
) -> Run:
    """Runs of a text as a program, each in a new interpreter under virtual time. The value of one
    is what it wrote. limits: of each, but steps and seconds, of which `allowance` tells.

    new_interpreter: the class Interpreter. llm: a specification, or what makes a new provider, or
    new models, for each run. budget: what makes the one that a run's calls are paid from. grants:
    nothing by default. A run raises what reading and compiling the text raise.
    """

    if not (llm is None or isinstance(llm, str) or callable(llm)):
        raise HostError(
            f"each run of a program that is explored needs new models, got one {_kind(llm)}",
            hint="give what makes them: llm=lambda: Models.from_file(...)",
        )
    kinds, fuel = fault_kinds(faults), None if allowance is None else allowance.fuel

    def run(chooser: Follower) -> Outcome:
        models = Models.of(llm() if callable(llm) else llm)
        for provider in models.providers():
            if provider.needs_real_time:
                refuse_real_time(provider)
        output = StringIO()
        weather = Weather(chooser, kinds)
        began_us, is_over = now_us(), None if allowance is None else allowance.run_begins()
        with new_interpreter(
            llm=models.wrapped(lambda each: WeatheredProvider(each, weather)),
            budget=None if budget is None else budget(),
            scheduler=config,
            limits=limits,
            grants=grants,
            driver=StillDriver(chooser, weather, is_over),
            output=output,
            load_path=load_path,
        ) as omega:
            omega.scheduler.choose_by(chooser)
            most = chooser.horizon.fuel
            omega.scheduler.set_fuel(most if fuel is None else min(fuel, most))
            if FILES in kinds:
                omega.door.tap = FaultTap(weather, omega.door.tap)
            omega.door.arguments = list(arguments)
            omega.only_text()
            main = omega.spawn_text(text, filename)

            def leave() -> None:
                if not main.is_done:
                    omega.scheduler.cancel(main, "the program exits")

            omega.on_exit = leave
            result = outcome(omega.scheduler, chooser, lambda: omega.scheduler.wait(main))
            limit = result.failure
            if allowance and isinstance(limit, LimitExceeded) and limit.limit == "wall":
                took_s = round((now_us() - began_us) / 1e6, 3)
                error = LimitExceeded("wall", took_s, allowance.run_s, "seconds for one run")
                result = result._replace(failure=error)
            omega.leaks()  # a run may end anywhere: what is left behind then is no news
            status = omega.exit_status
            if status is not None:
                result = result._replace(failure=ExitStatus(status) if status else None)
            if isinstance(result.failure, OmegaError):
                omega.explained(result.failure)
            return result._replace(value=output.getvalue())

    return run


def _kind(value: object) -> str:
    return type(value).__name__


def thunk_run(interpreter: Any, thunk: Callable[[], Any], *, faults: Faults = False) -> Run:
    """Runs of a Lisp procedure in this interpreter, each on a scheduler as good as new, under
    virtual time. What it finds in globals and in what it closes over stays from run to run, and so
    do the handlers and parameters of the running task.

    Raises TaskError where other tasks live or calls are in flight: they would meet a scheduler that
    is not theirs. LimitExceeded when a limit of the interpreter is met.
    """
    _refuse_company(interpreter.scheduler)
    for provider in interpreter.calls.models.providers():
        if provider.needs_real_time:
            refuse_real_time(provider)
    rt, kinds, dice = interpreter.runtime, fault_kinds(faults), dice_of_runs()

    def run(chooser: Follower) -> Outcome:
        scheduler = interpreter.scheduler
        left = max(0, scheduler.fuel_end - scheduler.steps_now())
        room = scheduler.tasks_max - scheduler.live
        dynamics = rt.host.dynamics()
        dice.seed(SEED)
        with _apart(interpreter, chooser, kinds, dice) as interrupted:
            scheduler.set_fuel(min(chooser.horizon.fuel, left))
            scheduler.set_tasks(max(1, room))
            main = scheduler.spawn(
                interpreter.task_body(lambda: rt.call(thunk)),
                name="main",
                locals=dynamics.snapshot(),
            )
            result = outcome(scheduler, chooser, lambda: scheduler.wait(main))
            limit = scheduler.wall
        if limit is not None:
            check_wall(scheduler)
        if interpreter.exit_status is not None:  # it was the run's, not the program's
            result = result._replace(failure=ExitStatus(interpreter.exit_status))
            interpreter.exit_status = None
        scheduler.charge(result.steps)
        if isinstance(result.failure, LimitExceeded) and result.failure.limit == "fuel":
            out_of_fuel(scheduler)
        if interrupted:
            scheduler.interrupt()
        return result

    return run


def refuse_real_time(provider: Provider) -> NoReturn:
    raise HostError(
        f"the provider `{provider.name}` needs real time, and runs that are explored have none",
        hint="use the scripted provider",
    )


def _refuse_company(scheduler: Any) -> None:
    """An error unless the running task has the scheduler for itself: who waits for it may."""
    if isinstance(scheduler, _Apart):
        raise TaskError(
            "a run that is explored cannot explore", hint="explore the inner procedure by itself"
        )
    me = scheduler.current
    above = set()
    path = "" if me is None else me.id
    while path:
        above.add(path)
        path = path.rpartition(".")[0]
    others = [task.label for task in scheduler.all_tasks() if task.id not in above]
    others += [external.label for external in scheduler.externals]
    if others:
        shown = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        raise TaskError(
            f"schedules are explored while nothing else goes on, and {shown} has not ended",
            hint="await or cancel it before; what a run uses is made in it",
        )


class _ParkedInbox(Inbox):
    """What other threads post meanwhile is for the scheduler that was put aside."""

    __slots__ = ("_outer",)

    def __init__(self, outer: Inbox) -> None:
        super().__init__()
        self._outer = outer

    def post(self, call: Callable[[], None]) -> None:
        self._outer.post(call)


class _Apart(Kernel):
    """Mixed into a scheduler while what it was doing is put aside: it must not wake what waits
    there.
    """

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


@cache
def _apart_kind(kind: type[Kernel]) -> type[Kernel]:
    """The class of a scheduler of this kind meanwhile: of the same layout, so it may become it."""
    return type(_Apart.__name__, (_Apart, kind), {"__slots__": ()})


@cache
def _fields(kind: Any) -> tuple[str, ...]:
    """What a scheduler of this kind knows."""
    names = (name for each in kind.__mro__ for name in getattr(each, "__slots__", ()))
    return tuple(name for name in names if name != "__weakref__")


@contextmanager
def _apart(
    interpreter: Any, chooser: Follower, kinds: frozenset[str], dice: Random
) -> Iterator[list[bool]]:
    """Inside, the interpreter's scheduler, calls and dice are as if just made, and time is virtual;
    the running task, and all there was, wait outside. Answers what becomes true when Ctrl-C came.
    """
    scheduler, door = interpreter.scheduler, interpreter.door
    kind: Any = type(scheduler)
    kept = {name: getattr(scheduler, name) for name in _fields(kind)}
    pool = LentStacks(kept["_spare"], kept["_stacks"], kept["_hub"])
    own = dict(getattr(scheduler, "__dict__", ()))  # what a kind without slots knows besides
    calls, tap = interpreter.calls, door.tap
    outer_dice, on_exit = door.dice, interpreter.on_exit
    interpreter.on_exit = None
    interrupted: list[bool] = []

    timer, outer = scheduler.wall_timer, scheduler.driver

    def is_over() -> bool:
        return timer is not None and timer.gen == 0 and timer.when_us <= outer.now_us()

    def interrupt() -> None:
        interrupted.append(True)
        cancel_watched(scheduler)

    weather = Weather(chooser, kinds)
    try:
        scheduler.__class__ = _apart_kind(kind)
        scheduler.__init__(
            scheduler.config,
            driver=StillDriver(chooser, weather, None if timer is None else is_over),
            registers=scheduler.registers,
            depth_max=scheduler.depth_max,
        )
        pool.lend(scheduler)
        scheduler.inbox = _ParkedInbox(kept["inbox"])
        scheduler.on_interrupt = interrupt
        scheduler.choose_by(chooser)
        door.dice = dice
        models = calls.models.wrapped(lambda each: WeatheredProvider(each, weather))
        door.calls = interpreter.calls = scheduler.calls = Calls(scheduler, models, dice)
        if FILES in kinds:
            door.tap = FaultTap(weather, tap)
        try:
            yield interrupted
        finally:
            pool.take_back(scheduler)
            scheduler.close()
            pool.bury()
    finally:
        scheduler.__class__ = kind
        for name, value in kept.items():
            setattr(scheduler, name, value)
        if own:
            scheduler.__dict__.clear()
            scheduler.__dict__.update(own)
        door.calls = interpreter.calls = calls
        door.tap = tap
        door.dice = outer_dice
        interpreter.on_exit = on_exit
        me = scheduler.current
        if me is not None and me.stack is not None:
            scheduler.registers["_it"] = me.it
