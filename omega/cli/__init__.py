"""The command line: one module per command. Nothing imports this package.

`main.py` begins and ends the process, `dispatch.py` finds the command; `options.py` holds the table
every option is parsed and documented from; `program.py` is what running a program means: warnings,
waiting, reports, exit codes.
"""
