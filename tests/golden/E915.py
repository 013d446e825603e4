from omega.durable.records import NewRun
from omega.durable.sqlite import SQLiteStore
from omega.errors import OmegaError

store = SQLiteStore("runs.db", clock_us=lambda: 1_700_000_000_000_000)
store.create(NewRun("triage-7", "triage", {}))
store.acquire("triage-7", "worker 1", 30_000_000)
try:
    store.acquire("triage-7", "worker 2", 30_000_000)
except OmegaError as error:
    print(error)
    print(error.hint)
