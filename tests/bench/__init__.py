"""Omega beside its peers, measured side by side in one run: `python -m tests.bench`.

kit.py first, then the files of rows: language.py, lisps.py (with peer_process.py and peers/),
start.py, schedulers.py (with runtimes.py), models.py, growth.py.
"""
