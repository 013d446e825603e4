"""Running a program from the command line: from its text to the exit status.

Owns: what the options mean (`make_interpreter`), the order in which a program ends, reports,
warnings, `--stats`, `--events`, `--trace`, exit codes.
Refuses: to know where the text came from (run.py, eval.py).

The end of a program: its main task ends; the other tasks are waited for (unless --no-wait, or it
failed); failures nobody observed are reported in spawn order; what is left is cancelled.

What can be seen to be wrong before the run is one message: the error, when the run comes there, and
else a warning at the end; of a program that goes on for a while, a warning then.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from omega.bindings import Exit
from omega.cli import terminal
from omega.cli.advice import HOW_TO_RAISE
from omega.cli.dispatch import DEADLOCK, FAILED, LIMIT, OK, STOPPED, report_bug
from omega.cli.interrupts import Interrupts, about_to_begin, leave_now
from omega.cli.main import INTERRUPTED, say_interrupted
from omega.cli.models import budget_of, models_of
from omega.cli.options import JSON
from omega.cli.seen_files import SeenFile
from omega.concurrency import SchedulerConfig
from omega.concurrency.clock import now_us
from omega.effects import Grants
from omega.errors import (
    Deadlock,
    HostError,
    LimitExceeded,
    LispFileError,
    OmegaError,
    ReplayDivergence,
    RunStopped,
    TapeEnded,
    TaskCancelled,
)
from omega.interpreter import Interpreter, Limits

if TYPE_CHECKING:
    from omega.cli.progress import ProgressBar, Watch
    from omega.concurrency import Task
    from omega.progress import Progress
    from omega.runs.session import DurableSession
    from omega.tape import Recording, Replay

    Session = Recording | Replay | DurableSession

WARNINGS_MAX = 20  # shown
WARN_AFTER_S = 1.0
COLLECTED_AFTER = 10_000  # objects more than were freed, before CPython looks for circles
FAILURES_MAX = 20  # reports of unobserved failures shown
CAUSES_MAX = 100  # of one error, looked at


def limits_of(given: dict[str, Any]) -> Limits:
    return Limits(
        fuel=given.get("fuel"), wall_s=given.get("timeout"), tasks=given.get("max-live-tasks")
    )


def make_interpreter(
    given: dict[str, Any], beside: Sequence[str] = (), session: Session | None = None
) -> Interpreter:
    """The interpreter the options ask for. beside: the folder of the program, if it is a file.
    session: records its run, or replays another.
    """
    config = {
        "max_concurrent_llm_calls": given.get("max-llm"),
        "max_concurrent_tasks": given.get("max-tasks"),
        "fairness_mode": given.get("fairness"),
        "fair_by": given.get("fair-by"),
        "yield_every": given.get("yield-every"),
    }
    interpreter = Interpreter(
        llm=models_of(given, session),
        budget=budget_of(given),
        scheduler=SchedulerConfig(**{k: v for k, v in config.items() if v is not None}),
        limits=limits_of(given),
        grants=_grants(given),
        seed=given.get("seed", 0),
        virtual_time=given.get("virtual-time", False),
        load_path=[*given.get("load-path", ()), *beside],
        optimize=not given.get("no-opt"),
        session=session,
    )
    interpreter.how_to_raise = HOW_TO_RAISE
    return interpreter


def _grants(given: dict[str, Any]) -> Grants:
    if not given.get("sandbox"):
        return Grants.everything()
    return Grants(
        read=given.get("allow-read", ()),
        write=given.get("allow-write", ()),
        env=given.get("allow-env", ()),
    )


def run_program(
    given: dict[str, Any],
    text: str,
    filename: str,
    arguments: list[str],
    shown: Callable[[Interpreter, Any], str] | None = None,
    *,
    session: Session | None = None,
    breaks: tuple[str, int] | None = None,
) -> int:
    """Run a text as a program; its exit status.

    shown: what to print of its value, '' for nothing. session: see make_interpreter. breaks: (task,
    step) before which a replay stops.
    """
    beside = () if filename.startswith("<") else (os.path.dirname(filename) or os.curdir,)
    run = _Run(given, beside, session)
    if breaks is not None:
        run.stop_before(*breaks)
    return run.run(text, filename, arguments, shown)


class _Run:
    def __init__(
        self, given: dict[str, Any], beside: Sequence[str], session: Session | None
    ) -> None:
        self.began_s = now_us() / 1e6
        self.given = given
        self.host_traceback = bool(given.get("host-traceback"))
        self.as_json = given.get("diagnostics") == JSON
        self.session = session
        if session is not None:
            session.is_program = True
        about_to_begin(is_heard=session is None or not session.is_replay)
        self.interpreter = make_interpreter(given, beside, session)
        self.scheduler = self.interpreter.scheduler
        self.output = terminal.Output(self._reader_left)
        self.interpreter.door.output = self.output
        self.output.tap = self.interpreter.door.tap
        self.output.is_quiet = bool(given.get("quiet"))
        if given.get("new-output") and session.is_resumed:  # type: ignore[union-attr]
            self._write_only_new(session)
        self._show_progress()
        self.breaks: tuple[str, int] | None = None
        self.main: Task | None = None
        self.interpreter.on_exit = self._leave_main
        self.interpreter.on_emergency = self._leave_at_once
        self.warnings: list[OmegaError] = []  # held back, see above
        self.seen: list[SeenFile] = []  # what --events and --trace write

    # ------------------------------------------------------------------ from start to end

    def run(
        self,
        text: str,
        filename: str,
        arguments: list[str],
        shown: Callable[[Interpreter, Any], str] | None,
    ) -> int:
        self.interpreter.door.arguments = arguments
        self.interpreter.only_text()
        if self.session is not None and self.session.is_replay:  # its tape tells of Ctrl-C
            self.scheduler.on_interrupt = self._interrupt
            status = self._ended(self._seen_whole(text, filename, shown))
        else:
            ways = Interrupts(self.scheduler, self._interrupt, leave=self._leave_now)
            with ways as interrupts:
                # Its end may wait for room, and Ctrl-C is heard meanwhile.
                status = self._ended(self._seen_whole(text, filename, shown))
            if interrupts.count > 0 and not self._interrupted and status != STOPPED:
                if not self.as_json:
                    say_interrupted()
                status = INTERRUPTED  # of this process: the program was over, and so is its run
        return self._lost_seen(status)

    def _ended(self, status: int) -> int:
        is_cut_short = self._interrupted and status != STOPPED
        return self._end_session(INTERRUPTED if is_cut_short else status)

    def _seen_whole(
        self, text: str, filename: str, shown: Callable[[Interpreter, Any], str] | None
    ) -> int:
        """`_whole`, with what --events and --trace write: whole files, however it ends."""
        self._open_seen()
        try:
            return self._whole(text, filename, shown)
        finally:
            for file in self.seen:
                file.close()

    def _lost_seen(self, status: int) -> int:
        """Report the files of --events and --trace that could not be written; the status."""
        for file in self.seen:
            if file.lost is not None:
                code = self._failed(file.lost)
                status = status or code
        return status

    def _write_only_new(self, session: Any) -> None:
        """A run that goes on writes nothing that it has written before."""

        def begin() -> None:
            self.output.is_quiet = bool(self.given.get("quiet"))

        self.output.is_quiet, session.when_live = True, begin

    _bar: ProgressBar | None = None
    _watch: Watch | None = None

    def _say_undisturbed(self) -> None:
        """What we say now stands in a line of its own."""
        if self._bar is not None:
            self._bar.hide()

    def _show_progress(self) -> None:
        """Have whoever runs it see how far it has come; a replay is nothing to wait for."""
        is_replay = self.session is not None and self.session.is_replay
        if not (self.given.get("no-progress") or self.as_json or is_replay):
            self.interpreter.watch_progress(self._begin_bar)
            self._errors = terminal.Errors(self._say_undisturbed)
            self.interpreter.door.errors = self._errors
            if terminal.is_terminal(sys.stderr):
                self._watch_waits()

    def _watch_waits(self) -> None:
        """Whoever watches is told of long waits, too."""
        from omega.cli.progress import Watch

        if self._watch is None:
            self._watch = Watch(self.interpreter.calls, self._say_meanwhile)
        self._watch.bar = self._bar
        self.scheduler.driver.while_waiting = self._watch.tick

    def _is_line_free(self) -> bool:
        """Whether the program has written nothing of a line that has not ended."""
        return self.output.is_at_start and self._errors.is_at_start

    def _say_meanwhile(self, line: str) -> None:
        """In the middle of what the program says."""
        self._say_undisturbed()
        terminal.say(line if self._is_line_free() else f"\n{line}")

    def _begin_bar(self, progress: Progress) -> None:
        """The first progress begins: most programs have none."""
        from omega.cli.progress import ProgressBar

        facts = self.interpreter.calls.facts
        self._bar = bar = ProgressBar(facts, is_free=self._is_line_free)
        self._watch_waits()
        self.interpreter.watch_progress(bar)
        self.output.before = bar.hide
        bar(progress)

    def stop_before(self, task_id: str, step: int) -> None:
        """Have a replay stop there."""
        from omega.cli.breakpoint import Breakpoint

        stops = Breakpoint(self.interpreter, self.session, self.output)  # type: ignore[arg-type]
        stops.scheduler.stop_before(task_id, step)
        self.breaks = (task_id, step)

    def _end_session(self, status: int) -> int:
        """The tape ends, and with a replay the comparison: the status."""
        session = self.session
        try:
            if session is not None and session.failure is None:
                status = session.end(status) or OK
        except RunStopped as stopped:  # without room, and not waited for: it goes on from here
            return self._say_stopped(stopped)
        except OmegaError as error:
            return status or self._failed(error)
        if self.breaks is not None and not getattr(self.scheduler, "has_stopped", True):
            task, step = self.breaks
            return status or self._failed(
                HostError(
                    f"the run never came to step {step:,} of task {task}",
                    hint="--events FILE shows the tasks there are, and their steps",
                )
            )
        return status

    def _whole(
        self, text: str, filename: str, shown: Callable[[Interpreter, Any], str] | None
    ) -> int:
        try:
            self.main = self.interpreter.spawn_text(text, filename)
        except OmegaError as error:
            return self._failed(error)
        self._hold_warnings()
        # What the start made is there to stay; programs make few circles and many pairs: 0017.
        gc.freeze()
        gc.set_threshold(COLLECTED_AFTER, *gc.get_threshold()[1:])
        gc.enable()
        status = self._main_part(shown)
        if self.session is not None and self.session.failure is not None:
            return status  # nothing of it may go on
        self._warn()  # unless it was done, with what failed
        self._tell_leaks(status)
        try:
            self._end_tasks()
        except LispFileError as error:
            status = status or self._failed(error)
        if self.interpreter.exit_status is not None:
            status = self.interpreter.exit_status
        try:
            self.output.flush()
        except Exit:
            pass
        except LispFileError as error:
            status = status or self._failed(error)
        self._say_undisturbed()
        if self.given.get("stats"):
            terminal.say(self._stats())
        return status

    def _main_part(self, shown: Callable[[Interpreter, Any], str] | None) -> int:
        """The main task and then, if it did well, all the others."""
        assert self.main is not None
        failure: OmegaError | None = None
        try:
            value = self.scheduler.wait(self.main)
            if shown is not None:
                line = shown(self.interpreter, value)
                if line:
                    self.output.write(line + "\n")
            if not self.given.get("no-wait"):
                self.scheduler.run()
            self.interpreter.check_limits()
        except Exit as leaving:
            return leaving.status
        except (ReplayDivergence, TapeEnded) as error:
            return self._replay_ended(error)
        except OmegaError as error:
            if self.session is not None and self.session.failure is not None:
                return self._stopped(self.session)
            failure = self.scheduler.limit_reached() or error
        except Exception as error:
            return report_bug(error, self.host_traceback, self.as_json)
        return self._verdict(failure)

    def _stopped(self, session: Any) -> int:
        """A durable run goes no further in this process; the status."""
        self.interpreter.close()
        self._say_undisturbed()
        error: OmegaError = session.failure
        try:
            self.output.tap = None
            self.output.flush()
            session.stopped()
        except OmegaError as raised:
            error = raised
        return self._say_stopped(error) if isinstance(error, RunStopped) else self._failed(error)

    def _say_stopped(self, error: RunStopped) -> int:
        terminal.say(error.message)
        if error.hint:
            terminal.say(f"  {error.hint}")
        return STOPPED

    def _replay_ended(self, error: HostError) -> int:
        """A replay goes no further; the status."""
        try:
            self.output.flush()
        except (Exit, LispFileError):
            pass
        if isinstance(error, TapeEnded):
            terminal.say(error.message)
        return self._failed(error) if isinstance(error, ReplayDivergence) else OK

    def _verdict(self, failure: OmegaError | None) -> int:
        """Report what failed: the main task's failure, then those nobody observed.

        The status is that of the first.
        """
        if self.output.is_broken and not isinstance(failure, LispFileError):
            return OK
        lost = self._lost(failure)
        for error in [*lost, failure]:
            if error is not None:
                self._drop_warning(self.interpreter.explained(error))
        self._warn()
        if isinstance(failure, TaskCancelled) and self._was_asked_to_end():
            return OK  # the caller knows why
        status = OK if failure is None else self._failed(failure)
        shown = len(lost) if self.as_json else FAILURES_MAX
        for error in lost[:shown]:
            code = self._failed(error)
            status = status or code
        if len(lost) > shown:
            terminal.say(f"... and {len(lost) - shown} more failures nobody observed")
        return status

    def _lost(self, failure: OmegaError | None) -> list[OmegaError]:
        """The failures nobody observed, in spawn order; a limit that ends all of them once."""
        limits = {failure.limit} if isinstance(failure, LimitExceeded) else set()
        lost: list[OmegaError] = []
        for task in self.scheduler.unobserved_failures():
            error = task.error
            if not isinstance(error, OmegaError) or isinstance(error, Exit):
                continue
            if isinstance(error, LimitExceeded) and error.limit in ("fuel", "wall", "output"):
                if error.limit in limits:
                    continue
                limits.add(error.limit)
            lost.append(error)
        return lost

    def _failed(self, error: OmegaError) -> int:
        """Report an error; the status it means."""
        self._say_undisturbed()
        terminal.complain(
            self.interpreter.explained(error),
            self.interpreter.source,
            as_json=self.as_json,
            host_traceback=self.host_traceback,
        )
        return status_of(error)

    def _hold_warnings(self) -> None:
        """Keep what can be seen to be wrong until the run has come there, or goes on for long."""
        self.warnings = list(self.interpreter.findings)
        if self.warnings and not self.scheduler.driver.virtual:
            self.scheduler.call_later(WARN_AFTER_S, self._warn).passive = True

    def _drop_warning(self, error: OmegaError) -> None:
        """The run has come to what a warning would have told: a name is one wherever it is used, a
        call where it stands.
        """
        at: BaseException | None = error
        for _ in range(CAUSES_MAX):
            if not isinstance(at, OmegaError):
                break
            self.warnings = [
                warning
                for warning in self.warnings
                if warning.message != at.message
                or not (warning.kind == "unbound-variable" or warning.span == at.span)
            ]
            at = at.__cause__

    def _warn(self) -> None:
        warnings, self.warnings = self.warnings, []
        self._say_undisturbed()
        shown = len(warnings) if self.as_json else WARNINGS_MAX
        for warning in warnings[:shown]:
            terminal.complain(warning, self.interpreter.source, as_json=self.as_json)
        if len(warnings) > shown:
            terminal.say(f"... and {len(warnings) - shown} more warnings")

    # ------------------------------------------------------------------ endings asked for

    def _was_asked_to_end(self) -> bool:
        return (
            self.interpreter.exit_status is not None or self.output.is_broken or self._interrupted
        )

    _interrupted = False

    def _interrupt(self) -> None:
        self._interrupted = True
        self._say_undisturbed()
        if self.session is not None and self.session.interrupted():
            return  # it says what it does
        if not self.as_json:
            terminal.say("interrupted")
        self.scheduler.cancel_all("interrupted", "host")

    def _leave_main(self) -> None:
        """`(exit n)` in some task: the main one need not go on."""
        if self.main is not None and not self.main.is_done:
            self.scheduler.cancel(self.main, "the program exits")

    def _leave_at_once(self, status: int) -> None:
        """`(emergency-exit n)`: nothing is cleaned up."""
        try:
            self.output.flush()
        except (Exit, LispFileError):
            pass
        status = self._end_session(status)
        for file in self.seen:
            file.close()
        os._exit(self._lost_seen(status))

    def _leave_now(self) -> None:
        """Ctrl-C was pressed again, or not heeded: in the handler of the signal."""
        for file in self.seen:
            try:
                file.close()
            except Exception:  # it was being written to
                pass
        if not (self._interrupted or self.as_json):
            say_interrupted()
        leave_now()

    def _reader_left(self) -> BaseException:
        """Whoever read our output has gone: end quietly."""
        self.interpreter.exiting(OK)
        return Exit(OK)

    def _tell_leaks(self, status: int) -> None:
        """What a program that ended well has left behind. What others leave, their end explains."""
        left = self.interpreter.leaks()
        cut_short = self.interpreter.exit_status is not None or self.given.get("no-wait")
        if status != OK or cut_short or self.output.is_broken:
            return
        shown = len(left) if self.as_json else WARNINGS_MAX
        for warning in left[:shown]:
            self._failed(warning)
        if len(left) > shown:
            terminal.say(f"... and {len(left) - shown} more left behind")

    def _end_tasks(self) -> None:
        """Cancel what is left, cleanup included, and close connections.

        A thread that waits for standard input cannot be stopped: then only tasks are waited for.
        """
        scheduler = self.scheduler
        if any(external.function is not None for external in scheduler.externals):
            scheduler.cancel_all("the end of the program", "host")
            scheduler.run_until(lambda: scheduler.live == 0)
            self.interpreter.close_ports()
        else:
            self.interpreter.close()

    # ------------------------------------------------------------------ seeing

    def _open_seen(self) -> None:
        listeners = self.scheduler.listeners
        if "events" in self.given:
            from omega.concurrency import EventWriter

            self.seen.append(SeenFile(self.given["events"]))
            listeners.append(EventWriter(self.seen[-1]))
        if "trace" in self.given:
            from omega.concurrency.tracing import TraceWriter

            self.seen.append(SeenFile(self.given["trace"]))
            writer = TraceWriter(self.seen[-1], self.scheduler.driver.shown_us)
            self.seen[-1].finish = writer.close
            listeners.append(writer)

    def _stats(self) -> str:
        return stats_text(self.interpreter, now_us() / 1e6 - self.began_s)


def stats_text(interpreter: Interpreter, took_s: float) -> str:
    """What --stats and `,stats` print."""
    stats, calls = interpreter.scheduler.stats(), interpreter.calls
    whole = calls.total
    live = stats.pending_tasks + stats.running_tasks + stats.suspended_tasks
    lines = [
        f"tasks   {stats.completed_tasks} completed, {stats.failed_tasks} failed, "
        f"{stats.cancelled_tasks} cancelled" + (f", {live} live" if live else ""),
        f"steps   {stats.steps:,} in {stats.slices:,} slices, {stats.switches:,} switches",
        f"llm     {whole.calls} calls, {whole.retries} retries, {whole.failures} failures, "
        f"{stats.peak_concurrent_llm_calls} at once at most, "
        f"{whole.input_tokens:,} + {whole.output_tokens:,} tokens",
        f"time    {took_s:.3f} s",
    ]
    watchdog = interpreter.scheduler.watchdog
    if watchdog.longest_us:
        by = f" by {watchdog.longest_by}" if watchdog.longest_by else ""
        lines[-1] += f", longest slice {stats.longest_slice_ms:.3f} ms{by}"
    driver = interpreter.scheduler.driver
    if driver.virtual:
        lines.append(f"virtual {driver.now():.6f} s")
    if whole.calls:
        from omega.calls.figures import lines as table

        lines += ["", *table(calls.figures)]
    return "\n".join(lines)


def status_of(error: BaseException | None) -> int:
    """The exit status an uncaught error means."""
    if isinstance(error, Exit):
        return error.status
    if isinstance(error, LimitExceeded):
        return LIMIT
    at = error
    for _ in range(CAUSES_MAX):
        if at is None:
            break
        if isinstance(at, Deadlock):
            return DEADLOCK
        if any(isinstance(failure, Deadlock) for _, failure in getattr(at, "outcomes", ())):
            return DEADLOCK
        at = at.__cause__
    return FAILED


__all__ = ["make_interpreter", "run_program", "stats_text", "status_of"]
