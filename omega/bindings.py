"""The Lisp names backed by other packages: tasks, scopes, channels, locks, models, clock, chance.

Owns: the table from Lisp names to what they do. Milliseconds here, seconds below.
Refuses: mechanism. Each entry checks its arguments, converts units and calls the scheduler or the door.

Bodies given as thunks run behind `guarded`: a failure meets its handlers there, before the form it leaves is undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from omega.concurrency import Channel, Event, Mutex, Semaphore, Serializer, Task, choose, timer_event, wrap
from omega.errors import HostError, LispError, LispTypeError, LispValueError, LLMError, OmegaError, TimeoutExpired
from omega.lisp.data import Eof, Keyword, Pair, Symbol, Values, list_items, to_list
from omega.lisp.primitives.check import wrong_type
from omega.lisp.primitives.registry import Native
from omega.lisp.table import HashTable
from omega.llm import LLMRequest

Table = dict[str, Callable[..., Any]]


def install(interpreter: Any) -> None:
    """Put every name of this module into the interpreter's library."""
    bindings = _Bindings(interpreter)
    table: Table = {}
    for part in (_tasks, _groups, _scopes, _events, _locks, _models, _world):
        part(bindings, table)
    for name, function in table.items():
        function.__qualname__ = function.__name__ = name
        bindings.rt.install(name, function, Native(name))
    bindings.rt.set_up_ports()


class _Bindings:
    def __init__(self, interpreter: Any) -> None:
        self.interpreter = interpreter
        self.scheduler = interpreter.scheduler
        self.rt = interpreter.runtime
        self.door = interpreter.door

    def guarded(self, thunk: Any) -> Callable[[], Any]:
        """`thunk` as the body of a form: its failure meets the handlers before the form is left."""
        rt = self.rt

        def body() -> Any:
            failure: BaseException | None = None
            try:
                return rt.call(thunk)
            except Exception as raised:
                failure = raised
            raise rt.conditions.at_boundary(failure, rt.host.dynamics().handlers)

        return body

    def spawn(self, thunk: Any, **options: Any) -> Task:
        rt = self.rt
        if not rt.is_procedure(thunk):
            raise wrong_type("async", 1, "a procedure without arguments", thunk)
        dynamics = rt.host.dynamics()
        # A task that inherits nothing makes its dynamic state when it first needs one.
        inherits = dynamics.parameters or dynamics.effects is not None
        task: Task = self.scheduler.spawn(
            self.interpreter.procedure_body(thunk),
            locals=dynamics.snapshot() if inherits else None,
            span=thunk.__name__,
            **options,
        )
        return task

    def task(self, name: str, value: Any, position: int = 1) -> Task:
        """A task from a task or its id."""
        if isinstance(value, Task):
            return value
        if isinstance(value, str):
            found: Task = self.scheduler.find_task(value)
            return found
        raise wrong_type(name, position, "a task or a task's id", value)

    def tasks(self, name: str, arguments: tuple[Any, ...]) -> list[Task]:
        """Tasks from a list of them, a vector, or several arguments."""
        items: Any = arguments
        if len(arguments) == 1 and not isinstance(arguments[0], (Task, str)):
            items = arguments[0] if type(arguments[0]) is list else list_items(arguments[0])
            if items is None:
                raise wrong_type(name, 1, "a list of tasks", arguments[0])
        return [self.task(name, item, i + 1) for i, item in enumerate(items)]


def options(name: str, given: Iterable[Any], /, **known: Any) -> dict[str, Any]:
    """`:key value` pairs as a dict over the defaults `known`; a Lisp `:max-par` is `max_par`."""
    items = list(given)
    result = dict(known)
    for i in range(0, len(items), 2):
        key = items[i]
        if not isinstance(key, Keyword) or key.name.replace("-", "_") not in known:
            allowed = ", ".join(":" + k.replace("_", "-") for k in known)
            raise LispError(
                f"`{name}` got {_shown(key)} where a keyword was expected",
                kind="arity-error",
                hint=f"it takes {allowed}" if known else "it takes no keywords",
            )
        if i + 1 >= len(items):
            raise LispError(f"`{name}`: keyword {_shown(key)} has no value", kind="arity-error")
        result[key.name.replace("-", "_")] = items[i + 1]
    return result


