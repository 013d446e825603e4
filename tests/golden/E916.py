from omega.durable.records import Batch, Change, NewRun
from omega.durable.sqlite import SQLiteStore
from omega.errors import OmegaError

store = SQLiteStore("runs.db")
store.create(NewRun("triage-7", "triage", {}))
lease = store.acquire("triage-7", "worker", 30_000_000)
store.append(lease, Batch(change=Change("completed", outcome=42)))
try:
    store.signal("triage-7", "go-on", True, key="1", who="me")
except OmegaError as error:
    print(error)
    print(error.hint)
