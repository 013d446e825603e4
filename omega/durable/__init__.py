"""Runs that outlive their process: what is kept of them, and where.

Owns: the facts of a store (`Store`, records.py), the states of a run (states.py), the SQLite file
(sqlite.py and its helpers). The only package that knows SQL.
Refuses: to know what a program is or how one is replayed: facts are lines of text here.
"""
