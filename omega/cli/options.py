"""The options of the command line: ONE table they are parsed, checked and documented from.

Owns: `Option`, `Command`, `PROGRAM_OPTIONS`, `parse`, `help_of`.
Refuses: to act on an option. (argparse is not used: importing it costs a quarter of a warm start.)

Options come before the first argument, or anywhere: `--name value`, `--name=value`; `--` ends them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from omega.errors import HostError

HELP_WIDTH = 28  # columns before an option's text
LINE_WIDTH = 100
JSON = "json"


class Option:
    """name: without dashes. value: what the help calls its value, None for a flag.

    takes: text -> value, raising ValueError. optional: the value may be left out (then True), and
    is given with `=` only.
    """

    __slots__ = ("name", "optional", "takes", "text", "value")

    def __init__(
        self,
        name: str,
        value: str | None,
        text: str,
        takes: Callable[[str], Any] = str,
        *,
        optional: bool = False,
    ) -> None:
        self.name, self.value, self.text, self.takes = name, value, text, takes
        self.optional = optional

    @property
    def shape(self) -> str:
        """As the help writes it: `--seed N`, `--allow-read[=PATHS]`."""
        if self.value is None:
            return f"--{self.name}"
        return f"--{self.name}[={self.value}]" if self.optional else f"--{self.name} {self.value}"


class Command:
    """name; arguments: as the usage line shows them; text: what it does, first line short; options.
    anywhere: they may stand between and behind the arguments, too, which are no program's own.

    Its code is `run(given, arguments) -> exit status` in the module omega.cli.<module>.
    """

    __slots__ = ("anywhere", "arguments", "module", "name", "options", "text")

    def __init__(
        self,
        name: str,
        arguments: str,
        text: str,
        options: Sequence[Option],
        module: str,
        *,
        anywhere: bool = False,
    ) -> None:
        self.name, self.arguments, self.text = name, arguments, text
        self.options, self.module, self.anywhere = (*options, HELP), module, anywhere


# ---------------------------------------------------------------------- kinds of values


def whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError
    return number


def names(text: str) -> list[str]:
    found = [part for part in text.split(",") if part]
    if not found:
        raise ValueError
    return found


def diagnostics(text: str) -> str:
    if text not in ("text", JSON):
        raise ValueError
    return text


def fairness(text: str) -> str:
    if text not in ("fifo", "priority", "round-robin"):
        raise ValueError
    return text


def budget(text: str) -> dict[str, Any]:
    """`calls=50,tokens=100000,usd=0.50`."""
    from decimal import Decimal, InvalidOperation

    found: dict[str, Any] = {}
    for part in names(text):
        kind, _, amount = part.partition("=")
        if kind not in ("calls", "tokens", "usd") or kind in found:
            raise ValueError
        try:
            number = Decimal(amount) if kind == "usd" else int(amount)
        except InvalidOperation:
            raise ValueError from None
        if not (math.isfinite(number) and 0 <= number <= 10**9):
            raise ValueError
        found[kind] = amount if kind == "usd" else number  # as JSON data, for a tape
    return found


def strategy(text: str) -> str:
    if text not in ("mixed", "random", "pct", "systematic"):
        raise ValueError
    return text


def faults(text: str) -> list[str]:
    found = names(text)
    if not {"llm", "host", "files"}.issuperset(found):
        raise ValueError
    return found


def fair_by(text: str) -> str:
    if text not in ("task", "scope"):
        raise ValueError
    return text


def seconds_or_none(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise ValueError
    return number


def unknown(text: str) -> str:
    if text not in ("ask", "retry", "fail"):
        raise ValueError
    return text


def states(text: str) -> list[str]:
    from omega.durable.states import STATES

    found = names(text)
    if not set(STATES).issuperset(found):
        raise ValueError
    return found


def run_id(text: str) -> str:
    from omega.durable.refusals import checked_id

    return checked_id(text)


_WANTED = {
    seconds_or_none: "a number from 0 on",
    unknown: "ask, retry or fail",
    states: "pending, running, suspended, blocked, completed, failed or cancelled, or several,"
    " separated by commas",
    faults: "llm, host or files, or several, separated by commas",
    strategy: "mixed, random, pct or systematic",
    whole: "a whole number from 1 on",
    budget: "amounts such as calls=50,tokens=100000,usd=0.50",
    int: "a whole number",
    seconds: "a number of seconds above 0",
    names: "names, separated by commas",
    fairness: "fifo, priority or round-robin",
    fair_by: "task or scope",
    diagnostics: "text or json",
}

# ---------------------------------------------------------------------- the table

HELP = Option("help", None, "show this help")
SHORT = {"-h": "--help", "-k": "--only"}
HOST_TRACEBACK = Option(
    "host-traceback", None, "after an error, show the Python frames as well (for work on Omega)"
)
NO_OPT = Option(
    "no-opt",
    None,
    "compile without optimisations: slower, and otherwise the same (for work on Omega)",
)

DIAGNOSTICS = Option(
    "diagnostics",
    "FORMAT",
    "how errors and warnings are told: text (the default), or json, a line for each",
    diagnostics,
)

LOAD_PATH = Option(
    "load-path",
    "FOLDERS",
    "where libraries are looked for that are not beside the program",
    names,
)

FUEL = Option("fuel", "N", "stop the program after N steps, exit code 3", whole)
TIMEOUT = Option("timeout", "SECONDS", "stop the program after so much time, exit code 3", seconds)
MAX_LIVE_TASKS = Option(
    "max-live-tasks", "N", "refuse a task while N have not ended: exit code 3", whole
)

CONFIG = Option(
    "config",
    "FILE",
    "the models there are, their limits and prices (default: omega.toml of this folder, if "
    "there is one and without --sandbox)",
)
BUDGET = Option(
    "budget",
    "AMOUNTS",
    "what calls of models may come to: calls=50,tokens=100000,usd=0.50, or some of these",
    budget,
)

SCHEDULE_OPTIONS = (
    Option(
        "schedules",
        "N",
        "run each program under N schedules too: other tasks first, stops at other steps, models "
        "slow or fast; what fails is told with the least that makes it fail",
        whole,
    ),
    Option(
        "time-limit",
        "SECONDS",
        "try schedules of each program for so long at most; alone, as many as there is time for",
        seconds,
    ),
    Option("schedule", "TEXT", "run each program under this schedule only, one that failed"),
    Option("seed", "N", "of the schedules that are chosen at random (default 0)", int),
    Option(
        "strategy",
        "NAME",
        "how schedules are chosen: mixed (the default), random, pct, systematic",
        strategy,
    ),
    Option(
        "arguments", "TEXT", "what (command-line) tells programs that are run, as a shell splits it"
    ),
    Option("deviations", "N", "of a systematic search, from the usual order (default 2)", whole),
    Option(
        "faults",
        "KINDS",
        "let what leaves a program fail as well: llm (calls of models), host (functions of the "
        "host), files; all, or these",
        faults,
        optional=True,
    ),
    Option("same-output", None, "what a program writes must be the same under every schedule"),
    Option(
        "llm",
        "SPEC",
        "who answers: scripted (the default), scripted:RULES.json, or a model of omega.toml; for "
        "models of vendors the scripted one stands in",
    ),
    CONFIG,
    BUDGET,
    Option(
        "allow-write",
        "PATHS",
        "let programs that are run write files, all or these; they may read",
        names,
        optional=True,
    ),
    FUEL,
    TIMEOUT,
    MAX_LIVE_TASKS,
)

RECORD = Option("record", "TAPE", "write what comes from outside to a file, for omega replay")
NO_PROMPTS = Option("no-prompts", None, "with --record: keep prompts as hashes only")

EVENTS = Option("events", "FILE", "write the event stream, a line per event")
TRACE = Option("trace", "FILE", "write a trace with a lane per task, for ui.perfetto.dev")
NO_PROGRESS = Option("no-progress", None, "show no progress on standard error")
STATS = Option("stats", None, "at the end, print totals on standard error")

STORE = Option(
    "store",
    "FILE",
    "where durable runs are kept (default: $OMEGA_STORE, or omega-runs.db in this folder)",
)
RUNNING_OPTIONS = (
    STORE,
    Option(
        "unknown",
        "POLICY",
        "what becomes of a call whose end nobody knows, since its process died: ask (the default: "
        "the run is blocked until somebody says), retry (it may be paid twice), fail",
        unknown,
    ),
    Option(
        "park-after",
        "SECONDS",
        "end the process when the run has waited for so long and need not be looked after (default "
        "60); a signal, or the time it waits for, has it go on",
        seconds_or_none,
    ),
)
DURABLE_OPTIONS = (
    Option("durable", None, "keep the run in a store: killed anywhere, omega resume goes on"),
    Option("run-id", "ID", "with --durable: what the run is called (default: a new one)", run_id),
    *RUNNING_OPTIONS,
)

DATA_AS_JSON = Option(
    "json",
    None,
    "for other programs: what is shown, and errors, as lines of JSON",
)
WHO = Option("who", "NAME", "who says so (default: the user at this machine)")

# The actions of `omega runs` say which of them each takes.
MANAGING_OPTIONS = (
    STORE,
    Option("state", "STATES", "list: only runs in one of these states", states),
    Option("name", "NAME", "list: only runs of that name, which is mostly their program's", str),
    Option("limit", "N", "list: so many at most, the newest first (default 100)", whole),
    Option("raw", None, "journal: the facts as they are kept"),
    Option(
        "incarnation",
        "N",
        "journal, fork, export: of which time the run began (default the last)",
        whole,
    ),
    Option("retry", None, "resolve: the effect is made again; it may be paid twice"),
    Option("fail", None, "resolve: the program gets an error, unknown-outcome"),
    Option(
        "reply",
        "TEXT",
        "resolve, fork: this is what the effect has answered; of a function, JSON or a text",
    ),
    Option("prompt", "TEXT", "fork: the model is asked this, in place of the user's last text"),
    Option("program", "FILE", "fork: the new run is of this program, which is tried before", str),
    WHO,
    Option("reason", "TEXT", "cancel: why"),
    Option(
        "older-than",
        "DAYS",
        "prune: delete runs that ended so many days ago or earlier; their journals are gone then",
        seconds_or_none,
    ),
    Option("replace", None, "restore: although there is a store, which is lost"),
    DATA_AS_JSON,
)

MIGRATING_OPTIONS = (
    STORE,
    Option("commit", None, "have the run go on with the program, if it does what the run has done"),
    Option(
        "pay-again",
        None,
        "with --commit: also if it does not; what it does otherwise is made, and paid for",
    ),
)

SERVING_OPTIONS = (
    Option("poll", "SECONDS", "between two looks for what is due (default 1)", seconds),
    Option("once", None, "end when nothing is due any more"),
    Option("max", "N", "runs at once, each in a process of its own (default 1)", whole),
    Option(
        "output",
        "FOLDER",
        "what runs write goes to files there, a file for each run (default: STORE.output)",
    ),
)

REPLAY_OPTIONS = (
    STORE,
    Option("incarnation", "N", "of a run: which time that it began (default the last)", whole),
    Option(
        "break",
        "PLACE",
        "stop before a step of a task, task=ID step=N, at a prompt to look around; without a"
        " terminal, show what is there and end",
    ),
    Option("program", "FILE", "replay this text instead, as far as it does the same"),
    Option("quiet", None, "do not write the program's output again"),
    EVENTS,
    TRACE,
    STATS,
)

PROGRAM_OPTIONS = (
    Option(
        "llm",
        "SPEC",
        "who answers LLM calls: scripted (the default), scripted:RULES.json, openai:MODEL, "
        "anthropic:MODEL",
    ),
    CONFIG,
    BUDGET,
    Option("max-llm", "N", "LLM calls in flight at once, at most (default 8)", whole),
    Option("max-tasks", "N", "tasks that run at once, at most (default 10000)", whole),
    MAX_LIVE_TASKS,
    Option(
        "fairness", "POLICY", "who runs next: round-robin (the default), fifo, priority", fairness
    ),
    Option(
        "fair-by",
        "WHAT",
        "between what round-robin takes turns: task (the default), or scope first",
        fair_by,
    ),
    Option("yield-every", "N", "steps a task may take before others are looked at", whole),
    TIMEOUT,
    FUEL,
    LOAD_PATH,
    Option("seed", "N", "of all randomness (default 0)", int),
    Option("virtual-time", None, "time jumps to the next timer instead of passing"),
    Option(
        "sandbox",
        None,
        "grant the program no files, environment or standard input, only what --allow-... adds",
    ),
    Option(
        "allow-read",
        "PATHS",
        "with --sandbox: grant reading, of all or these",
        names,
        optional=True,
    ),
    Option(
        "allow-write",
        "PATHS",
        "with --sandbox: grant writing, of all or these",
        names,
        optional=True,
    ),
    Option(
        "allow-env",
        "NAMES",
        "with --sandbox: grant environment variables, all or these",
        names,
        optional=True,
    ),
    STATS,
    EVENTS,
    TRACE,
    NO_PROGRESS,
    Option(
        "no-wait", None, "at the end, cancel the tasks that are left instead of waiting for them"
    ),
    NO_OPT,
    HOST_TRACEBACK,
)


# ---------------------------------------------------------------------- parsing


def usage(message: str, hint: str | None = None) -> HostError:
    """What a wrong command line raises; exit code 2."""
    return HostError(message, hint=hint)


def parse(command: Command, words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """(values of the options given, the arguments). Raises a usage HostError."""
    known = {option.name: option for option in command.options}
    given: dict[str, Any] = {}
    arguments: list[str] = []
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--":
            break
        if not _is_option(word):
            arguments.append(word)
            if not command.anywhere:
                break
            continue
        word = SHORT.get(word, word)
        name, equals, value = word[2:].partition("=")
        option = known.get(name) if word.startswith("--") else None
        if option is None:
            raise _unknown(command, word.partition("=")[0], list(known))
        if option.value is None or (option.optional and not equals):
            if equals:
                raise usage(f"--{name} takes no value, got {value!r}", f"write --{name} alone")
            given[name] = True
            continue
        if not equals:
            if at >= len(words) or (words[at].startswith("--") and words[at][2:] in known):
                raise usage(f"--{name} needs a value", f"write --{name} {option.value}")
            value = words[at]
            at += 1
        try:
            given[name] = option.takes(value)
        except HostError as error:  # a rule that stands elsewhere
            raise usage(f"--{name}: {error.message}", error.hint) from None
        except ValueError:
            wanted = _WANTED.get(option.takes, "a value")
            hint = f"omega {command.name} --help tells what it is for"
            raise usage(f"--{name} takes {wanted}, got {value!r}", hint) from None
    return given, [*arguments, *words[at:]]


def _is_option(word: str) -> bool:
    """Whether a word is meant as an option: `-` is standard input, `-5` an expression."""
    return len(word) > 1 and word[0] == "-" and not word[1].isdigit() and word[1] not in "( ."


def _unknown(command: Command, word: str, known: list[str]) -> HostError:
    near = nearest(word.lstrip("-"), known)
    hint = f"did you mean --{near}?" if near else f"see omega {command.name} --help"
    if not word.startswith("--"):
        hint += "; if it is no option, write -- before it"
    return usage(f"unknown option {word}", hint)


def nearest(word: str, known: Sequence[str]) -> str | None:
    from omega.lisp.spelling import near

    found = near(word, known, 1, sure_letters_min=0)
    return found[0] if found else None


# ---------------------------------------------------------------------- help


def help_of(command: Command) -> str:
    """The text of `omega COMMAND --help`."""
    head = " ".join(filter(None, ("usage: omega", command.name, "[OPTIONS]", command.arguments)))
    lines = [head, "", command.text, "", "options:"]
    for option in command.options:
        lines += _entry(option.shape, option.text)
    return "\n".join(lines)


def _entry(left: str, text: str) -> list[str]:
    from textwrap import wrap

    parts = wrap(text, LINE_WIDTH - HELP_WIDTH)
    if len(left) + 4 > HELP_WIDTH:
        return [f"  {left}", *(" " * HELP_WIDTH + part for part in parts)]
    first = f"  {left}".ljust(HELP_WIDTH) + parts[0]
    return [first, *(" " * HELP_WIDTH + part for part in parts[1:])]


def overview(commands: Sequence[Command], version: str) -> str:
    """The text of `omega --help`."""
    lines = [
        f"Omega {version}: a Lisp for programs whose slow instructions are LLM calls",
        "",
        "usage: omega COMMAND [OPTIONS] [ARGUMENTS]",
        "",
        "commands:",
    ]
    for command in commands:
        left = f"{command.name} {command.arguments}".rstrip()
        lines += _entry(left, command.text.split("\n", 1)[0])
    lines += [
        "",
        "  omega COMMAND --help      the options of a command",
        "  omega --version           the version",
        "",
        "exit codes: 0 done, 1 the program does not read, compile or end well, 2 bad usage or a",
        "file that cannot be read, 3 a limit, 4 a deadlock, 75 a durable run has stopped and can",
        "go on, 130 interrupted; (exit n) gives n",
    ]
    return "\n".join(lines)
