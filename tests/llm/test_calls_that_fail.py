"""What a user reads when a model cannot or will not answer: one condition, which names the model,
how often it was asked, and what to do. Over the wire of both vendors.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from omega import Interpreter
from omega.calls import Models
from omega.errors import LLMError, OmegaError
from omega.llm import AnthropicProvider, OpenAIProvider, RetryPolicy
from omega.llm.settings import parse_settings
from omega.testing import Fault, LoopbackCall, LoopbackReply, LoopbackServer

ASK = '(llm.infer "what is it?")'
READ = """
(define (read-all s) (let ((p (recv! s))) (unless (eof-object? p) (read-all s))))
(read-all (llm.stream "what is it?"))
"""
SCHEMA = '{"type" "object" "properties" {"n" {"type" "integer"}} "required" (vector "n")}'
TOOLS = """
(define (weigh what)
  "The weight of a thing."
  (error "no scales for" what))
"""

# What each vendor says, as the loopback server has it.
SAID = {
    "key": ("Incorrect API key provided", "invalid x-api-key"),
    "model": ("The model does not exist", "model: no such model"),
    "context": (
        "This model's maximum context length is exceeded by your messages",
        "prompt is too long: 250000 tokens > 200000 maximum",
    ),
    "content": ("Your request was rejected", "Output blocked by content filtering policy"),
    "quota": (
        "You exceeded your current quota, please check your plan and billing details",
        "You have reached your API usage limit",
    ),
}
VENDORS = ("openai", "anthropic")


class Asked:
    """A program that fails: its error, as an object and as it is read, and what was asked."""

    def __init__(self, error: OmegaError, server: LoopbackServer) -> None:
        self.error = error
        self.lines = str(error).splitlines()
        self.requests = server.snapshot().requests

    @property
    def facts(self) -> tuple[Any, ...]:
        error = self.error
        return error.kind, getattr(error, "model", None), getattr(error, "attempts", None)

    @property
    def headline(self) -> str:
        """Without its place."""
        return self.lines[0].partition(": ")[2]

    @property
    def asked(self) -> str:
        (found,) = (line.strip() for line in self.lines if line.startswith("  asked "))
        return found

    @property
    def hint(self) -> str:
        (found,) = (line for line in self.lines if line.startswith("  hint: "))
        return found.removeprefix("  hint: ")


Ask = Callable[..., Asked]


@pytest.fixture(params=VENDORS)
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def asking(vendor: str) -> Iterator[Ask]:
    def ask(text: str, *, key: str | None = None, **options: Any) -> Asked:
        with LoopbackServer(**options) as server:
            provider: Any
            if vendor == "openai":
                url = server.base_url
                provider = OpenAIProvider("m-1", api_key=key or server.api_key, base_url=url)
            else:
                url = server.anthropic_url
                provider = AnthropicProvider("m-1", api_key=key or server.api_key, base_url=url)
            with Interpreter(llm=provider) as omega:
                omega.calls.retry = RetryPolicy(base_s=0.001, cap_s=0.001)
                with pytest.raises(OmegaError) as caught:
                    omega.eval(text, filename="ask.omega")
                assert omega.calls.governor.in_flight == omega.calls.governor.queued == 0
            return Asked(caught.value, server)

    yield ask
    gc.collect()


def said(vendor: str, what: str) -> str:
    return SAID[what][VENDORS.index(vendor)]


@pytest.mark.parametrize("text", [ASK, READ])
@pytest.mark.parametrize(
    ("what", "status", "options", "hint"),
    [
        ("key", 401, {"checks_key": True, "key": "wrong"}, "check the key in {}_API_KEY"),
        ("model", 404, {"models": ["m-2"]}, "check the name of the model and the base URL"),
        (
            *("context", 400, {"context_words": 2}),
            "the prompt is too long for the model: shorten it, or ask in several calls",
        ),
        (
            *("content", 400, {"faults": ["400:content"]}),
            "the model will not answer this: ask otherwise",
        ),
        (
            *("quota", 429, {"faults": ["429:quota"]}),
            "the account has no credit left; waiting will not help",
        ),
    ],
)
def test_what_a_vendor_refuses_is_asked_once_and_told_in_its_words(
    asking: Ask, vendor: str, text: str, what: str, status: int, options: Any, hint: str
) -> None:
    asked = asking(text, **options)
    words = f"{vendor} answered {status}: {said(vendor, what)}"
    assert asked.headline == f"error[E702]: {words}"
    assert asked.hint == hint.format(vendor.upper())
    assert asked.asked == "asked m-1, once"
    assert asked.facts == ("refused", "m-1", 1) and asked.requests == 1


@pytest.mark.parametrize("text", [ASK, READ])
def test_a_model_that_will_not_answer(asking: Ask, vendor: str, text: str) -> None:
    asked = asking(text, reply=LoopbackReply(refusal="I would rather not."))
    words = f"{vendor}: the model refused: I would rather not."
    assert asked.headline == f"error[E702]: {words}"
    assert asked.hint == "the model will not answer this: ask otherwise"
    assert asked.asked == "asked m-1, once"
    assert asked.facts == ("refused", "m-1", 1) and asked.requests == 1


@pytest.mark.parametrize("text", [ASK, READ])
def test_an_answer_in_which_there_is_nothing(asking: Ask, text: str) -> None:
    asked = asking(text, reply="")
    words = "the answer is empty, and ended with stop"
    assert asked.headline == f"error[E704]: {words}"
    assert (
        asked.hint == "ask otherwise; or, if nothing is an answer, have the model say so in a word"
    )
    assert asked.asked == "asked m-1, once"
    assert asked.facts == ("bad-response", "m-1", 1) and asked.requests == 1
    usage = asked.error.usage
    assert usage is not None
    assert not usage.is_reported or (usage.input_tokens, usage.output_tokens) == (7, 5)


def test_an_answer_whose_tokens_all_went_into_what_is_not_shown(asking: Ask, vendor: str) -> None:
    reason = {"openai": "length", "anthropic": "max_tokens"}[vendor]
    asked = asking(ASK, reply=LoopbackReply(finish_reason=reason))
    assert "the answer is empty, and ended with length" in asked.headline
    assert asked.hint.endswith("allow more by :max-tokens")


def test_an_empty_answer_is_no_answer_to_keep(vendor: str) -> None:
    replies = iter(["", "something"])
    with LoopbackServer(reply=lambda call: next(replies)) as server:
        provider = OpenAIProvider("m", api_key=server.api_key, base_url=server.base_url)
        with Interpreter(llm=provider) as omega:
            omega.eval('(define (ask) (llm.infer "x" :cache #t))')
            assert str(omega.eval("(guard (e ((bad-response? e) 'nothing)) (ask))")) == "nothing"
            assert list(omega.eval("(vector (ask) (ask))")) == ["something", "something"]
        assert server.snapshot().requests == 2
    gc.collect()


@pytest.mark.parametrize("text", [ASK, READ])
@pytest.mark.parametrize(
    ("fault", "code", "kind", "words", "hint"),
    [
        (
            *(Fault.http(429, message="Slow.", retry_after="0.001"), "E701", "rate-limited"),
            *("answered 429: Slow.", "lower max_concurrent_llm_calls, or ask for a higher limit"),
        ),
        (
            *(Fault.http(500, message="Oops."), "E705", "llm-unavailable", "answered 500: Oops."),
            "the server itself has trouble: its log may say more",
        ),
    ],
)
def test_what_fails_again_and_again_tells_how_often(
    asking: Ask, vendor: str, text: str, fault: Fault, code: str, kind: str, words: str, hint: str
) -> None:
    asked = asking(text, faults=lambda call: fault)
    assert asked.headline == f"error[{code}]: {vendor} {words}"
    assert asked.hint == hint
    assert asked.asked == "asked m-1, 5 times"
    assert asked.facts == (kind, "m-1", 5) and asked.requests == 5


@pytest.mark.parametrize("open_", ["(llm.infer", "(recv! (llm.stream"])
def test_no_answer_in_time(asking: Ask, open_: str) -> None:
    text = f'{open_} "what is it?" :timeout 300{")" * open_.count("(")}'
    asked = asking(text, faults=["timeout"])
    words = "the LLM call had no reply within 300 ms"
    assert asked.headline == f"error[E703]: {words}"
    assert (
        asked.hint == "allow more by :timeout MS, or go on without: (condition-is? e 'llm-timeout)"
    )
    assert asked.asked == "asked m-1, once"
    assert asked.facts == ("llm-timeout", "m-1", 1)


def test_a_call_that_waited_in_the_queue_all_the_time_says_so(asking: Ask) -> None:
    text = """
    (configure-scheduler! :max-concurrent-llm-calls 1)
    (define first (async (lambda () (llm.infer "never"))))
    (sleep 1)
    (guard (e (#t (cancel first :wait #t) (raise e))) (llm.infer "what is it?" :timeout 50))
    """
    asked = asking(text, faults=["timeout"])
    words = "the LLM call had no reply within 50 ms"
    assert asked.headline == f"error[E703]: {words}"
    assert asked.asked == "asked m-1, but nothing was sent"
    assert asked.facts == ("llm-timeout", "m-1", 0)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ('{"n": "many"}', "`n`: 'many' is not of type 'integer'"),
        ("There are many.", "not JSON: the reply holds no object or array"),
        ("", "not JSON: the reply holds no object or array"),
    ],
)
def test_an_answer_that_never_follows_its_schema(asking: Ask, answer: str, problem: str) -> None:
    asked = asking(f'(llm.infer "how many?" :schema {SCHEMA})', reply=LoopbackReply(answer))
    words = "the answer of m-1 does not follow its schema, asked 3 times"
    assert asked.headline == f"error[E704]: {words}: {problem}"
    assert asked.hint.startswith("a simpler schema, a :system prompt with an example, or a larger")
    assert asked.facts == ("bad-response", "m-1", 3) and asked.requests == 3
    assert isinstance(asked.error, LLMError) and asked.error.partial == answer


def test_a_schema_that_is_none_is_told_before_anybody_is_asked(asking: Ask) -> None:
    asked = asking('(llm.infer "how many?" :schema {"type" "whole"})')
    words = "not a JSON Schema: `type`: 'whole' is not valid under any of the given schemas"
    assert asked.headline == f"error[E306]: {words}"
    assert asked.hint == "json-schema.org tells the words there are"
    assert asked.requests == 0


def test_a_tool_that_raises_is_told_to_the_model_which_may_go_on(vendor: str) -> None:
    def reply(call: LoopbackCall) -> LoopbackReply:
        if len(call.body["messages"]) == 1:
            return LoopbackReply(tool_calls=[("weigh", {"what": "a feather"})])
        return LoopbackReply(f"I was told: {call.prompt}")

    with LoopbackServer(reply=reply) as server:
        provider = OpenAIProvider("m", api_key=server.api_key, base_url=server.base_url)
        with Interpreter(llm=provider) as omega:
            answer = omega.eval(f'{TOOLS} (tool-loop "weigh it" :tools (list weigh))')
    assert answer == 'I was told: error: no scales for "a feather"'
    gc.collect()


def test_a_tool_loop_that_never_ends(asking: Ask) -> None:
    def reply(call: LoopbackCall) -> LoopbackReply:
        return LoopbackReply(tool_calls=[("count", {"n": str(len(call.body["messages"]))})])

    text = """
    (define counted '())
    (define (count n) "Counts." (set! counted (cons n counted)) "and on")
    (guard (e (#t (unless (= (length counted) 3) (error "it ran" counted)) (raise e)))
      (tool-loop "count" :tools (list count) :max-steps 4))
    """
    asked = asking(text, reply=reply)
    assert asked.headline == "error[E704]: m-1 still asks for tools after 4 steps: count"
    assert asked.hint == "allow more by :max-steps, or say in the prompt when to stop"
    assert asked.facts == ("bad-response", "m-1", 4) and asked.requests == 4


def test_a_tool_loop_that_never_ends_because_a_tool_fails(asking: Ask) -> None:
    call = LoopbackReply(tool_calls=[("weigh", {"what": "air"}), ("weigh", {"what": "light"})])
    asked = asking(f'{TOOLS} (tool-loop "weigh" :tools (list weigh) :max-steps 3)', reply=call)
    assert asked.headline == "error[E704]: m-1 still asks for tools after 3 steps: weigh"
    failure = 'no scales for "light"'
    assert asked.hint == f"weigh failed ({failure}): mend it, or its description"


def test_a_budget_of_money_and_a_model_nobody_knows_the_price_of(asking: Ask) -> None:
    asked = asking(f"(with-budget {{:usd 0.5}} {ASK})")
    words = "no price is known for the model `m-1`, and the budget `with-budget` limits money"
    assert asked.headline.startswith(f"error[E706]: {words} (prices as of ")
    assert asked.hint.startswith('give one in a price table, {"models": {"m-1": ')
    assert "omega.toml" in asked.hint and "--config" in asked.hint
    assert asked.asked == "asked m-1, but nothing was sent"
    assert asked.facts == ("llm-configuration", "m-1", 0) and asked.requests == 0


def test_a_budget_that_is_used_up(asking: Ask) -> None:
    asked = asking(f"(with-budget {{:calls 2}} {ASK} {ASK} {ASK})")
    words = "calls limit exceeded: 3 calls in the budget `with-budget`, 2 allowed"
    assert asked.headline == f"error[E801]: {words}"
    assert asked.hint == "2 spent, and this call may need 1: give the budget more"
    assert asked.requests == 2


def test_the_key_of_a_configured_model_is_told_by_its_own_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OUR_KEY", "wrong")
    with LoopbackServer(checks_key=True) as server:
        settings = parse_settings(f"""
            [models.fast]
            provider = "openai"
            model = "m-1"
            key = "OUR_KEY"
            base-url = "{server.base_url}"
            """)
        with (
            Interpreter(llm=Models.of_settings(settings)) as omega,
            pytest.raises(LLMError, match=r"asked fast \(m-1\), once") as caught,
        ):
            omega.eval('(llm.infer "x" :model "fast")')
    assert caught.value.hint == "check the key in OUR_KEY"
    gc.collect()


@pytest.mark.parametrize(
    "ask", ['(llm.infer "x" :timeout 0)', '(recv! (llm.stream "x" :timeout 0))']
)
def test_a_call_without_any_time_says_that_nobody_was_asked(ask: str) -> None:
    with (
        Interpreter(virtual_time=True) as omega,
        pytest.raises(LLMError, match="0 ms, was over before anybody was asked") as caught,
    ):
        omega.eval(ask)
    assert (caught.value.kind, caught.value.attempts) == ("llm-timeout", 0)
    assert "asked scripted, but nothing was sent" in str(caught.value)


@pytest.mark.parametrize("name", ['""', '" "', '(string->symbol "")'])
def test_a_model_without_a_name_is_refused(name: str) -> None:
    for ask in (f'(llm.infer "x" :model {name})', f'(llm.stream "x" :model {name})'):
        with (
            Interpreter(virtual_time=True) as omega,
            pytest.raises(OmegaError, match="model must not be empty") as caught,
        ):
            omega.eval(ask)
        assert caught.value.hint == "leave it out for the default"
