"""The scripted provider: rules, latencies under virtual time, the call log, and every way a rules
file is wrong.
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import json
import statistics
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from omega import Interpreter
from omega.errors import LispFileError, LLMError, OmegaError
from omega.llm import Limit, LLMReply, LLMRequest, RateLimits, ScriptedProvider, ToolCall, Usage


class Virtual:
    """Coroutines that wait for `sleep` only, run in virtual time: the smallest driver there is."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._waiting: list[tuple[float, int, Coroutine[Any, Any, Any]]] = []
        self._order = 0
        self.results: dict[int, Any] = {}

    def sleep(self, seconds: float) -> Awaitable[None]:
        class Wait:
            def __await__(self) -> Any:
                yield seconds

        return Wait()

    def run(self, *bodies: Coroutine[Any, Any, Any]) -> list[Any]:
        numbers = {id(body): number for number, body in enumerate(bodies)}
        results: list[Any] = [None] * len(bodies)
        for body in bodies:
            self._push(0.0, body)
        while self._waiting:
            self.now_s, _, body = heapq.heappop(self._waiting)
            try:
                self._push(self.now_s + body.send(None), body)
            except StopIteration as stop:
                results[numbers[id(body)]] = stop.value
            except OmegaError as error:
                results[numbers[id(body)]] = error
        return results

    def _push(self, at_s: float, body: Coroutine[Any, Any, Any]) -> None:
        self._order += 1
        heapq.heappush(self._waiting, (at_s, self._order, body))


def ask(provider: ScriptedProvider, *prompts: str, **fields: Any) -> list[Any]:
    time = Virtual()
    return time.run(*(provider.infer(LLMRequest(p, **fields), sleep=time.sleep) for p in prompts))


def text(provider: ScriptedProvider, prompt: str, **fields: Any) -> str:
    (reply,) = ask(provider, prompt, **fields)
    assert isinstance(reply, LLMReply), reply
    return reply.text


def test_the_default_answer_is_the_first_line_within_200_to_1200_ms() -> None:
    provider = ScriptedProvider()
    prompts = [f"item {number}\nsecond line" for number in range(300)]
    replies = ask(provider, *prompts)
    assert [r.text for r in replies] == [f"[scripted] item {n}" for n in range(300)]
    latencies = [call.latency_ms for call in provider.calls]
    assert all(200 <= latency <= 1200 for latency in latencies)
    assert 600 < statistics.mean(latencies) < 800 and len(set(latencies)) > 290
    assert text(provider, "") == "[scripted] "


def test_latencies_are_equal_in_equal_runs_and_differ_between_occurrences() -> None:
    def latencies() -> list[float]:
        provider = ScriptedProvider([{"latency_ms": [10, 20]}])
        ask(provider, "a", "a", "a", "b")
        return [call.latency_ms for call in provider.calls]

    first = latencies()
    assert first == latencies()
    assert len(set(first)) == 4 and all(10 <= latency <= 20 for latency in first)


def test_calls_wait_for_their_latency_in_virtual_time_and_overlap() -> None:
    provider = ScriptedProvider([{"match": "slow", "latency_ms": 3_600_000}, {"latency_ms": 5}])
    time = Virtual()
    time.run(
        *(provider.infer(LLMRequest(p), sleep=time.sleep) for p in ("slow 1", "fast", "slow 2"))
    )
    assert time.now_s == 3600.0
    assert provider.peak == 3 and provider.in_flight == 0
    assert [(call.started, call.ended) for call in provider.calls] == [(1, 5), (2, 4), (3, 6)]


def test_the_first_match_wins_and_groups_are_filled_in() -> None:
    provider = ScriptedProvider(
        {
            "rules": [
                {"match": r"^add (\d+) (\d+)$", "reply": r"\1 and \2, in all: \0", "latency_ms": 0},
                {"match": r"(?P<who>\w+) lives", "reply": r"hello \g<who>", "latency_ms": 0},
                {"match": "add", "reply": "not numbers", "latency_ms": 0},
                {"match": "(a)|(b)", "reply": r"[\1\2]", "latency_ms": 0},
            ]
        }
    )
    assert text(provider, "add 1 22") == "1 and 22, in all: add 1 22"
    assert text(provider, "add x") == "not numbers"
    assert text(provider, "Ann lives here") == "hello Ann"
    assert text(provider, "b") == "[b]"
    assert text(provider, "nothing\nfits") == "[scripted] nothing"
    assert [call.rule for call in provider.calls] == [0, 2, 1, 3, None]