def _shown(value: Any) -> str:
    from omega.lisp.printer import shorten

    return shorten(value, 60)


def seconds(name: str, position: int | str, ms: Any) -> float:
    """Milliseconds of a program as seconds."""
    if isinstance(ms, bool) or not isinstance(ms, (int, float)) and type(ms).__name__ != "Fraction":
        if isinstance(position, str):
            raise LispTypeError(f"`{name}` expected milliseconds for {position}, got {_shown(ms)}")
        raise wrong_type(name, position, "milliseconds", ms)
    value = float(ms) / 1000.0
    if not 0 <= value < float("inf"):
        raise LispValueError(f"`{name}` expected milliseconds from 0 on, got {_shown(ms)}")
    return value


def _optional_seconds(name: str, keyword: str, ms: Any) -> float | None:
    return None if ms is None or ms is False else seconds(name, keyword, ms)


# -- tasks -----------------------------------------------------------------------------------------


def _tasks(b: _Bindings, table: Table) -> None:
    scheduler = b.scheduler

    def spawn(name: str, thunk: Any, rest: tuple[Any, ...], **more: Any) -> Task:
        if not rest:
            return b.spawn(thunk, **more)
        given = options(name, rest, name=None, priority=None, timeout=None, queue_timeout=None, daemon=False)
        if given["name"] is not None and not isinstance(given["name"], (str, Symbol)):
            raise LispTypeError(f"`{name}` expected a string for :name, got {_shown(given['name'])}")
        if given["priority"] is not None and type(given["priority"]) is not int:
            raise LispTypeError(f"`{name}` expected an integer for :priority, got {_shown(given['priority'])}")
        return b.spawn(
            thunk,
            name=None if given["name"] is None else str(given["name"]),
            priority=given["priority"],
            timeout=_optional_seconds(name, ":timeout", given["timeout"]),
            queue_timeout=_optional_seconds(name, ":queue-timeout", given["queue_timeout"]),
            daemon=given["daemon"] is not False,
            **more,
        )

    def async_(thunk: Any, *rest: Any) -> Task:
        """(async thunk :name "n" :priority 10 :timeout ms :queue-timeout ms :daemon #f) -> a task that will run thunk"""
        return spawn("async", thunk, rest)

    def async_detached(thunk: Any, *rest: Any) -> Task:
        """(async-detached thunk ...) -> as async, but owned by the interpreter instead of the current scope"""
        return spawn("async-detached", thunk, rest, scope=scheduler.root)

    def await_(task: Any) -> Any:
        """(await task) -> its value, once it has ended; raises its error, or task-cancelled"""
        return scheduler.await_task(b.task("await", task))

    def cancel(task: Any, *rest: Any) -> bool:
        """(cancel task ["reason"] [:wait #t]) -> whether that changed anything; does not wait unless told to"""
        reason = rest[0] if rest and not isinstance(rest[0], Keyword) else None
        given = options("cancel", rest[1:] if reason is not None else rest, wait=False)
        target = b.task("cancel", task)
        changed: bool = scheduler.cancel(target, None if reason is None else b.rt.display(reason))
        if given["wait"] is not False:
            scheduler.await_first([target])
        return changed

    def yield_() -> None:
        """(yield) -> nothing, after every other ready task has had a turn"""
        scheduler.yield_now()

    def sleep(ms: Any) -> None:
        """(sleep ms) -> nothing, after so many milliseconds; other tasks run meanwhile"""
        b.door.perform("sleep", (seconds("sleep", 1, ms),))

    def current_task() -> Task:
        """(current-task) -> the task this runs in"""
        return scheduler.running_task("ask for the current task")  # type: ignore[no-any-return]

    def task_result(task: Any) -> Any:
        """(task-result task) -> its value; raises its error, also when it has not ended yet"""
        found = b.task("task-result", task)
        if not found.is_done:
            raise LispError(f"task {found.label} has not ended", kind="task-error", hint="use (await task)")
        return scheduler.result_of(found)

    def cancelled() -> bool:
        """(cancelled?) -> whether the current task has been asked to end"""
        return scheduler.is_cancelled()  # type: ignore[no-any-return]

    table["async"], table["async-detached"], table["await"], table["cancel"] = async_, async_detached, await_, cancel
    table["yield"], table["sleep"], table["current-task"] = yield_, sleep, current_task
    table["task-result"], table["cancelled?"] = task_result, cancelled
    _task_views(b, table)


