"""From a command line to an exit status: finds the command, parses its options, runs it.

Owns: the table of commands, the last resort (no input whatever shows a Python traceback).
Refuses: to do what a command does.
"""

from __future__ import annotations

import os
from itertools import pairwise
from typing import Any

from omega import __version__
from omega.cli import terminal
from omega.cli.main import INTERRUPTED, at_start
from omega.cli.options import (
    DATA_AS_JSON,
    DIAGNOSTICS,
    DURABLE_OPTIONS,
    EVENTS,
    HOST_TRACEBACK,
    JSON,
    LOAD_PATH,
    MANAGING_OPTIONS,
    MIGRATING_OPTIONS,
    NO_OPT,
    NO_PROGRESS,
    NO_PROMPTS,
    PROGRAM_OPTIONS,
    RECORD,
    REPLAY_OPTIONS,
    RUNNING_OPTIONS,
    SCHEDULE_OPTIONS,
    SERVING_OPTIONS,
    STATS,
    STORE,
    TRACE,
    WHO,
    Command,
    Option,
    help_of,
    nearest,
    overview,
    parse,
    usage,
)
from omega.errors import LispFileError, OmegaBug, OmegaError

OK, FAILED, USAGE, LIMIT, DEADLOCK = 0, 1, 2, 3, 4
STOPPED = 75  # a durable run goes no further now: try again later, as sysexits.h has it

# They tell themselves when they begin something: until then a Ctrl-C has changed nothing.
BEGIN_LATER = ("run", "resume", "serve-runs", "replay", "eval", "repl")
OF_RUNS = ("runs", "signal", "serve-runs", "doctor")

# The options of programs that tests have as well.
TEST_OPTIONS = frozenset(
    ("llm", "config", "budget", "max-llm", "max-tasks", "max-live-tasks", "fairness", "fair-by",
     "yield-every", "timeout", "fuel", "seed", "load-path", "sandbox", "allow-read", "allow-write",
     "allow-env", "no-opt", "host-traceback")
)  # fmt: skip