def test_a_hostile_pattern_cannot_hang_the_provider() -> None:
    rules = [{"match": p, "latency_ms": 0} for p in ("(a*)*b", "(a|a)*b", "(?:a?){30}a{30}b")]
    provider = ScriptedProvider([*rules, {"reply": "passed over", "latency_ms": 0}])
    assert text(provider, "a" * 50_000) == "passed over"
    slow = ScriptedProvider([{"match": "(?:.{900}){20}x", "latency_ms": 0}])
    (failure,) = ask(slow, "ab" * 50_000)
    assert isinstance(failure, LLMError)
    assert "takes too long" in failure.message


def test_other_backslashes_in_a_reply_stand_for_themselves() -> None:
    provider = ScriptedProvider([{"reply": r"\alpha \n \\1 \\ \[x\]"}])
    assert text(provider, "p") == r"\alpha \n \1 \ \[x\]"


def test_the_last_message_is_what_rules_see() -> None:
    provider = ScriptedProvider([{"match": "^two$", "reply": "found"}])
    turns = [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}]
    assert text(provider, "", messages=turns) == "found"


def test_times_passes_a_rule_over_when_it_is_used_up() -> None:
    provider = ScriptedProvider(
        [{"fault": "429", "times": 2, "retry_after_ms": 250}, {"reply": "ok"}]
    )
    first, second, third = ask(provider, "p", "p", "p")
    assert (first.kind, first.status, first.retry_after_s) == ("rate-limited", 429, 0.25)
    assert second.kind == "rate-limited" and third.text == "ok"


@pytest.mark.parametrize(
    ("fault", "kind", "status"),
    [
        ("429", "rate-limited", 429),
        ("500", "llm-unavailable", 500),
        ("401", "refused", 401),
        ("timeout", "llm-timeout", None),
        ("cut:0", "llm-unavailable", None),
        ("cut:12", "llm-unavailable", None),
        ("garbage", "bad-response", None),
    ],
)
def test_faults_come_after_the_latency(fault: str, kind: str, status: int | None) -> None:
    provider = ScriptedProvider([{"fault": fault, "latency_ms": 700}])
    time = Virtual()
    (error,) = time.run(provider.infer(LLMRequest("p"), sleep=time.sleep))
    assert (error.kind, error.status) == (kind, status)
    assert time.now_s == 0.7
    assert provider.calls[0].outcome == kind


def test_a_timeout_ends_a_slow_answer_when_it_is_due() -> None:
    for rule in ({"latency_ms": 5000}, {"fault": "timeout", "latency_ms": 1}):
        provider = ScriptedProvider([rule])
        time = Virtual()
        (error,) = time.run(provider.infer(LLMRequest("p", timeout_s=2), sleep=time.sleep))
        assert error.kind == "llm-timeout" and time.now_s == 2.0


def test_usage_is_given_or_counted_in_words() -> None:
    provider = ScriptedProvider(
        [{"match": "given", "usage": {"input_tokens": 3}}, {"reply": "one two three"}]
    )
    given, counted = ask(provider, "given", "four words are here")
    assert given.usage == Usage(3, 0)
    assert counted.usage == Usage(4, 3)
    assert (counted.model, text(provider, "x", model="other")) == ("scripted", "one two three")


def test_a_callable_answers_with_a_text_a_reply_a_rule_or_nothing() -> None:
    answers: dict[str, Any] = {
        "text": r"as it is \1",
        "reply": LLMReply("mine", Usage(1, 1), "x", "length"),
        "rule": {"match": "(r)", "reply": r"<\1>", "latency_ms": 10},
        "none": None,
    }
    provider = ScriptedProvider(lambda request: answers[request.prompt])
    plain, mine, ruled, nothing = ask(provider, *answers)
    assert plain.text == r"as it is \1"
    assert mine is answers["reply"]
    assert ruled.text == "<r>"
    assert nothing.text == "[scripted] none"