def _task_views(b: _Bindings, table: Table) -> None:
    scheduler = b.scheduler

    def task_state(task: Any) -> Symbol:
        """(task-state task) -> pending, running, suspended, completed, error or cancelled"""
        return Symbol.of(b.task("task-state", task).state)

    def task_id(task: Any) -> str:
        """(task-id task) -> its spawn path, such as "1.2" """
        return b.task("task-id", task).id

    def task_name(task: Any) -> Any:
        """(task-name task) -> its name, or #f"""
        return b.task("task-name", task).name or False

    def is_task(value: Any) -> bool:
        """(task? obj) -> whether obj is a task"""
        return isinstance(value, Task)

    def tasks() -> Any:
        """(tasks) -> the tasks that have not ended, in the order they were made"""
        return to_list(scheduler.all_tasks())

    def get_task(task_id: Any) -> Task:
        """(get-task id) -> the task of that id"""
        return b.task("get-task", task_id)

    def concurrency_stats() -> HashTable:
        """(concurrency-stats) -> a hash table of the scheduler's counters"""
        result = HashTable()
        stats = scheduler.stats()
        for field in stats.__slots__ if hasattr(stats, "__slots__") else vars(stats):
            result[Keyword.of(field.replace("_", "-"))] = getattr(stats, field)
        return result

    def configure(*rest: Any) -> None:
        """(configure-scheduler! :fairness-mode 'priority ...) -> nothing; changes the scheduler from the next slice on"""
        changes = {}
        for i in range(0, len(rest), 2):
            if not isinstance(rest[i], Keyword) or i + 1 >= len(rest):
                raise LispError("`configure-scheduler!` takes :field value pairs", kind="arity-error")
            value = rest[i + 1]
            changes[rest[i].name.replace("-", "_")] = value.name if isinstance(value, Symbol) else value
        scheduler.configure(**changes)
        b.interpreter.calls.limit_changed()

    table["task-state"], table["task-id"], table["task-name"], table["task?"] = task_state, task_id, task_name, is_task
    table["tasks"], table["get-task"], table["concurrency-stats"] = tasks, get_task, concurrency_stats
    table["configure-scheduler!"] = configure


