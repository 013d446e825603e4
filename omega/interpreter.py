"""The interpreter, which a host creates: evaluator, scheduler, effect door, LLM calls together.

Owns: `Interpreter`.
Refuses: mechanism: the language is omega/lisp, tasks are omega/concurrency, the door is effects.py,
the Lisp names of tasks and models are bindings.py.

Invariant: an interpreter belongs to the thread that made it; two share only intern tables.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from omega.calls import Models
from omega.calls.calls import CallingScheduler, Calls
from omega.concurrency import (
    AsyncioDriver,
    ConcurrencyManager,
    Driver,
    External,
    Mutex,
    SchedulerConfig,
    Task,
    VirtualDriver,
)
from omega.effects import Door, Grants
from omega.errors import (
    Closed,
    HostError,
    LimitExceeded,
    LoopIsRunning,
    OmegaError,
    Source,
    WrongThread,
)
from omega.host_functions import HostFunctions
from omega.host_stack import HostStack
from omega.left_behind import left_behind, warn
from omega.limits import HOW_TO_RAISE, Limits, advise
from omega.lisp.conditions import NATIVE_DEPTH_HINT
from omega.lisp.evaluator import Evaluator
from omega.lisp.host import Dynamics
from omega.lisp.ports import unflushed
from omega.lisp.procedure import Procedure, Seam
from omega.lisp.runtime import MARKER, RuntimeLimits
from omega.llm import Provider
from omega.made_with import checked
from omega.programs import ProgramFiles, read_source
from omega.progress import Progress, Progresses
from omega.runs.hosts import DurableHost
from omega.scheduler_host import Lookout, SchedulerHost, metered

if TYPE_CHECKING:
    from omega.durable.store import Store
    from omega.llm.budget import Budget
    from omega.runs.session import DurableSession, RunSettings
    from omega.tape import Recording, Replay

HOST_DEPTH_MAX = 150  # procedures called by host functions called by ...: 3.12 bears 200


class Interpreter(DurableHost):
    """One Lisp world: its globals, tasks, effects and limits. A context manager.

    llm: None (the scripted default), a specification ("openai:gpt-4o-mini"), a Provider, or several
    models (omega.calls.Models). budget: what all calls of models are paid from. seed: of all
    randomness. virtual_time: time jumps to the next timer instead of passing. driver: what
    time passes by otherwise. output: where `display` writes, an object with `write(text)`; None:
    standard output. load_path: folders whose libraries and texts a program may import and include,
    whatever it may read otherwise. optimize: False leaves out what the compiler does for speed.
    record: the path of a tape to write, which `omega.replay` replays; record_prompts: whether it
    shows prompts, or only their hashes. session: what does either.
    store: of durable runs (`run_durable`), or the path of a SQLite file; runs: how they are run.
    """

    def __init__(
        self,
        *,
        llm: str | Provider | Models | None = None,
        scheduler: SchedulerConfig | None = None,
        limits: Limits | None = None,
        grants: Grants | None = None,
        seed: int = 0,
        virtual_time: bool = False,
        driver: Driver | None = None,
        output: Any = None,
        use_cache: bool = True,
        load_path: Sequence[str] = (),
        optimize: bool = True,
        record: str | None = None,
        record_prompts: bool = True,
        session: Recording | Replay | DurableSession | None = None,
        budget: Budget | None = None,
        store: Store | str | None = None,
        runs: RunSettings | None = None,
    ) -> None:
        DurableHost.__init__(self, checked(locals()), store, runs)
        self._thread = threading.get_ident()
        most = self.limits = limits or Limits()
        models = Models.of(llm)
        if virtual_time if driver is None else driver.virtual:
            models.refuse_real_time()
        config, granted = scheduler or SchedulerConfig(), grants or Grants()
        driver = driver or (VirtualDriver() if virtual_time else AsyncioDriver())
        if record is not None:
            from omega.tape import Recording

            session = Recording.of(record, driver, prompts=record_prompts)
        self.session, make = session, CallingScheduler
        if session is not None:
            facts = {"seed": seed, "optimize": optimize}
            driver = session.begin(facts, driver, config, most, granted, models, budget)
            make = session.scheduler
        self.scheduler = make(config, driver=driver, registers={}, depth_max=most.depth)
        rng = random.Random(seed)
        self.calls = self.scheduler.calls = Calls(
            self.scheduler,
            models,
            rng,
            cache=None if session is not None else models.open_cache(),
            budget=budget,
        )
        self.door = Door(self.scheduler, granted, self.calls, rng)
        self._evaluator = Evaluator(
            SchedulerHost(self.scheduler, self.door),
            RuntimeLimits(most.depth, most.output_bytes, most.alloc_items, most.source_bytes),
            use_cache=use_cache,
            optimize=optimize,
        )
        self.runtime = self.door.rt = self._evaluator.runtime
        self._seam = Seam(self.runtime, self._enter, self._enter_async)
        self.scheduler.watchdog.look = Lookout(self.runtime)
        self._closed = False
        self._leaks_told = False
        self._stack = HostStack(self.scheduler)
        hosts = HostFunctions(self.scheduler, self._seam, self._stack, self.door)
        self._seam.host_function = self._host_function = hosts.procedure
        self._manager: ConcurrencyManager | None = None
        self.findings: list[OmegaError] = []  # of the last text: what fails if it is reached
        self.how_to_raise = HOW_TO_RAISE  # limits; another audience has other means
        self.exit_status: int | None = None  # of `(exit n)`, once a task has asked for it
        self.on_exit: Callable[[], None] | None = None  # called in that task, before it unwinds
        self.on_emergency: Callable[[int], None] | None = None  # ends the process at once
        self.door.output = output
        self._set_up(load_path)

    def _set_up(self, load_path: Sequence[str]) -> None:
        from omega.bindings import install

        self.progresses = Progresses()
        files = self._evaluator.modules.files = ProgramFiles(load_path, self.door.allow_reading)
        files.characters_max = self.limits.source_bytes
        self._evaluator.once = self._once
        self._module_lock = Mutex(self.scheduler, "the libraries that are being imported")
        if self.session is not None:
            self.session.attach(self)
        install(self)
        self._evaluator.load_library()
        self.scheduler.set_fuel(self.limits.fuel)
        self.scheduler.set_tasks(self.limits.tasks)
        self.scheduler.set_wall_deadline(self.limits.wall_s)

    def _once(self, module: Any, body: Callable[[], None]) -> None:
        """Run a module while no other task runs one; a task that imports meanwhile waits."""
        lock, current = self._module_lock, self.scheduler.current
        if current is None or lock.holder is current:
            body()
            return
        with lock.held():
            body()

    # -- evaluating ----------------------------------------------------------------------------

    def eval(self, text: str, *, filename: str = "<eval>") -> Any:
        """Evaluate a text; the value of its last form. Tasks it leaves go on at the next call.

        Raises LispError and its kin, with the report as their text; LoopIsRunning inside an asyncio
        loop.
        """
        self._check("eval", "eval_async")
        return self._finish(lambda: self.scheduler.wait(self.spawn_text(text, filename)))

    async def eval_async(self, text: str, *, filename: str = "<eval>") -> Any:
        """`eval` inside a running asyncio loop, which goes on meanwhile."""
        self._check_open()
        return await self._finish_async(self.spawn_text(text, filename))

    async def _finish_async(self, task: Task) -> Any:
        """The value of a task; when whoever awaits it is cancelled, so is the task."""
        try:
            value = await self.scheduler.wait_async(task)
            self.check_limits()
            return self._seam.to_host(value)
        except OmegaError as error:
            raise self.explained(self._weightier(error)) from error.__cause__
        finally:
            if not task.is_done and not self._closed:
                self.scheduler.cancel(task, "whoever awaited it was cancelled", "host")

    def load(self, path: str) -> Any:
        """Evaluate the file at `path` (read with the host's rights); the value of its last form."""
        return self.eval(read_source(path), filename=path)

    def submit(
        self,
        program: str | Procedure,
        *,
        name: str | None = None,
        priority: int = 0,
        timeout: float | None = None,
    ) -> Task:
        """A task for a text or a procedure; `manager.wait(task)` gives its value. timeout: seconds
        from its start.
        """
        self._check_open()
        self._acts("submit", name)
        if isinstance(program, Procedure):
            function = program.function
            body = self.task_body(lambda: self.runtime.call(function))
        else:
            thunk = self._prepared(program, "<submit>")
            body = self.task_body(lambda: self._seam.to_host(self.runtime.call(thunk)))
        return self.scheduler.spawn(
            body, name=name, priority=priority, timeout=timeout, locals=Dynamics()
        )

    def submit_threadsafe(self, program: str | Procedure, **options: Any) -> None:
        """`submit` from any thread; the task starts when the owner next runs the scheduler."""
        if self._closed:
            raise Closed("this interpreter is closed")
        self.scheduler.post(lambda: self._submit_posted(program, options))

    def _submit_posted(self, program: str | Procedure, options: dict[str, Any]) -> None:
        """A text that does not compile fails in a task of its own, not in whatever runs now."""
        failure: OmegaError | None = None
        try:
            self.submit(program, **options)
        except OmegaError as error:
            failure = error
        if failure is not None:
            self.scheduler.spawn(partial(_raise, failure), name=options.get("name"))

    def spawn_text(self, text: str, filename: str) -> Task:
        """A task for a program's text, read and compiled before this returns; `findings` then tells
        what can be seen to be wrong.

        Raises what reading and compiling raise, explained.
        """
        thunk = self._prepared(text, filename)
        body = self.task_body(lambda: self.runtime.call(thunk))
        return self.scheduler.spawn(body, name=filename, locals=Dynamics())

    def check(self, text: str, filename: str = "<check>") -> list[OmegaError]:
        """What is wrong with a text, and what is odd about it, in its order: nothing of it is run
        but macros. Errors keep it from running, the others have the severity "warning".
        """
        self._check_open()
        with metered(self.scheduler, self.runtime, "while a program is compiled"):
            return [self.explained(error) for error in self._evaluator.check(text, filename)]

    def _prepared(self, text: str, filename: str) -> Callable[[], Any]:
        if self.door.tap is not None:
            self.door.tap.text(filename, text)
        try:
            with metered(self.scheduler, self.runtime, "while a program is compiled"):
                thunk, found = self._evaluator.prepare(text, filename)
        except Exception as error:
            raise self.explained(self.runtime.conditions.as_condition(error)) from None
        self.findings = []
        if found:
            from omega.lisp.findings import as_error

            self.findings = [as_error(each, self.runtime.suggest) for each in found]
            for finding in self.findings:
                self._evaluator.complete(finding)
        return thunk

    def task_body(self, run: Callable[[], Any]) -> Callable[[], Any]:
        """A task's body: failures leave it as conditions, with their place and the task they
        happened in.
        """

        def body() -> Any:
            failure: BaseException | None = None
            try:
                return run()
            except Exception as raised:
                failure = raised
            raise self._task_failure(failure)

        return body

    def run_procedure(self, function: Any) -> Any:
        """What `task_body` makes of a call of a Lisp procedure without arguments."""
        failure: BaseException | None = None
        try:
            value = function()
            return self.runtime.drive() if value is MARKER else value
        except Exception as raised:
            failure = raised
        raise self._task_failure(failure)

    def _task_failure(self, failure: BaseException) -> OmegaError:
        conditions = self.runtime.conditions
        error = conditions.as_condition(failure)
        error.signalled = False  # whoever awaits the task has handlers of its own
        current = self.scheduler.current
        if error.task is None and current is not None:
            if error.find_place is None:  # else its place is found when asked for, callers and all
                conditions.with_callers(error)
            error.task = current.name or current.short_id()
        return error

    def _finish(self, run: Callable[[], Any]) -> Any:
        try:
            value = run()
            self.check_limits()
            return self._seam.to_host(value)
        except OmegaError as error:
            raise self.explained(self._weightier(error)) from error.__cause__

    def check_limits(self) -> None:
        """Raise a limit of the whole interpreter that was met, whatever tasks made of it."""
        reached = self.scheduler.limit_reached()
        if reached is not None:
            raise reached

    def _weightier(self, error: OmegaError) -> OmegaError:
        return self.scheduler.limit_reached() or error

    def watch_progress(self, listener: Callable[[Progress], None] | None) -> None:
        """Have `listener` called with every progress of the program that begins, moves or ends."""
        self.progresses.listener = listener

    def only_text(self) -> None:
        """Say that the next text is the only one (a script): compiled code is kept even when it
        defines macros.
        """
        self._evaluator.only_text()

    def forget_compiled(self) -> None:
        """Say that texts from now on are seldom evaluated again (a prompt's): their compiled code
        is not kept.
        """
        self._evaluator.use_cache = False

    def keep(self, name: str, value: Any) -> None:
        """Bind a global to a value as Lisp code sees it (a task's result)."""
        self._evaluator.define(name, value)

    def names(self) -> list[str]:
        """The names a program can use: its own and the library's."""
        library = (name for name in self.runtime.library if not name.startswith("%"))
        return sorted({*library, *self._evaluator.defined})

    def python(self, source: Source) -> str:
        """What a text is compiled to, as Python for people to read. Raises what reading and
        expanding raise.
        """
        return self._evaluator.compiler.python(source)

    def source(self, file: str) -> Source | None:
        """The text that is reported under `file`, if it was evaluated here."""
        return self._evaluator.source(file)

    def exiting(self, status: int, *, at_once: bool = False) -> None:
        """`(exit status)` was called; the first one counts. at_once: without cleaning up."""
        if at_once and self.on_emergency is not None:
            self.on_emergency(status)
        if self.exit_status is None:
            self.exit_status = status
            if self.on_exit is not None:
                self.on_exit()

    def explained(self, error: OmegaError) -> OmegaError:
        """The error with its report as its text."""
        if error.excerpt is None:
            from omega.lisp.report import report

            every = [error, *error.others]
            for each in every:
                self.runtime.conditions.with_callers(each)
                self._evaluator.complete(each, self.findings)
                advise(each, self.how_to_raise)
            error.excerpt = "\n".join(report(each, self._evaluator.source) for each in every)
        return error

    # -- names ---------------------------------------------------------------------------------

    def get(self, name: str) -> Any:
        """The value of a global. Raises KeyError."""
        self._check_open()
        try:
            return self._seam.to_host(self._evaluator.lookup(name))
        except KeyError:
            raise KeyError(f"`{name}` is not bound") from None

    def define(
        self,
        name: str,
        value: Any,
        *,
        blocking: bool = False,
        reentrant: bool = False,
        effect: str | None = None,
    ) -> None:
        """Bind a global of the program. A callable becomes a procedure (and is thereby granted).

        blocking: run it in the pool of threads, suspending only the calling task. reentrant: Lisp
        procedures it calls may wait. An `async def` function suspends the calling task until it is
        done. effect: for durable runs, which call none without: "pure", "idempotent", "paid" or
        "transactional" (it is given a connection to the store before its other arguments).
        """
        self._check_open()
        if not isinstance(name, str):
            raise HostError(f"a name is a str, got {type(name).__name__}")
        options: Any = {"blocking": blocking, "reentrant": reentrant, "effect": effect}
        bound = self._classified(name, value, options)
        if callable(bound) and not isinstance(bound, (type, Procedure)):
            inside = self._host_function(bound, name, blocking=blocking, reentrant=reentrant)
        else:
            inside = self._seam.from_host(bound)
        self._evaluator.define(name, inside)

    @property
    def manager(self) -> ConcurrencyManager:
        """The ConcurrencyManager over this interpreter's scheduler."""
        if self.door.tap is not None:
            self.door.tap.entered()
        if self._manager is None:
            self._manager = ConcurrencyManager.over(self.scheduler)
        return self._manager

    # -- calls from the host -------------------------------------------------------------------

    def _acts(self, what: str, whom: str | None) -> None:
        """The host does something to this interpreter: a tape tells where."""
        if self.door.tap is not None:
            self.door.tap.entered()
            self.scheduler.host_acts(what, whom)

    def _enter(self, function: Any, arguments: tuple[Any, ...], name: str) -> Any:
        """Call a procedure from host code: on the running task's stack, else on the scheduler."""
        self._check_open()
        self._acts("call", name)
        if self.scheduler.current is not None:
            # The call goes through the host's C stack, which must not be filled.
            nested = self._stack.nested
            if nested >= HOST_DEPTH_MAX:
                raise LimitExceeded(
                    "native-depth", nested, HOST_DEPTH_MAX, "calls of host code within calls",
                    hint=NATIVE_DEPTH_HINT,
                )  # fmt: skip
            self._stack.nested += 1
            limit = self._stack.leave()
            try:
                return self._seam.to_host(self.runtime.call(function, *arguments))
            finally:
                self._stack.enter_again(limit)
                self._stack.nested -= 1
        if self.scheduler.driver.is_guest_now():
            where = f"a call of `{name}` from a running asyncio loop"
            metering = metered(self.scheduler, self.runtime, f"in {where}")
            with self.scheduler.no_switch(where), metering:
                return self._finish(self.task_body(lambda: self.runtime.call(function, *arguments)))
        self._check("call a procedure", "call_async")
        body = self.task_body(lambda: self.runtime.call(function, *arguments))
        return self._finish(
            lambda: self.scheduler.wait(self.scheduler.spawn(body, name=name, locals=Dynamics()))
        )

    async def _enter_async(self, function: Any, arguments: tuple[Any, ...], name: str) -> Any:
        self._check_open()
        self._acts("call", name)
        body = self.task_body(lambda: self.runtime.call(function, *arguments))
        return await self._finish_async(self.scheduler.spawn(body, name=name, locals=Dynamics()))

    # -- life ----------------------------------------------------------------------------------

    def run(self) -> None:
        """Run until no foreground task is left."""
        self._check("run", "manager.run_async")
        self._finish(self.scheduler.run)

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("this interpreter is closed")
        if threading.get_ident() != self._thread:
            raise WrongThread(
                "this interpreter belongs to another thread",
                hint="use submit_threadsafe, or one interpreter a thread",
            )

    def _check(self, doing: str, instead: str) -> None:
        self._check_open()
        if self.scheduler.driver.is_guest_now():
            raise LoopIsRunning(
                f"cannot {doing} while an asyncio loop is running here", hint=f"use {instead}"
            )

    def close(self) -> None:
        """Cancel every task, unwind every stack, close connections (inside a running asyncio loop
        soon after; `aclose` waits for it). A second close does nothing.
        """
        if self._begin_close():
            guest = self.scheduler.driver.is_guest_now()
            try:
                if self.calls.is_connected and not guest:
                    closing = self._end_all()
                    self.scheduler.run_until(lambda: closing.done)
            finally:
                self._end()
            if self.calls.is_connected and guest:
                self.calls.close_soon()
            warn(self._left, stacklevel=2)

    async def aclose(self) -> None:
        """`close` inside a running asyncio loop; connections are closed when it is done."""
        if self._begin_close():
            try:
                if self.calls.is_connected:
                    closing = self._end_all()
                    await self.scheduler.driver.drive_async(lambda: closing.done)
            finally:
                self._end()
            warn(self._left, stacklevel=2)

    def _end(self) -> None:
        with ExitStack() as parts:  # each of them whatever others raise, the last one here first
            if self.session is not None:
                parts.callback(self.session.close)
            parts.callback(self.close_ports)
            parts.callback(self.calls.close)
            parts.callback(self._close_runs)
            self.scheduler.close()

    def close_ports(self) -> None:
        """Write what ports that were not closed hold back. Raises LispFileError. `close` does."""
        if self.session is None or self.session.failure is None:  # else somebody else goes on
            unflushed(self.runtime).close()

    def leaks(self) -> list[OmegaError]:
        """What `close` would leave behind now, as warnings; it warns nobody who has asked."""
        self._leaks_told = True
        return [self.explained(each) for each in left_behind(self.scheduler)]

    def _begin_close(self) -> bool:
        """False: it is closed already."""
        if self._closed:
            return False
        self._check_open()
        if self.scheduler.current is not None or self.scheduler.in_batch:
            raise HostError(
                "a program cannot close its own interpreter", hint="close it where it was made"
            )
        self.scheduler.host_acts("close", None)
        asked = self._leaks_told or self.scheduler.driver.failure is not None
        self._left = [] if asked else left_behind(self.scheduler)
        self._closed = True
        return True

    def _end_all(self) -> External:
        """Ask every task to end, and the provider to close its connections."""
        self.scheduler.set_wall_deadline(None)
        self.scheduler.set_fuel(None)
        self.scheduler.cancel_all("the interpreter is closing")
        return self.scheduler.external(self.calls.aclose, waits_for="closing connections")

    def __enter__(self) -> Interpreter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Interpreter:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def documentation(self, name: str) -> str | None:
        """The signature and documentation of a global procedure, or None."""
        from omega.lisp.host_calls import documentation

        try:
            return documentation(self._evaluator.lookup(name), name)
        except KeyError:
            return None


def _raise(error: BaseException) -> Any:
    raise error


__all__ = ["Grants", "Interpreter", "Limits"]
