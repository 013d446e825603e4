"""Whether what a model gives to a tool fits the tool's schema, at any depth.

Owns: `Fitting`: the check, and what the model is told of what does not fit, place by place.
Refuses: to mend anything but whole numbers written with a point, which JSON does not tell apart.

The words that schemas of tools are made of are checked here. Where a schema has others and the
package jsonschema is installed (extra `omega-lisp[schema]`), it checks those as well; without it
they only guide the model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

DEPTH_MAX = 100  # levels of a schema, which may lead back into itself
STEPS_MAX = 100_000  # of one check: parts of a schema beside parts of a value
NODES_MAX = 10_000  # of a schema, looked at for the words in it
PROBLEMS_SHOWN = 10  # of one call
SHOWN_CHARS_MAX = 60  # of a value that does not fit

_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: type(value) is int or (type(value) is float and value.is_integer()),
    "number": lambda value: type(value) in (int, float),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}
# word -> (of which type, what is measured, whether it fits, how it is said)
_BOUNDS: dict[str, tuple[str, Callable[[Any], Any], Callable[[Any, Any], bool], str]] = {
    "minimum": ("number", lambda v: v, lambda v, n: v >= n, "{} or more"),
    "maximum": ("number", lambda v: v, lambda v, n: v <= n, "{} or less"),
    "exclusiveMinimum": ("number", lambda v: v, lambda v, n: v > n, "more than {}"),
    "exclusiveMaximum": ("number", lambda v: v, lambda v, n: v < n, "less than {}"),
    "minLength": ("string", len, lambda v, n: v >= n, "{} or more characters"),
    "maxLength": ("string", len, lambda v, n: v <= n, "{} or fewer characters"),
    "minItems": ("array", len, lambda v, n: v >= n, "{} or more elements"),
    "maxItems": ("array", len, lambda v, n: v <= n, "{} or fewer elements"),
}
_CHECKED = {
    *("type", "enum", "const", "properties", "required", "additionalProperties", "items"),
    *("prefixItems", "anyOf", "allOf", "$ref", *_BOUNDS),
}
_TOLD = {  # that say nothing of what fits
    *("title", "description", "default", "examples", "$defs", "definitions", "$schema", "$id"),
    *("$comment", "deprecated", "readOnly", "writeOnly", "format"),
}


class Fitting:
    """Of one tool. name: as the model calls it.

    Raises LispValueError for what is no schema, as far as the package tells.
    """

    __slots__ = ("_beyond", "_name", "_schema", "_steps")

    def __init__(self, name: str, schema: Mapping[str, Any]) -> None:
        self._name, self._schema, self._steps = name, schema, 0
        self._beyond = _validator(schema)

    def fitted(self, value: dict[str, Any]) -> dict[str, Any]:
        """The arguments, whole numbers as such. Raises LispValueError that names what is wrong."""
        from omega.errors import LispValueError

        found: list[str] = []
        self._steps = 0
        made: dict[str, Any] = self._fit(value, self._schema, "", found, 0)
        if not found and self._beyond is not None:
            found = [f"{self._name}: {problem}" for problem in self._beyond.problems(value)]
        if found:
            raise LispValueError("\n".join(found[:PROBLEMS_SHOWN]))
        return made

    def _fit(self, value: Any, schema: Any, path: str, found: list[str], depth: int) -> Any:
        if schema is False:
            found.append(f"{self._name} takes nothing for {path}, got {_shown(value)}")
        if not isinstance(schema, Mapping):
            return value
        self._steps += 1
        if depth > DEPTH_MAX or self._steps > STEPS_MAX:
            found.append(f"{self._name} takes nothing so deep, or so large: {path[:80]}")
            return value
        if kind := schema.get("type"):
            kinds = [kind] if isinstance(kind, str) else _list(schema, "type")
            if not any(_TYPES.get(each, _anything)(value) for each in kinds):
                self._expected(" or ".join(map(_article, kinds)), value, path, found)
                return value
            if "integer" in kinds and type(value) is float and value.is_integer():
                value = int(value)  # 5.0 is a whole number of JSON
        allowed = [schema["const"]] if "const" in schema else schema.get("enum")
        if isinstance(allowed, list) and not any(_is_same(value, each) for each in allowed):
            words = ", ".join(each if isinstance(each, str) else _shown(each) for each in allowed)
            self._expected(words if len(allowed) == 1 else f"one of {words}", value, path, found)
        self._bounds(value, schema, path, found)
        if isinstance(value, dict):
            value = self._fields(value, schema, path, found, depth)
        elif isinstance(value, list):
            value = self._elements(value, schema, path, found, depth)
        return self._composed(value, schema, path, found, depth)

    def _expected(self, what: str, value: Any, path: str, found: list[str]) -> None:
        of = path or "its arguments"
        found.append(f"{self._name} expected {what} for {of}, got {_shown(value)}")

    def _bounds(self, value: Any, schema: Mapping[str, Any], path: str, found: list[str]) -> None:
        for word, (kind, measured, fits, said) in _BOUNDS.items():
            bound = schema.get(word)
            if bound is None or not _TYPES["number"](bound) or not _TYPES[kind](value):
                continue
            if not fits(measured(value), bound):
                self._expected(said.format(bound), value, path, found)

    def _fields(
        self,
        value: dict[str, Any],
        schema: Mapping[str, Any],
        path: str,
        found: list[str],
        depth: int,
    ) -> dict[str, Any]:
        known = schema.get("properties")
        known = known if isinstance(known, Mapping) else {}
        within = f" in {path}" if path else ""
        for name in _list(schema, "required"):
            if name not in value:
                found.append(f"{self._name} needs {name}{within}")
        others = schema.get("additionalProperties", True)
        if "patternProperties" in schema:  # the package's to check
            others = True
        made = {}
        for name, item in value.items():
            at = f"{path}.{name}" if path else name
            if name not in known and others is False:
                names = ", ".join(known) or "nothing"
                found.append(f"{self._name} has no {name}{within}; there is: {names}")
                continue
            made[name] = self._fit(item, known.get(name, others), at, found, depth + 1)
        return made

    def _elements(
        self, value: list[Any], schema: Mapping[str, Any], path: str, found: list[str], depth: int
    ) -> list[Any]:
        first = schema.get("prefixItems")
        first = first if isinstance(first, list) else []
        others = schema.get("items", True)
        return [
            self._fit(
                item, first[at] if at < len(first) else others, f"{path}[{at}]", found, depth + 1
            )
            for at, item in enumerate(value)
        ]

    def _composed(
        self, value: Any, schema: Mapping[str, Any], path: str, found: list[str], depth: int
    ) -> Any:
        for part in _list(schema, "allOf"):
            value = self._fit(value, part, path, found, depth + 1)
        if (target := schema.get("$ref")) is not None:
            value = self._fit(value, _target(self._schema, target), path, found, depth + 1)
        ways = _list(schema, "anyOf")
        nearest: list[str] | None = None
        for way in ways:
            wrong: list[str] = []
            made = self._fit(value, way, path, wrong, depth + 1)
            if not wrong:
                return made
            # The one that is told is the one with the least to mend; of those the last, which is
            # seldom the `null` or the short form.
            nearest = wrong if nearest is None or len(wrong) <= len(nearest) else nearest
        found += nearest or []
        return value


def _list(schema: Mapping[str, Any], word: str) -> list[Any]:
    listed = schema.get(word)
    return listed if isinstance(listed, list) else []


def _target(root: Mapping[str, Any], reference: Any) -> Any:
    """What `#/$defs/name` stands for; for other references anything fits here."""
    at: Any = root
    if not isinstance(reference, str) or not re.match(r"#(/|\Z)", reference):
        return True
    for step in reference.split("/")[1:]:
        at = at.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(at, Mapping) else None
    return True if at is None else at


def _validator(schema: Mapping[str, Any]) -> Any:
    """The package's check of a schema with words beyond those checked here; None without either."""
    if all(word in _CHECKED or word in _TOLD for word in _words(schema)):
        return None
    from importlib.util import find_spec

    if find_spec("jsonschema") is None:
        return None
    from omega.llm.structured import Schema

    return Schema(schema)


def _words(schema: Any) -> Iterator[str]:
    """The words of a schema and of all in it."""
    stack = [schema]
    for _ in range(NODES_MAX):
        if not stack:
            return
        at = stack.pop()
        if not isinstance(at, Mapping):
            continue
        for word, value in at.items():
            yield word
            if word in ("properties", "$defs", "definitions") and isinstance(value, Mapping):
                stack.extend(value.values())
            elif word in ("items", "additionalProperties"):
                stack.append(value)
            elif word in ("anyOf", "allOf", "prefixItems") and isinstance(value, list):
                stack.extend(value)


def _anything(value: Any) -> bool:
    return True


def _is_same(one: Any, other: Any) -> bool:
    """As JSON has it: `true` is no 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _article(word: str) -> str:
    return word if word == "null" else f"{'an' if word[0] in 'aio' else 'a'} {word}"


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 3] + "..."
