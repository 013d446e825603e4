"""Where a replay stops: what is shown there, and the prompt to look around at.

Owns: the commands of that prompt, how a name or an expression is looked up there.
Refuses: to change the run: what is evaluated may not wait, start tasks or reach outside, and its
steps are not counted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import repeat
from types import FrameType
from typing import Any

from omega.cli import commands, terminal
from omega.cli.options import nearest
from omega.cli.stepping import SteppingScheduler
from omega.concurrency import Task
from omega.errors import OmegaError, TapeEnded
from omega.lisp.names import demangle
from omega.lisp.printer import shorten
from omega.tape.session import Replay, is_of_program, running_places

PROMPT = "replay> "
STEPS_MAX = 10_000_000  # of an expression at the prompt
VALUE_MAX = 200  # characters of a local's value
CALLS_SHOWN = 10


class Left(TapeEnded):
    """Somebody has seen enough: the replay ends here."""


class Breakpoint:
    """The stops of one replay. output: the program's, which is written out before it is read."""

    def __init__(self, interpreter: Any, session: Replay, output: Any) -> None:
        self.interpreter, self.session, self.output = interpreter, session, output
        self.began_s = 0.0
        self.scheduler: SteppingScheduler = interpreter.scheduler
        self.scheduler.stop = self._stopped
        self._frame: FrameType | None = None
        self._task: Task | None = None

    def _stopped(self, task: Task) -> None:
        """Called in the task. Comes back when the run is to go on."""
        self._task = task
        self._frame = sys._getframe(1)
        self.output.flush()
        self.session.pause(True)
        try:
            terminal.say(self.shown())
            self._talk()
        finally:
            self.session.pause(False)
            self._frame = self._task = None

    def _talk(self) -> None:
        """Read commands and expressions until one lets the run go on."""
        if not terminal.is_terminal(sys.stdin):
            self.session.tape.stop(Left("the replay was left where it stopped"))
        goes_on = False
        while not goes_on:
            try:
                line = input(PROMPT).strip()
            except EOFError:
                line = ",quit"
            if line.startswith(","):
                goes_on = self._act(line[1:].strip())
            elif line == "(ps)":
                self._act("tasks")
            elif line:
                self._say(lambda line=line: self._evaluated(line))  # type: ignore[misc]

    def _say(self, text: Callable[[], str]) -> None:
        try:
            terminal.say(text())
        except OmegaError as error:
            terminal.complain(self.interpreter.explained(error), self.interpreter.source)

    def _act(self, line: str) -> bool:
        """Do a command. True: the run goes on."""
        word, _, argument = line.partition(" ")
        task, scheduler = self._task, self.scheduler
        assert task is not None
        if word in ("continue", "c"):
            scheduler.go_on()
            return True
        if word in ("step", "s"):
            count = int(argument) if argument.strip().isdigit() else 1
            scheduler.stop_before(task.id, scheduler.taken(task) + 1 + count)
            return True
        if word in ("next", "n"):
            scheduler.stop_at_other(task)
            return True
        if word in ("quit", "q"):
            self.session.tape.stop(Left("the replay was left at its prompt"))
        shown = self._commands().get(word)
        if shown is not None:
            self._say(shown)
            return False
        near = nearest(word, [*self._commands(), "continue", "step", "next", "quit"])
        terminal.say(f"there is no command ,{word}")
        terminal.say(f"  hint: did you mean ,{near}?" if near else "  hint: ,help lists them")
        return False

    def _commands(self) -> dict[str, Callable[[], str]]:
        return {
            "tasks": lambda: commands.tasks_text(self.interpreter, False),
            "locals": self._locals_text,
            "where": self._where,
            "help": lambda: HELP,
        }

    # ------------------------------------------------------------------ what is shown

    def shown(self) -> str:
        """The state at a stop."""
        parts = [self._where(), self._locals_text(), commands.tasks_text(self.interpreter, False)]
        return "\n".join(part for part in parts if part)

    def _where(self) -> str:
        task, scheduler = self._task, self.scheduler
        assert task is not None
        step, turn = scheduler.taken(task) + 1, scheduler.turns
        lines = [f"stopped before step {step:,} of task {task.label}, in turn {turn:,}"]
        calls = list(running_places(self.interpreter.runtime, self._frame))
        for at, (name, span) in enumerate(calls[:CALLS_SHOWN]):
            lines.append(f"  {'at' if at == 0 else 'in'} {span}" + (f" ({name})" if name else ""))
            source = self.interpreter.source(span.file) if at == 0 else None
            if source is not None:
                lines.append(f"    {span.line:>4} | {source.line(span.line)}")
        if len(calls) > CALLS_SHOWN:
            lines.append(f"  ... and {len(calls) - CALLS_SHOWN} more")
        return "\n".join(lines)

    def locals(self) -> dict[str, Any]:
        """The variables of the procedure that runs, by name; of two of one name, the inner one."""
        frame = self._frame
        while frame is not None:
            if is_of_program(self.interpreter.runtime, frame):
                if frame.f_code.co_name == "_unit":
                    return {}
                pairs = frame.f_locals.items()
                return {demangle(k): v for k, v in pairs if not k.startswith("_") and not _tests(v)}
            frame = frame.f_back
        return {}

    def _locals_text(self) -> str:
        return "\n".join(f"  {k} = {shorten(v, VALUE_MAX)}" for k, v in self.locals().items())

    def _evaluated(self, text: str) -> str:
        """The value of an expression, in which the variables of the procedure are known."""
        interpreter, scheduler = self.interpreter, self.scheduler
        rt = interpreter.runtime
        bound = self.locals()
        me, it = scheduler.current, rt.registers["_it"]
        most, end = scheduler.tasks_max, scheduler.spawn_end
        scheduler.current = None  # so that nothing is the task's: steps, waits, effects
        scheduler.tasks_max = scheduler.spawn_end = 0
        rt.registers["_it"] = repeat(None)
        try:
            with rt.metered(STEPS_MAX, "at the prompt"):
                names = " ".join(bound)
                thunk, _ = interpreter._evaluator.prepare(
                    f"(lambda ({names})\n{text}\n)", "<replay>"
                )
                value = rt.call(rt.call(thunk), *bound.values())
        except Exception as error:
            raise rt.conditions.as_condition(error) from None
        finally:
            scheduler.current, rt.registers["_it"] = me, it
            scheduler.tasks_max, scheduler.spawn_end = most, end
        from omega.cli.eval import written

        return written(interpreter, value)


HELP = """\
  ,step [N]     go on to the next step of this task, or to the N-th
  ,next         go on to the next step of another task
  ,continue     go on to the end
  ,tasks        the tasks that have not ended, and what they wait for; also (ps)
  ,locals       the variables of the procedure that runs
  ,where        the place in the program
  ,quit         end the replay here, as Ctrl-D does
  EXPRESSION    is evaluated, with the variables of the procedure; it may not wait"""


def _tests(value: Any) -> bool:
    """Whether a local is none of the program's: the tests of a guard are a procedure, too."""
    return (getattr(value, "__doc__", None) or "").startswith("(guard condition)")
