"""`omega runs ACTION`: look at durable runs, settle their effects, keep their store.

Owns: the table of actions; what is done to a run or a store from the command line.
Refuses: how runs are shown (runs_shown.py), the rules of a store (omega/durable).
"""

from __future__ import annotations

import getpass
import os
import shlex
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from omega.cli import changes, runs_shown, terminal
from omega.cli.dispatch import FAILED, OK, show
from omega.cli.durable import ending, open_store, store_path
from omega.cli.options import nearest, usage
from omega.errors import HostError

if TYPE_CHECKING:
    from omega.durable.records import Intent, RunRecord
    from omega.durable.sqlite import SQLiteStore

DAY_US = 86_400_000_000
LISTED = 100  # runs, without --limit
SHARED = frozenset(("store", "json", "diagnostics", "host-traceback"))
CANCELLED_STATUS = 1


class Given:
    """What an action is given. words: its arguments."""

    def __init__(self, options: dict[str, Any], words: list[str]) -> None:
        self.options, self.words = options, words
        self.as_json = bool(options.get("json"))
        self._store: SQLiteStore | None = None

    def store(self) -> SQLiteStore:
        self._store = open_store(self.options)
        return self._store

    def close(self) -> None:
        if self._store is not None:
            self._store.close()

    def run(self, store: SQLiteStore) -> RunRecord:
        return store.find(self.words[0])

    def who(self) -> str:
        return str(self.options.get("who") or user())

    def tell(self, text: str, **facts: Any) -> int:
        """Say what was done, for people or for programs."""
        return show(runs_shown.json_line(facts) if self.as_json else text)


