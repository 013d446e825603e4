"""What all tests share: the processes they start are as a user's.

They find compiled modules, as an installed Omega does: without them each start compiles every
module, half a second, a few hundred times. And they hear Ctrl-C: a shell that runs the tests in the
background has it ignored, which every process below would inherit.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests import forked

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["PYTHONPYCACHEPREFIX"] = str(Path(__file__).parent.parent / "build" / "pycache")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure() -> None:
    forked.end_all()
