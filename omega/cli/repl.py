"""`omega repl`: read, evaluate, print, while tasks go on.

Owns: the session: forms, numbered values, what happens between two forms.
Refuses: reading lines (prompt.py), the commands that start with a comma (commands.py).

Two threads. The main one reads lines and gets Ctrl-C. The other one owns the interpreter: it drives
the scheduler all the time, and takes jobs from the main one, which waits until a job is done.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from omega import __version__
from omega.bindings import Exit
from omega.cli import commands, terminal
from omega.cli.dispatch import OK, report_bug
from omega.cli.eval import written
from omega.cli.interrupts import Interrupts
from omega.cli.main import INTERRUPTED
from omega.cli.options import usage
from omega.cli.program import make_interpreter
from omega.cli.prompt import Prompt
from omega.concurrency.clock import now_us
from omega.errors import OmegaError, ReadError, Source, TaskCancelled

if TYPE_CHECKING:
    from omega.concurrency import Task

STACK_BYTES = 64 << 20  # of the interpreter's thread: CPython's compiler recurses in C
CLOSE_S = 10.0  # how long leaving waits for the cleanup of tasks
# Python may notice a signal only after a wait that began just when it came: so waits are short.
LOOK_S = 0.1
FIRST, NEXT = "omega> ", "  ...> "


class Abandoned(Exception):
    """A second Ctrl-C: the prompt comes back, the form ends when it can."""


def run(given: dict[str, Any], arguments: list[str]) -> int:
    if arguments:
        raise usage("repl takes no arguments", f"to run a program: omega run {' '.join(arguments)}")
    return Repl(given).run()


class Repl:
    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.began_s = now_us() / 1e6
        self.host_traceback = bool(given.get("host-traceback"))
        self.interpreter: Any = None
        self.count = 0  # of forms
        self.form: Task | None = None  # the one that is evaluated
        self.prompt = Prompt(lambda: commands.names(self.interpreter))
        self.output = _Output(self)
        self._jobs: deque[Callable[[], None]] = deque()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._leaving = threading.Event()
        self._abandoned = False
        self._reported: set[Task] = set()

    # ------------------------------------------------------------------ the main thread

    def run(self) -> int:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # ends the reading of a line
        threading.stack_size(STACK_BYTES)
        thread = threading.Thread(target=self._serve, name="omega-interpreter", daemon=True)
        thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure
        if self.prompt.is_terminal:
            terminal.say(f"Omega {__version__}. `,help` for help, Ctrl-D to leave.")
        try:
            status = self._loop()
        finally:
            self.prompt.close()
            self._leaving.set()
            self._wake()
            thread.join(CLOSE_S)
        return status

    def _loop(self) -> int:
        """Texts, one after the other; the exit status."""
        goes_on = True
        while goes_on:
            try:
                text = self._read()
            except KeyboardInterrupt:
                if self.interpreter.exit_status is None and not self.prompt.is_terminal:
                    return INTERRUPTED
                sys.stdout.write("\n")
            else:
                goes_on = self._act_on(text)
            if self.interpreter.exit_status is not None:
                return int(self.interpreter.exit_status)
        return OK

    def _act_on(self, text: str | None) -> bool:
        """Do what a text says. False: leave."""
        if text is None:
            if self.prompt.is_terminal:
                sys.stdout.write("\n")
            return False
        line = text.strip()
        if line.startswith(","):
            return self._do(lambda: commands.run(self, line))
        self._evaluate(text)
        return True

    def _read(self) -> str | None:
        """The next text: lines until every bracket is closed; None at the end."""
        from omega.lisp.reader import is_incomplete

        text = self.prompt.read(FIRST)
        if text is None or text.lstrip().startswith(","):
            return text
        while is_incomplete(text):
            line = self.prompt.read(NEXT)
            if line is None:
                return text  # evaluating it says what is missing
            text += "\n" + line
        return text

    def _evaluate(self, text: str) -> None:
        """Evaluate the forms of a text one by one, until one fails."""
        from omega.lisp.reader import read_one

        name = f"<repl {self.count + 1}>"
        source = Source(name, text)
        at, line, column = 0, 1, 1
        while True:
            try:
                found = read_one(source, at, line, column)
            except (ReadError, OmegaError) as error:
                self.count += 1
                terminal.complain(error, lambda file: source)
                return
            if found is None:
                return
            _, span, end = found
            # The form where it stands, so that its places are those of what was typed.
            gap = "\n" * (span.line - 1) + " " * (span.column - 1)
            form = gap + text[at:end].lstrip() if at else text[:end]
            if not self._do(partial(self._run_form, form)):
                return
            at, line, column = end, span.end_line, span.end_column

    def _do(self, job: Callable[[], bool]) -> bool:
        """Have the interpreter's thread do a job, and wait for its answer.

        Ctrl-C goes to the form meanwhile.
        """
        answer: list[bool] = []
        done = threading.Event()

        def act() -> None:
            try:
                answer.append(job())
            except Exception as error:
                report_bug(error, self.host_traceback)
                answer.append(True)
            finally:
                done.set()

        self._abandoned = False
        self._jobs.append(act)
        try:
            with Interrupts(self.interpreter.scheduler, self._cancel_form, self._abandon):
                self._wake()
                while not done.wait(LOOK_S):
                    pass
        except Abandoned:
            self._abandoned = True
            self._wake()
            terminal.say("left behind; it ends when its cleanup has ended")
        return bool(answer) and answer[0]

    def _abandon(self) -> None:
        raise Abandoned

    def _wake(self) -> None:
        self.interpreter.scheduler.post(lambda: None)

    # ------------------------------------------------------------------ the interpreter's thread

    def _serve(self) -> None:
        try:
            self.interpreter = make_interpreter({**self.given, "fuel": None, "timeout": None})
        except BaseException as error:
            self._failure = error
            return
        finally:
            self._ready.set()
        interpreter, scheduler = self.interpreter, self.interpreter.scheduler
        interpreter.door.output = self.output
        interpreter.door.arguments = ["<repl>"]
        interpreter.forget_compiled()
        while not self._leaving.is_set():
            # Somebody sits at the prompt and may yet act: nothing is a deadlock here.
            with scheduler.hold_external():
                scheduler.run_until(self._has_to_act)
            self._report_lost()
            if interpreter.exit_status is not None:
                self._end_reading()
            if self._jobs:
                self._jobs.popleft()()
        if any(external.function is not None for external in scheduler.externals):
            scheduler.cancel_all("the end of the session", "host")
            scheduler.run_until(lambda: scheduler.live == 0)
        else:
            interpreter.close()

    def _run_form(self, text: str) -> bool:
        """Evaluate one form and print its value. False: it failed."""
        self.count += 1
        interpreter, scheduler = self.interpreter, self.interpreter.scheduler
        fuel = self.given.get("fuel")
        scheduler.set_fuel(None if fuel is None else scheduler.steps_now() + fuel)
        scheduler.set_wall_deadline(self.given.get("timeout"))
        try:
            self.form = interpreter.spawn_text(text, f"<repl {self.count}>")
            findings = interpreter.findings
            value = self._wait(self.form)
            for warning in findings:  # of a form that failed, its error says enough
                terminal.complain(warning, interpreter.source)
            text = self._kept(value)
        except Exit:
            return False
        except TaskCancelled as error:
            terminal.say("interrupted" if error.reason == "interrupted" else f"{error.message}")
            return False
        except OmegaError as error:
            interpreter.explained(error)
            terminal.complain(error, interpreter.source, host_traceback=self.host_traceback)
            return False
        finally:
            self.form = None
            scheduler.set_fuel(None)
            scheduler.set_wall_deadline(None)
            self._report_lost()
        if text:
            self.output.write(text)
        return True

    def _wait(self, task: Task) -> Any:
        """The value of the form's task; gives up when it is abandoned."""
        scheduler = self.interpreter.scheduler
        task.observed = task.own_terms().watched = True
        try:
            scheduler.run_until(lambda: task.is_done or self._abandoned)
        finally:
            task.own_terms().watched = False
        return scheduler.result_of(task) if task.is_done else None

    def _kept(self, value: Any) -> str:
        """Keep a value that can be shown under the number of its form; the line that shows it."""
        text = written(self.interpreter, value)
        if not text:
            return ""
        name = f"${self.count}"
        self.interpreter.keep(name, value)
        return f"{name} = {text}\n" if self.prompt.is_terminal else f"{text}\n"

    def _cancel_form(self) -> None:
        if self.form is not None:
            self.interpreter.scheduler.cancel(self.form, "interrupted", "host")

    def _end_reading(self) -> None:
        """`(exit n)` in a task while the prompt waits: interrupt the reading till it ends."""
        main = threading.main_thread().ident
        assert main is not None
        while not self._leaving.wait(LOOK_S) and not self._jobs:
            if self.prompt.is_waiting and hasattr(signal, "pthread_kill"):
                signal.pthread_kill(main, signal.SIGINT)

    def _has_to_act(self) -> bool:
        """Whether the scheduler is to be left for a moment: a job, a failure to tell, the end."""
        if self._jobs or self._leaving.is_set() or self.interpreter.exit_status is not None:
            return True
        failures = self.interpreter.scheduler.failures
        return bool(failures) and any(t not in self._reported and not t.observed for t in failures)

    def _report_lost(self) -> None:
        """Failures of tasks nobody waits for, once each."""
        for task in self.interpreter.scheduler.unobserved_failures():
            if task in self._reported:
                continue
            self._reported.add(task)
            error = task.outcome
            if isinstance(error, OmegaError) and not isinstance(error, Exit):
                self.interpreter.explained(error)
                self.prompt.around(partial(terminal.complain, error, self.interpreter.source))


class _Output(terminal.Output):
    """Standard output at a prompt: what tasks print while a line is typed stands above it."""

    def __init__(self, repl: Repl) -> None:
        super().__init__(self._reader_left)
        self._repl = repl
        self._held: list[str] = []

    def write(self, text: str) -> None:
        if not self._repl.prompt.is_waiting and not self._held:
            super().write(text)
            return
        if not self._held:
            # Until the task gives up the processor: a line is often written in parts.
            self._repl.interpreter.scheduler.add_chore(self._show)
        self._held.append(text)

    def _show(self) -> None:
        text = "".join(self._held)
        self._held.clear()
        if self._repl.prompt.is_waiting and not text.endswith("\n"):
            text += "\n"

        def put() -> None:
            super(_Output, self).write(text)
            self.flush()

        self._repl.prompt.around(put)

    def _reader_left(self) -> BaseException:
        self._repl.interpreter.exiting(OK)
        return Exit(OK)
