"""Durable runs: programs that go on where they were when their process is killed, and pay nothing
twice.

Owns: the journal of a run on a store (journal.py), what the effect door does in one (taps.py,
outputs.py), what becomes of calls whose end nobody knows (unknown.py), how a run begins, goes on
and ends (session.py, runs.py).
Refuses: SQL (omega/durable), drivers (omega/concurrency), what facts there are (omega/tape).
"""
