"""The JSON of replies: found where models put it, judged by a schema, asked for again."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omega.errors import LispValueError, LLMError
from omega.llm.structured import NESTING_MAX, Schema, json_text, repair_turns

DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=10,
)
CONTAINERS = DATA.filter(lambda data: isinstance(data, (list, dict)))
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
}


@given(DATA)
def test_json_alone_is_itself(data: Any) -> None:
    assert json.loads(json_text(f"  {json.dumps(data)}\n")) == data


@given(CONTAINERS, st.sampled_from(["", "json", "JSON"]))
def test_json_in_a_fence_is_found(data: Any, word: str) -> None:
    text = f"Here it is:\n```{word}\n{json.dumps(data, indent=2)}\n```\nAnything else?"
    assert json.loads(json_text(text)) == data


@given(CONTAINERS)
def test_json_between_sentences_is_found(data: Any) -> None:
    assert json.loads(json_text(f"Sure. {json.dumps(data)} Is that fine?")) == data


@pytest.mark.parametrize("text", ["", "I cannot do that.", "```json\n```"])
def test_a_reply_without_json_says_so(text: str) -> None:
    value, problems = Schema(PERSON).read(text)
    assert value is None
    assert problems and problems[0].startswith("not JSON")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"name": "Ada", "age": 36}, None),
        ({"name": "Ada"}, "the answer: 'age' is a required property"),
        ({"name": "Ada", "age": -1}, "`age`: -1 is less than the minimum of 0"),
        ({"name": 5, "age": 1}, "`name`: 5 is not of type 'string'"),
    ],
)
def test_what_does_not_fit_is_told_by_its_place(value: Any, problem: str | None) -> None:
    _, problems = Schema(PERSON).read(json.dumps(value))
    assert problems == ([] if problem is None else [problem])


def test_places_are_written_as_people_write_them() -> None:
    schema = Schema({"type": "array", "items": {"type": "object", "properties": {"a": PERSON}}})
    (problem,) = schema.problems([{}, {"a": {"name": "x", "age": "old"}}])
    assert problem.startswith("`[1].a.age`: ")


def test_a_schema_that_is_none_is_refused_with_its_place() -> None:
    with pytest.raises(LispValueError, match=r"not a JSON Schema: `properties\.a\.type`"):
        Schema({"properties": {"a": {"type": "strong"}}})


def test_a_reference_that_leads_nowhere_is_an_error_of_the_schema() -> None:
    with pytest.raises(LispValueError, match="cannot be followed"):
        Schema({"$ref": "https://example.invalid/schema.json"}).problems({})


def test_depth_is_bounded_on_both_sides() -> None:
    deep: Any = {}
    for _ in range(NESTING_MAX + 1):
        deep = {"not": deep}
    with pytest.raises(LispValueError, match="nested"):
        Schema(deep)
    _, problems = Schema({}).read("[" * 100_000)
    assert "nested" in problems[0]


@pytest.mark.parametrize("text", ["[NaN]", "[Infinity]", '{"a": -Infinity}'])
def test_what_is_no_json_is_refused(text: str) -> None:
    assert Schema({}).read(text)[1]


def test_without_the_package_the_error_tells_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(LLMError) as caught:
        Schema(PERSON)
    assert caught.value.kind == "llm-configuration"
    assert "omega-lisp[schema]" in (caught.value.hint or "")


def test_a_repair_quotes_the_answer_and_lists_what_is_wrong() -> None:
    answer, request = repair_turns('{"name": 5}', ["`name`: 5 is not of type 'string'"])
    assert answer == {"role": "assistant", "content": '{"name": 5}'}
    assert request["role"] == "user" and "- `name`: 5 is not" in request["content"]
