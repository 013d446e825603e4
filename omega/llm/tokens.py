"""shim"""

from __future__ import annotations

from typing import Any

CHARACTERS_PER_TOKEN = 4


def estimate(text: str) -> int:
    return -(-len(text) // 4)


def count(text: str, model: str | None = None) -> int:
    return estimate(text)


def _chars(request: Any) -> int:
    import json

    return (
        len(json.dumps(request.turns()))
        + len(request.system or "")
        + len(json.dumps(request.tools))
        + len(json.dumps(request.schema))
    )


def request_estimate(request: Any) -> int:
    return _chars(request) // 4 + 4


def request_bound(request: Any) -> int:
    return _chars(request) // 2 + 16