def _groups(b: _Bindings, table: Table) -> None:
    scheduler = b.scheduler

    def split(name: str, arguments: tuple[Any, ...], **known: Any) -> tuple[list[Task], dict[str, Any]]:
        at = next((i for i, a in enumerate(arguments) if isinstance(a, Keyword)), len(arguments))
        return b.tasks(name, arguments[:at]), options(name, arguments[at:], **known)

    def await_all(*arguments: Any) -> Any:
        """(await-all tasks [:mode 'all]) -> their values in order. Modes: all, fail-fast, settle"""
        tasks, given = split("await-all", arguments, mode=Symbol.of("all"))
        mode = str(given["mode"])
        if mode not in ("all", "fail-fast", "settle"):
            raise LispValueError(f"`await-all` has no mode {mode}", hint="modes are all, fail-fast and settle")
        results = scheduler.await_all(tasks, mode)
        return to_list([_outcome(r) for r in results] if mode == "settle" else results)

    def await_any(*arguments: Any) -> Any:
        """(await-any tasks) -> the value of the first to complete; the others run on"""
        return scheduler.await_any(split("await-any", arguments)[0])[1]

    def await_any_values(*arguments: Any) -> Values:
        """(await-any/values tasks) -> two values: that of the first to complete, and its task"""
        task, value = scheduler.await_any(split("await-any/values", arguments)[0])
        return Values((value, task))

    def await_first(*arguments: Any) -> Task:
        """(await-first tasks) -> the first task to end, however it ended"""
        return scheduler.await_first(split("await-first", arguments)[0])  # type: ignore[no-any-return]

    def race(*thunks: Any) -> Any:
        """(race thunk ...) -> the value of the first thunk to complete; the others are cancelled and gone"""
        items = thunks
        if len(thunks) == 1 and isinstance(thunks[0], Pair):
            items = tuple(thunks[0])
        for i, thunk in enumerate(items):
            if not b.rt.is_procedure(thunk):
                raise wrong_type("race", i + 1, "a procedure without arguments", thunk)
        return scheduler.race([_in_task(b, thunk) for thunk in items])

    def par_map(f: Any, items: Any, *rest: Any) -> Any:
        """(par-map f items [:max-par n] [:on-error 'keep]) -> the values of f on the items, in order, in tasks"""
        given = options("par-map", rest, max_par=None, on_error=Symbol.of("raise"))
        if not b.rt.is_procedure(f):
            raise wrong_type("par-map", 1, "a procedure", f)
        elements = items if type(items) is list else list_items(items)
        if elements is None:
            raise wrong_type("par-map", 2, "a list or a vector", items)
        most, on_error = given["max_par"], str(given["on_error"])
        if most is not None and (type(most) is not int or most < 1):
            raise LispTypeError(f"`par-map` expected a positive integer for :max-par, got {_shown(most)}")
        if on_error not in ("raise", "keep"):
            raise LispValueError(f"`par-map` has no :on-error {on_error}", hint="it is raise or keep")
        results = scheduler.par_map(_in_task(b, f), elements, most, on_error)
        values = [_outcome(r) for r in results] if on_error == "keep" else results
        return values if type(items) is list else to_list(values)

    table["await-all"], table["await-any"], table["await-first"] = await_all, await_any, await_first
    table["await-any/values"] = await_any_values
    table["race"], table["par-map"] = race, par_map


def _in_task(b: _Bindings, f: Any) -> Callable[..., Any]:
    """The body of tasks made by a combinator: `f`, with the dynamic state of where the combinator was called."""
    inherited = b.rt.host.dynamics().snapshot()

    def body(*arguments: Any) -> Any:
        task = b.scheduler.current
        if task.locals is None:
            task.locals = inherited.snapshot()
        return b.interpreter.task_body(lambda: b.rt.call(f, *arguments))()

    return body


def _outcome(outcome: tuple[str, Any]) -> Any:
    kind, value = outcome
    return to_list([Symbol.of(kind), value])


# -- scopes ----------------------------------------------------------------------------------------


