"""Tapes: what a recorded run got from outside, in a file, and how a run is had again from it.

Owns: the format of the file (files.py), how values and errors are kept in it (values.py), what the
effect door writes and reads (taps.py). Which facts a tape holds, and why no others, is told in
omega/concurrency/recording.py.
"""

from __future__ import annotations

from omega.tape.facts import STEP_MODEL
from omega.tape.files import TapeReader, TapeWriter
from omega.tape.session import Recording, Replay

__all__ = ["STEP_MODEL", "Recording", "Replay", "TapeReader", "TapeWriter"]
