"""`omega signal RUN NAME [VALUE]`: leave a message for a durable run.

Owns: what VALUE means, which names are refused. Refuses: how a run gets it (omega/runs/signals.py).
"""

from __future__ import annotations

import json
import secrets
from contextlib import closing
from typing import TYPE_CHECKING, Any

from omega.cli.dispatch import FAILED, OK, show
from omega.cli.durable import open_store
from omega.cli.options import usage
from omega.errors import LispValueError

if TYPE_CHECKING:
    from omega.durable.records import Signal
    from omega.durable.store import Store


def run(given: dict[str, Any], words: list[str]) -> int:
    from omega.cli.runs import user, value_of
    from omega.cli.runs_shown import clean, json_line
    from omega.runs.signals import shown_name

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
        before = None if is_new else _before(store, record.id, key)
    differs = before is not None and _kept(before.name, before.value) != _kept(name, value)
    if given.get("json"):
        told = {"run": record.id, "name": name, "key": key, "is_new": is_new, "differs": differs}
        return show(json_line(told)) or (FAILED if differs else OK)
    if before is not None and differs:
        had = f"`{before.name}` {json_line(before.value)}, from {before.who}"
        return (
            show(
                f"run {record.id} has had another message with the key {clean(key)} before:"
                f" {clean(had)}; nothing is sent"
            )
            or FAILED
        )
    if before is not None:
        return show(
            f"run {record.id} has had this message with the key {clean(key)} before:"
            " nothing is sent"
        )
    waits = record.state == "suspended" and name in record.waits_for
    more = f"; it waits for it: omega resume {record.id}" if waits else f"; it is {record.state}"
    return show(f"run {record.id} gets `{shown_name(name)}`{_read_as(value)}{more}")


def _read_as(value: Any) -> str:
    """A value as it was read: broken JSON is a text."""
    from omega.cli.runs_shown import clean, json_line

    if value is None:
        return ""
    what = "the text " if isinstance(value, str) else ""
    return f" with {what}{clean(json_line(value))}"


def _kept(*sent: Any) -> str:
    return json.dumps(sent, sort_keys=True)  # 1, 1.0 and true are three values


def _before(store: Store, run: str, key: str) -> Signal | None:
    """What was sent with a key; None: it is gone."""
    found = store.signals(run, waiting_only=False)
    return next((signal for signal in found if signal.key == key), None)


def _check(name: str) -> None:
    from omega.runs.signals import checked_name

    try:
        checked_name(name)
    except LispValueError as error:
        raise usage(error.message, error.hint or "omega signal RUN NAME [VALUE]") from None