def test_a_callable_that_fails_fails_the_call() -> None:
    def refuse(request: LLMRequest) -> str:
        raise LLMError("no", kind="refused")

    provider = ScriptedProvider(refuse)
    (error,) = ask(provider, "p")
    assert error.kind == "refused" and provider.in_flight == 0
    (error,) = ask(ScriptedProvider(lambda request: 7), "p")  # type: ignore[arg-type]
    assert error.kind == "llm-configuration" and "the callable's answer" in error.message


def test_a_cancelled_call_is_logged_as_cancelled() -> None:
    provider = ScriptedProvider()

    async def main() -> None:
        task = asyncio.create_task(provider.infer(LLMRequest("p"), sleep=asyncio.sleep))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    (call,) = provider.calls
    assert (call.outcome, call.ended, provider.in_flight) == ("cancelled", 2, 0)


def test_the_log_keeps_the_latest_calls_only() -> None:
    provider = ScriptedProvider(calls_kept=2)
    ask(provider, "a", "b", "c")
    assert [call.prompt for call in provider.calls] == ["b", "c"]


# Streams, tools, data, kinds of faults


def stream(provider: ScriptedProvider, prompt: str, **fields: Any) -> tuple[Any, list[Any]]:
    """(the reply or the error, the pieces with the moment each came)."""
    time = Virtual()
    pieces: list[Any] = []

    async def emit(text: str) -> None:
        pieces.append((round(time.now_s, 6), text))

    request = LLMRequest(prompt, **fields)
    (outcome,) = time.run(provider.stream(request, sleep=time.sleep, emit=emit))
    pieces.append((round(time.now_s, 6), None))
    return outcome, pieces


def test_a_stream_spreads_the_latency_over_its_words() -> None:
    provider = ScriptedProvider([{"reply": "one two  three\nfour ", "latency_ms": 500}])
    reply, pieces = stream(provider, "p")
    assert reply.text == "one two  three\nfour "
    assert pieces == [
        (0.1, "one"),
        (0.2, " two"),
        (0.3, "  three"),
        (0.4, "\nfour"),
        (0.5, " "),
        (0.5, None),
    ]
    assert ask(provider, "p")[0].usage == reply.usage
    assert [call.outcome for call in provider.calls] == ["ok", "ok"]


def test_an_empty_answer_takes_its_latency_too() -> None:
    reply, pieces = stream(ScriptedProvider([{"reply": "", "latency_ms": 300}]), "p")
    assert (reply.text, pieces) == ("", [(0.3, None)])


@pytest.mark.parametrize(("cut", "words"), [(0, 0), (2, 2), (9, 3)])
def test_a_cut_stream_has_its_words_and_their_tokens(cut: int, words: int) -> None:
    rule = {"reply": "a b c", "latency_ms": 300, "fault": f"cut:{cut}"}
    error, pieces = stream(ScriptedProvider([rule]), "p q")
    assert error.kind == "llm-unavailable" and error.retryable
    assert error.partial == ["", "a", "a b", "a b c"][words]
    assert (error.usage, error.model) == (Usage(2, words), "scripted")
    assert pieces[-1] == (min(0.1 * (cut + 1), 0.3), None)


def test_a_stream_that_is_too_slow_keeps_what_came_in_time() -> None:
    provider = ScriptedProvider([{"reply": "a b c d", "latency_ms": 4000}])
    error, pieces = stream(provider, "p", timeout_s=2.5)
    assert (error.kind, error.partial) == ("llm-timeout", "a b")
    assert pieces[-1] == (2.5, None)


@pytest.mark.parametrize("fault", ["429", "500", "garbage", "timeout"])
def test_other_faults_of_a_stream_come_after_the_latency(fault: str) -> None:
    provider = ScriptedProvider([{"reply": "a b", "latency_ms": 400, "fault": fault}])
    error, pieces = stream(provider, "p", timeout_s=1)
    assert isinstance(error, LLMError)
    assert pieces == [(1.0 if fault == "timeout" else 0.4, None)]


