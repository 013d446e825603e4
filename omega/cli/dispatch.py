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
from omega.cli.options import (
    DIAGNOSTICS,
    DURABLE_OPTIONS,
    EVENTS,
    HOST_TRACEBACK,
    JSON,
    LOAD_PATH,
    NO_OPT,
    NO_PROGRESS,
    PROGRAM_OPTIONS,
    RECORD,
    REPLAY_OPTIONS,
    RUNNING_OPTIONS,
    SCHEDULE_OPTIONS,
    STATS,
    TRACE,
    Command,
    Option,
    help_of,
    nearest,
    overview,
    parse,
    usage,
)
from omega.errors import LispFileError, OmegaBug, OmegaError

OK, FAILED, USAGE, LIMIT, DEADLOCK, INTERRUPTED = 0, 1, 2, 3, 4, 130
STOPPED = 75  # a durable run goes no further now: try again later, as sysexits.h has it

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
        (*PROGRAM_OPTIONS, RECORD, *DURABLE_OPTIONS, DIAGNOSTICS),
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
            *RUNNING_OPTIONS,
            STATS,
            EVENTS,
            TRACE,
            NO_PROGRESS,
            DIAGNOSTICS,
            HOST_TRACEBACK,
        ),
        "durable",
    ),
    Command(
        "replay",
        "TAPE",
        "run a recorded program again, on what it got from outside\n\n"
        "TAPE is what `omega run --record TAPE FILE` wrote. Nothing is waited for, no model is\n"
        "called and no file is written. The output and the exit code are those of the recorded\n"
        "run; where the program does something else, it ends with E902. Options may follow TAPE.",
        (*REPLAY_OPTIONS, DIAGNOSTICS, HOST_TRACEBACK),
        "replay",
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
    return report_bug(bug, "--host-traceback" in words, _wants_json(words))


def _wants_json(words: list[str]) -> bool:
    """Whether a command line asks for it that may not be one."""
    option = f"--{DIAGNOSTICS.name}"
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
