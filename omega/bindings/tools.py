"""The Lisp names of tools: procedures of the program that a model may ask for, and the loop that
lets it.

Owns: `tools`, `Tool`, how arguments of a model become those of a procedure.
Refuses: to let a model do anything but call the procedures it was given; what it is told of them
(tool_schemas.py).

What a tool answers and what goes wrong in it both go back to the model. Limits, cancels and what a
program raises that is no error go past it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from omega.bindings.base import Bindings, Table, optional_seconds, options, shown
from omega.bindings.handled import asked_for
from omega.bindings.json_data import from_json, to_json
from omega.bindings.models import OPTIONS, Asking, answered_text
from omega.codes import is_kind
from omega.errors import LispTypeError, LispValueError, LLMError, OmegaError
from omega.lisp.data import Keyword, Pair, Symbol, list_items
from omega.lisp.primitives import check
from omega.lisp.primitives.check import wrong_type
from omega.lisp.table import HashTable

if TYPE_CHECKING:
    from omega.llm.messages import ToolCall

STEPS = 8  # calls of the model in a loop
STEPS_MAX = 1_000
RESULT_CHARS_MAX = 100_000  # of a tool's answer, as the model gets it
SAID_CHARS_MAX = 200  # of a tool's failure, in a hint
NAME_CHARS = 64


class Tool:
    """A procedure as a model sees it. name: as the model calls it."""

    __slots__ = (
        *("_fitting", "description", "is_open", "name", "parameters", "procedure"),
        "schema",
    )

    def __init__(self, rt: Any, procedure: Any, given: dict[str, Any]) -> None:
        from omega.bindings.tool_schemas import described

        self.procedure = procedure
        known = described(rt, procedure)
        check.spend(rt, known.characters)
        self.parameters, self.is_open = known.parameters, known.is_open
        name = given.get("name") or known.name
        self.name = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:NAME_CHARS]
        self.description = given.get("description") or known.description or f"Calls {name}."
        self.schema: dict[str, Any] = given.get("parameters") or known.schema
        self._fitting: Any = None
        if given.get("parameters"):
            self._fitting = self._made_fitting()  # so that what is no schema is told here

    def as_request(self) -> dict[str, Any]:
        return {"name": self.name, "description": self.description, "parameters": self.schema}

    def arguments(self, given: dict[str, Any] | str) -> list[Any]:
        """What the procedure is called with. Raises LispValueError, for the model to read."""
        if not isinstance(given, dict):
            raise LispValueError(f"the arguments of {self.name} are no JSON object: {given[:100]}")
        known = {p.name for p in self.parameters}
        more = [name for name in given if name not in known]
        if more and not self.is_open:
            names = ", ".join(p.name for p in self.parameters) or "none"
            raise LispValueError(f"{self.name} has no parameter {more[0]}; it has: {names}")
        for parameter in self.parameters:
            if parameter.is_required and parameter.name not in given:
                raise LispValueError(f"{self.name} needs the parameter {parameter.name}")
        if self._fitting is None:
            self._fitting = self._made_fitting()
        fitted: dict[str, Any] = self._fitting.fitted(given)
        positional: list[Any] = []
        keywords: list[Any] = []
        gap: str | None = None
        for parameter in self.parameters:
            if parameter.name not in fitted:
                if parameter.keyword is None:
                    gap = gap or parameter.name
                continue
            value = self._made(fitted[parameter.name])
            if parameter.keyword is not None:
                keywords += [parameter.keyword, value]
            elif gap is not None:
                raise LispValueError(f"{self.name} takes {parameter.name} only with {gap}")
            elif parameter.is_rest:
                positional += value
            else:
                positional.append(value)
        for name in more:
            keywords += [Keyword.of(name.replace("_", "-")), self._made(fitted[name])]
        return positional + keywords

    def _made_fitting(self) -> Any:
        from omega.bindings.tool_arguments import Fitting

        return Fitting(self.name, self.schema)

    def _made(self, value: Any) -> Any:
        """A value of the model as the procedure takes it: Python's has None, not `null`."""
        if value is None and hasattr(self.procedure, "host_original"):
            return None
        return from_json(value)

    def __repr__(self) -> str:
        return f"#<tool {self.name}>"


