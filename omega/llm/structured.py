"""Answers as data: the JSON in a reply, whether it fits a JSON Schema, and how to ask again.

Owns: `Schema` (over the jsonschema package, extra `omega-lisp[schema]`), what counts as the JSON of
a reply, the turns of a repair.
Refuses: to make a call; to fetch a schema that another one names.

A model writes JSON in a fence, after a sentence, or before one: that is taken as it is meant. What
follows no schema is told to the model in its own words, place by place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from omega.errors import LispValueError
from omega.llm.failures import misconfigured, shortened

INSTALL_HINT = "pip install omega-lisp[schema]"
PROBLEMS_SHOWN = 10  # of one reply
NESTING_MAX = 200  # of a schema, and of a reply's data: jsonschema recurses
_FENCE = re.compile(r"```[a-zA-Z]*[ \t]*\r?\n(.*?)```", re.DOTALL)
_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')


class Schema:
    """A checked JSON Schema (draft 2020-12 unless it names another).

    Raises LispValueError for what is no schema, saying where; LLMError (llm-configuration) when the
    package is missing.
    """

    __slots__ = ("_validator", "data")

    def __init__(self, data: Mapping[str, Any]) -> None:
        jsonschema = _package()
        if depth_of(json.dumps(data)) > NESTING_MAX:
            raise LispValueError(f"the schema is nested more than {NESTING_MAX} deep")
        kind = jsonschema.validators.validator_for(data, jsonschema.Draft202012Validator)
        problem: str | None = None
        try:
            kind.check_schema(data)
        except jsonschema.SchemaError as error:
            problem = f"{_path(error.absolute_path, 'the schema')}: {shortened(error.message)}"
        if problem is not None:
            raise LispValueError(
                f"not a JSON Schema: {problem}", hint="json-schema.org tells the words there are"
            )
        self.data = dict(data)
        self._validator = kind(self.data)

    def problems(self, value: Any) -> list[str]:
        """Where and how `value` (JSON data of Python) does not fit; at most PROBLEMS_SHOWN."""
        found: list[str] = []
        try:
            for error in self._validator.iter_errors(value):
                found.append(f"{_path(error.absolute_path)}: {shortened(error.message)}")
                if len(found) == PROBLEMS_SHOWN:
                    break
        except Exception as error:  # a reference that leads nowhere is found when it is followed
            if type(error).__module__.partition(".")[0] not in ("jsonschema", "referencing"):
                raise
            unresolved = shortened(str(error))
        else:
            return found
        raise LispValueError(f"the schema cannot be followed: {unresolved}")

    def read(self, text: str) -> tuple[Any, list[str]]:
        """(the data in a reply's text, what is wrong with it: nothing when it fits)."""
        try:
            value = json.loads(json_text(text), parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            return None, [f"not JSON: {shortened(str(error))}"]
        return value, self.problems(value)


def json_text(text: str) -> str:
    """The JSON that a reply holds: all of it, what stands in its one fence, or from its first
    bracket to the one that closes it.

    Raises ValueError when there is none, or when it is nested too deep.
    """
    whole = text.strip()
    fenced = _FENCE.findall(whole)
    if len(fenced) == 1:
        whole = fenced[0].strip()
    if whole[:1] not in ("{", "[") and not _is_scalar(whole):
        start = min((at for at in map(whole.find, "{[") if at >= 0), default=-1)
        if start < 0:
            raise ValueError("the reply holds no object or array")
        whole = _balanced(whole[start:])
    if depth_of(whole) > NESTING_MAX:
        raise ValueError(f"nested more than {NESTING_MAX} deep")
    return whole


def _is_scalar(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _balanced(text: str) -> str:
    depth = 0
    for found in _BRACKET.finditer(text):
        if found[0] in "[{":
            depth += 1
        elif found[0] in "]}":
            depth -= 1
            if depth == 0:
                return text[: found.end()]
    return text


def depth_of(text: str) -> int:
    """How deep the brackets of a JSON text are nested."""
    depth = deepest = 0
    for found in _BRACKET.finditer(text):
        if found[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif found[0] in "]}":
            depth -= 1
    return deepest


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def instruction(schema: Mapping[str, Any]) -> str:
    """What is added to a system prompt for a model whose server takes no schema."""
    return "Answer with JSON only, no other text. It must follow this JSON Schema:\n" + json.dumps(
        schema, ensure_ascii=False
    )


def repair_turns(text: str, problems: list[str]) -> list[dict[str, Any]]:
    """The turns that ask a model to mend its answer."""
    listed = "\n".join(f"- {problem}" for problem in problems)
    return [
        {"role": "assistant", "content": text or "(nothing)"},
        {
            "role": "user",
            "content": f"That does not follow the schema:\n{listed}\n"
            "Answer again, with the whole of the corrected JSON and nothing else.",
        },
    ]


def _path(path: Any, root: str = "the answer") -> str:
    """A place in JSON data as people write it: `items[2].name`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else str(step)
    return f"`{text}`" if text else root


def _package() -> Any:
    from importlib import import_module

    try:
        return import_module("jsonschema")
    except ImportError:
        pass
    raise misconfigured(":schema needs the jsonschema package", INSTALL_HINT)
