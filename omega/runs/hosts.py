"""What an interpreter has of durable runs, as the host that runs them.

Owns: `DurableHost`: where runs are kept, what their interpreters have of the host's.
Refuses: to load any of it before a run is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from omega.errors import HostError

if TYPE_CHECKING:
    from omega.concurrency import Scheduler
    from omega.durable.store import Store
    from omega.runs.runs import Runs
    from omega.runs.session import DurableSession, RunSettings

# What the interpreter of a run is made with: what its host was made with.
SHARED = frozenset(("llm", "scheduler", "limits", "grants", "seed", "virtual_time", "output",
                    "use_cache", "load_path", "optimize", "budget"))  # fmt: skip


class DurableHost:
    """Part of an Interpreter. made_with: the arguments it was made with, among others."""

    session: Any
    scheduler: Scheduler

    def __init__(
        self, made_with: Mapping[str, Any], store: Store | str | None, settings: RunSettings | None
    ) -> None:
        self._made_with = {name: each for name, each in made_with.items() if name in SHARED}
        self._store, self._settings = store, settings
        self._runs: Runs | None = None
        self._opened: Store | None = None  # which is closed with the host
        self._definitions: list[Callable[[Any], None]] = []

    def _check(self, doing: str, instead: str) -> None:
        raise NotImplementedError

    def _classified(self, name: str, value: Any, options: Mapping[str, Any]) -> Any:
        """What `define(name, value, **options)` binds; the interpreters of runs have it, too."""
        if self._store is not None:
            self._definitions.append(lambda other: other.define(name, value, **options))
        if options["effect"] is None:
            return value
        from omega.runs.classes import classified

        return classified(
            self.session,
            name,
            value,
            options["effect"],
            blocking=options["blocking"],
            may_wait=options["reentrant"],
            is_interrupted=lambda: self.scheduler.is_interrupted,
        )

    @property
    def runs(self) -> Runs:
        """Its durable runs. Raises HostError when it has no store."""
        if self._runs is None:
            self._runs = self._make_runs()
        return self._runs

    def _make_runs(self) -> Runs:
        store = self._store
        if store is None:
            raise HostError(
                "this interpreter has no store for durable runs",
                hint='make it with one: Interpreter(store="runs.db")',
            )
        from omega.durable.sqlite import SQLiteStore
        from omega.runs.runs import Runs
        from omega.runs.session import RunSettings

        if isinstance(store, str):
            store = self._opened = SQLiteStore(store)
        return Runs(store, self._settings or RunSettings(), self._like_this)

    def _close_runs(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def _like_this(self, session: DurableSession) -> Any:
        """An interpreter of its own for a durable run."""
        made = type(self)(**self._made_with, session=session)  # type: ignore[call-arg]
        for define in self._definitions:
            define(made)
        return made

    def run_durable(
        self,
        text: str,
        *,
        filename: str = "<run>",
        arguments: Sequence[str] = (),
        name: str | None = None,
        id: str | None = None,
    ) -> Any:
        """The value of a program, run in an interpreter of its own that is made like this one.
        Killed anywhere, it goes on by `resume`, or by the same call with the same id.

        Raises RunStopped when the run goes no further in this process: it waits for a signal or a
        later time, or for somebody to say what became of an effect.
        """
        self._check("run_durable", "runs.begin_async")
        return self.runs.begin(text, filename, arguments, name=name, id=id)

    def resume(self, id: str) -> Any:
        """The value of a durable run, which goes on if it has not ended. Raises as run_durable."""
        self._check("resume", "runs.go_on_async")
        return self.runs.go_on(id)