def tools(b: Bindings, table: Table) -> None:
    def make_tool(procedure: Any, *rest: Any) -> Tool:
        """(make-tool procedure :name "n" :description "d" :parameters schema) -> a tool for
        tool-loop; what is left out is taken from the procedure's definition and documentation
        """
        if not b.rt.is_procedure(procedure):
            raise wrong_type("make-tool", 1, "a procedure", procedure)
        given = options("make-tool", 2, rest, name=None, description=None, parameters=None)
        for word in ("name", "description"):
            if given[word] is not None and not isinstance(given[word], str):
                raise LispTypeError(f"`make-tool` expected a string for :{word}")
        if given["parameters"] is not None:
            given["parameters"] = to_json(b, given["parameters"])
        return Tool(b.rt, procedure, given)

    def tool_schema(tool: Any) -> HashTable:
        """(tool-schema tool) -> what a model is told of a tool, or of a procedure as a tool: a hash
        table with name, description and parameters
        """
        return from_json(_tool(b, "tool-schema", tool).as_request())  # type: ignore[no-any-return]

    def tool_loop(prompt: Any, *rest: Any) -> Any:
        """(tool-loop prompt :tools list :max-steps 8 :max-par n :on-message proc ...) -> the
        model's last answer; before it, the model may ask for the tools, procedures of the program.
        What it asks for at once runs in tasks, at most :max-par at a time; what a tool raises is
        told to the model. prompt: a text, or messages. :on-message is called with every message.
        Takes what llm.infer takes as well
        """
        known = dict(OPTIONS, tools=None, max_steps=STEPS, max_par=None, on_message=None)
        given = options("tool-loop", 2, rest, **known)
        loop = _Loop(b, given, prompt)
        limit = optional_seconds("tool-loop", ":timeout", given["timeout"])
        return loop.asking.timed(loop.request, loop.run, limit)

    table["make-tool"], table["tool-schema"], table["tool-loop"] = make_tool, tool_schema, tool_loop