def _scopes(b: _Bindings, table: Table) -> None:
    scheduler = b.scheduler

    def scope(thunk: Any) -> Any:
        """(%scope thunk) -> its value, after every task made in it has ended"""
        return scheduler.with_scope(b.guarded(thunk))

    def shield(thunk: Any) -> Any:
        """(%shield thunk) -> its value; cancellation waits until it has ended"""
        return scheduler.shield(b.guarded(thunk))

    def atomic(thunk: Any) -> Any:
        """(%atomic thunk) -> its value; no other task runs meanwhile"""
        return scheduler.atomic(b.guarded(thunk))

    def with_timeout(ms: Any, thunk: Any) -> Any:
        """(%with-timeout ms thunk) -> its value, or timeout-error after ms milliseconds"""
        return scheduler.with_timeout(seconds("with-timeout", 1, ms), b.guarded(thunk))

    def with_handler(handlers: Any, thunk: Any) -> Any:
        """(%with-handler ((kind . procedure) ...) thunk) -> its value, its effects going to the procedures"""
        dyn = b.rt.host.dynamics()
        outer, outer_tag = dyn.effects, dyn.abort
        tag = object()
        named = {str(entry.car): entry.cdr for entry in handlers}
        dyn.effects = (named, tag, outer)
        failure: BaseException | None = None
        try:
            value = scheduler.with_scope(b.guarded(thunk))
        except _Abort as abort:
            if abort.tag is not tag:
                failure = abort
            else:
                value = abort.value
        except BaseException as raised:
            failure = raised
        dyn.effects, dyn.abort = outer, outer_tag
        if failure is not None:
            raise failure
        return value

    def abort(value: Any = None) -> Any:
        """(abort value) -> never returns: the with-handler form whose clause this runs in ends with value"""
        tag = b.rt.host.dynamics().abort
        if tag is None:
            raise LispError("`abort` is used outside of an effect handler")
        raise _Abort(tag, value)

    def effect(kind: Any, *arguments: Any) -> Any:
        """(effect kind arg ...) -> the reply of whatever handles effects of that kind"""
        if not isinstance(kind, Symbol):
            raise wrong_type("effect", 1, "a symbol", kind)
        return b.door.perform(kind.name, arguments)

    table["%scope"], table["%shield"], table["%atomic"] = scope, shield, atomic
    table["%with-timeout"], table["%with-handler"] = with_timeout, with_handler
    table["abort"], table["effect"] = abort, effect


class _Abort(BaseException):
    def __init__(self, tag: object, value: Any) -> None:
        self.tag, self.value = tag, value


# -- events, channels, locks -----------------------------------------------------------------------


def _events(b: _Bindings, table: Table) -> None:
    scheduler = b.scheduler

    def make_channel(capacity: Any = 0) -> Channel:
        """(make-channel [capacity]) -> a channel; without capacity a sender waits for its receiver"""
        if type(capacity) is not int or capacity < 0:
            raise wrong_type("make-channel", 1, "a capacity", capacity)
        return Channel(scheduler, capacity, at_end=Eof)

    def channel(name: str, value: Any) -> Channel:
        if not isinstance(value, Channel):
            raise wrong_type(name, 1, "a channel", value)
        return value

    def send(ch: Any, value: Any) -> None:
        """(send! channel value) -> nothing, once the value is taken or has room"""
        channel("send!", ch).send(value)

    def recv(ch: Any) -> Any:
        """(recv! channel) -> the next value; the end-of-file object once the channel is closed and empty"""
        return channel("recv!", ch).recv()

    def close(ch: Any) -> None:
        """(close! channel) -> nothing; wakes everybody who waits on it"""
        channel("close!", ch).close()

    def is_channel(value: Any) -> bool:
        """(channel? obj) -> whether obj is a channel"""
        return isinstance(value, Channel)

    def sync(event: Any) -> Any:
        """(sync event) -> the value of the event, once it has happened"""
        return scheduler.sync(_event("sync", 1, event))

    def choose_(*events: Any) -> Event:
        """(choose event ...) -> the event of whichever happens first"""
        return choose(*(_event("choose", i + 1, e) for i, e in enumerate(events)))

    def wrap_(event: Any, f: Any) -> Event:
        """(wrap event f) -> the event with (f value) as its value"""
        return wrap(_event("wrap", 1, event), lambda value: b.rt.call(f, value))

    def timer(ms: Any) -> Event:
        """(timer-event ms) -> the event of so many milliseconds having passed"""
        return timer_event(seconds("timer-event", 1, ms))

    def recv_event(ch: Any) -> Event:
        """(recv-event channel) -> the event of receiving from it"""
        return channel("recv-event", ch).recv_event()

    def send_event(ch: Any, value: Any) -> Event:
        """(send-event channel value) -> the event of having sent the value"""
        return channel("send-event", ch).send_event(value)

    def task_event(task: Any) -> Event:
        """(task-event task) -> the event of its end; its value is the task's"""
        from omega.concurrency import task_event as event_of

        return event_of(b.task("task-event", task))

    table["make-channel"], table["send!"], table["recv!"], table["close!"] = make_channel, send, recv, close
    table["channel?"], table["sync"], table["choose"], table["wrap"] = is_channel, sync, choose_, wrap_
    table["timer-event"], table["recv-event"], table["send-event"] = timer, recv_event, send_event
    table["task-event"] = task_event


