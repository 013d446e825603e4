import sqlite3

from omega.durable.records import Batch, NewRun
from omega.durable.sqlite import SQLiteStore
from omega.errors import OmegaError


def small(path):
    """A disk with room for 120 pages."""
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    connection.execute("PRAGMA max_page_count = 120")
    return connection


store = SQLiteStore("runs.db", connect=small)
store.create(NewRun("r1", "triage", {}))
lease = store.acquire("r1", "worker", 10_000_000)
try:
    for number in range(1000):
        store.append(lease, Batch([f"{number} {number**999}"]))
except OmegaError as error:
    print(error)
