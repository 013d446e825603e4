from pathlib import Path

import omega


def host(interpreter):
    interpreter.define("double", lambda n: 2 * n)
    interpreter.eval("(for-each (lambda (n) (sleep n) (double n)) (iota 9))")


with omega.Interpreter(record="run.tape", virtual_time=True) as interpreter:
    host(interpreter)

tape = Path("run.tape")
lines = tape.read_text().splitlines(keepends=True)
tape.write_text("".join(lines[:-9]))  # as if the process had been killed
try:
    with omega.replay("run.tape") as interpreter:
        host(interpreter)
except omega.TapeEnded as error:
    print(error)
