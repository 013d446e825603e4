"""Programs and models that think, that are shown images by tools, and that keep prompts: over real
sockets, since the vendor's server is who would refuse.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from omega import Interpreter, Model, Models
from omega.llm import AnthropicProvider, OpenAIProvider
from omega.llm.prices import Price
from omega.testing import LoopbackReply, LoopbackServer

THOUGHT = "The cat: is it in?"
USED = "(map (lambda (key) (hash-ref (llm.usage) key)) '(:input-tokens :output-tokens))"


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as running:
        yield running


@pytest.fixture
def omega(server: LoopbackServer) -> Iterator[Interpreter]:
    provider = AnthropicProvider("m", base_url=server.anthropic_url, api_key=server.api_key)
    with Interpreter(llm=provider) as made:
        yield made


@pytest.fixture
def openai(server: LoopbackServer) -> Iterator[Interpreter]:
    provider = OpenAIProvider("m", base_url=server.base_url, api_key=server.api_key)
    with Interpreter(llm=provider) as made:
        yield made


def looks(times: int) -> Callable[[Any], LoopbackReply]:
    """A model that looks so many times, thinking before each, and then says what it saw."""

    def reply(call: Any) -> LoopbackReply:
        if call.index < times:
            thinking = f"{THOUGHT} ({call.index})"
            calls = [("look", {"place": "x"})] * 2
            return LoopbackReply(thinking=thinking, tool_calls=calls, usage=(20, 11, 0, 0, 6))
        return LoopbackReply("it is in", thinking="So it is.", usage=(40, 3))

    return reply


def test_a_tool_loop_takes_thinking_along(omega: Interpreter, server: LoopbackServer) -> None:
    server.reply = looks(3)
    omega.eval('(define (look place) "in")')
    omega.eval("(define told '())")
    answer = omega.eval(
        """(tool-loop "where is the cat?" :tools (list look) :thinking 2000
             :on-message (lambda (message) (set! told (cons message told))))"""
    )
    assert answer == "it is in"
    last = server.calls[-1].body["messages"]
    thoughts = [
        block["thinking"]
        for turn in last
        if turn["role"] == "assistant"
        for block in turn["content"]
        if block["type"] == "thinking"
    ]
    assert thoughts == [f"{THOUGHT} ({n})" for n in range(3)]
    assert list(omega.eval(USED)) == [100, 36], "thinking is paid"
    # What the program was told can be sent on by it.
    server.reply = LoopbackReply("again")
    again = '(llm.chat (append (reverse told) \'((user "sure?"))) :thinking 1024)'
    assert omega.eval(again) == "again"


def test_a_handler_and_a_stream_see_what_was_thought(
    omega: Interpreter, server: LoopbackServer
) -> None:
    server.reply = LoopbackReply("in", thinking=THOUGHT)
    seen = omega.eval(
        """(let ((seen '()))
             (with-handler ((llm.infer (lambda (request)
                              (let ((reply (effect 'llm.infer request)))
                                (set! seen (list (hash-ref (llm.request->table request) :thinking)
                                                 (hash-ref (llm.reply->table reply) :thinking)))
                                reply))))
               (llm.infer "where?" :thinking 1500))
             seen)"""
    )
    assert list(seen) == [1500, THOUGHT]
    streamed = omega.eval(
        """(with-stream (s "where?" :thinking 1500)
             (let loop ((before (stream-thinking s)) (piece (recv! s)))
               (if (eof-object? piece)
                   (list before (stream-text s) (stream-thinking s))
                   (loop before (recv! s)))))"""
    )
    assert list(streamed) == ["", "in", THOUGHT]


def test_more_thinking_than_answer_is_refused_before_anything_is_sent(
    omega: Interpreter, server: LoopbackServer
) -> None:
    with pytest.raises(Exception, match=r"`llm\.infer` got :thinking 2000 with :max-tokens 100"):
        omega.eval('(llm.infer "x" :thinking 2000 :max-tokens 100)')
    assert server.calls == []


def test_a_budget_of_tokens_bounds_thinking_too(omega: Interpreter, server: LoopbackServer) -> None:
    server.reply = LoopbackReply("in", thinking=THOUGHT)
    assert omega.eval('(with-budget {:tokens 9000} (llm.infer "x" :thinking 50000))') == "in"
    body = server.calls[-1].body
    assert body["thinking"]["budget_tokens"] < body["max_tokens"] < 9000


def test_effort_is_a_word_of_the_vendors(openai: Interpreter, server: LoopbackServer) -> None:
    openai.eval('(llm.infer "x" :effort \'high)')
    assert server.calls[-1].body["reasoning_effort"] == "high"


@pytest.mark.parametrize("vendor", ["omega", "openai"])
def test_a_tool_may_show_an_image(
    vendor: str, server: LoopbackServer, request: pytest.FixtureRequest
) -> None:
    omega: Interpreter = request.getfixturevalue(vendor)
    server.reply = lambda call: (
        LoopbackReply(tool_calls=[("look", {}), ("read", {})])
        if call.index == 0
        else LoopbackReply("a cat")
    )
    omega.eval('(define (look) (list "the hall:" (image-data (bytevector 1 2 3) "image/png")))')
    omega.eval('(define (read) (image-url "https://example.org/cat.png"))')
    assert omega.eval('(tool-loop "where?" :tools (list look read))') == "a cat"
    sent = str(server.calls[-1].body["messages"])
    assert "the hall:" in sent and "AQID" in sent and "https://example.org/cat.png" in sent


def test_what_is_cacheable_goes_out_so(omega: Interpreter, server: LoopbackServer) -> None:
    omega.eval("""(llm.chat (list (list 'system "be brief" (cacheable "a long text"))
                   (list 'user (cacheable (image-url "https://example.org/x.png")) "?")))""")
    body = server.calls[-1].body
    mark = {"cache_control": {"type": "ephemeral"}}
    assert body["system"][1] == {"type": "text", "text": "a long text", **mark}
    assert body["messages"][0]["content"][0]["cache_control"] == mark["cache_control"]
    with pytest.raises(Exception, match="`cacheable` expected a string or an image"):
        omega.eval("(cacheable 5)")


def test_what_is_written_to_the_vendors_cache_is_paid_at_its_price(server: LoopbackServer) -> None:
    price = Price("m", 1_000_000, 5_000_000, cached_input=100_000, cache_write=1_250_000)
    provider = AnthropicProvider("m", base_url=server.anthropic_url, api_key=server.api_key)
    models = Models(provider, {"m": Model("m", provider, "m", price=price)}, default="m")
    server.reply = LoopbackReply("in", usage=(100, 3, 10, 40))
    with Interpreter(llm=models) as omega:
        omega.eval('(llm.infer "x")')
        assert omega.calls.total.cost == 50_000_000 + 1_000_000 + 50_000_000 + 15_000_000


def test_a_replay_takes_thinking_along(server: LoopbackServer, tmp_path: Path) -> None:
    """Else the second request of the loop would not be the one that was recorded."""
    server.reply = looks(2)
    program = tmp_path / "p.omega"
    program.write_text(
        '(define (look place) "in") (displayln (tool-loop "x" :tools (list look) :thinking 2000))'
    )
    words = [sys.executable, "-m", "omega"]
    run = [*words, "run", "--record", "run.tape", "--llm", "anthropic:m", str(program)]
    env = {**os.environ, **server.environment()}
    first = subprocess.run(run, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert first.stdout == "it is in\n", first.stderr
    again = subprocess.run(
        [*words, "replay", "run.tape"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (again.stdout, again.returncode) == (first.stdout, 0), again.stderr
