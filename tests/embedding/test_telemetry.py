"""Spans of calls: by the conventions for generative AI, in the host's traces, without contents."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from omega import HostError, Interpreter, LispError, Model, Models
from omega.llm import OpenAIProvider, ScriptedProvider
from omega.telemetry import trace_calls
from omega.testing import Fault, LoopbackServer

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

RULES = [
    {"match": "^slow", "reply": "late", "latency_ms": 60_000},
    {"match": "^bad", "fault": "400:context", "latency_ms": 1},
    {"match": "^busy", "fault": "429", "retry_after_ms": 100, "latency_ms": 1, "times": 1},
    {"match": "^tool", "tool_calls": [{"name": "look", "arguments": {"a": 1}}], "times": 1},
    {"reply": "a secret answer", "latency_ms": 10,
     "usage": {"input_tokens": 7, "output_tokens": 3}},
]  # fmt: skip


class Traces:
    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")

    @property
    def spans(self) -> Any:
        return self.exporter.get_finished_spans()

    def named(self, name: str) -> Any:
        return next(span for span in self.spans if span.name == name)


@pytest.fixture
def traces() -> Iterator[Traces]:
    made = Traces()
    yield made
    made.provider.shutdown()


def scripted(traces: Traces, **options: Any) -> Interpreter:
    omega = Interpreter(llm=ScriptedProvider(RULES), virtual_time=True)
    trace_calls(omega, traces.tracer, **options)
    return omega


def test_a_call_is_a_span_by_the_conventions(traces: Traces) -> None:
    with scripted(traces) as omega:
        omega.eval("""
            (llm.infer "x" :model "m" :temperature 0.5 :max-tokens 9 :stop "END"
                       :system "a secret system")""")
    (span,) = traces.spans
    assert span.name == "chat m"
    assert span.kind is SpanKind.CLIENT
    assert span.status.status_code is not StatusCode.ERROR
    attributes = dict(span.attributes)
    assert attributes.pop("omega.task") and attributes.pop("omega.effect")
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "m",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.response.model": "m",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
    }
    assert [event.name for event in span.events] == ["gen_ai.attempt"]


def test_contents_are_in_it_only_when_asked_for(traces: Traces) -> None:
    program = """
        (define (look a) "found")
        (llm.chat (list '(system "a secret rule") (list 'user "a secret" (image-url "http://x/secret.png")))
                  :system "a secret system")
        (tool-loop "tool secret" :tools (list look))"""
    with scripted(traces) as omega:
        omega.eval(program)
    assert len(traces.spans) == 3
    assert "secret" not in "".join(span.to_json() for span in traces.spans)
    traces.exporter.clear()
    with scripted(traces, content=True) as omega:
        omega.eval(program)
    first, asking, last = traces.spans
    messages = json.loads(first.attributes["gen_ai.input.messages"])
    assert messages[0] == {
        "role": "system",
        "parts": [{"type": "text", "content": "a secret rule"}],
    }
    assert messages[1]["parts"][0] == {"type": "text", "content": "a secret"}
    assert messages[1]["parts"][1]["type"] == "image"
    assert json.loads(first.attributes["gen_ai.system_instructions"]) == [
        {"type": "text", "content": "a secret system"}
    ]
    assert json.loads(first.attributes["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "a secret answer"}],
         "finish_reason": "stop"}
    ]  # fmt: skip
    (asked,) = json.loads(asking.attributes["gen_ai.output.messages"])
    assert asked["finish_reason"] == "tool_calls"
    assert asked["parts"][-1]["type"] == "tool_call" and asked["parts"][-1]["name"] == "look"
    answered = json.loads(last.attributes["gen_ai.input.messages"])[-1]
    assert answered["role"] == "tool"
    assert answered["parts"][0]["type"] == "tool_call_response"
    assert answered["parts"][0]["response"] == "found"


def test_spans_of_a_program_lie_in_the_hosts_own(traces: Traces) -> None:
    with scripted(traces) as omega, traces.tracer.start_as_current_span("request"):
        omega.eval("""
            (llm.infer "x")
            (par-map llm.infer '("a" "b"))
            (scope (async (lambda () (sleep 10) (llm.infer "c"))))
            (with-stream (s "d") (recv! s))""")
    host = traces.named("request")
    calls = [span for span in traces.spans if span.name.startswith("chat")]
    assert len(calls) == 5
    assert {span.parent.span_id for span in calls} == {host.context.span_id}


def test_concurrent_requests_of_a_server_do_not_mix_their_spans(traces: Traces) -> None:
    async def handle(omega: Interpreter, name: str) -> None:
        with traces.tracer.start_as_current_span(name):
            await omega.eval_async(f'(par-map llm.infer (list "{name}" "{name}"))')

    async def main() -> None:
        async with Interpreter(llm=ScriptedProvider([{"reply": "ok", "latency_ms": 5}])) as omega:
            trace_calls(omega, traces.tracer, content=True)
            await asyncio.gather(*(handle(omega, f"request {n}") for n in range(4)))

    asyncio.run(main())
    names = {span.context.span_id: span.name for span in traces.spans}
    calls = [span for span in traces.spans if span.name.startswith("chat")]
    assert len(calls) == 8
    for span in calls:
        assert names[span.parent.span_id] in span.attributes["gen_ai.input.messages"]


@pytest.mark.parametrize(
    ("program", "kind"),
    [
        ('(llm.infer "bad")', "refused"),
        ('(with-budget {:calls 0} (llm.infer "x"))', "limit-exceeded"),
        ('(llm.infer "slow" :timeout 100)', "cancelled"),
        ('(with-stream (s "slow") (sleep 10))', "cancelled"),
    ],
)
def test_a_call_that_has_no_reply_is_an_error(traces: Traces, program: str, kind: str) -> None:
    with scripted(traces) as omega:
        omega.eval(f"(guard (e (#t 'failed)) {program}) (sleep 1)")
    (span,) = traces.spans
    assert span.attributes["error.type"] == kind
    assert span.status.status_code is StatusCode.ERROR


def test_attempts_are_events_and_the_provider_is_told_by_its_known_name(traces: Traces) -> None:
    with LoopbackServer(faults=[Fault.http(429, retry_after="0.01")]) as server:
        provider = OpenAIProvider("small", api_key=server.api_key, base_url=server.base_url)
        models = Models(provider, {"fast": Model("fast", provider, "small")}, default="fast")
        with Interpreter(llm=models) as omega:
            trace_calls(omega, traces.tracer)
            omega.eval('(llm.infer "x")')
    (span,) = traces.spans
    assert span.name == "chat small"
    assert span.attributes["gen_ai.request.model"] == "small"
    assert span.attributes["omega.model"] == "fast"
    assert span.attributes["gen_ai.response.model"] == "small"
    assert span.attributes["gen_ai.provider.name"] == "openai"
    assert [event.attributes["attempt"] for event in span.events] == [1, 2]
    assert server.api_key not in span.to_json()


def test_a_status_of_http_is_told(traces: Traces) -> None:
    with scripted(traces) as omega:
        omega.eval('(guard (e (#t \'failed)) (llm.infer "bad"))')
    assert traces.spans[0].attributes["http.response.status_code"] == 400


def test_without_the_package_the_host_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with Interpreter() as omega, pytest.raises(HostError, match=r"omega-lisp\[otel\]"):
        trace_calls(omega)


def test_an_answer_from_the_cache_makes_no_span(traces: Traces) -> None:
    with scripted(traces) as omega:
        omega.eval('(llm.infer "x" :cache #t) (llm.infer "x" :cache #t)')
    assert len(traces.spans) == 1


def test_a_failing_call_keeps_failing_as_it_did(traces: Traces) -> None:
    with scripted(traces) as omega, pytest.raises(LispError) as caught:
        omega.eval('(llm.infer "bad")')
    assert caught.value.code == "E702"
