"""Spans of OpenTelemetry for the calls of models, by its conventions for generative AI.

Owns: `trace_calls`, the names of spans and attributes. Refuses: to export; the host sets up its SDK
as ever. Extra: `omega-lisp[otel]`.

A call of the program is one span ("chat gpt-4o-mini"), from its queue to its end, in the trace that
was current where it was made; each attempt is an event in it. Prompts and answers are left out
unless the host asks for them: they may hold what nobody else is to read. Keys are never in reach.

Source: OpenTelemetry semantic conventions, "Generative AI", 1.37.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

from omega.calls.flight import Call, Flight
from omega.errors import HostError, LLMError, OmegaError
from omega.llm.request import LLMReply, LLMRequest

if TYPE_CHECKING:
    from omega.interpreter import Interpreter

# The names of providers that the conventions know.
_PROVIDERS = {"openai": "openai", "anthropic": "anthropic"}


def trace_calls(interpreter: Interpreter, tracer: Any = None, *, content: bool = False) -> None:
    """Have every call of a model from now on make a span.

    tracer: of OpenTelemetry; None takes that of the global provider. content: whether prompts and
    answers are in the spans. Raises HostError when the package is missing.
    """
    try:
        trace = import_module("opentelemetry.trace")
    except ImportError:
        trace = None
    if trace is None:
        raise HostError(
            "tracing calls needs the opentelemetry-api package",
            hint="pip install omega-lisp[otel]",
        )
    tracer = tracer or trace.get_tracer("omega")
    interpreter.calls.observers.append(_Spans(trace, tracer, content))


class _Spans:
    def __init__(self, trace: Any, tracer: Any, content: bool) -> None:
        self._trace, self._tracer, self._content = trace, tracer, content
        self._open: dict[Flight, Any] = {}

    def begun(self, flight: Flight, shown: str) -> None:
        """A call of the program is queued. Called in the context of its task."""
        request = flight.request
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": shown,
            "omega.task": flight.identity[0],
            "omega.effect": flight.identity[1],
            **_asked(request),
        }
        if self._content:
            attributes["gen_ai.input.messages"] = _json([_message(m) for m in request.turns()])
            if request.system is not None:
                attributes["gen_ai.system_instructions"] = _json([_text(request.system)])
        kind = self._trace.SpanKind.CLIENT
        self._open[flight] = self._tracer.start_span(
            f"chat {shown}", kind=kind, attributes=attributes
        )

    def sent(self, call: Call) -> None:
        """An attempt is on its way."""
        span = self._open.get(call.flight)
        if span is not None:
            provider, shown = call.model.provider, call.model.shown
            # Which model it is to the vendor: a fallback's is another one than the call began with.
            asked = call.model.vendor_name or shown
            span.update_name(f"chat {asked}")
            span.set_attribute("gen_ai.request.model", asked)
            if asked != shown:
                span.set_attribute("omega.model", shown)
            name = _PROVIDERS.get(provider.name, provider.name)
            span.set_attribute("gen_ai.provider.name", name)
            span.add_event("gen_ai.attempt", {"attempt": call.attempt, "model": call.model.shown})

    def over(self, flight: Flight, reply: LLMReply | None, error: BaseException | None) -> None:
        """The call of the program is over. Neither reply nor error: nobody waited any more."""
        span = self._open.pop(flight, None)
        if span is None:
            return
        if reply is not None:
            self._answered(span, reply)
        else:
            kind = error.kind if isinstance(error, OmegaError) else "cancelled"
            span.set_attribute("error.type", kind)
            if isinstance(error, LLMError) and error.status is not None:
                span.set_attribute("http.response.status_code", error.status)
            shown = error.message if isinstance(error, OmegaError) else "nobody waits for it"
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, shown))
        span.end()

    def _answered(self, span: Any, reply: LLMReply) -> None:
        span.set_attribute("gen_ai.response.finish_reasons", [reply.finish_reason])
        if reply.model:
            span.set_attribute("gen_ai.response.model", reply.model)
        if reply.usage.is_reported:
            span.set_attribute("gen_ai.usage.input_tokens", reply.usage.input_tokens)
            span.set_attribute("gen_ai.usage.output_tokens", reply.usage.output_tokens)
        if self._content:
            message = {**_message(reply.as_message()), "finish_reason": reply.finish_reason}
            span.set_attribute("gen_ai.output.messages", _json([message]))


def _asked(request: LLMRequest) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in (
        ("temperature", request.temperature),
        ("max_tokens", request.max_tokens),
        ("stop_sequences", list(request.stop) or None),
    ):
        if value is not None:
            found[f"gen_ai.request.{name}"] = value
    if request.schema is not None:
        found["gen_ai.output.type"] = "json"
    return found


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """A message as the conventions write it."""
    content = message.get("content") or ""
    parts = [_text(content)] if isinstance(content, str) else [_part(each) for each in content]
    for call in message.get("tool_calls", ()):
        parts.append({"type": "tool_call", **call})
    if message["role"] == "tool":
        parts = [
            {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}
        ]
    return {"role": message["role"], "parts": parts}


def _part(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] == "text":
        return _text(part["text"])
    if part["type"] == "thinking":
        return {"type": "reasoning", "content": part["text"]}
    return {"type": part["type"], "url": part.get("url"), "mime_type": part.get("media_type")}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


__all__ = ["trace_calls"]
