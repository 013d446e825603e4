"""What a host makes an interpreter with, looked at before anything is made of it.

Owns: which kinds of values the settings of `Interpreter(...)` take, and how others are refused.
Refuses: what a setting means, and the values inside of one: whoever owns it looks at those.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from omega.calls import Models
from omega.concurrency import Driver, SchedulerConfig
from omega.effects import Grants
from omega.errors import HostError
from omega.limits import Limits
from omega.llm.budget import Budget

Check = Callable[[Any], bool]
SHOWN_CHARS = 60


def _has(*names: str) -> Check:
    """What has these is one of that kind; a class is none, only what it makes."""
    return lambda value: not isinstance(value, type) and all(hasattr(value, n) for n in names)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))


def _are_paths(value: Any) -> bool:
    """A text is one path, and its characters are not meant to be some."""
    is_many = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    return is_many and all(_is_path(each) for each in value)


def _is_model(value: Any) -> bool:
    is_provider = _has("infer", "needs_real_time", "name", "aclose")
    return isinstance(value, (str, Models)) or is_provider(value)


def _a(kind: type) -> Check:
    return lambda value: isinstance(value, kind)


_FLAG = (_a(bool), "True or False")

# None, where it may be given, is looked at nowhere.
SETTINGS: dict[str, tuple[Check, str]] = {
    "llm": (_is_model, 'a specification such as "openai:gpt-4o-mini", a Provider, Models or None'),
    "scheduler": (_a(SchedulerConfig), "a SchedulerConfig or None"),
    "limits": (_a(Limits), "Limits(...) or None"),
    "grants": (_a(Grants), "Grants(...) or None"),
    "seed": (_is_whole, "a whole number"),
    "virtual_time": _FLAG,
    "driver": (_a(Driver), "a Driver or None"),
    "output": (_has("write"), "an object with `write(text)`, or None"),
    "use_cache": _FLAG,
    "load_path": (_are_paths, "a list of folders"),
    "optimize": _FLAG,
    "record": (_is_path, "the path of a tape, or None"),
    "record_prompts": _FLAG,
    "session": (_has("begin", "attach"), "what records or replays a run, or None"),
    "budget": (_a(Budget), "a Budget or None"),
    "store": (
        lambda value: isinstance(value, str) or _has("acquire", "append")(value),
        "the path of a SQLite file, as a text, a Store or None",
    ),
    "runs": (_has("park_after_s", "unknown"), "RunSettings(...) or None"),
}
ALWAYS = frozenset(
    ("seed", "virtual_time", "use_cache", "load_path", "optimize", "record_prompts")
)  # where None says nothing


def checked(made_with: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings. Raises HostError for the first one that is of a wrong kind."""
    for name, (is_one, expected) in SETTINGS.items():
        value = made_with[name]
        if not (is_one(value) if value is not None else name not in ALWAYS):
            raise HostError(
                f"Interpreter({name}=...) is {expected}, not {_shown(value)}",
                hint=_hint(name, value),
            )
    return made_with


def _shown(value: Any) -> str:
    """A value of the host's in a message: short, whatever its own words for itself are."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if value is None or isinstance(value, (bool, float, str, bytes)):
        text = ascii(value)
        if len(text) <= SHOWN_CHARS:
            return text
    if isinstance(value, int) and abs(value) < 1 << 64:
        return str(value)
    return f"a value of the type {type(value).__name__}"


def _hint(name: str, value: Any) -> str | None:
    """What was probably meant."""
    if name == "budget" and isinstance(value, Mapping):
        return "Budget(calls=50, tokens=100_000, usd=0.50) makes one"
    if name == "load_path" and isinstance(value, str):
        return f"write load_path=[{value!r}]"
    if name == "store" and isinstance(value, os.PathLike):
        return "write store=str(path)"
    if isinstance(value, type):
        return f"write {name}={value.__name__}(...)"
    return None


__all__ = ["checked"]