class _Loop:
    def __init__(self, b: Bindings, given: dict[str, Any], prompt: Any) -> None:
        self.b, self.given, self.asking = b, given, Asking(b)
        listed = list_items(given["tools"]) if isinstance(given["tools"], Pair) else None
        if not listed:
            raise LispTypeError("`tool-loop` needs tools", hint=":tools (list search fetch)")
        found = [_tool(b, "tool-loop", each) for each in listed]
        self.tools = {tool.name: tool for tool in found}
        if len(self.tools) < len(found):
            names = [tool.name for tool in found]
            twice = next(name for name in names if names.count(name) > 1)
            raise LispValueError(
                f"two tools are called {twice}", hint="give one a :name of its own (make-tool)"
            )
        self.steps = _whole("tool-loop", ":max-steps", given["max_steps"], STEPS_MAX)
        most = given["max_par"]
        self.most = None if most is None else _whole("tool-loop", ":max-par", most, 10_000)
        self.told = given["on_message"]
        if self.told is not None and not b.rt.is_procedure(self.told):
            raise LispTypeError("`tool-loop` expected a procedure for :on-message")
        self.request = self.asking.request(
            "tool-loop", prompt, given, tools=[tool.as_request() for tool in found]
        )

    def run(self) -> Any:
        request = self.request
        perform = self.b.door.perform
        inherited = self.b.rt.host.dynamics().snapshot()

        def called(call: ToolCall) -> dict[str, Any]:
            me = self.b.scheduler.running_task("call a tool")
            me.name, me.locals = call.name, inherited.snapshot()
            message: dict[str, Any] = self.b.interpreter.task_body(lambda: self._called(call))()
            return message

        failures: dict[str, str] = {}  # what tools last failed with
        for step in range(self.steps):
            reply = asked_for(self.b, perform("llm.infer", (request,)), step)
            asked: Sequence[ToolCall] = getattr(reply, "tool_calls", ())
            if not asked:
                return self._answer(request, reply)
            turns = [*request.turns(), reply.as_message()]
            self._tell(turns[-1])
            if step + 1 == self.steps:
                break  # nobody would read what the tools answer
            messages = self.b.scheduler.par_map(called, asked, self.most, "raise")
            for call, message in zip(asked, messages, strict=True):
                if message.get("is_error"):
                    failures[call.name] = message["content"]
                turns.append(message)
                self._tell(message)
            request = request.replaced(prompt="", messages=turns)
        model, title = self.asking.who(request, reply)
        names = ", ".join(dict.fromkeys(call.name for call in asked))
        hint = "allow more by :max-steps, or say in the prompt when to stop"
        for name, said in failures.items():
            hint = f"{name} failed ({said[:SAID_CHARS_MAX]}): mend it, or its description"
        raise LLMError(
            f"{title} still asks for tools after {_count(self.steps, 'step')}: {names}",
            kind="bad-response",
            hint=hint,
            model=model,
            attempts=self.steps,
            partial=reply.text,
        )

    def _answer(self, request: Any, reply: Any) -> Any:
        """The last reply as the program gets it: with :schema, data, mended if need be."""
        if request.schema is None or not hasattr(reply, "as_message"):
            return answered_text(reply)
        return self.asking.answer(request, self.given["repair"], "tool-loop", reply)()

    def _tell(self, message: dict[str, Any]) -> None:
        if self.told is not None:
            self.b.rt.call(self.told, from_json(message))

    def _called(self, call: ToolCall) -> dict[str, Any]:
        """The message that answers `call`."""
        message: dict[str, Any] = {"role": "tool", "tool_call_id": call.id}
        tool = self.tools.get(call.name)
        failure: BaseException | None = None
        try:
            if tool is None:
                raise LispValueError(
                    f"there is no tool {call.name}; there are: {', '.join(self.tools)}"
                )
            arguments = tool.arguments(call.arguments)
            return message | {"content": self._content(self.b.rt.call(tool.procedure, *arguments))}
        except Exception as raised:
            failure = raised
        error = self.b.rt.conditions.as_condition(failure)
        if not is_kind(error.kind, "error"):
            raise error
        return message | {"content": _said(error)[:RESULT_CHARS_MAX], "is_error": True}

    def _content(self, value: Any) -> str | list[dict[str, Any]]:
        """A tool's answer: an image, or a list of texts and images, as parts; else a text."""
        items = [value] if isinstance(value, HashTable) else None
        if isinstance(value, Pair):
            items = list_items(value)
        is_shown = items and all(isinstance(each, str) or _is_image(each) for each in items)
        if not items or not is_shown or not any(map(_is_image, items)):
            return self._text(value)
        return [
            self.asking.part("tool-loop", self._text(each) if isinstance(each, str) else each)
            for each in items
        ]

    def _text(self, value: Any) -> str:
        """A tool's answer for the model: texts as they are, data as JSON, all else as printed."""
        if isinstance(value, str):
            text = value
        else:
            from omega.lisp.primitives.json import format_json

            try:
                text = "" if value is None else format_json(value, charge=self.b.rt.charge)
            except OmegaError as error:
                if not is_kind(error.kind, "json-error"):
                    raise
                text = _python_json(value) or shown(value)
        if len(text) > RESULT_CHARS_MAX:
            left = len(text) - RESULT_CHARS_MAX
            text = text[:RESULT_CHARS_MAX] + f"\n... ({left:,} characters more were left out)"
        return text


def _is_image(value: Any) -> bool:
    """Whether it is what image-url and image-data make."""
    is_table = isinstance(value, HashTable) and value.get("type") == "image"
    return is_table and ("url" in value or "data" in value)


def _tool(b: Bindings, name: str, value: Any) -> Tool:
    if isinstance(value, Tool):
        return value
    if not b.rt.is_procedure(value):
        raise LispTypeError(f"`{name}` expected procedures or tools, got {shown(value)}")
    return Tool(b.rt, value, {})


def _python_json(value: Any) -> str | None:
    """Data that the host has made, and that holds its dicts and None, as JSON."""
    import json

    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except (TypeError, ValueError, RecursionError):
        return None


def _plain(value: Any) -> Any:
    """Data of a program within data of the host."""
    if isinstance(value, HashTable):
        return {getattr(key, "name", key): item for key, item in value.items()}
    if isinstance(value, Symbol):
        return None if value.name == "null" else value.name
    items = list_items(value) if isinstance(value, Pair) else None
    if items is None:
        raise TypeError
    return items


def _said(error: OmegaError) -> str:
    from omega.lisp.report import fact

    return fact(error)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _whole(name: str, word: str, value: Any, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise LispValueError(f"`{name}` expected 1 to {most:,} for {word}, got {shown(value)}")
    return value
