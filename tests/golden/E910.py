from pathlib import Path

from omega.durable.sqlite import SQLiteStore
from omega.errors import OmegaError

Path("notes.txt").write_text("milk, bread, " * 100)
try:
    SQLiteStore("notes.txt")
except OmegaError as error:
    print(error)
