"""Streams of models as a program has them, over the wire: who is slow, who leaves, what is kept."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import omega
from omega import Interpreter
from omega.calls import Model, Models
from omega.concurrency import EventWriter, SchedulerConfig
from omega.errors import LLMError
from omega.exploration.choosers import Follower, Horizon
from omega.exploration.faults import CUTS, LLM_FAULTS
from omega.exploration.programs import thunk_run
from omega.llm import AnthropicProvider, OpenAIProvider, ScriptedProvider
from omega.llm.budget import Budget
from omega.llm.lane import LaneLimits
from omega.llm.prices import Price
from omega.testing import LoopbackReply, LoopbackServer, ScheduleFailed, explore_program
from tests.leftovers import collected
from tests.llm.harness import AnthropicHarness, OpenAIHarness

PIECES = ["one ", "two ", "three ", "four ", "five "]
SHOWN = "".join(PIECES[:2])  # what came before the server went silent
INPUT = 7  # tokens, as the server tells them
READ = """
(define (read-on stream n)
  (let loop ((i 0))
    (let ((piece (if (or (not n) (< i n)) (recv! stream) (eof-object))))
      (unless (eof-object? piece) (loop (+ i 1))))))
(define stream #f)
(define (open . options) (set! stream (apply llm.stream "count" options)) stream)
"""
HARNESSES = {"openai": OpenAIHarness, "anthropic": AnthropicHarness}


def provider_for(vendor: str, server: LoopbackServer) -> Any:
    if vendor == "openai":
        url = server.base_url
        return OpenAIProvider("m", api_key=server.api_key, base_url=url, stream_usage=True)
    return AnthropicProvider("m", api_key=server.api_key, base_url=server.anthropic_url)


@pytest.fixture(params=["openai", "anthropic"])
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    reply = LoopbackReply("".join(PIECES), pieces=PIECES)
    with collected(), LoopbackServer(reply=reply, usage=(INPUT, len(PIECES))) as made:
        yield made


@pytest.fixture
def interpreter(vendor: str, server: LoopbackServer) -> Iterator[Interpreter]:
    provider = provider_for(vendor, server)
    price = Price("m", 1_000_000, 1_000_000_000)
    models = Models(provider, {"m": Model("m", provider, "m", price=price)}, default="m")
    with Interpreter(llm=models, budget=Budget(usd=1)) as made:
        made.eval(READ)
        yield made


LEFT = {
    "the scope is left": "(scope (open) (read-on stream 2))",
    "the channel is closed": "(open) (read-on stream 2) (close! stream)",
    "the task is cancelled": """
        (define ready (make-ivar))
        (define (body) (open) (read-on stream 2) (ivar-put! ready 1) (recv! stream))
        (define task (async body))
        (ivar-take ready)
        (cancel task "enough")
        (guard (e ((task-cancelled? e) #t)) (await task))
        """,
    "the task has ended": "(await (async (lambda () (open) (read-on stream 2))))",
    "its time is over": """
        (open :timeout 3000)
        (define e (guard (e (#t e)) (read-on stream #f) 'read))
        (unless (llm-timeout? e) (error "it came to" e))
        """,
    "time is over around it": """
        (define e (guard (e (#t e)) (with-timeout 3000 (scope (open) (read-on stream #f))) 'read))
        (unless (timeout-error? e) (error "it came to" e))
        """,
}


@pytest.mark.parametrize("how", LEFT)
def test_whoever_leaves_closes_the_connection_and_keeps_what_came(
    interpreter: Interpreter, server: LoopbackServer, vendor: str, how: str
) -> None:
    server.faults = [f"stall:{2 + HARNESSES[vendor].events_before_text}"]
    interpreter.eval(LEFT[how])
    interpreter.define("gone", lambda: server.snapshot().early_closes)
    interpreter.eval("(let loop () (when (< (gone) 1) (sleep 1) (loop)))")
    server.wait_until(lambda seen: seen.in_flight == 0 and seen.open_connections == 0)
    assert [call.outcome for call in server.calls] == ["closed"]
    text, usage, stats = interpreter.eval(
        "(list (stream-text stream) (stream-usage stream) (llm.stats))"
    )
    assert text == SHOWN
    said = len(SHOWN) // 4
    counted = interpreter.calls.total
    told = INPUT if vendor == "anthropic" else counted.input_tokens  # at the beginning, or the end
    assert dict_of(usage) == {"input-tokens": told, "output-tokens": said}
    assert (dict_of(stats)["in-flight"], dict_of(stats)["queued"]) == (0, 0)
    assert (counted.input_tokens, counted.output_tokens) == (told, said)
    budget = interpreter.calls.budget
    assert budget is not None and budget.reserved == [0, 0, 0]
    assert budget.settled == [1, told + said, told * 1_000_000 + said * 1_000_000_000]


def dict_of(table: Any) -> dict[str, Any]:
    return {key.name: value for key, value in table.items()}


def test_a_stream_that_breaks_off_tells_what_came_and_what_it_cost(
    interpreter: Interpreter, server: LoopbackServer, vendor: str
) -> None:
    server.faults = [f"cut-events:{2 + HARNESSES[vendor].events_before_text}"]
    with pytest.raises(LLMError, match="could not be reached") as caught:
        interpreter.eval("(open) (read-on stream #f)")
    error = caught.value
    assert (error.kind, error.partial, error.model) == ("llm-unavailable", SHOWN, "m")
    assert interpreter.eval("(stream-text stream)") == SHOWN
    assert interpreter.calls.total.output_tokens == len(SHOWN) // 4
    assert interpreter.eval("(begin (open) (read-on stream #f) (stream-text stream))") == "".join(
        PIECES
    )


def test_a_slow_reader_slows_the_server(vendor: str) -> None:
    """What is on its way is bounded, however long the answer; all of it comes in the end."""
    pieces = ["x" * 10_000 + " "] * 1_000
    with LoopbackServer(
        reply=LoopbackReply("".join(pieces), pieces=pieces), send_buffer_bytes=20_000
    ) as server:
        sent = [-1]

        def moves() -> bool:
            before, sent[0] = sent[0], server.calls[0].bytes_sent
            return sent[0] != before

        with Interpreter(llm=provider_for(vendor, server)) as interpreter:
            interpreter.define("moves?", moves)
            interpreter.eval(READ + "(open) (read-on stream 1)")
            interpreter.eval("(let loop () (when (moves?) (sleep 100) (loop)))")
            assert 0 < sent[0] < len(pieces) * len(pieces[0]) / 2
            interpreter.eval("(read-on stream #f)")
            assert interpreter.eval("(stream-text stream)") == "".join(pieces)
    gc.collect()


def test_the_server_sees_each_of_many_slow_streams_close(vendor: str) -> None:
    """Cancelled at whatever moment; how soon is a row of the bench."""
    count, pieces = 40, ["x" * 500 + " "] * 200
    with LoopbackServer(
        reply=LoopbackReply("".join(pieces), pieces=pieces), bytes_per_s=50_000.0
    ) as server:
        config = SchedulerConfig(max_concurrent_llm_calls=count)
        with Interpreter(llm=provider_for(vendor, server), scheduler=config, seed=5) as interpreter:
            interpreter.define("arrived", lambda: server.snapshot().requests)
            interpreter.define("closed", lambda: server.snapshot().early_closes)
            interpreter.eval(
                READ
                + f"""
                (define (read-one i) (read-on (llm.stream (string "s" i)) #f))
                (define tasks (map (lambda (i) (async (lambda () (read-one i)))) (iota {count})))
                (let loop () (when (< (arrived) {count}) (sleep 1) (loop)))
                (par-map (lambda (t) (sleep (random 300)) (cancel t "enough")) tasks)
                (let loop () (when (< (closed) {count}) (sleep 1) (loop)))
                """
            )
            assert interpreter.calls.governor.in_flight == 0
        server.wait_until(lambda seen: seen.open_connections == 0)
        assert {call.outcome for call in server.calls} == {"closed"}
        assert len({call.bytes_sent for call in server.calls}) > 1, "at different moments"
    gc.collect()


# -- recorded and replayed -------------------------------------------------------------------------

PROGRAM = """
(define (all prompt . options)
  (let ((s (apply llm.stream prompt options)))
    (let loop ((n 0))
      (let ((piece (recv! s)))
        (if (eof-object? piece)
            (list n (stream-text s) (hash-ref (stream-usage s) :output-tokens))
            (loop (+ n 1)))))))
(define (some prompt n)
  (scope (let ((s (llm.stream prompt))) (let loop ((i 0)) (when (< i n) (recv! s) (loop (+ i 1))))
           (stream-text s))))
(define (tried thunk) (guard (e (#t (list (condition-code e) (condition-message e)))) (thunk)))
(define results
  (par-map (lambda (n)
             (tried (lambda ()
               (case (modulo n 5)
                 ((0) (all (string "whole " n)))
                 ((1) (some (string "some " n) 2))
                 ((2) (all (string "late " n) :timeout 60))
                 ((3) (let ((t (async (lambda () (all (string "cancelled " n))))))
                        (sleep 10) (cancel t) (await t)))
                 ((4) (with-budget {:usd 0.5} (all (string "paid " n) :model "other")))))))
           (iota 10)))
(list results (hash-ref (llm.usage) :usd) (hash-ref (llm.usage) :output-tokens))
"""


class Lines(list[str]):
    def write(self, text: str) -> None:
        self.append(text)


def run(interpreter: Interpreter) -> tuple[str, list[str]]:
    lines = Lines()
    interpreter.scheduler.listeners.append(EventWriter(lines))
    return str(interpreter.eval(PROGRAM)), lines


def test_a_replay_streams_again_to_the_event_and_asks_nobody(
    vendor: str, server: LoopbackServer, tmp_path: Path
) -> None:
    """Also with several models, their limits, prices and fallbacks, whoever made them."""
    server.piece_s = 0.003
    server.faults = lambda call: (
        "stall:4"
        if call.prompt.startswith(("late", "cancelled"))
        else (None, "429", "500", "cut-events:4")[call.index % 4]
    )
    provider, second = (provider_for(vendor, server) for _ in range(2))
    models = Models(
        provider,
        {
            "m": Model("m", provider, None, price=Price("m", 1_000_000, 3_000_000)),
            "other": Model(
                "other",
                second,
                "o",
                limits=LaneLimits(cap_ceiling=2, gate_s=0.01, gate_s_max=0.02),
                price=Price("o", 5_000_000, 7_000_000),
                fallback=["m"],
            ),
        },
        default="m",
    )
    tape = str(tmp_path / "run.tape")
    with Interpreter(llm=models, record=tape) as recorded:
        first = run(recorded)
    asked = server.snapshot().requests
    with omega.replay(tape) as replayed:
        again = run(replayed)
    assert again == first and len(first[1]) > 50
    assert server.snapshot().requests == asked
    assert server.api_key not in Path(tape).read_text()


# -- explored --------------------------------------------------------------------------------------


class Planned(Follower):
    """The first call of a model fails as told."""

    def __init__(self, what: str | None) -> None:
        super().__init__((), Horizon(10**6, 10**6, 10**15))
        self.what = what
        self.offered: list[tuple[str, ...]] = []

    def befall(self, place: Any, choices: Any) -> Any:
        self.offered.append(tuple(choices))
        return self.what if len(self.offered) == 1 else None


def test_explored_streams_are_cut_after_so_many_pieces() -> None:
    rules = {"rules": [{"match": "count", "reply": "".join(PIECES).strip()}]}
    with Interpreter(llm=ScriptedProvider(rules), virtual_time=True) as interpreter:
        interpreter.eval(READ)
        body = """(lambda ()
            (open)
            (let ((code (guard (e (#t (condition-code e))) (read-on stream #f) 'read)))
              (list code (stream-text stream))))"""
        thunk: Callable[[], Any] = interpreter.eval(body).function
        seen: dict[str | None, tuple[str, str]] = {}
        for what in (None, "fast", "slow", *LLM_FAULTS, *CUTS):
            chooser = Planned(what)
            code, text = thunk_run(interpreter, thunk, faults=["llm"])(chooser).value
            seen[what] = (str(code), text)
            assert chooser.offered[0] == ("fast", "slow", *LLM_FAULTS, *CUTS)
    whole = "one two three four five"
    for what in (None, "fast", "slow", "429", "500", "outage"):  # before a piece, it is tried again
        assert seen[what] == ("read", whole) or what == "outage", what
    assert seen["outage"][0] == "E705" and seen["timeout"] == ("E703", "")
    assert seen["cut"] == ("E705", whole)
    assert seen["cut0"] == ("read", whole)  # nothing was handed out yet
    assert seen["cut1"] == ("E705", "one") and seen["cut4"] == ("E705", "one two three four")


def test_a_program_that_takes_a_part_for_the_whole_is_found() -> None:
    text = """
    (define s (llm.stream "one two three four"))
    (define (read-all)
      (let ((piece (recv! s))) (unless (eof-object? piece) (read-all))))
    (guard (e ((llm-error? e) #f)) (read-all))
    (unless (member (stream-text s) '("" "[scripted] one two three four"))
      (error "taken for the whole:" (stream-text s)))
    """
    assert explore_program(text, runs=30).failure is None
    with pytest.raises(ScheduleFailed, match=r"is cut off after") as caught:
        explore_program(text, runs=300, faults=["llm"])
    assert "taken for the whole" in str(caught.value)


@pytest.mark.parametrize("send", ['(send! s "mine")', '(sync (send-event s "mine"))'])
def test_only_the_model_writes_into_its_stream(send: str) -> None:
    with Interpreter(llm=ScriptedProvider([{"reply": "a b"}]), virtual_time=True) as omega:
        program = f"""
            (define s (llm.stream "x"))
            (define said (guard (e (#t (condition-message e))) {send}))
            (let loop ((piece (recv! s))) (unless (eof-object? piece) (loop (recv! s))))
            (list said (stream-text s))"""
        said, text = omega.eval(program)
    assert said.endswith("expected a channel of the program, got a stream of a model")
    assert text == "a b"
