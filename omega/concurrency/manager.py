"""ConcurrencyManager: the scheduler for hosts without Lisp. Bodies are plain callables.

Owns: the names of the Python interface. Refuses: mechanism; everything is a line on top of
Scheduler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from omega.concurrency.config import SchedulerConfig, State, Stats
from omega.concurrency.driver import Driver
from omega.concurrency.interface import Scheduler
from omega.concurrency.task import Task
from omega.concurrency.tokens import CancellationToken

SUBMIT_OPTIONS = frozenset({"name", "priority", "timeout", "token"})


class ConcurrencyManager:
    """Belongs to the thread that made it; a context manager that closes at the end.

    Times are seconds.
    """

    def __init__(self, config: SchedulerConfig | None = None, driver: Driver | None = None) -> None:
        self.scheduler = Scheduler(config, driver=driver)

    @classmethod
    def over(cls, scheduler: Scheduler) -> ConcurrencyManager:
        """The manager's interface to a scheduler that exists already."""
        manager = cls.__new__(cls)
        manager.scheduler = scheduler
        return manager

    def submit(
        self,
        body: Callable[[], Any],
        *,
        name: str | None = None,
        priority: int = 0,
        timeout: float | None = None,
        token: CancellationToken | None = None,
    ) -> Task:
        """A new task that will run `body()`.

        It starts when the scheduler runs: in `wait`, `run`, or a host's loop.
        """
        self.scheduler.host_acts("submit", name)
        return self.scheduler.spawn(
            body, name=name, priority=priority, timeout=timeout, token=token
        )

    def submit_threadsafe(self, body: Callable[[], Any], **options: Any) -> None:
        """`submit` from any thread; the task comes to be when the scheduler next looks. Nothing
        happens if it is closed before.
        """
        unknown = options.keys() - SUBMIT_OPTIONS
        if unknown:
            raise TypeError(f"submit has no option {', '.join(sorted(unknown))}")
        self.scheduler.post(lambda: _submit(self, body, options))

    def wait(self, task: Task | str) -> Any:
        """Its value, or its error raised. A task or, here as everywhere, its id.

        From a task: waits; from the host: runs the scheduler until it has ended.
        """
        return self.scheduler.wait(self._task(task))

    def wait_all(self, tasks: Iterable[Task | str]) -> list[Any]:
        """All values in order, after all have ended; TasksFailed carries every outcome."""
        listed = [self._task(task) for task in tasks]
        values: list[Any] = self._wait_for(lambda: self.scheduler.await_all(listed), "wait_all")
        return values

    def wait_any(self, tasks: Iterable[Task | str]) -> Task:
        """The first task to complete; if all fail, TasksFailed."""
        listed = [self._task(task) for task in tasks]
        first: Task = self._wait_for(lambda: self.scheduler.await_any(listed)[0], "wait_any")
        return first

    def _wait_for(self, body: Callable[[], Any], name: str) -> Any:
        scheduler = self.scheduler
        if scheduler.current is not None:
            return body()
        scheduler.check_host("wait")
        return scheduler.wait(scheduler.spawn(body, name=name))

    async def wait_async(self, task: Task | str) -> Any:
        """`wait` inside a running asyncio loop."""
        return await self.scheduler.wait_async(self._task(task))

    def _task(self, task: Task | str) -> Task:
        return self.scheduler.find_task(task) if isinstance(task, str) else task

    def run(self) -> None:
        """Run until no foreground task is left."""
        self.scheduler.run()

    async def run_async(self) -> None:
        """`run` inside a running asyncio loop."""
        await self.scheduler.run_async()

    def get_task(self, task_id: str) -> Task | None:
        """A live task, or one of the last `keep_finished` that ended; None for any other id."""
        return self.scheduler.try_find_task(task_id)

    def get_all_tasks(self) -> list[Task]:
        return self.scheduler.known_tasks()

    def get_tasks_by_state(self, state: State) -> list[Task]:
        return [task for task in self.scheduler.known_tasks() if task.state == state]

    def cancel(self, task: Task | str, reason: str | None = None) -> bool:
        """Ask a task to end; True iff that changed something."""
        return self.scheduler.cancel(task, reason)

    def cancel_all(self, reason: str | None = None) -> int:
        """Ask every task to end, except the one that asks; how many that changed."""
        return self.scheduler.cancel_all(reason)

    def create_cancellation_token(self) -> CancellationToken:
        return CancellationToken()

    def check_cancellation(self) -> None:
        """Raise Cancelled if the current task has been asked to end."""
        self.scheduler.check_cancellation()

    def configure(self, **changes: Any) -> None:
        """Change settings while running, from the next slice end on."""
        self.scheduler.configure(**changes)

    def get_stats(self) -> Stats:
        return self.scheduler.stats()

    def delay(self, seconds: float) -> None:
        """Wait; only in a task."""
        self.scheduler.sleep(seconds)

    def yield_now(self) -> None:
        """Go once behind every ready task; only in a task."""
        self.scheduler.yield_now()

    def close(self) -> None:
        self.scheduler.close()

    def __enter__(self) -> ConcurrencyManager:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _submit(manager: ConcurrencyManager, body: Callable[[], Any], options: dict[str, Any]) -> None:
    manager.submit(body, **options)