def user() -> str:
    """Who runs this command."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):
        name = str(os.getuid()) if hasattr(os, "getuid") else "somebody"
    return f"{name}@{socket.gethostname()}"


def run(given: dict[str, Any], arguments: list[str]) -> int:
    name, *words = arguments or ["list"]
    found = ACTIONS.get(name)
    if found is None:
        near = nearest(name, list(ACTIONS))
        hint = f"did you mean omega runs {near}?" if near else "see omega runs --help"
        if not near and not words:
            hint += f"; omega runs show {shlex.quote(name)} would show a run"
        raise usage(f"runs has no action {name}", hint)
    shape, options, act = found
    _check(name, shape, options, given, words)
    with closing(Given(given, words)) as opened:
        return act(opened)


def _check(
    name: str, shape: str, options: Sequence[str], given: dict[str, Any], words: list[str]
) -> None:
    """Whether the options and the number of arguments are those of the action."""
    line = f"omega runs {name} {shape}".rstrip()
    foreign = [each for each in given if each not in SHARED and each not in options]
    if foreign:
        raise usage(f"runs {name} takes no --{foreign[0]}", f"write {line}")
    wanted = shape.split()
    least = sum(1 for each in wanted if not each.startswith("["))
    if len(words) < least:
        missing = wanted[len(words)]
        article = "an" if missing[0] in "AEIOU" else "a"
        raise usage(f"runs {name} needs {article} {missing}", f"write {line}")
    if len(words) > len(wanted) and not shape.endswith("...]"):
        raise usage(f"runs {name} got {words[len(wanted)]!r} besides", f"write {line}")


# ---------------------------------------------------------------------- looking


def _list(given: Given) -> int:
    options = given.options
    limit = min(options.get("limit", LISTED), sys.maxsize)
    found = given.store().runs(
        states=options.get("state", ()), name=options.get("name"), limit=limit
    )
    if given.as_json:
        lines = [runs_shown.json_line(runs_shown.facts_of(record)) for record in found]
        return show("\n".join(lines)) if lines else OK
    return show(runs_shown.table(found))


def _show(given: Given) -> int:
    store = given.store()
    record = given.run(store)
    if given.as_json:
        return show(runs_shown.json_line(runs_shown.whole_facts(store, record)))
    return show(runs_shown.whole(store, record))


def _journal(given: Given) -> int:
    store = given.store()
    record = given.run(store)
    incarnation = given.options.get("incarnation", record.incarnation)
    if incarnation > record.incarnation:
        raise usage(
            f"run {record.id} has {terminal.counted(record.incarnation, 'incarnation')}, got number"
            f" {incarnation}",
            "they are counted from 1 on; without --incarnation it is the last one",
        )
    if given.as_json or given.options.get("raw"):
        return runs_shown.print_raw(store, record, incarnation, given.as_json)
    return runs_shown.print_journal(store, record, incarnation)


def _cost(given: Given) -> int:
    store = given.store()
    record = given.run(store)
    if given.as_json:
        costs = [*runs_shown.costs(store, record), *runs_shown.costs_before(record)]
        return show("\n".join(runs_shown.json_line(line) for line in costs))
    return show(runs_shown.cost_text(store, record))


# ---------------------------------------------------------------------- changing


def _resolve(given: Given) -> int:
    store = given.store()
    record = given.run(store)
    chosen = [how for how in ("retry", "fail", "reply") if how in given.options]
    if len(chosen) > 1:
        raise usage(
            f"runs resolve takes one of --retry, --fail and --reply, got --{chosen[0]} and"
            f" --{chosen[1]}",
            "settle them one after the other, by their numbers",
        )
    numbers = _numbers(given.words[1:])
    _refuse_alive(record)
    from omega.runs.unknown import settlements, unsettled

    open_ones = {intent.number: intent for intent in unsettled(store, record)}
    said = settlements(store, record.id, record.epoch)
    if not chosen:
        return show(runs_shown.unsettled_text(store, record, list(open_ones.values()), given))
    for number in numbers:
        if number not in open_ones and number not in said:
            raise HostError(
                f"run {record.id} has no effect {number} whose outcome nobody knows",
                hint=f"omega runs resolve {record.id} shows which there are",
            )
    if not numbers and not open_ones:
        given.tell(
            f"run {record.id}: there is nothing to settle", run=record.id, settled=[], left=[]
        )
        return _go_on(given, store, record)
    if chosen == ["reply"] and len(numbers or open_ones) > 1:
        raise usage(
            f"--reply is the reply of one effect, and run {record.id} has {len(open_ones)} open",
            f"omega runs resolve {record.id} {min(open_ones)} --reply TEXT",
        )
    for number in numbers or sorted(open_ones):
        _settle(given, store, record, number, chosen[0], open_ones.get(number))
    return _go_on(given, store, record)


def _numbers(words: Sequence[str]) -> list[int]:
    for word in words:
        if not (word.isascii() and word.isdigit()):
            raise usage(
                f"effects have numbers, got {word!r}", "omega runs resolve RUN shows the numbers"
            )
    return sorted({int(word) for word in words})


def _refuse_alive(record: RunRecord) -> None:
    """What a run does that somebody works on is not unknown: it is on its way."""
    if runs_shown.is_held(record):
        raise HostError(
            f"run {record.id} is running: {runs_shown.owner_text(record)}",
            hint="effects whose end nobody knows are those of a process that has died",
        )
    if record.outcome is not None:
        raise HostError(f"run {record.id} has ended: {ending(record)}")


def _settle(
    given: Given,
    store: SQLiteStore,
    record: RunRecord,
    number: int,
    how: str,
    intent: Intent | None,
) -> None:
    from omega.calls.calls import WAITS_FOR
    from omega.runs.shown import shown
    from omega.runs.unknown import Settlement, settle

    reply = None
    if how == "reply":
        reply = given.options["reply"]
        if intent is not None and intent.kind != WAITS_FOR:
            reply = value_of(reply)
    settlement = Settlement(how, reply)
    before = settle(store, record, number, settlement, who=given.who())
    if before is not None and before != settlement:
        raise HostError(
            f"effect {number} of run {record.id} was settled before: {before}",
            hint=f"omega resume {record.id} goes on with that",
        )
    what = "" if intent is None else f", {shown(intent)}"
    again = "" if before is None else " (as before)"
    given.tell(
        f"run {record.id}: effect {number}{what}: {settlement}{again}",
        run=record.id,
        effect=number,
        how=how,
        is_new=before is None,
    )


def _go_on(given: Given, store: SQLiteStore, record: RunRecord) -> int:
    """A blocked run whose effects are all settled is to go on; tell what comes next."""
    from omega.durable.records import Change
    from omega.runs.unknown import REASON, unsettled

    left = [intent.number for intent in unsettled(store, record)]
    if left:
        shown = ", ".join(map(str, left))
        return given.tell(
            f"run {record.id} is still {ending(record)}: nobody has settled {shown}",
            run=record.id,
            state=record.state,
            left=left,
        )
    if record.state == "blocked" and record.reason == REASON:
        record = store.change(record.id, Change("pending"), who=given.who())
    return given.tell(
        f"run {record.id} is {ending(record)}: omega resume {record.id}",
        run=record.id,
        state=record.state,
        left=[],
    )


def _cancel(given: Given) -> int:
    from omega.durable.records import Batch, Change
    from omega.runs.owners import take_over
    from omega.runs.session import TTL_US

    store = given.store()
    record = given.run(store)
    by = given.who()
    reason = str(given.options.get("reason") or f"by {by}")
    outcome = {"status": CANCELLED_STATUS, "by": by}
    change = Change("cancelled", reason=reason, outcome=outcome)
    if record.owner is not None and not runs_shown.is_held(record):
        # It has died, and nobody need wait until its lease has passed.
        lease = take_over(store, record, TTL_US)
        store.append(lease, Batch(change=change))
    else:
        store.change(record.id, change, who=by)
    return given.tell(
        f"run {record.id} is cancelled ({reason})", run=record.id, state="cancelled", reason=reason
    )


def _export(given: Given) -> int:
    from omega.runs.exported import export

    store = given.store()
    record = given.run(store)
    path = given.words[1]
    count = export(store, record, path)
    how = (
        f"omega replay {path}"
        if record.header.get("command") is not None
        else f"omega.replay({path!r}) in the program that began it"
    )
    return given.tell(
        f"run {record.id}: {count:,} facts are in {path}; {how}",
        run=record.id,
        file=path,
        facts=count,
    )


# ---------------------------------------------------------------------- the store


def _prune(given: Given) -> int:
    from omega.durable.waiting import wall_us

    days = given.options.get("older-than")
    if days is None:
        raise usage("runs prune needs --older-than DAYS", "omega runs prune --older-than 30")
    now_us = wall_us()
    ago_us = round(min(days * DAY_US, now_us))  # before there were clocks, nothing has ended
    pruned = given.store().prune(ended_before_us=now_us - ago_us)
    runs = "1 run is deleted" if pruned == 1 else f"{pruned:,} runs are deleted"
    return given.tell(runs, pruned=pruned)


def _check_store(given: Given) -> int:
    found = given.store().check()
    path = store_path(given.options)
    if given.as_json:
        show(runs_shown.json_line({"store": path, "is_whole": not found, "found": found}))
    elif found:
        show("\n".join([*(f"{path}: {each}" for each in found), _how_many(found)]))
    else:
        show(f"{path} is whole")
    return FAILED if found else OK


def _how_many(found: list[str]) -> str:
    things = "1 thing is" if len(found) == 1 else f"{len(found)} things are"
    return f"{things} wrong: put back a backup with omega runs restore, and keep this file aside"


def _backup(given: Given) -> int:
    path = given.words[0]
    given.store().backup(path)
    size = os.path.getsize(path)
    return given.tell(f"{path} holds the store, {size:,} bytes", file=path, bytes=size)


def _restore(given: Given) -> int:
    from omega.durable.backups import restore

    path, backup = store_path(given.options), given.words[0]
    if os.path.lexists(path) and not given.options.get("replace"):
        raise HostError(
            f"{path}: there is a store here already, and what it holds would be lost",
            hint="--replace has it replaced; omega runs backup FILE keeps a copy first",
        )
    generation = restore(path, backup)
    return given.tell(
        f"{path} is what {backup} was; its runs go on by omega resume, or omega serve-runs",
        store=path,
        backup=backup,
        generation=generation,
    )


def value_of(text: str) -> Any:
    """JSON, or else the text itself. Raises a usage HostError for JSON that cannot be kept."""
    import json

    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        return text
    except RecursionError:
        raise usage("the value is nested too deeply", "send less of it, or a text") from None
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:  # 1e400
        raise usage(
            "the value has a number that is too large: it would be infinite",
            "write it in quotes, as a JSON string",
        ) from None
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)  # NaN: no JSON


Act = Callable[[Given], int]
# name -> its arguments, its options, what does it.
ACTIONS: dict[str, tuple[str, tuple[str, ...], Act]] = {
    "list": ("", ("state", "name", "limit"), _list),
    "show": ("RUN", (), _show),
    "journal": ("RUN", ("raw", "incarnation"), _journal),
    "cost": ("RUN", (), _cost),
    "resolve": ("RUN [NUMBER...]", ("retry", "fail", "reply", "who"), _resolve),
    "cancel": ("RUN", ("reason", "who"), _cancel),
    "fork": ("RUN EFFECT", ("reply", "prompt", "program", "who"), changes.fork),
    "diff": ("RUN RUN", (), changes.diff),
    "export": ("RUN FILE", (), _export),
    "prune": ("", ("older-than",), _prune),
    "check": ("", (), _check_store),
    "backup": ("FILE", (), _backup),
    "restore": ("FILE", ("replace",), _restore),
}
