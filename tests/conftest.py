"""What all tests share: the processes they start are as a user's.

They find compiled modules, as an installed Omega does: without them each start compiles every
module, half a second, a few hundred times. (So do the tests' own processes: to make the modules of
tests takes ten seconds of each.) And they hear Ctrl-C: a shell that runs the tests in the
background has it ignored, which every process below would inherit.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path

from tests import forked

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
sys.pycache_prefix = str(Path(__file__).parent.parent / "build" / "pycache")
os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection() -> None:
    gc.disable()


def pytest_collection_finish() -> None:
    """Ten thousand tests stay to the end: to look at them takes half a second, each time."""
    gc.enable()
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    forked.end_all()