COMMANDS = (
    Command(
        "run",
        "FILE [ARGS...]",
        "run a program\n\n"
        "Options come before FILE; what follows it is the program's, see (command-line). FILE `-`\n"
        "is standard input. At the end the program's tasks are waited for.",
        (*PROGRAM_OPTIONS, RECORD, NO_PROMPTS, *DURABLE_OPTIONS, DIAGNOSTICS),
        "run",
    ),
    Command(
        "resume",
        "RUN",
        "go on with a durable run that was stopped or killed\n\n"
        "RUN is an id that omega run --durable has told, or how it begins. The program is the one\n"
        "the run was begun with, whatever its file holds now; so are its options and its folder.\n"
        "What it did before is not done again; its output is written again from the beginning.",
        (
            Option("new-output", None, "write only what the run had not written yet"),
            Option(
                "if-free",
                None,
                "say nothing when another process works on it (exit code 75), or it has ended",
            ),
            *RUNNING_OPTIONS,
            STATS,
            EVENTS,
            TRACE,
            NO_PROGRESS,
            DIAGNOSTICS,
            HOST_TRACEBACK,
        ),
        "durable",
        anywhere=True,
    ),
    Command(
        "runs",
        "[ACTION] [RUN] [...]",
        "look at durable runs, settle what became of their effects, keep their store\n\n"
        "  list                 the runs there are, the newest first; also without an action\n"
        "  show RUN             everything about a run\n"
        "  journal RUN          what it got from outside, a fact a line, in words\n"
        "  cost RUN             its effects, tokens and money by kind\n"
        "  resolve RUN [NUMBER...]  say what became of effects whose end nobody knows: --retry,\n"
        "                       --fail or --reply TEXT; without one of these, show them\n"
        "  cancel RUN           end a run that nobody works on\n"
        "  fork RUN EFFECT      a new run that is this one up to an effect, by its number: there\n"
        "                       it is made again, or answers --reply TEXT, or the model is\n"
        "                       asked --prompt TEXT; with --program FILE, of another program\n"
        "  diff RUN RUN         what two runs have asked for and got otherwise\n"
        "  export RUN FILE      write a tape that omega replay replays\n"
        "  prune                delete runs that ended long ago: --older-than DAYS\n"
        "  check                whether the store is whole\n"
        "  backup FILE          a copy of the store, also while it is in use\n"
        "  restore FILE         make the store what it was when the copy was made\n\n"
        "RUN is the id of a run, or how it begins. Options may stand anywhere.",
        (*MANAGING_OPTIONS, DIAGNOSTICS, HOST_TRACEBACK),
        "runs",
        anywhere=True,
    ),
    Command(
        "signal",
        "RUN NAME [VALUE]",
        "leave a message for a durable run: what (wait-signal NAME) in it gives\n\n"
        "VALUE is JSON, or else a text, as NaN and Infinity are; null when it is left out. A\n"
        "number like 1e400, which would be infinite, is refused. A text that begins with a dash\n"
        "stands behind --. Whether the run is running, parked or not begun, it gets each message\n"
        "once, in the order in which they came. Sent again with the same --key, a message is the\n"
        "same one; another one is not sent, and the exit code is 1.",
        (
            STORE,
            Option("key", "TEXT", "what makes it the same message when it is sent again"),
            WHO,
            DATA_AS_JSON,
            DIAGNOSTICS,
            HOST_TRACEBACK,
        ),
        "signals",
        anywhere=True,
    ),
    Command(
        "migrate",
        "RUN FILE",
        "try another program on what a durable run has got, and have the run go on with it\n\n"
        "Nothing is made and nothing is written: what the program asks for is answered with what\n"
        "the run got. Told is what it asks for otherwise, and what would be paid for again. With\n"
        "--commit the run goes on with the program, from its beginning, on what it has got.\n"
        "Exit code 0 when the program does what the run has done, else 1.",
        (*MIGRATING_OPTIONS, DIAGNOSTICS, HOST_TRACEBACK),
        "changes",
        anywhere=True,
    ),
    Command(
        "serve-runs",
        "",
        "go on with the runs of a store whenever they are due, until Ctrl-C\n\n"
        "Due are runs that are pending, that wait for a time or a signal which has come, or whose\n"
        "process has died. Each goes on in a process of its own, by omega resume. What happens is\n"
        "told on standard error, a line each. At Ctrl-C or SIGTERM no more are begun, and those\n"
        "that run are stopped where they can go on from, which is waited for.",
        (*SERVING_OPTIONS, *RUNNING_OPTIONS, DATA_AS_JSON, DIAGNOSTICS, HOST_TRACEBACK),
        "serve",
        anywhere=True,
    ),
    Command(
        "doctor",
        "",
        "tell what may go wrong with durable runs on this machine\n\n"
        "Exit code 0 when nothing is wrong, 1 when something is.",
        (STORE, DATA_AS_JSON, DIAGNOSTICS, HOST_TRACEBACK),
        "doctor",
    ),
    Command(
        "replay",
        "TAPE",
        "run a recorded program again, on what it got from outside\n\n"
        "TAPE is what `omega run --record TAPE FILE` wrote, or the id of a durable run, as far as\n"
        "it has come. Nothing is waited for, no model is called, no file is written. The output\n"
        "and the exit code are those of the recorded run; where the program does something\n"
        "else, it ends with E902. Options may follow TAPE.",
        (*REPLAY_OPTIONS, DIAGNOSTICS, HOST_TRACEBACK),
        "replay",
        anywhere=True,
    ),
    Command(
        "eval",
        "EXPR",
        "evaluate an expression and print its value",
        (*PROGRAM_OPTIONS, DIAGNOSTICS),
        "eval",
    ),
    Command(
        "repl",
        "",
        "read, evaluate and print, again and again\n\n"
        "Tasks go on while the prompt waits. `,help` lists the commands of the prompt.",
        PROGRAM_OPTIONS,
        "repl",
    ),
    Command(
        "check",
        "FILE...",
        "find what is wrong with programs without running them\n\n"
        "A directory stands for the *.omega files in it. Exit code 0 when nothing was found, 1\n"
        "when something was; `omega explain CODE` tells more about a finding. With --schedules,\n"
        "programs are also run, in virtual time, in other orders than the usual one.",
        (*SCHEDULE_OPTIONS, DIAGNOSTICS, LOAD_PATH, HOST_TRACEBACK),
        "check",
    ),
    Command(
        "test",
        "[PATH...]",
        "run the tests in files named *-test.omega or test-*.omega\n\n"
        "A directory stands for the tests in it; without PATH, this one. Each file runs in an\n"
        "interpreter of its own, in virtual time. Exit code 0 when all checks passed, else 1.",
        (
            Option("only", "NAME", "run the checks of groups with NAME in their path; also -k"),
            Option("real-time", None, "let time pass instead of jumping to the next timer"),
            *(option for option in PROGRAM_OPTIONS if option.name in TEST_OPTIONS),
        ),
        "test",
    ),
    Command(
        "explain",
        "CODE",
        "tell what an error is about and how to mend it: omega explain E201\n\n"
        "CODE is what stands in brackets behind `error` or `warning`, or the name of its kind.",
        (),
        "explain",
    ),
    Command(
        "compile",
        "FILE",
        "compile a program; with --show-python, print what it is compiled to",
        (
            Option("show-python", None, "print the generated Python"),
            LOAD_PATH,
            NO_OPT,
            HOST_TRACEBACK,
        ),
        "compile",
    ),
)


