"""The Lisp names of tasks: async, await and its family, cancel, race, par-map, what tasks tell.

Owns: `tasks`, `groups`. Refuses: mechanism; each entry checks, converts and calls the scheduler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

from omega.bindings.base import (
    GROUP_STEPS,
    SPAWN_STEPS,
    Bindings,
    Table,
    optional_seconds,
    options,
    seconds,
    shown,
)
from omega.concurrency import Task
from omega.concurrency.supervision import RESTARTS, STRATEGIES
from omega.errors import (
    LispError,
    LispTypeError,
    LispValueError,
    OmegaError,
    PermissionDenied,
    TasksFailed,
)
from omega.lisp.data import Keyword, Nil, Pair, Symbol, Values, to_list
from omega.lisp.primitives.check import wrong_type
from omega.lisp.table import HashTable
from omega.progress import Progress

# What a program may lower, and raise only as far as the host did.
BOUNDED = frozenset(
    {"max_concurrent_llm_calls", "max_concurrent_tasks", "max_started_tasks", "yield_every",
     "keep_finished"}
)  # fmt: skip

CHILD = 'a procedure without arguments, or (list "name" procedure)'
PIECE = 64  # tasks that are made between two charges

# -- tasks -----------------------------------------------------------------------------------------


def tasks(b: Bindings, table: Table) -> None:
    scheduler = b.scheduler

    def spawn(name: str, thunk: Any, rest: tuple[Any, ...], **more: Any) -> Task:
        if not rest:
            return b.spawn(thunk, **more)
        given = options(
            name,
            2,
            rest,
            name=None,
            priority=None,
            timeout=None,
            queue_timeout=None,
            deadline=None,
            daemon=False,
        )
        if given["name"] is not None and not isinstance(given["name"], (str, Symbol)):
            raise LispTypeError(f"`{name}` expected a string for :name, got {shown(given['name'])}")
        if given["priority"] is not None and type(given["priority"]) is not int:
            raise LispTypeError(
                f"`{name}` expected an integer for :priority, got {shown(given['priority'])}"
            )
        until = optional_seconds(name, ":deadline", given["deadline"])
        return b.spawn(
            thunk,
            name=None if given["name"] is None else str(given["name"]),
            priority=given["priority"],
            timeout=optional_seconds(name, ":timeout", given["timeout"]),
            queue_timeout=optional_seconds(name, ":queue-timeout", given["queue_timeout"]),
            deadline=None if until is None else scheduler.driver.now() + until,
            daemon=given["daemon"] is not False,
            **more,
        )

    def async_(thunk: Any, *rest: Any) -> Task:
        """(async thunk :name "n" :priority 10 :timeout ms :queue-timeout ms :deadline ms
        :daemon #f) -> a task that will run thunk. :timeout counts from its start, :queue-timeout
        until then; :deadline counts from now, for the task and whatever it makes
        """
        return spawn("async", thunk, rest)

    def async_detached(thunk: Any, *rest: Any) -> Task:
        """(async-detached thunk ...) -> as async, but owned by the interpreter instead of the
        current scope; it inherits no deadline
        """
        return spawn("async-detached", thunk, rest, scope=scheduler.root)

    def await_(task: Any) -> Any:
        """(await task) -> its value, once it has ended; raises its error, or task-cancelled"""
        return scheduler.await_task(b.task("await", task))

    def cancel(task: Any, *rest: Any) -> bool:
        """(cancel task ["reason"] [:wait #t]) -> whether that changed anything; does not wait
        unless told to
        """
        at = 1 if rest and not isinstance(rest[0], Keyword) else 0
        reason = rest[0] if at else None
        given = options("cancel", 2 + at, rest[at:], wait=False)
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
        return scheduler.running_task("ask for the current task")

    def task_result(task: Any) -> Any:
        """(task-result task) -> its value; raises its error, also when it has not ended yet"""
        found = b.task("task-result", task)
        if not found.is_done:
            raise LispError(
                f"task {found.label} has not ended", kind="task-error", hint="use (await task)"
            )
        return scheduler.result_of(found)

    def cancelled() -> bool:
        """(cancelled?) -> whether the current task has been asked to end"""
        return scheduler.is_cancelled()

    table["async"], table["async-detached"], table["await"], table["cancel"] = (
        async_,
        async_detached,
        await_,
        cancel,
    )
    table["yield"], table["sleep"], table["current-task"] = yield_, sleep, current_task
    table["task-result"], table["cancelled?"] = task_result, cancelled
    _task_views(b, table)


def _task_views(b: Bindings, table: Table) -> None:
    scheduler = b.scheduler

    def task_state(task: Any) -> Symbol:
        """(task-state task) -> pending, running, suspended, completed, error or cancelled"""
        return Symbol.of(b.task("task-state", task).state)

    def task_id(task: Any) -> str:
        """(task-id task) -> its spawn path, such as "1.2" """
        found = b.task("task-id", task)
        b.spend(found.own_path()[2])
        return found.id

    def task_name(task: Any) -> Any:
        """(task-name task) -> its name, or #f"""
        return b.task("task-name", task).name or False

    def is_task(value: Any) -> bool:
        """(task? obj) -> whether obj is a task"""
        return isinstance(value, Task)

    def tasks() -> Any:
        """(tasks) -> the tasks that have not ended, in the order they were made"""
        b.spend_on_all()
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
        """(configure-scheduler! :fairness-mode 'priority ...) -> nothing; changes the scheduler
        from the next slice on. #f stands for none. No more may run at once, or longer, than the
        host has allowed
        """
        changes: dict[str, Any] = {}
        for i in range(0, len(rest), 2):
            if not isinstance(rest[i], Keyword) or i + 1 >= len(rest):
                raise LispError(
                    "`configure-scheduler!` takes :field value pairs", kind="arity-error"
                )
            value = rest[i + 1]
            name = rest[i].name.replace("-", "_")
            if value is False and name in ("ageing", "task_timeout", "slow_slice"):
                value = None
            changes[name] = value.name if isinstance(value, Symbol) else value
        for name in () if b.door.grants.scheduler else sorted(BOUNDED & set(changes)):
            most = getattr(b.allowed, name)
            if type(changes[name]) is int and changes[name] > most:
                raise PermissionDenied(
                    f"`configure-scheduler!` may set :{name.replace('_', '-')} to {most:,} at most",
                    hint="the host allows more with Grants(scheduler=True)",
                )
        b.spend_on_all()  # the queues are made anew
        scheduler.configure(**changes)

    table["task-state"], table["task-id"], table["task-name"], table["task?"] = (
        task_state,
        task_id,
        task_name,
        is_task,
    )
    table["tasks"], table["get-task"], table["concurrency-stats"] = (
        tasks,
        get_task,
        concurrency_stats,
    )
    table["configure-scheduler!"] = configure


def groups(b: Bindings, table: Table) -> None:
    scheduler = b.scheduler

    def split(
        name: str, arguments: tuple[Any, ...], **known: Any
    ) -> tuple[list[Task], dict[str, Any]]:
        at = next((i for i, a in enumerate(arguments) if isinstance(a, Keyword)), len(arguments))
        return b.tasks(name, arguments[:at]), options(name, at + 1, arguments[at:], **known)

    def await_all(*arguments: Any) -> Any:
        """(await-all tasks [:mode 'all]) -> their values in order. Modes: all, fail-fast, settle"""
        tasks, given = split("await-all", arguments, mode=Symbol.of("all"))
        mode = str(given["mode"])
        if mode not in ("all", "fail-fast", "settle"):
            raise LispValueError(
                f"`await-all` has no mode {mode}", hint="modes are all, fail-fast and settle"
            )
        results = _telling(b, lambda: scheduler.await_all(tasks, cast(Any, mode)))
        return to_list([_outcome(r) for r in results] if mode == "settle" else results)

    def await_any(*arguments: Any) -> Any:
        """(await-any tasks) -> the value of the first to complete; the others run on"""
        tasks = split("await-any", arguments)[0]
        return _telling(b, lambda: scheduler.await_any(tasks))[1]

    def await_any_values(*arguments: Any) -> Values:
        """(await-any/values tasks) -> two values: that of the first to complete, and its task"""
        tasks = split("await-any/values", arguments)[0]
        task, value = _telling(b, lambda: scheduler.await_any(tasks))
        return Values((value, task))

    def await_first(*arguments: Any) -> Task:
        """(await-first tasks) -> the first task to end, however it ended"""

        first: Task = scheduler.await_first(split("await-first", arguments)[0])
        return first

    def race(*thunks: Any) -> Any:
        """(race thunk ...) -> the value of the first thunk to complete; the others are cancelled
        and gone
        """
        items = thunks
        if len(thunks) == 1 and isinstance(thunks[0], Pair):
            items = tuple(b.elements("race", 1, thunks[0], "a list of procedures"))
        if not items:
            raise LispValueError("`race` needs at least one procedure")
        for i, thunk in enumerate(items):
            if not b.rt.is_procedure(thunk):
                raise wrong_type("race", i + 1, "a procedure without arguments", thunk)
        b.spend(len(items), SPAWN_STEPS)
        return _telling(b, lambda: scheduler.race([_in_task(b, thunk) for thunk in items]))

    def par_map(f: Any, items: Any, *rest: Any) -> Any:
        """(par-map f items [:max-par n] [:on-error 'keep] [:progress "label"]) -> the values of f
        on the items, in order, in tasks; :progress shows how many are done
        """
        given = options(
            "par-map", 3, rest, max_par=None, on_error=Symbol.of("raise"), progress=False
        )
        if not b.rt.is_procedure(f):
            raise wrong_type("par-map", 1, "a procedure", f)
        elements = list(b.elements("par-map", 2, items, "a list or a vector"))
        most, on_error = given["max_par"], str(given["on_error"])
        if most is not None and (type(most) is not int or most < 1):
            raise LispTypeError(
                f"`par-map` expected a positive integer for :max-par, got {shown(most)}"
            )
        if on_error not in ("raise", "keep"):
            raise LispValueError(
                f"`par-map` has no :on-error {on_error}", hint="it is raise or keep"
            )
        label = given["progress"]
        if label is not False and not isinstance(label, str):
            raise LispTypeError(f"`par-map` expected a string for :progress, got {shown(label)}")
        body = _in_task(b, f)
        progress = None
        if label is not False:
            progress = b.interpreter.progresses.begin(label, len(elements))
            body = _counted(body, progress)
        try:
            results = scheduler.par_map(body, _paid_for(b, elements), most, cast(Any, on_error))
        finally:
            if progress is not None:
                progress.end()
        values = [_outcome(r) for r in results] if on_error == "keep" else results
        return values if type(items) is list else to_list(values)

    table["await-all"], table["await-any"], table["await-first"] = await_all, await_any, await_first
    table["await-any/values"] = await_any_values

    def supervise(*arguments: Any) -> Any:
        """(supervise child ... :strategy 'one-for-one :restart 'on-failure :intensity 3 :period
        5000 :delay 100 :delay-max 30000) -> the values of the children, in order. A child, a
        procedure or (list "name" procedure), runs in a task and is started again when it fails;
        with the strategy all, every child is; with :restart 'always, also when it has completed.
        It waits :delay before, twice as long for each failure in a row. More than :intensity
        restarts within :period: the children are cancelled, and tasks-failed is raised
        """
        at = next((i for i, a in enumerate(arguments) if isinstance(a, Keyword)), len(arguments))
        given = options(
            "supervise",
            at + 1,
            arguments[at:],
            strategy=Symbol.of("one-for-one"),
            restart=Symbol.of("on-failure"),
            intensity=3,
            period=5000,
            delay=100,
            delay_max=30_000,
        )
        for key, known in (("strategy", STRATEGIES), ("restart", RESTARTS)):
            if str(given[key]) not in known:
                raise LispValueError(
                    f"`supervise` has no :{key} {shown(given[key])}",
                    hint=f"it is {' or '.join(known)}",
                )
        intensity = given["intensity"]
        if type(intensity) is not int or intensity < 0:
            raise LispTypeError(
                f"`supervise` expected a number of restarts for :intensity, got {shown(intensity)}"
            )
        period, delay, delay_max = (
            seconds("supervise", f":{key}", given[key.replace("-", "_")])
            for key in ("period", "delay", "delay-max")
        )
        if period <= 0 or delay_max < delay:
            raise LispValueError(
                "`supervise` expected a :period above 0 and :delay-max from :delay on"
            )
        children = _children(b, arguments[:at])
        return to_list(
            _telling(
                b,
                lambda: scheduler.supervise(
                    children,
                    strategy=cast(Any, str(given["strategy"])),
                    restart=cast(Any, str(given["restart"])),
                    intensity=intensity,
                    period=period,
                    delay=delay,
                    delay_max=delay_max,
                ),
                "last",
            )
        )

    table["race"], table["par-map"], table["supervise"] = race, par_map, supervise


def _children(b: Bindings, arguments: tuple[Any, ...]) -> list[tuple[str, Callable[[], Any]]]:
    """(name, body) of what `supervise` was given: children, or one list of them."""
    items: Any = arguments
    listed = None
    if len(arguments) == 1 and (arguments[0] is Nil or isinstance(arguments[0], Pair)):
        listed = b.elements("supervise", 1, arguments[0], "a list of children")
    if listed is not None and not (listed and isinstance(listed[0], (str, Symbol))):
        items = listed
    children = []
    b.spend(len(items), SPAWN_STEPS)
    for i, item in enumerate(items):
        parts = b.elements("supervise", i + 1, item, CHILD) if isinstance(item, Pair) else None
        name, thunk = parts if parts is not None and len(parts) == 2 else (None, item)
        named = name is None or isinstance(name, (str, Symbol))
        if not named or not b.rt.is_procedure(thunk):
            raise wrong_type("supervise", i + 1, CHILD, item)
        children.append((str(i + 1 if name is None else name), _in_task(b, thunk)))
    return children


def _paid_for(b: Bindings, items: list[Any]) -> Iterator[Any]:
    """`items`, each charged for as a task that is made of it, in pieces."""
    for start in range(0, len(items), PIECE):
        piece = items[start : start + PIECE]
        b.spend(len(piece), SPAWN_STEPS)
        yield from piece


def _telling(b: Bindings, run: Callable[[], Any], which: str = "first") -> Any:
    """What `run()` answers. If tasks failed, the condition tells every outcome as its irritants,
    and where the failure it shows was.
    """
    failure: TasksFailed | None = None
    try:
        return run()
    except TasksFailed as raised:
        failure = raised
    b.spend(len(failure.outcomes), GROUP_STEPS)
    failure.irritants = [_outcome(outcome) for outcome in failure.outcomes]
    shown_one = failure.__cause__
    if isinstance(shown_one, OmegaError) and shown_one.span is not None:
        failure.notes.append((f"the {which} failure was here", shown_one.span))
    raise failure


def _in_task(b: Bindings, f: Any) -> Callable[..., Any]:
    """The body of tasks made by a combinator: `f`, with the dynamic state of where the combinator
    was called.
    """
    inherited = b.rt.host.dynamics().snapshot()

    def body(*arguments: Any) -> Any:
        task = b.scheduler.running_task("run a combinator's body")
        if task.locals is None:
            task.locals = inherited.snapshot()
        return b.interpreter.task_body(lambda: b.rt.call_with(f, arguments))()

    body.span = b.rt.code_of(f)  # type: ignore[attr-defined]
    return body


def _counted(body: Callable[..., Any], progress: Progress) -> Callable[..., Any]:
    """`body`, which adds to `progress` when it has ended, however."""

    def counted(*arguments: Any) -> Any:
        failed = 1
        try:
            value = body(*arguments)
            failed = 0
            return value
        finally:
            progress.add(1, failed)

    counted.span = getattr(body, "span", None)  # type: ignore[attr-defined]
    return counted


def _outcome(outcome: tuple[str, Any]) -> Any:
    kind, value = outcome
    return to_list([Symbol.of(kind), value])