def test_tool_calls_have_groups_in_their_arguments_and_ids_that_are_equal_in_equal_runs() -> None:
    look = {"name": "look", "arguments": {"at": [r"\1", 5, None], "\\1": {"deep": r"<\1>"}}}
    rules = [
        {"match": r"weather in (\w+)", "tool_calls": [look, {"name": "wait"}], "latency_ms": 0},
        {"match": "both", "tool_calls": [{"name": "f"}], "reply": "text beside", "latency_ms": 0},
    ]

    def run() -> list[LLMReply]:
        return ask(ScriptedProvider(rules), "weather in Bonn", "weather in Bonn", "both")

    first, again, both = run()
    assert (first.text, first.finish_reason) == ("", "tool_calls")
    assert [call.name for call in first.tool_calls] == ["look", "wait"]
    assert first.tool_calls[0].arguments == {"at": ["Bonn", 5, None], "\\1": {"deep": "<Bonn>"}}
    assert first.tool_calls[1].arguments == {}
    ids = [call.id for reply in (first, again) for call in reply.tool_calls]
    assert len(set(ids)) == 4
    assert ids == [call.id for reply in run()[:2] for call in reply.tool_calls]
    assert (both.text, both.tool_calls[0].name) == ("text beside", "f")
    (seen,) = ask(ScriptedProvider([{"match": "^hot$", "reply": "put on a hat"}]), "", messages=[
        {"role": "user", "content": "weather?"},
        first.as_message(),
        {"role": "tool", "tool_call_id": ids[0], "content": "hot"},
    ])  # fmt: skip
    assert seen.text == "put on a hat"  # rules see the result of a tool


def test_json_is_the_answers_text() -> None:
    rules = [
        {"match": r"is (\w+)", "json": {"colour": r"\1", "n": [1.5, True, None]}, "latency_ms": 0},
        {"match": "list", "json": ["ü"], "latency_ms": 0},
        {"json": None, "latency_ms": 0},
    ]
    replies = ask(ScriptedProvider(rules), 'it is "red"', "it is red", "list", "x")
    assert json.loads(replies[1].text) == {"colour": "red", "n": [1.5, True, None]}
    assert [reply.text for reply in replies[2:]] == ['["ü"]', "null"]


@pytest.mark.parametrize(
    ("fault", "kind", "throttle", "reason"),
    [
        ("429", "rate-limited", "rate", None),
        ("429:slope", "rate-limited", "slope", None),
        ("429:concurrency", "rate-limited", "concurrency", None),
        ("429:quota", "refused", "quota", None),
        ("529:overload", "llm-unavailable", "overload", None),
        ("400:context", "refused", None, "context"),
        ("400:content", "refused", None, "content"),
        ("400:schema", "refused", None, "schema"),
        ("404", "refused", None, "model"),
    ],
)
def test_a_fault_may_say_which_kind_it_is(
    fault: str, kind: str, throttle: str | None, reason: str | None
) -> None:
    rule = {"fault": fault, "retry_after_ms": 500, "latency_ms": 0}
    (error,) = ask(ScriptedProvider([rule]), "p", model="m")
    assert (error.kind, error.throttle, error.reason) == (kind, throttle, reason)
    assert error.retry_after_s == (0.5 if error.retryable else None)
    assert (error.status, error.model) == (int(fault[:3]), "m")


def test_a_callable_may_answer_with_tool_calls_and_limits() -> None:
    limits = RateLimits(requests=Limit(60, 3, 1.0))
    made = LLMReply("a b", Usage(5, 2), tool_calls=[ToolCall("x", "f", {})], limits=limits)
    provider = ScriptedProvider(lambda request: made)
    assert ask(provider, "p") == [made]
    reply, pieces = stream(provider, "p")
    assert reply is made and [text for _, text in pieces] == ["a", " b", None]


# Rules that are wrong


