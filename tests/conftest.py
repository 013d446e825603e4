"""What all tests share: processes they start find compiled modules, as an installed Omega does.

Without them each start compiles every module: half a second, a few hundred times.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["PYTHONPYCACHEPREFIX"] = str(Path(__file__).parent.parent / "build" / "pycache")
