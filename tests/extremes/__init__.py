"""Omega at its extremes: long texts, deep code, deep data, heavy work; each case in a process of
its own, on every Python there is. `make extremes`, or `python -m tests.extremes --help`.
"""