def _event(name: str, position: int, value: Any) -> Event:
    if not isinstance(value, Event):
        raise wrong_type(name, position, "an event", value)
    return value


def _locks(b: _Bindings, table: Table) -> None:
    scheduler = b.scheduler

    def make_mutex() -> Mutex:
        """(make-mutex) -> a mutex; use it with (with-mutex mutex body ...)"""
        return Mutex(scheduler)

    def with_mutex(mutex: Any, thunk: Any) -> Any:
        """(%with-mutex mutex thunk) -> its value, no other task holding the mutex meanwhile"""
        if not isinstance(mutex, Mutex):
            raise wrong_type("with-mutex", 1, "a mutex", mutex)
        with mutex.held():
            return b.guarded(thunk)()

    def make_semaphore(slots: Any) -> Semaphore:
        """(make-semaphore n) -> a semaphore of n slots"""
        if type(slots) is not int or slots < 1:
            raise wrong_type("make-semaphore", 1, "a positive integer", slots)
        return Semaphore(scheduler, slots)

    def with_semaphore(semaphore: Any, thunk: Any) -> Any:
        """(%with-semaphore semaphore thunk) -> its value, holding a slot meanwhile"""
        if not isinstance(semaphore, Semaphore):
            raise wrong_type("with-semaphore", 1, "a semaphore", semaphore)
        with semaphore.held():
            return b.guarded(thunk)()

    def make_serializer() -> Callable[..., Any]:
        """(make-serializer) -> a procedure that wraps a procedure so that wrapped ones run one at a time"""
        serializer = Serializer(scheduler)

        def serialize(f: Any) -> Callable[..., Any]:
            """(serializer f) -> f, one call at a time"""

            def serialized(*arguments: Any) -> Any:
                return serializer.run(lambda: b.rt.call(f, *arguments))

            return serialized

        return serialize

    table["make-mutex"], table["%with-mutex"] = make_mutex, with_mutex
    table["make-semaphore"], table["%with-semaphore"] = make_semaphore, with_semaphore
    table["make-serializer"] = make_serializer


# -- models and the world --------------------------------------------------------------------------


