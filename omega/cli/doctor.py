"""`omega doctor`: what may go wrong with durable runs on this machine.

Owns: what is looked at besides the place of the store (durable/doctor.py): the store itself, what
is installed. Refuses: to make a store, or to mend one.
"""

from __future__ import annotations

import os
import sys
from importlib import metadata
from typing import Any

from omega.cli.dispatch import FAILED, OK, show
from omega.cli.durable import open_store, store_path
from omega.cli.options import usage
from omega.durable.doctor import Finding, examine, facts
from omega.errors import OmegaError

NEEDED = (("greenlet", (3, 1)), ("lark", (1, 2)))
# What is installed with an extra, by its name in the package index.
EXTRAS = (
    ("openai", "openai"),
    ("anthropic", "anthropic"),
    ("schema", "jsonschema"),
    ("tokens", "tiktoken"),
    ("otel", "opentelemetry-api"),
)
OLDEST_PYTHON = (3, 11)


def run(given: dict[str, Any], arguments: list[str]) -> int:
    if arguments:
        raise usage(
            f"doctor takes no arguments, got {arguments[0]!r}", "--store FILE names a store"
        )
    path = store_path(given)
    place = facts(path)
    found = [
        *_python(),
        *examine(place),
        *_packages(),
        Finding("note", f"file system of {path}: {place.filesystem or 'unknown'}"),
        *_room(place.free_bytes, place.folder_is_there),
        *_store(path, given),
    ]
    order = {"error": 0, "warning": 1, "note": 2}
    found.sort(key=lambda finding: order[finding.severity])
    show("\n".join(_lines(found, bool(given.get("json")))))
    return FAILED if any(finding.severity == "error" for finding in found) else OK


def _lines(found: list[Finding], as_json: bool) -> list[str]:
    if as_json:
        from omega.cli.runs_shown import json_line

        return [
            json_line({"severity": each.severity, "text": each.text, "hint": each.hint or None})
            for each in found
        ]
    lines = []
    for each in found:
        lines.append(f"{each.severity.ljust(7)}  {each.text}")
        if each.hint:
            lines.append(f"         hint: {each.hint}")
    return lines


def _python() -> list[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    text = f"Python {version} ({sys.implementation.name}), {sys.executable}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        return [Finding("error", f"{text} is too old", "use Python 3.11 or newer")]
    return [Finding("note", text)]


def _packages() -> list[Finding]:
    found = []
    for name, least in NEEDED:
        version = _version(name)
        wanted = ".".join(map(str, least))
        if version is None:
            found.append(Finding("error", f"{name} is not installed", f"pip install {name}"))
        elif _numbers(version) < least:
            text = f"{name} {version} is too old: it needs {wanted}"
            found.append(Finding("error", text, f"pip install --upgrade {name}"))
        else:
            found.append(Finding("note", f"{name} {version}"))
    for extra, name in EXTRAS:
        version = _version(name)
        if version is None:
            found.append(Finding("note", f"extra `{extra}` is not installed ({name})"))
        else:
            found.append(Finding("note", f"extra `{extra}`: {name} {version}"))
    return found


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    parts = []
    for part in version.split("."):
        if not part.isdigit():
            break
        parts.append(int(part))
    return tuple(parts)


def _room(free_bytes: int, is_there: bool) -> list[Finding]:
    if not is_there:
        return []
    return [Finding("note", f"{free_bytes / 1024**3:,.1f} GiB are free there")]


def _store(path: str, given: dict[str, Any]) -> list[Finding]:
    """What is wrong with the file."""
    if not os.path.lexists(path):
        return [Finding("note", f"{path}: there is no store yet")]
    try:
        store = open_store(given)
        wrong = store.check()
        count = len(store.runs(limit=sys.maxsize))
        store.close()
    except OmegaError as error:
        return [Finding("error", error.message, error.hint or "")]
    if wrong:
        hint = "put back a backup with omega runs restore, and keep this file aside"
        return [Finding("error", f"{path}: {each}", hint) for each in wrong]
    size = os.path.getsize(path) / 1024 / 1024
    runs = "1 run" if count == 1 else f"{count:,} runs"
    return [Finding("note", f"{path} is whole: {runs}, {size:,.1f} MiB")]
