"""How durable runs are shown: for people, and as JSON for other programs.

Owns: the texts and the fields. Refuses: to change anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from omega.calls.figures import money
from omega.cli.dispatch import OK
from omega.cli.durable import ending
from omega.cli.terminal import Output, counted
from omega.durable.waiting import date as date_of
from omega.durable.waiting import wall_us
from omega.llm.budget import dollars
from omega.runs.journal import fact_of
from omega.runs.owners import is_dead
from omega.runs.prompts import OVERRIDES
from omega.runs.shown import VALUE_CHARS, asked_model, came, shown, words
from omega.runs.signals import SOMEBODY, is_wait, received, senders
from omega.tape.facts import STEP_MODEL
from omega.tape.values import decode

if TYPE_CHECKING:
    from omega.cli.runs import Given
    from omega.durable.records import Intent, Result, RunRecord, Signal
    from omega.durable.sqlite import SQLiteStore

NAME_MAX, WAITS_MAX, VALUE_MAX = 40, 60, 200  # characters in a cell
LABEL_WIDTH = 12
UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def json_line(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False)


# ---------------------------------------------------------------------- parts


def clean(text: str, most: int = VALUE_MAX) -> str:
    """In one line, and nothing in it that a terminal acts on."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= most else text[: most - 3] + "..."


def date(us: int | None) -> str:
    return "-" if us is None else date_of(us)


def duration(us: int) -> str:
    """A time in its largest unit."""
    seconds = max(0, us) // 1_000_000
    size, unit = next((size, unit) for size, unit in UNITS if seconds >= size or size == 1)
    return f"{seconds // size} {unit}"


def plain(pico: int) -> str:
    """Dollars, exactly."""
    return f"{dollars(pico).normalize():f}"


def usd(pico: int) -> str:
    return f"${money(dollars(pico))}"


def is_held(record: RunRecord) -> bool:
    """Whether somebody works on a run, as far as is known."""
    if record.owner is None or record.lease_until_us is None or is_dead(record.owner):
        return False
    return record.lease_until_us > wall_us()


def process_text(owner: str) -> str:
    """An owner as owners.py names it: which process on which machine."""
    parts = owner.split(" ")
    return f"process {parts[2]} on {parts[0]}" if len(parts) == 5 else owner


def owner_text(record: RunRecord) -> str:
    """Who works on a run."""
    if record.owner is None or record.lease_until_us is None:
        return "nobody"
    who = process_text(record.owner)
    if is_dead(record.owner):
        return clean(f"{who}, which has died")
    left_us = record.lease_until_us - wall_us()
    lease = f"lasts {duration(left_us)} more" if left_us > 0 else "has passed"
    return clean(f"{who}, whose lease {lease}")


def waits_text(record: RunRecord) -> str:
    """What has to happen before a run goes on; "" when nothing has to."""
    if record.state == "suspended":
        waits = [f"the signal `{name}`" for name in record.waits_for]
        if record.wake_at_us is not None:
            waits.insert(0, date(record.wake_at_us))
        return " or ".join(waits)
    if record.state == "blocked":
        return f"a person: {record.reason}"
    if record.state == "pending":
        return "somebody who goes on with it"
    if record.state == "running" and not is_held(record):
        return "somebody who takes it over"
    return ""


def facts_of(record: RunRecord) -> dict[str, Any]:
    """A run for other programs."""
    totals, owner = record.totals, record.owner
    return {
        **{name: getattr(record, name) for name in ("id", "name", "state", "reason")},
        "created_us": record.created_us,
        "updated_us": record.updated_us,
        "effects": totals.effects,
        "tokens": totals.tokens,
        "cost_usd": plain(totals.cost),
        "reserved_usd": plain(record.reserved),
        "waits_for": list(record.waits_for),
        "wake_at_us": record.wake_at_us,
        "owner": owner,
        "owner_is_dead": owner is not None and is_dead(owner),
        "lease_until_us": record.lease_until_us,
        "outcome": record.outcome,
    }


# ---------------------------------------------------------------------- the list


