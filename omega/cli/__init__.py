"""The command line: one module per command, `main.py` dispatches. Nothing imports this package.

`options.py` holds the table every option is parsed and documented from; `program.py` is what
running a program means: warnings, waiting, reports, exit codes.
"""
