"""What a provider does once before it can be asked, such as loading its SDK: no part of a call."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from omega import Interpreter, Models, replay
from omega.calls import Model
from omega.errors import LLMError
from omega.llm import LaneLimits, OpenAIProvider, Rate, ScriptedProvider
from omega.testing import LoopbackServer

LOADS_S = 1.0
REPLY = [{"reply": "one two three", "latency_ms": 100}]


class Loading(ScriptedProvider):
    """Gets ready in LOADS_S. prepared, asked: how often."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.prepared = 0
        self.asked = 0

    async def prepare(self, *, sleep: Any) -> None:
        self.prepared += 1
        await sleep(LOADS_S)

    async def infer(self, request: Any, **options: Any) -> Any:
        self.asked += 1
        return await super().infer(request, **options)


def asked(program: str, provider: Any = None, **options: Any) -> tuple[Any, Interpreter]:
    with Interpreter(llm=provider or Loading(REPLY), virtual_time=True, **options) as omega:
        return omega.eval(program), omega


@pytest.mark.parametrize(
    "ask",
    [
        '(llm.infer "x" :timeout 500)',
        '(llm.chat `((user "x")) :timeout 500)',
        '(sync (llm-event "x" :timeout 500))',
        '(let ((s (llm.stream "x" :timeout 500))) (recv! s) (recv! s) (recv! s) (stream-text s))',
        '(tool-loop "x" :tools (list (make-tool car)) :timeout 500)',
    ],
)
def test_getting_ready_does_not_count_into_a_timeout(ask: str) -> None:
    answer, omega = asked(ask.replace("(make-tool car)", '(make-tool car :name "first")'))
    assert answer == "one two three"
    assert omega.scheduler.driver.now() >= LOADS_S


def test_nor_into_the_figures_of_calls() -> None:
    _, omega = asked('(with-stream (s "x") (recv! s)) (llm.infer "x")')
    figures = omega.calls.figures["scripted"]
    assert figures.calls == 2
    assert figures.first_token.longest_s < 0.11
    assert figures.latency.longest_s < 0.11
    assert figures.queued.longest_s == 0


def test_a_provider_gets_ready_once_for_all_who_wait() -> None:
    provider = Loading(REPLY)
    answers, omega = asked('(par-map llm.infer \'("a" "b" "a"))', provider)
    assert len(list(answers)) == 3
    assert provider.prepared == 1
    assert omega.scheduler.driver.now() == pytest.approx(LOADS_S + 0.1, abs=0.01)


def test_equal_calls_that_wait_for_it_are_still_made_once() -> None:
    provider = Loading(REPLY)
    asked('(par-map (lambda (i) (llm.infer "x" :cache #t)) (iota 5))', provider)
    assert provider.asked == 1


def test_calls_that_waited_for_it_keep_to_their_rate() -> None:
    """They do not come to the vendor all at once, as if they had been sent meanwhile."""
    sent_s: list[float] = []
    provider = Loading(REPLY)

    class Seen(Loading):
        async def infer(self, request: Any, **options: Any) -> Any:
            sent_s.append(omega.scheduler.driver.now())
            return await super().infer(request, **options)

    provider = Seen(REPLY)
    limits = LaneLimits(requests=Rate(10, burst=2))
    models = Models(provider, {"m": Model("m", provider, limits=limits)}, default="m")
    with Interpreter(llm=models, virtual_time=True) as omega:
        omega.eval('(par-map (lambda (i) (llm.infer "x")) (iota 6))')
    assert sent_s[0] >= LOADS_S
    assert sent_s[5] - sent_s[0] >= 0.4


def test_a_program_that_asks_nobody_waits_for_nothing() -> None:
    provider = Loading(REPLY)
    answer, _ = asked(
        '(with-handler ((llm.infer (lambda (r) "mine"))) (llm.infer "x" :timeout 500))', provider
    )
    assert (answer, provider.prepared) == ("mine", 0)


def test_nor_does_one_whose_answers_are_kept(tmp_path: Path) -> None:
    from omega.llm import parse_settings

    settings = parse_settings('[llm]\ncache = "answers.sqlite"', folder=str(tmp_path))
    for prepared in (1, 0):
        provider = Loading(REPLY)
        models = Models.of_settings(settings, provider)
        answer, _ = asked('(llm.infer "x" :cache #t :timeout 500)', models)
        assert (answer, provider.prepared) == ("one two three", prepared)


def test_a_cancel_meanwhile_ends_who_waits() -> None:
    provider = Loading(REPLY)
    program = '(guard (e (#t (condition-message e))) (with-timeout 50 (llm.infer "x")))'
    answer, _ = asked(program + ' (llm.infer "y")', provider)
    assert answer == "one two three"
    assert (provider.prepared, provider.asked) == (1, 1)


def test_a_recorded_run_gets_ready_again_without_doing_it(tmp_path: Path) -> None:
    path = str(tmp_path / "run.tape")
    program = '(list (llm.infer "x" :timeout 500) (hash-ref (llm.stats) :calls))'
    provider = Loading(REPLY)
    answer, _ = asked(program, provider, record=path)
    with replay(path) as again:
        assert list(again.eval(program)) == list(answer)
    assert provider.prepared == 1


def test_the_sdk_is_loaded_before_the_time_of_a_call_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Over the wire: an import that takes longer than the call may."""
    loads = OpenAIProvider._load_sdk

    async def slowly(self: Any) -> LLMError | None:
        await asyncio.sleep(2.0)
        return await loads(self)

    monkeypatch.setattr(OpenAIProvider, "_load_sdk", slowly)
    with LoopbackServer(reply="there") as server:
        provider = OpenAIProvider("m", api_key=server.api_key, base_url=server.base_url)
        with Interpreter(llm=provider) as omega:
            assert omega.eval('(llm.infer "x" :timeout 1900)') == "there"
            figures = omega.calls.figures["m"]
            assert figures.latency.longest_s < 2.0


def test_an_sdk_that_cannot_be_loaded_is_told_by_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = OpenAIProvider("m", api_key="k", base_url="http://127.0.0.1:1")

    async def fails(self: Any) -> LLMError | None:
        return LLMError("the openai package cannot be loaded", kind="llm-configuration")

    monkeypatch.setattr(OpenAIProvider, "_load_sdk", fails)
    with Interpreter(llm=provider) as omega, pytest.raises(LLMError, match="cannot be loaded"):
        omega.eval('(llm.infer "x")')
