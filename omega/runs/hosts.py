"""The durable runs of a host's interpreter: where they are kept, what theirs have of it.

Owns: `runs_of`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omega.durable.store import Store
from omega.errors import HostError
from omega.runs.runs import Runs
from omega.runs.session import DurableSession, Settings

if TYPE_CHECKING:
    from omega.interpreter import Interpreter


def runs_of(host: Interpreter, store: Store | str | None, settings: Settings | None) -> Runs:
    """Raises HostError when there is no store."""
    if store is None:
        raise HostError(
            "this interpreter has no store for durable runs",
            hint='make it with one: Interpreter(store="runs.db")',
        )
    if isinstance(store, str):
        from omega.durable.sqlite import SQLiteStore

        store = SQLiteStore(store)

    def make(session: DurableSession) -> Interpreter:
        return host.like_this(session)

    return Runs(store, settings or Settings(), make)