@pytest.mark.parametrize(
    ("rule", "field", "problem"),
    [
        ({"replay": "x"}, None, "unknown field `replay`"),
        ({"match": "("}, "match", "bad regular expression"),
        ({"match": "a(?=b)"}, "match", "look-ahead `(?=` is not supported, at character 2"),
        ({"match": 5}, "match", "must be a string, got a number"),
        ({"match": None}, "match", "got null"),
        ({"reply": ["x"]}, "reply", "must be a string, got a list"),
        ({"reply": r"\1"}, "reply", "no group 1"),
        ({"match": "(a)", "reply": r"\2"}, "reply", "no group 2"),
        ({"match": "(a)", "reply": r"\g<who>"}, "reply", "no group who"),
        ({"latency_ms": "5"}, "latency_ms", "must be milliseconds"),
        ({"latency_ms": -1}, "latency_ms", "must be milliseconds"),
        ({"latency_ms": True}, "latency_ms", "must be milliseconds"),
        ({"latency_ms": float("nan")}, "latency_ms", "must be milliseconds"),
        ({"latency_ms": 1e300}, "latency_ms", "must be milliseconds"),
        ({"latency_ms": [1]}, "latency_ms", "a list of 1"),
        ({"latency_ms": [5, 1]}, "latency_ms", "low is above high"),
        ({"usage": 5}, "usage", "must be an object"),
        ({"usage": {"tokens": 5}}, "usage", "unknown field `tokens`"),
        ({"usage": {"input_tokens": -5}}, "usage", "integer >= 0"),
        ({"fault": "299"}, "fault", "unknown fault"),
        ({"fault": "cut"}, "fault", "unknown fault"),
        ({"fault": "cut:-1"}, "fault", "unknown fault"),
        ({"fault": 429}, "fault", "unknown fault"),
        ({"retry_after_ms": 5}, "retry_after_ms", "needs a fault"),
        ({"fault": "cut:1", "retry_after_ms": 5}, "retry_after_ms", "needs a fault"),
        ({"fault": "429:speed"}, "fault", "unknown fault"),
        ({"fault": "timeout:rate"}, "fault", "unknown fault"),
        ({"json": {"a": 1}, "reply": "x"}, "json", "there is a `reply`"),
        ({"json": {"a": [r"\1"]}}, "json", "no group 1"),
        ({"tool_calls": {}}, "tool_calls", "must be a list"),
        ({"tool_calls": ["f"]}, "tool_calls", "must be an object, got a string"),
        ({"tool_calls": [{"name": 5}]}, "tool_calls", "`name` must be a string"),
        ({"tool_calls": [{"name": "f", "arguments": "x"}]}, "tool_calls", "must be an object"),
        ({"tool_calls": [{"name": "f", "id": "x"}]}, "tool_calls", "unknown field `id`"),
        ({"tool_calls": [{"name": "f", "arguments": {"a": r"\g<x>"}}]}, "tool_calls", "group x"),
        ({"times": 0}, "times", "integer >= 1"),
        ({"times": 1.5}, "times", "integer >= 1"),
        ([], None, "a rule is an object, got a list"),
        ("x", None, "a rule is an object, got a string"),
    ],
)
def test_a_wrong_rule_is_named_by_file_index_and_field(
    tmp_path: Path, rule: Any, field: str | None, problem: str
) -> None:
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({"rules": [{"reply": "fine"}, rule]}))
    with pytest.raises(LLMError) as caught:
        ScriptedProvider.from_file(str(path))
    error = caught.value
    where = f"{path}: rule 1" + (f", field `{field}`" if field else "")
    assert error.kind == "llm-configuration"
    assert error.message.startswith(where) and problem in error.message
    assert error.hint


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"a": [float]}, "JSON data only, got type"),
        ({1: 2}, "a key must be a string, got a number"),
        (functools.reduce(lambda inside, _: [inside], range(500), 1), "nested more than 100 deep"),
    ],
)
def test_data_from_python_is_json_data(data: Any, problem: str) -> None:
    for rule in ({"json": data}, {"tool_calls": [{"name": "f", "arguments": {"x": data}}]}):
        with pytest.raises(LLMError, match=problem) as caught:
            ScriptedProvider([rule])
        assert caught.value.message.startswith("<rules>: rule 0, field `")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[]", "expected an object, got a list"),
        ("5", "expected an object, got a number"),
        ("null", "expected an object, got null"),
        ("{}", "there is no field `rules`"),
        ('{"rules": {}}', "field `rules` must be a list"),
        ('{"rules": "x"}', "field `rules` must be a list"),
        ('{"rules": [], "more": 1}', "unknown field `more`"),
        ('{"rules": ' + "[" * 50_000, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_rules_object_says_so(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "rules.json"
    path.write_text(content)
    with pytest.raises(LLMError) as caught:
        ScriptedProvider.from_file(str(path))
    assert caught.value.kind == "llm-configuration"
    assert str(path) in caught.value.message and problem in caught.value.message


def test_what_is_no_json_is_named_by_line_and_column() -> None:
    with pytest.raises(LLMError) as caught:
        ScriptedProvider.from_file("r.json", read_text=lambda path: '{"rules":\n  [{]}')
    error = caught.value
    assert error.kind == "llm-configuration"
    assert str(error).startswith("r.json:2:5: not JSON")
    assert error.message.startswith("not JSON")  # a report has the place already
    assert error.span is not None and repr(error.span) == "r.json:2:5"
    assert error.__context__ is None
    with pytest.raises(LLMError, match=r"r\.json:1:1: not JSON"):
        ScriptedProvider.from_file("r.json", read_text=lambda path: "")


def test_a_file_that_cannot_be_read_is_a_file_error(tmp_path: Path) -> None:
    latin = tmp_path / "latin.json"
    latin.write_bytes(b'{"rules": [{"reply": "gr\xfc\xdfe"}]}')
    for path, problem in [
        (str(tmp_path / "absent.json"), "no such file"),
        (str(tmp_path), "directory"),
        (str(latin), "not UTF-8"),
        ("nul\0name", "null"),
    ]:
        with pytest.raises(LispFileError, match=problem) as caught:
            ScriptedProvider.from_file(path)
        assert path in caught.value.message and caught.value.__cause__ is None


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    path.write_text('{"rules": [{"reply": "grüße"}]}', encoding="utf-8-sig")
    assert text(ScriptedProvider.from_file(str(path)), "p") == "grüße"


@pytest.mark.parametrize("script", [5, "rules", b"rules"])
def test_a_script_of_another_type_is_refused(script: Any) -> None:
    with pytest.raises(LLMError, match="expected an object"):
        ScriptedProvider(script)


def test_an_error_of_the_reader_passes_through() -> None:
    denied = LispFileError("denied by the host")

    def deny(path: str) -> str:
        raise denied

    check: Callable[[], object] = lambda: ScriptedProvider.from_file("x", read_text=deny)  # noqa: E731
    with pytest.raises(LispFileError) as caught:
        check()
    assert caught.value is denied


THINKS = [{"match": "about (.+)", "reply": "it is \\1", "thinking": "hm, \\1 is short"}]


@pytest.mark.parametrize("asked", [":thinking 1000", ':effort "low"'])
def test_a_scripted_model_thinks_when_it_is_asked_to(asked: str) -> None:
    with Interpreter(llm=ScriptedProvider(THINKS), virtual_time=True) as omega:
        program = f"""
            (define s (llm.stream "about tea" {asked}))
            (let loop ((piece (recv! s))) (unless (eof-object? piece) (loop (recv! s))))
            (list (stream-thinking s) (stream-text s))"""
        assert list(omega.eval(program)) == ["hm, tea is short", "it is tea"]
        figures = omega.calls.figures["scripted"]
        assert (figures.output_tokens, figures.reasoning_tokens) == (7, 4)
        assert omega.eval(f'(llm.infer "about tea" {asked})') == "it is tea"


def test_it_shows_no_thinking_otherwise() -> None:
    with Interpreter(llm=ScriptedProvider(THINKS), virtual_time=True) as omega:
        assert omega.eval('(llm.infer "about tea")') == "it is tea"
        assert omega.calls.figures["scripted"].reasoning_tokens == 0
    with pytest.raises(LLMError, match="rule 0, field `thinking`: must be a string"):
        ScriptedProvider([{"thinking": 3}])
    with pytest.raises(LLMError, match="rule 0, field `thinking`"):
        ScriptedProvider([{"match": "a", "thinking": "\\1"}])