def table(records: Sequence[RunRecord]) -> str:
    if not records:
        return "there are no such runs"
    now = wall_us()
    head = ("ID", "STATE", "NAME", "AGE", "EFFECTS", "TOKENS", "COST", "WAITS FOR")
    rows = [
        (
            *(record.id, record.state, clean(record.name, NAME_MAX)),
            *(duration(now - record.created_us), f"{record.totals.effects:,}"),
            *(f"{record.totals.tokens:,}", usd(record.totals.cost)),
            clean(waits_text(record) or "-", WAITS_MAX),
        )
        for record in records
    ]
    return "\n".join(aligned([head, *rows], right=(4, 5, 6)))


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> Iterator[str]:
    """Rows as lines, in columns; right: those of numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


# ---------------------------------------------------------------------- one run


def whole_facts(store: SQLiteStore, record: RunRecord) -> dict[str, Any]:
    open_ones = store.effects(record.id, open_only=True)
    header = {name: value for name, value in record.header.items() if name != "settings"}
    return {
        **facts_of(record),
        "parent": record.parent,
        "parent_entry": record.parent_seq,
        "incarnation": record.incarnation,
        "entries": record.seq,
        "epoch": record.epoch,
        "begun_with": header,
        "settings": record.header.get("settings"),
        "replays_to_the_step": record.header.get("step-model") == STEP_MODEL,
        "open_effects": [intent._asdict() for intent, _ in open_ones],
        "signals": [asdict(signal) for signal in store.signals(record.id, waiting_only=False)],
        "history": store.history(record.id),
    }


def whole(store: SQLiteStore, record: RunRecord) -> str:
    """Everything about a run."""
    lines = [
        *_about(record),
        *_settings(record.header),
        _line("resume", _how_resumed(record)),
    ]
    open_ones = [intent for intent, _ in store.effects(record.id, open_only=True)]
    lines += _part("open effects", [f"{each.number}  {shown(each)}" for each in open_ones])
    signals = store.signals(record.id, waiting_only=False)
    lines += _part("signals", [_signal(each) for each in signals])
    lines += _part("history", [_event(each) for each in store.history(record.id)])
    return "\n".join(lines)


def _line(label: str, text: str) -> str:
    return f"{label.ljust(LABEL_WIDTH)}{clean(text)}".rstrip()


def _part(label: str, lines: list[str]) -> list[str]:
    if not lines:
        return [_line(label, "none") if len(label) < LABEL_WIDTH else f"{label} none"]
    return [label, *(f"  {clean(line)}" for line in lines)]


def _about(record: RunRecord) -> Iterator[str]:
    totals = record.totals
    yield _line("run", record.id)
    yield _line("name", record.name)
    yield _line("state", ending(record))
    waits = waits_text(record)
    if waits:
        yield _line("waits for", waits)
    yield _line("owner", owner_text(record))
    age = duration(wall_us() - record.created_us)
    yield _line("begun", f"{date(record.created_us)}, {age} ago")
    yield _line("changed", date(record.updated_us))
    yield _line(
        "cost",
        f"{counted(totals.effects, 'effect')}, {counted(totals.tokens, 'token')},"
        f" {usd(totals.cost)}" + (f", {usd(record.reserved)} reserved" if record.reserved else ""),
    )
    yield _line(
        "journal",
        f"{record.seq:,} entries, epoch {record.epoch}, incarnation {record.incarnation}"
        + (f" from entry {record.first_seq}" if record.incarnation > 1 else ""),
    )
    if record.parent is not None:
        yield _line("parent", f"{record.parent}, whose entries up to {record.parent_seq} it shares")
    yield from _asked_instead(record.header)
    if record.outcome is not None:
        yield _line("outcome", json_line(record.outcome))


def _asked_instead(header: Any) -> Iterator[str]:
    for each in header.get(OVERRIDES, ()):
        place = f"by number {each['n']} of task {each['task']}, instead of {each['was']}"
        yield _line("prompt", f"{json_line(each['prompt'])} {place}")


def _settings(header: Any) -> Iterator[str]:
    program, settings = header.get("program"), header.get("settings", {})
    if program is not None:
        arguments = "".join(f" {each}" for each in header.get("arguments", ())[1:])
        yield _line("program", f"{program['file']}{arguments} ({program['hash'][:16]})")
    if "folder" in header:
        yield _line("folder", header["folder"])
    if header.get("command") is not None:
        given = header["command"]["given"]
        options = [_option(name, value) for name, value in given.items()]
        yield _line("options", " ".join(options) or "none")
    if "version" in header:
        yield _line("begun by", f"Omega {header['version']}, Python {header.get('python')}")
    if settings:
        model = asked_model(None, settings)
        time = "virtual" if settings.get("virtual_time") else "real"
        yield _line("settings", f"{time} time, seed {settings.get('seed')}, model {model}")


def _option(name: str, value: Any) -> str:
    if value is True:
        return f"--{name}"
    if isinstance(value, list):
        value = ",".join(map(str, value))
    elif isinstance(value, dict):
        value = ",".join(f"{kind}={amount}" for kind, amount in value.items())
    return f"--{name}={value}"


def _how_resumed(record: RunRecord) -> str:
    """What a resume of it would do."""
    model = record.header.get("step-model")
    if record.outcome is not None:
        return "it has ended"
    if model is None:
        return "it has not begun: what it does is not known"
    if model != STEP_MODEL:
        version = record.header.get("version")
        return f"not by this Omega, which counts steps in another way: by Omega {version}"
    if not record.seq:
        return "begins it: nothing is in its journal"
    return "replays the journal to the step, since this Omega counts steps in the same way"


def _signal(signal: Signal) -> str:
    taken = "waiting" if signal.taken_seq is None else f"received in entry {signal.taken_seq}"
    value = json_line(signal.value)
    return f"{date(signal.at_us)}  {signal.name} {value}  from {signal.who}, {taken}"


def message_text(kept: Any, who: str) -> str:
    """A message that was received, its value as a journal keeps it."""
    return f"{clean(json_line(decode(kept)), VALUE_CHARS)}, from {who}"


def _event(event: dict[str, Any]) -> str:
    by = event.get("owner")
    who = f", by {process_text(by)}" if by else ""
    if "refused" in event:
        what = f"refused: {event['refused']}, epoch {event['epoch']}"
        return f"{date(event['at_us'])}  {what}{who}"
    reason = f" ({event['reason']})" if event["reason"] else ""
    before = f"{event['from']} -> " if event["from"] else ""
    return f"{date(event['at_us'])}  {before}{event['to']}{reason}, epoch {event['epoch']}{who}"


def unsettled_text(
    store: SQLiteStore, record: RunRecord, open_ones: Sequence[Intent], given: Given
) -> str:
    """The effects of a run that a person has to say something of."""
    from omega.runs.unknown import settlements

    said = settlements(store, record.id, record.epoch)
    if given.as_json:
        lines = [{"run": record.id, "settled": None, **each._asdict()} for each in open_ones]
        lines += [
            {"run": record.id, "number": number, "settled": settlement.how, "who": signal.who}
            for number, (settlement, signal) in said.items()
        ]
        return "\n".join(map(json_line, lines))
    texts = [f"run {record.id} is {ending(record)}"]
    for each in open_ones:
        most = f", {usd(each.reserved)} at most" if each.reserved else ""
        texts.append(f"  {each.number}  {clean(shown(each))}{most}")
    for number, (settlement, signal) in sorted(said.items()):
        texts.append(f"  {number}  settled by {clean(signal.who)}: {clean(str(settlement))}")
    if open_ones:
        texts.append(
            f"nobody knows whether these were done: omega runs resolve {record.id} [NUMBER...] with"
            " --retry (it may be paid twice), --fail or --reply TEXT"
        )
    elif len(texts) == 1:
        texts.append("there is nothing to settle")
    return "\n".join(texts)


# ---------------------------------------------------------------------- the journal


def entries(
    store: SQLiteStore, record: RunRecord, incarnation: int
) -> Iterator[tuple[int, list[list[Any]]]]:
    """(number, facts) of each entry."""
    after, _ = store.span(record.id, incarnation)
    for seq, lines in enumerate(store.journal(record.id, incarnation=incarnation), after + 1):
        yield seq, [fact_of(store, line) for line in lines]


def print_raw(store: SQLiteStore, record: RunRecord, incarnation: int, as_json: bool) -> int:
    def lines() -> Iterator[str]:
        for entry, facts in entries(store, record, incarnation):
            for fact in facts:
                kept = json.dumps(fact, separators=(",", ":"))
                yield json_line({"entry": entry, "fact": fact}) if as_json else f"{entry}\t{kept}"

    return _print(lines())


def print_journal(store: SQLiteStore, record: RunRecord, incarnation: int) -> int:
    """The facts in words."""
    width = len(str(record.seq))
    who = senders(store, record.id)
    waits: dict[int, str] = {}  # calls that wait for a signal, by number: their labels

    def outcome(fact: list[Any]) -> str:
        if fact[0] == "call" and is_wait(fact[2]):
            waits[fact[1]] = fact[2]
        message = received(waits.get(fact[4], ""), fact[6]) if fact[0] == "ended" else None
        return (
            came(fact)
            if message is None
            else f": {message_text(message[1], who.get(message[0], SOMEBODY))}"
        )

    def lines() -> Iterator[str]:
        if record.incarnation > 1:
            yield f"incarnation {incarnation} of {record.incarnation}"
        for entry, facts in entries(store, record, incarnation):
            for fact in facts:
                yield f"{entry:>{width}}  {clean(words(fact) + outcome(fact))}"

    return _print(lines())


def _print(lines: Iterator[str]) -> int:
    """Lines as they come: a journal may be long."""
    output = Output(BrokenPipeError)
    for line in lines:
        output.write(line + "\n")
    output.flush()
    return OK


# ---------------------------------------------------------------------- cost


def costs(store: SQLiteStore, record: RunRecord) -> list[dict[str, Any]]:
    """A line for each kind of effect, and each model."""
    settings = record.header.get("settings", {})
    found: dict[tuple[str, str | None], dict[str, Any]] = {}
    for intent, result in store.effects(record.id):
        model = asked_model(intent, settings)
        line = found.setdefault(
            (intent.kind, model),
            {
                "kind": intent.kind,
                "model": model,
                "class": intent.effect_class,
                **dict.fromkeys(("calls", "failed", "unknown", "open", "tokens"), 0),
                "cost": 0,
                "reserved": 0,
            },
        )
        _count(line, intent, result)
    for line in found.values():
        line["cost_usd"] = plain(line.pop("cost"))
        line["reserved_usd"] = plain(line.pop("reserved"))
    return [found[key] for key in sorted(found, key=lambda key: (key[0], key[1] or ""))]


def costs_before(record: RunRecord) -> list[dict[str, Any]]:
    """A line for all incarnations of a run together, when it has several."""
    if record.incarnation == 1:
        return []
    totals = record.totals
    return [
        {
            "kind": None,
            "incarnations": record.incarnation,
            "effects": totals.effects,
            "tokens": totals.tokens,
            "cost_usd": plain(totals.cost),
            "reserved_usd": plain(record.reserved),
        }
    ]


def _count(line: dict[str, Any], intent: Intent, result: Result | None) -> None:
    line["calls"] += 1
    if result is None:
        line["open"] += 1
        line["reserved"] += intent.reserved
        return
    if result.outcome != "ok":
        line["failed" if result.outcome == "error" else "unknown"] += 1
    line["tokens"] += result.tokens
    line["cost"] += result.cost


def cost_text(store: SQLiteStore, record: RunRecord) -> str:
    lines = costs(store, record)
    if not lines and record.incarnation == 1:
        return f"run {record.id} has made no effects"
    head = ("WHAT", "MODEL", "CALLS", "FAILED", "OPEN", "TOKENS", "COST", "RESERVED")
    rows = [
        (
            *(clean(line["kind"], NAME_MAX), line["model"] or "-", f"{line['calls']:,}"),
            *(f"{line['failed'] + line['unknown']:,}", f"{line['open']:,}"),
            *(f"{line['tokens']:,}", _money(line["cost_usd"]), _money(line["reserved_usd"])),
        )
        for line in lines
    ]
    totals = record.totals
    last = (
        *("in all", "", f"{sum(line['calls'] for line in lines):,}"),
        *(f"{sum(line['failed'] + line['unknown'] for line in lines):,}",),
        *(f"{sum(line['open'] for line in lines):,}", f"{totals.tokens:,}"),
        *(usd(totals.cost), usd(record.reserved)),
    )
    text = "\n".join(aligned([head, *rows, last], right=(2, 3, 4, 5, 6, 7)))
    if record.incarnation > 1:
        text += (
            f"\nthe rows and the calls are of incarnation {record.incarnation}; tokens and cost in"
            f" all are of every one, which made {counted(totals.effects, 'effect')} together"
        )
    return text


def _money(amount: str) -> str:
    from decimal import Decimal

    return f"${money(Decimal(amount))}"
