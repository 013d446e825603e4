"""Reading what servers send: nothing in it is to be relied on, and nothing in it may show the key.

Owns: JSON from outside, the facts of an error's body, texts without secrets. Refuses: to know a
vendor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

NESTING_MAX = 200  # of a reply's JSON: the C parser must not recurse as deep as a server likes


def error_facts(body: Any) -> tuple[str | None, str | None, str | None]:
    """(the words, the code, the type) in the JSON of an error, in any vendor's shape."""
    inner = body.get("error", body) if isinstance(body, Mapping) else body
    if isinstance(inner, str):
        return inner, None, None
    if not isinstance(inner, Mapping):
        return None, None, None
    details = inner.get("details")
    code = inner.get("code")
    if code is None and isinstance(details, Mapping):
        code = details.get("error_code")
    said, error_type = inner.get("message"), inner.get("type")
    return (
        said if isinstance(said, str) else None,
        str(code) if isinstance(code, (str, int)) else None,
        error_type if isinstance(error_type, str) else None,
    )


def token_counts(*counts: Any) -> list[int] | None:
    """The counts, or None when one of them is no number of tokens."""
    if all(
        isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts
    ):
        return list(counts)
    return None


class UnreadableAnswer(ValueError):
    """What came is no JSON, or too deep."""


def parse_json(content: bytes | str) -> Any:
    """JSON from outside, nested at most NESTING_MAX deep. Raises UnreadableAnswer, a ValueError."""
    import json

    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
        if text.count("[") + text.count("{") > NESTING_MAX:
            depth = deepest = 0
            for bracket in re.findall(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
                if bracket in "[{":
                    depth += 1
                    deepest = max(deepest, depth)
                elif bracket in "]}":
                    depth -= 1
            if deepest > NESTING_MAX:
                raise ValueError(f"nested {deepest} deep, {NESTING_MAX} allowed")
        return json.loads(text)
    except ValueError as error:
        problem = str(error)
    raise UnreadableAnswer(problem)


def parse_arguments(text: str) -> dict[str, Any] | str:
    """The arguments of a tool call as the model wrote them: an object, or else the text."""
    if not text.strip():
        return {}
    try:
        arguments = parse_json(text)
    except ValueError:
        return text
    return arguments if isinstance(arguments, dict) else text


def without_secrets(text: str, key: str) -> str:
    """`text` without the key, and without the user and password of URLs."""
    text = re.sub(r"(https?://)[^/\s@]+@", r"\1", text)
    if not key:
        return text
    if len(key) >= 8:
        return text.replace(key, "[key]")
    return re.sub(rf"(?<!\w){re.escape(key)}(?!\w)", "[key]", text)  # "x", for a local server