def _models(b: _Bindings, table: Table) -> None:
    scheduler = b.scheduler

    def infer(prompt: Any, *rest: Any) -> Any:
        """(llm.infer prompt :model m :system s :temperature t :max-tokens n :stop list :timeout ms) -> the reply's text"""
        if not isinstance(prompt, str):
            raise wrong_type("llm.infer", 1, "a string", prompt)
        given = options(
            "llm.infer", rest, model=None, system=None, temperature=None, max_tokens=None, stop=None, timeout=None
        )
        stop = given["stop"]
        request = LLMRequest(
            prompt,
            model=given["model"],
            system=given["system"],
            temperature=given["temperature"],
            max_tokens=given["max_tokens"],
            stop=() if stop is None else stop if isinstance(stop, str) else list_items(stop) or (),
        )
        limit = _optional_seconds("llm.infer", ":timeout", given["timeout"])
        return _timed(lambda: _text(b.door.perform("llm.infer", (request,))), limit)

    def _timed(run: Callable[[], Any], limit: float | None) -> Any:
        if limit is None:
            return run()
        expired: OmegaError | None = None
        try:
            return scheduler.with_timeout(limit, run)
        except TimeoutExpired as error:
            expired = error
        raise LLMError(f"the LLM call had no reply within {limit * 1000:g} ms", kind="llm-timeout") from expired

    def stats() -> HashTable:
        """(llm.stats) -> a hash table: calls, retries, failures, in flight, queued, peak, limit"""
        calls, governor = b.interpreter.calls, b.interpreter.calls.governor
        return _table(
            calls=calls.calls, retries=calls.retries, failures=calls.failures, in_flight=governor.in_flight,
            queued=governor.queued, peak=governor.peak, limit=governor.limit,
        )  # fmt: skip

    def usage() -> HashTable:
        """(llm.usage) -> a hash table: input and output tokens so far"""
        calls = b.interpreter.calls
        return _table(input_tokens=calls.input_tokens, output_tokens=calls.output_tokens)

    table["llm.infer"], table["llm.stats"], table["llm.usage"] = infer, stats, usage


def _text(reply: Any) -> Any:
    return getattr(reply, "text", reply)


def _table(**fields: Any) -> HashTable:
    result = HashTable()
    for name, value in fields.items():
        result[Keyword.of(name.replace("_", "-"))] = value
    return result


def _world(b: _Bindings, table: Table) -> None:
    def now() -> float:
        """(now) -> seconds since 1970; under virtual time, seconds since the start"""
        return b.door.perform("now", ())  # type: ignore[no-any-return]

    def current_milliseconds() -> int:
        """(current-milliseconds) -> milliseconds of (now), as an integer"""
        return int(b.door.perform("now", ()) * 1000)

    def random(n: Any = None) -> Any:
        """(random [n]) -> a real from 0 to below 1, or an integer from 0 to below n; from the run's seed"""
        if n is None:
            return b.door.perform("random", ())
        if type(n) is not int or n < 1:
            raise wrong_type("random", 1, "a positive integer", n)
        return int(b.door.perform("random", ()) * n)

    def command_line() -> Any:
        """(command-line) -> the list of the script's name and its arguments"""
        return to_list(b.door.perform("command-line", ()))

    def environment(name: Any) -> Any:
        """(get-environment-variable name) -> its value, or #f"""
        if not isinstance(name, str):
            raise wrong_type("get-environment-variable", 1, "a string", name)
        return b.door.perform("env", (name,))

    def exit_(code: Any = True) -> Any:
        """(exit [code]) -> never returns: ends the program with code (#t is 0, #f is 1)"""
        status = {True: 0, False: 1}.get(code, code) if isinstance(code, bool) else code
        if type(status) is not int or not 0 <= status <= 255:
            raise wrong_type("exit", 1, "an exit code from 0 to 255", code)
        b.interpreter.exiting(status)
        raise Exit(status)

    def macroexpand(form: Any) -> Any:
        """(macroexpand form) -> the form with the macro uses at its head expanded; what is no use of one, itself"""
        from omega.lisp.environment import strip
        from omega.lisp.expander import Expander

        compiler = b.interpreter._evaluator.compiler
        if not compiler._macros_loaded:
            compiler._load_macros()
        expander = Expander(compiler.program, compiler._evaluate, compiler._apply)
        return strip(expander.head(form, compiler.program, None)[0])

    table["macroexpand"] = macroexpand
    table["now"], table["current-milliseconds"], table["random"] = now, current_milliseconds, random
    table["command-line"], table["get-environment-variable"] = command_line, environment
    table["exit"] = table["emergency-exit"] = exit_


class Exit(HostError):
    """`(exit code)` on its way to the host: no condition, meets no handler."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the program asked to exit with {status}")
        self.status = status
        self.signalled = True


__all__ = ["Exit", "install"]
