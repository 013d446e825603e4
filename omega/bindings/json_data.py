"""JSON data between programs, which have hash tables and vectors, and Python, which has dicts.

Owns: `to_json`, `from_json`. Refuses: texts; those are the primitives'.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from omega.lisp.primitives.json import format_json, parse_json

if TYPE_CHECKING:
    from omega.bindings.base import Bindings

CHARACTERS_MAX = 10_000_000  # of what a program gives as JSON data


def to_json(b: Bindings, value: Any) -> Any:
    """Data of a program as Python's json has it. Raises JsonError for what has no JSON form."""
    import json

    text = format_json(value, characters_max=CHARACTERS_MAX, charge=b.rt.charge)
    return json.loads(text)


def from_json(value: Any, charge: Callable[[int], None] | None = None) -> Any:
    """Python's JSON data as a program has it: hash tables with string keys, vectors, `null`.
    charge: called with the steps it is worth.
    """
    import json

    text = json.dumps(value)
    if charge is None:
        return parse_json(text)
    charge(len(text) // 64)  # as for all that is copied
    return parse_json(text, charge)
