"""Interpreters for runs that were recorded.

Owns: `replay`. Refuses: to know what is in a tape (omega/tape).
"""

from __future__ import annotations

from typing import Any

from omega.interpreter import Interpreter


def replay(path: str, *, output: Any = None) -> Interpreter:
    """An Interpreter that replays the tape at `path`: made as the recorded one was, it gets from
    outside what that got. Whoever uses it does what was done with that one. output: where `display`
    writes, as of Interpreter.

    Raises LispFileError and HostError for what is no tape; from then on ReplayDivergence when
    something differs, and TapeEnded where the tape of a run ends that was killed.
    """
    from omega.runs.exported import replay_of
    from omega.tape import TapeReader
    from omega.tape.session import arguments_of

    tape = TapeReader(path)
    return Interpreter(**arguments_of(tape.header), output=output, session=replay_of(tape))
