"""The scripted provider: rules, latencies under virtual time, the call log, and every way a rules
file is wrong.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import statistics
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from omega.errors import LispFileError, LLMError, OmegaError
from omega.llm import LLMReply, LLMRequest, ScriptedProvider, Usage


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
