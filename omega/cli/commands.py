"""The commands of the REPL's prompt: `,tasks`, `,doc map`, ... ONE table of them.

Owns: what they print. Refuses: to change the session, other than by cancelling what it is told to.
They run in the interpreter's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from omega.cli import terminal
from omega.cli.options import nearest
from omega.concurrency.clock import now_us
from omega.concurrency.listing import tree
from omega.errors import OmegaError

if TYPE_CHECKING:
    from omega.cli.repl import Repl


def run(repl: Repl, line: str) -> bool:
    """Do a command. False: leave."""
    word, _, argument = line[1:].strip().partition(" ")
    if word in ("quit", "q", "exit"):
        return False
    found = COMMANDS.get(word)
    if found is None:
        near = nearest(word, [*COMMANDS, "quit"])
        terminal.say(f"there is no command ,{word}")
        terminal.say(f"  hint: did you mean ,{near}?" if near else "  hint: ,help lists them")
        return True
    try:
        repl.output.write(found[2](repl, argument.strip()) + "\n")
    except OmegaError as error:
        terminal.complain(error)
    return True


def _tasks(repl: Repl, argument: str) -> str:
    return tasks_text(repl.interpreter, bool(argument))


def tasks_text(interpreter: Any, all_of_them: bool) -> str:
    """The table of tasks; all_of_them: those that have ended, too."""
    final = ("completed", "error", "cancelled")
    lines = [t for t in interpreter.scheduler.tasks() if all_of_them or t.state not in final]
    if not lines:
        return "no tasks are left; `,tasks all` shows the ended ones as well"
    return tree(lines)


def _cancel(repl: Repl, argument: str) -> str:
    if not argument:
        return "which? write ,cancel ID; ,tasks shows them"
    changed = repl.interpreter.scheduler.cancel(argument, "cancelled at the prompt", "host")
    return f"task {argument} is asked to end" if changed else f"task {argument} has ended before"


def _stats(repl: Repl, argument: str) -> str:
    from omega.cli.program import stats_text

    return stats_text(repl.interpreter, now_us() / 1e6 - repl.began_s)


def _doc(repl: Repl, argument: str) -> str:
    if not argument:
        return "of what? write ,doc NAME"
    text: str | None = repl.interpreter.documentation(argument)
    if text is not None:
        return text.strip()
    hint = repl.interpreter.runtime.suggest(argument)
    return f"`{argument}` is not bound" + (f"; {hint}" if hint else "")


def _help(repl: Repl, argument: str) -> str:
    lines = [f"  {shape:<14}{text}" for shape, text, _ in COMMANDS.values()]
    lines.append(f"  {',quit':<14}leave, as Ctrl-D does")
    lines.append("A value is kept as the number it is printed with: $1, $2, ...")
    lines.append("Ctrl-C clears the line, or cancels the form that runs; other tasks go on.")
    return "\n".join(lines)


Act = Callable[["Repl", str], str]
COMMANDS: dict[str, tuple[str, str, Act]] = {
    "tasks": (",tasks", "the tasks that have not ended, and what they wait for", _tasks),
    "cancel": (",cancel ID", "ask a task to end", _cancel),
    "stats": (",stats", "totals since the start", _stats),
    "doc": (",doc NAME", "what a procedure does", _doc),
    "help": (",help", "this list", _help),
}


def names(interpreter: Any) -> Iterable[str]:
    """Names for completion."""
    found: Iterable[str] = interpreter.names()
    return found