def run(words: list[str]) -> int:
    """Run a command line; its exit status. Whatever goes wrong becomes one message and a status."""
    bug: BaseException
    try:
        return _dispatch(words)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return OK
    except OmegaError as error:
        if not isinstance(error, OmegaBug):
            _advise(error)
            terminal.complain(
                error,
                as_json=_wants_json(words),
                host_traceback="--host-traceback" in words,
            )
            return status_at_start(error)
        bug = error
    except MemoryError:
        terminal.say("error[E801]: memory limit exceeded: the machine has no more")
        return LIMIT
    except Exception as error:
        bug = error
        if isinstance(error, UnicodeEncodeError) and (word := _no_text(words, error)):
            terminal.complain(
                usage(f"{word!a} is no text", "a name, an id, a message is UTF-8; files need not"),
                as_json=_wants_json(words),
            )
            return USAGE
    return report_bug(bug, "--host-traceback" in words, _wants_json(words))


def _no_text(words: list[str], error: UnicodeEncodeError) -> str | None:
    """The word that has bytes which are no text, where the error is of what it says."""
    cut = error.object[error.start : error.end]
    return next((word for word in words if cut in word), None)


def _wants_json(words: list[str]) -> bool:
    """Whether a command line asks for it that may not be one."""
    option = f"--{DIAGNOSTICS.name}"
    if words and words[0] in OF_RUNS and f"--{DATA_AS_JSON.name}" in words:
        return True
    return f"{option}={JSON}" in words or (option, JSON) in pairwise(words)


def _advise(error: OmegaError) -> None:
    """Say how a limit is raised, of the few that are met before there is an interpreter."""
    if error.kind == "limit-exceeded":
        from omega.cli.advice import HOW_TO_RAISE
        from omega.limits import advise

        advise(error, HOW_TO_RAISE)


def report_bug(bug: BaseException, host_traceback: bool, as_json: bool = False) -> int:
    """Say that Omega itself went wrong."""
    kind = "" if isinstance(bug, OmegaBug) else f"{type(bug).__name__}: "
    error = OmegaBug(
        f"Omega went wrong: {kind}{_text(bug)}",
        hint=None if host_traceback else "--host-traceback shows where",
    )
    error.__cause__ = bug
    terminal.complain(error, as_json=as_json, host_traceback=host_traceback)
    return FAILED


def _text(bug: BaseException) -> str:
    try:
        return str(bug)
    except Exception:
        return "(its text cannot be shown)"


def status_at_start(error: OmegaError) -> int:
    """The status of an error outside of any program: the command line, its files, its provider."""
    if error.kind == "limit-exceeded":
        return LIMIT
    if error.kind in ("usage", "llm-configuration") or isinstance(error, LispFileError):
        return USAGE
    return FAILED


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("--help", "-h", "help"):
        text = overview(COMMANDS, __version__)
        if not words:
            terminal.say(text)
            return USAGE
        return show(text)
    if words[0] in ("--version", "-V"):
        return show(f"omega {__version__}")
    command = next((command for command in COMMANDS if command.name == words[0]), None)
    if command is None:
        raise _no_command(words[0])
    given, arguments = parse(command, words[1:])
    if given.get("help"):
        return show(help_of(command))
    from importlib import import_module

    module: Any = import_module(f"omega.cli.{command.module}")
    start = at_start()
    if start is not None and command.name not in BEGIN_LATER:
        start.begins()
    status: int = module.run(given, arguments)
    return status


def _no_command(word: str) -> OmegaError:
    if word.startswith("-"):
        return usage(f"unknown option {word}", "options follow the command; see omega --help")
    if word.endswith((".omega", ".scm")) or os.path.exists(word):
        return usage(f"unknown command {word}", f"to run a program: omega run {word}")
    near = nearest(word, [command.name for command in COMMANDS])
    hint = f"did you mean {near}?" if near else "see omega --help"
    return usage(f"unknown command {word}", hint)


def show(text: str) -> int:
    """Print a text that was asked for, on standard output."""
    output = terminal.Output(BrokenPipeError)
    output.write(text + "\n")
    output.flush()
    return OK
