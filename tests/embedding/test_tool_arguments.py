"""What a model gives to a tool is checked at any depth, and told to it place by place."""

from __future__ import annotations

import importlib.util
import json
from typing import Any, Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omega import Interpreter, LispError
from omega.bindings.tool_arguments import Fitting
from omega.errors import LispValueError
from omega.llm import ScriptedProvider

DEEP: dict[str, Any] = {
    "type": "object",
    "properties": {
        "filter": {
            "type": "object",
            "properties": {
                "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                "mode": {"enum": ["quick", "exact", 3]},
                "limit": {"type": "integer", "minimum": 1, "maximum": 9},
                "next": {"$ref": "#/properties/filter"},
            },
            "required": ["tags"],
            "additionalProperties": False,
        },
        "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}]},
        "either": {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "null"}]},
    },
    "required": ["filter"],
}


def told(call: dict[str, Any], tool: str = "") -> str:
    """What the model is told when it asks for `tool` with the arguments `call`."""
    rules = [
        {"match": "^go$", "tool_calls": [{"name": "find", "arguments": call}]},
        {"match": "(?s).*", "reply": "done"},
    ]
    seen: list[str] = []
    with Interpreter(llm=ScriptedProvider(rules), virtual_time=True) as omega:
        omega.define("note", lambda message: seen.append(message.get("content")))
        omega.define("schema", json.dumps(DEEP))
        omega.eval('(define (find :filter filter :pair (pair #f) :either (e #f)) "")')
        omega.eval("(define tool (make-tool find :parameters (json-read schema)))")
        assert (
            omega.eval(f'(tool-loop "go" :tools (list {tool or "tool"}) :on-message note)')
            == "done"
        )
    return seen[1]


@pytest.mark.parametrize(
    ("filter", "said"),
    [
        ({"tags": ["a", 5]}, "find expected a string for filter.tags[1], got 5"),
        ({"tags": []}, "find expected 1 or more elements for filter.tags, got []"),
        ({"tags": "a"}, 'find expected an array for filter.tags, got "a"'),
        ({}, "find needs tags in filter"),
        ([], "find expected an object for filter, got []"),
        (
            {"tags": ["a"], "mode": "sloppy"},
            'find expected one of quick, exact, 3 for filter.mode, got "sloppy"',
        ),
        ({"tags": ["a"], "limit": 10}, "find expected 9 or less for filter.limit, got 10"),
        (
            {"tags": ["a"], "depth": 1},
            "find has no depth in filter; there is: tags, mode, limit, next",
        ),
        (
            {"tags": ["a"], "next": {"tags": [None], "limit": 0}},
            "find expected a string for filter.next.tags[0], got null\n"
            "find expected 1 or more for filter.next.limit, got 0",
        ),
        ({"tags": ["a"], "limit": 5.0}, ""),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(filter: Any, said: str) -> None:
    assert told({"filter": filter}) == said


def test_alternatives_and_tuples_are_checked_too() -> None:
    right = {"tags": ["a"]}
    assert told({"filter": right, "pair": ["a", 1.5, "more"], "either": None}) == ""
    assert told({"filter": right, "pair": ["a", "b"]}).endswith('a number for pair[1], got "b"')
    assert "either" in told({"filter": right, "either": "long"})


def test_annotations_of_python_are_checked_in_their_elements() -> None:
    def find(words: list[str], modes: list[Literal["quick", "exact"]] = []) -> str:  # noqa: B006
        return "-".join(words)

    def answer(arguments: dict[str, Any]) -> str:
        rules = [
            {"match": "^go$", "tool_calls": [{"name": "find", "arguments": arguments}]},
            {"match": "(?s)(.*)", "reply": "\\1"},
        ]
        with Interpreter(llm=ScriptedProvider(rules), virtual_time=True) as omega:
            omega.define("find", find)
            return str(omega.eval('(tool-loop "go" :tools (list find))'))

    assert answer({"words": ["a", "b"]}) == "a-b"
    assert answer({"words": ["a", 1]}) == "find expected a string for words[1], got 1"
    assert "one of quick, exact for modes[0]" in answer({"words": [], "modes": ["x"]})


def test_whole_numbers_are_such_at_any_depth() -> None:
    made = Fitting("f", DEEP).fitted(
        {"filter": {"tags": ["a"], "next": {"tags": ["b"], "limit": 3.0}}}
    )
    assert repr(made["filter"]["next"]["limit"]) == "3"


BEYOND = {
    "type": "object",
    "properties": {"id": {"type": "string", "pattern": "^[a-z]+$"}, "x": {"oneOf": [True, True]}},
}


def test_words_beyond_the_check_are_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LispValueError, match="f: `id`: 'A' does not match"):
        Fitting("f", BEYOND).fitted({"id": "A"})
    with pytest.raises(LispValueError, match="expected a string for id, got 5"):
        Fitting("f", BEYOND).fitted({"id": 5})
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "jsonschema" else find_spec(name)
    )
    assert Fitting("f", BEYOND).fitted({"id": "A"}) == {"id": "A"}
    with pytest.raises(LispValueError, match="expected a string for id, got 5"):
        Fitting("f", BEYOND).fitted({"id": 5})


def test_what_is_no_schema_is_told_when_the_tool_is_made() -> None:
    with Interpreter() as omega, pytest.raises(LispError, match="not a JSON Schema"):
        omega.eval("""(make-tool (lambda (x) x)
          :parameters {"type" "object" "properties" {"x" {"type" "string" "pattern" 5}}})""")


def test_schemas_that_lead_into_themselves_end() -> None:
    for schema in (
        {"type": "object", "$ref": "#"},
        {"type": "object", "anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
    ):
        with pytest.raises(LispValueError, match="so deep, or so large"):
            Fitting("f", schema).fitted({})


SCALARS = (
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text("ab", max_size=3)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)


def schemas() -> st.SearchStrategy[Any]:
    types = ["string", "integer", "number", "boolean", "array", "object", "null"]
    small = st.integers(0, 3)
    leaf = st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(types)
            | st.lists(st.sampled_from(types), min_size=1, unique=True),
            "enum": st.lists(SCALARS, min_size=1, max_size=4),
            "minimum": st.integers(-5, 5),
            "exclusiveMaximum": st.integers(-5, 5),
            "minLength": small,
            "maxItems": small,
        },
    )

    def composed(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.fixed_dictionaries(
            {},
            optional={
                "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
                "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
                "additionalProperties": st.booleans() | inner,
                "items": inner,
                "prefixItems": st.lists(inner, min_size=1, max_size=2),
                "anyOf": st.lists(inner, min_size=1, max_size=3),
                "allOf": st.lists(inner, min_size=1, max_size=2),
            },
        )

    return st.recursive(leaf, composed, max_leaves=6)


@given(schema=schemas(), value=VALUES)
def test_the_check_agrees_with_the_package(schema: dict[str, Any], value: Any) -> None:
    whole = {"type": "object", "properties": {"v": schema}}
    fits = jsonschema.Draft202012Validator(whole).is_valid({"v": value})
    fitting = Fitting("f", whole)
    assert fitting._beyond is None, "all of these words are checked without it"
    try:
        made = fitting.fitted({"v": value})
    except LispValueError:
        assert not fits
    else:
        assert fits and made == {"v": value}
