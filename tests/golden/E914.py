from omega.durable.records import NewRun
from omega.durable.sqlite import SQLiteStore
from omega.errors import OmegaError

store = SQLiteStore("runs.db")
store.create(NewRun("triage-7", "triage", {}))
try:
    store.create(NewRun("triage-7", "triage", {}))
except OmegaError as error:
    print(error)
    print(error.hint)
