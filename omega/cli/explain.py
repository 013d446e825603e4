"""`omega explain CODE`: what an error or a finding is about, with an example and how to mend it.

Owns: finding the code's section and showing Markdown as plain text. The words are those of
docs/errors.md, of which errors.md here is a copy made by docs/generate.py.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

from omega.cli.dispatch import show
from omega.cli.options import nearest, usage
from omega.codes import CODES

INDENT = "    "


def run(given: dict[str, Any], arguments: list[str]) -> int:
    if len(arguments) != 1:
        raise usage("explain takes one CODE", "omega explain E201")
    return show(explanation(arguments[0]))


def explanation(word: str) -> str:
    """The text about a code, `E201`, or a kind, `unbound-variable`. Raises a usage HostError."""
    code = CODES[word][0] if word in CODES else word.upper()
    page = files("omega.cli").joinpath("errors.md").read_text("utf-8")
    sections = re.split(r"(?m)^#{1,2} ", page)
    found = next((text for text in sections if text.startswith(f"{code} ")), None)
    if found is None:
        known = [*CODES, *(each for each, _ in CODES.values())]
        near = nearest(word, known)
        hint = f"did you mean {near}?" if near else "codes stand in brackets: error[E201]"
        raise usage(f"there is no code {word}", hint)
    title, _, text = found.partition("\n")
    return f"{title}\n\n{_plain(text)}"


def _plain(text: str) -> str:
    """Markdown for a terminal: programs are indented, comments left out, links by their text."""
    lines = []
    is_code = False
    for line in text.strip().split("\n"):
        if line.startswith("```"):
            is_code = not is_code
        elif is_code:
            lines.append(f"{INDENT}{line}".rstrip())
        elif not line.startswith("<!--"):
            lines.append(re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", line))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
