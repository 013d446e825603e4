"""What tests run: loops and calls that take steps as compiled code does, and whole processes."""

from __future__ import annotations

import subprocess
import sys


def steps(s, n=None, each=None):
    """A loop as the compiler emits it; `each(i)` is called every turn."""
    registers = s.registers
    i = 0
    while True:
        for _ in registers["_it"]:
            i += 1
            if each is not None:
                each(i)
            if i == n:
                return i
        else:
            s.slice_end()
            continue


def calls(s, n):
    """Procedure entries as the compiler emits them."""
    registers = s.registers

    def entry():
        for _ in registers["_it"]:
            break
        else:
            s.slice_end()
            for _ in registers["_it"]:
                break

    for _ in range(n):
        entry()
    return n


def run_python(code):
    """What a process that runs `code` prints; it ends well, and warns of nothing."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    return done.stdout.strip()


def bad(error):
    """A body that raises `error`."""

    def body():
        raise error

    return body
