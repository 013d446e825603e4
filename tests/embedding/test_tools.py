"""Functions of the host as tools: what a model is told of them comes from Python itself."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import pytest

from omega import Interpreter
from omega.llm import LLMRequest, ScriptedProvider


def search(words: str, *, limit: int = 10, mode: Literal["quick", "exact"] = "quick") -> list[str]:
    """Find pages.

    Looks everywhere.

    Args:
        words: what to look for,
            a few of them
        limit: at most so many

    Returns:
        Titles.
    """
    return [f"{words} {mode}"] * limit


def sphinx(max_tokens: int, names: list[str] | None = None) -> None:
    """Cut texts.

    :param max_tokens: at most so many
    :param list names: of whom
    :return: nothing
    """


def house(a: float, b: Mapping[str, int], c: Sequence[int] = (), d: bool = False) -> None:
    """Do it.

    a: how far. b: of what.
    c (list): which ones
    """


def rest(first: int, *more: float, **options: str) -> Any:
    return [first, list(more), dict(options)]


def bare(a, b=2, c=None):  # type: ignore[no-untyped-def]
    return [a, b, c]


def placed(a: int, /, b: int) -> int:
    return a - b


def strange(a: NoSuchType, b: int = 1) -> None:  # type: ignore[name-defined]  # noqa: F821
    """Its annotations cannot be resolved."""


class Shop:
    def price(self, item: str) -> float:
        """The price of an item."""
        return {"tea": 2.5}[item]

    def __call__(self, item: str) -> str:
        """Buys an item."""
        return f"bought {item}"


def schema(function: Callable[..., Any], name: str = "tool") -> dict[str, Any]:
    import json

    with Interpreter() as omega:
        omega.define(name, function)
        text: str = omega.eval(f"(json-write (tool-schema {name}))")
        found: dict[str, Any] = json.loads(text)
        return found


def test_signature_annotations_and_docstring_make_the_schema() -> None:
    assert schema(search, "search") == {
        "name": "search",
        "description": "Find pages.\n\nLooks everywhere.",
        "parameters": {
            "type": "object",
            "properties": {
                "words": {"type": "string", "description": "what to look for, a few of them"},
                "limit": {"type": "integer", "default": 10, "description": "at most so many"},
                "mode": {"type": "string", "enum": ["quick", "exact"], "default": "quick"},
            },
            "required": ["words"],
            "additionalProperties": False,
        },
    }


TEXTS = {"type": "array", "items": {"type": "string"}}


@pytest.mark.parametrize(
    ("function", "properties", "required"),
    [
        (
            sphinx,
            {
                "max_tokens": {"type": "integer", "description": "at most so many"},
                "names": {**TEXTS, "description": "of whom"},
            },
            ["max_tokens"],
        ),
        (
            house,
            {
                "a": {"type": "number", "description": "how far. b: of what."},
                "b": {"type": "object"},
                "c": {"type": "array", "items": {"type": "integer"}, "description": "which ones"},
                "d": {"type": "boolean", "default": False},
            },
            ["a", "b"],
        ),
        (
            rest,
            {"first": {"type": "integer"}, "more": {"type": "array", "items": {"type": "number"}}},
            ["first"],
        ),
        (bare, {"a": {}, "b": {"type": "integer", "default": 2}, "c": {}}, ["a"]),
        (strange, {"a": {}, "b": {"type": "integer", "default": 1}}, ["a"]),
        (Shop().price, {"item": {"type": "string"}}, ["item"]),
        (Shop(), {"item": {"type": "string"}}, ["item"]),
        (
            functools.partial(search, limit=3),
            {
                "words": {"type": "string", "description": "what to look for, a few of them"},
                "limit": {"type": "integer", "default": 3, "description": "at most so many"},
                "mode": {"type": "string", "enum": ["quick", "exact"], "default": "quick"},
            },
            ["words"],
        ),
        ({"a": 1}.get, {"key": {}, "default": {}}, ["key"]),
        (max, {}, []),
    ],
    ids=["sphinx", "house", "rest", "bare", "strange", "method", "object", "partial", "C", "max"],
)
def test_what_python_tells_is_told(
    function: Callable[..., Any], properties: dict[str, Any], required: list[str]
) -> None:
    parameters = schema(function)["parameters"]
    assert parameters["properties"] == properties
    assert parameters["required"] == required
    assert parameters["additionalProperties"] is (function is rest or function is max)


def test_a_description_is_what_stands_before_the_parameters() -> None:
    assert schema(sphinx)["description"] == "Cut texts."
    assert schema(bare, "bare")["description"] == "Calls bare."
    assert schema(Shop())["description"] == "Buys an item."


def test_a_procedure_of_another_interpreter_keeps_its_own_shape() -> None:
    with Interpreter() as other:
        other.eval('(define (greet name :shout (shout #f)) "Greets." name)')
        found = schema(other.get("greet"))
    assert found["description"] == "Greets."
    assert found["parameters"]["properties"] == {
        "name": {},
        "shout": {"type": "boolean", "default": False},
    }


def asked(calls: list[tuple[str, dict[str, Any]]], **tools: Callable[..., Any]) -> list[str]:
    """What the model is told when it makes `calls`."""
    listed = [{"name": name, "arguments": arguments} for name, arguments in calls]
    rules = [{"match": "^go$", "tool_calls": listed, "times": 1}, {"reply": "done"}]
    with Interpreter(llm=ScriptedProvider(rules), virtual_time=True) as omega:
        for name, function in tools.items():
            omega.define(name, function)
        told: list[str] = []
        omega.define("note", lambda message: told.append(message["content"]))
        program = f'(tool-loop "go" :tools (list {" ".join(tools)}) :on-message note)'
        assert omega.eval(program) == "done"
    return told[1:]


def test_arguments_reach_python_by_its_own_names() -> None:
    assert asked(
        [
            ("search", {"words": "cats", "limit": 2, "mode": "exact"}),
            ("search", {"words": "cats", "limit": 1}),
            ("rest", {"first": 1, "more": [2, 3.5], "colour": "red", "max_size": "5"}),
            ("rest", {"first": 1}),
            ("bare", {"a": {"deep": [1, None]}, "c": None}),
            ("placed", {"a": 5, "b": 3}),
        ],
        search=search,
        rest=rest,
        bare=bare,
        placed=placed,
    ) == [
        '["cats exact", "cats exact"]',
        '["cats quick"]',
        '[1, [2, 3.5], {"colour": "red", "max_size": "5"}]',
        "[1, [], {}]",
        '[{"deep": [1, null]}, 2, null]',
        "2",
    ]


def test_a_whole_number_of_json_is_one_of_python() -> None:
    assert asked([("placed", {"a": 5.0, "b": 3})], placed=placed) == ["2"]


def test_what_python_raises_is_told_to_the_model() -> None:
    told = asked(
        [("price", {"item": "gold"}), ("price", {"thing": 1}), ("price", {"item": 5})],
        price=Shop().price,
    )
    assert told == [
        "host function `price` raised KeyError: 'gold'",
        "price has no parameter thing; it has: item",
        "price expected a string for item, got 5",
    ]


def test_asynchronous_tools_run_at_once_and_blocking_ones_too() -> None:
    both = 2

    async def meet(name: str) -> str:
        nonlocal both
        both -= 1
        while both:  # neither goes on before the other has come
            await asyncio.sleep(0.001)
        return f"{name} met"

    listed = [{"name": "meet", "arguments": {"name": n}} for n in ("Ada", "Bob")]
    rules = [
        {"match": "^go$", "tool_calls": listed, "times": 1, "latency_ms": 1},
        {"reply": "done", "latency_ms": 1},
    ]
    with Interpreter(llm=ScriptedProvider(rules)) as omega:
        omega.define("meet", meet)
        assert omega.eval('(tool-loop "go" :tools (list meet) :timeout 20000)') == "done"


def test_a_provider_gets_the_tools_as_they_are_described() -> None:
    requests: list[LLMRequest] = []

    class Watched(ScriptedProvider):
        async def infer(self, request: LLMRequest, **options: Any) -> Any:
            requests.append(request)
            return await super().infer(request, **options)

    with Interpreter(llm=Watched([{"reply": "no need"}]), virtual_time=True) as omega:
        omega.define("search", search)
        omega.eval('(tool-loop "x" :tools (list search))')
    assert [tool["name"] for tool in requests[0].tools] == ["search"]
    assert requests[0].tools[0]["parameters"] == schema(search)["parameters"]
