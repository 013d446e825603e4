from omega.durable.records import Batch, NewRun
from omega.durable.sqlite import SQLiteStore
from omega.errors import OmegaError

now = 1_700_000_000_000_000
store = SQLiteStore("runs.db", clock_us=lambda: now)
store.create(NewRun("triage-7", "triage", {}))
late = store.acquire("triage-7", "worker 1", 30_000_000)
now += 60_000_000  # worker 1 was asleep
store.acquire("triage-7", "worker 2", 30_000_000)
try:
    store.append(late, Batch(["something that is long out of date"]))
except OmegaError as error:
    print(error)
