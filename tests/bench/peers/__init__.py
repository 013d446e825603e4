"""The programs of programs.omega as the peers spell them, and what runs them in the peers'
environment.

engine.py is the only module here that is run; bench_monty.py is text that monty is fed.
"""
