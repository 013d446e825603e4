"""Exploration: a program is run under many schedules, and what fails is told with the least it
takes.

Read schedule.py (what a schedule is), then choosers.py (who decides), runs.py (what a run is),
search.py (which schedules are tried) and shrink.py. `omega.testing.explore` is the interface for
hosts; the command line and the language have their own.
"""
