"""`omega signal RUN NAME [VALUE]`: leave a message for a durable run.

Owns: what VALUE means, which names are refused. Refuses: how a run gets it (omega/runs/signals.py).
"""

from __future__ import annotations

import secrets
from contextlib import closing
from typing import Any

from omega.cli.dispatch import COMMANDS, show
from omega.cli.durable import open_store
from omega.cli.options import help_of, parse_anywhere, usage


def run(given: dict[str, Any], arguments: list[str]) -> int:
    from omega.cli.runs import user, value_of
    from omega.cli.runs_shown import json_line

    command = next(command for command in COMMANDS if command.name == "signal")
    given, words = parse_anywhere(command, given, arguments)
    if given.get("help"):
        return show(help_of(command))
    if not 2 <= len(words) <= 3:
        how = "needs a RUN and a NAME" if len(words) < 2 else f"got {words[3]!r} besides"
        raise usage(f"signal {how}", "omega signal RUN NAME [VALUE]; quote a VALUE of many words")
    name = words[1]
    _check(name)
    value = value_of(words[2]) if len(words) > 2 else None
    key, who = given.get("key") or secrets.token_hex(16), given.get("who") or user()
    with closing(open_store(given)) as store:
        record = store.find(words[0])
        is_new = store.signal(record.id, name, value, key=key, who=who)
    if given.get("json"):
        return show(json_line({"run": record.id, "name": name, "key": key, "is_new": is_new}))
    if not is_new:
        return show(f"run {record.id} has had a message with the key {key} before: nothing is sent")
    waits = record.state == "suspended" and name in record.waits_for
    more = f"; it waits for it: omega resume {record.id}" if waits else f"; it is {record.state}"
    return show(f"run {record.id} gets `{name}`{more}")


def _check(name: str) -> None:
    from omega.runs.signals import PREFIX

    if not name:
        raise usage("a signal has a name", "omega signal RUN NAME [VALUE]")
    if name.startswith(PREFIX):
        hint = "omega runs resolve says what became of an effect"
        raise usage(f"names that begin with {PREFIX} are the run's own, got {name!r}", hint)
