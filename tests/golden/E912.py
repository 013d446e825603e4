import sqlite3

from omega.durable.records import NewRun
from omega.durable.sqlite import SQLiteStore
from omega.errors import OmegaError

store = SQLiteStore("runs.db", pause=lambda seconds: None)
other = sqlite3.connect("runs.db", isolation_level=None)
other.execute("BEGIN IMMEDIATE")  # and never ends it
try:
    store.create(NewRun("r1", "triage", {}))
except OmegaError as error:
    print(error)
