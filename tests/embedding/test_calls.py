"""LLM calls from Lisp, end to end: the scheduler, the governor, the real SDK and a real socket."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from omega import Budget, Interpreter, LispError, SchedulerConfig
from omega.concurrency import EventWriter
from omega.llm import OpenAIProvider, ScriptedProvider
from omega.testing import Fault, LoopbackServer

CALLS = "(par-map (lambda (i) (llm.infer (number->string i))) (iota 60))"


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(latency_s=0.02, reply=lambda call: "re: " + call.prompt) as running:
        yield running


def interpreter(server: LoopbackServer, **options: object) -> Interpreter:
    provider = OpenAIProvider("test-model", api_key=server.api_key, base_url=server.base_url)
    return Interpreter(llm=provider, **options)  # type: ignore[arg-type]


def test_many_calls_overlap_up_to_the_cap_and_never_beyond(server: LoopbackServer) -> None:
    # Long enough for the others to come on a machine that has much else to do.
    server.latency_s = lambda call: 2.0 if call.index < 8 else 0.0
    with interpreter(server) as omega:
        replies = list(omega.eval(CALLS))
        assert omega.scheduler.stats().peak_concurrent_llm_calls == 8
    assert replies == [f"re: {i}" for i in range(60)]
    assert 1 < server.snapshot().peak <= 8  # which a busy machine may not let meet there


@pytest.mark.parametrize("fairness", ["fifo", "priority", "round-robin"])
def test_the_peak_is_the_cap_under_every_policy_with_one_task_slot(
    server: LoopbackServer, fairness: str
) -> None:
    config = SchedulerConfig(
        max_concurrent_tasks=1, max_concurrent_llm_calls=5, fairness_mode=fairness
    )
    with interpreter(server, scheduler=config) as omega:
        nested = """
          (define (ask i) (llm.infer (number->string i)))
          (define (group g)
            (await-all (map (lambda (i) (async (lambda () (ask (+ i (* 10 g)))))) (iota 6))))
          (apply append (await-all (map (lambda (g) (async (lambda () (group g)))) (iota 4))))"""
        assert len(list(omega.eval(nested))) == 24
        assert omega.scheduler.stats().peak_concurrent_llm_calls == 5
    assert 1 < server.snapshot().peak <= 5


def test_a_call_that_is_cancelled_while_the_sdk_loads_costs_nothing(
    server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes half a second, once; nothing has been sent by then."""
    import asyncio

    async def loads_for_ever(function: object, *arguments: object) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(asyncio, "to_thread", loads_for_ever)
    with interpreter(server, budget=Budget(calls=100)) as omega:
        omega.eval("""
          (define tasks (map (lambda (i) (async (lambda () (llm.infer "x")))) (iota 5)))
          (sleep 20)
          (for-each (lambda (task) (cancel task "enough")) tasks)
          (await-all tasks :mode 'settle)""")
        budget = omega.calls.budget
        assert budget is not None and (budget.settled[0], budget.reserved[0]) == (0, 0)
        assert omega.calls.total.calls == 0
    assert server.snapshot().requests == 0


def test_cancelling_a_task_in_flight_closes_the_connection_and_frees_the_slot(
    server: LoopbackServer,
) -> None:
    server.latency_s = lambda call: 60.0 if call.prompt == "slow" else 0.0
    config = SchedulerConfig(max_concurrent_llm_calls=1)
    with interpreter(server, scheduler=config) as omega:
        omega.define("in-flight", lambda: server.snapshot().in_flight)
        omega.eval('(define t (async (lambda () (llm.infer "slow"))))')
        omega.eval("(while (= (in-flight) 0) (sleep 1))")
        assert omega.eval('(cancel t "enough") (llm.infer "quick")') == "re: quick"
        assert server.wait_until(lambda seen: seen.early_closes == 1).early_closes == 1
        assert omega.calls.governor.in_flight == 0
        assert str(omega.eval("(task-state t)")) == "cancelled"


def test_a_timeout_closes_the_connection_too(server: LoopbackServer) -> None:
    server.latency_s = lambda call: 60.0 if call.prompt == "slow" else 0.0
    with interpreter(server) as omega:
        omega.eval('(llm.infer "quick")')  # loads the SDK, opens a connection
        with pytest.raises(LispError) as caught:
            omega.eval('(llm.infer "slow" :timeout 300)')
        assert caught.value.code == "E703"
        server.wait_until(lambda seen: seen.early_closes == 1)


def test_a_429_with_retry_after_is_tried_again_and_holds_no_slot_meanwhile(
    server: LoopbackServer,
) -> None:
    server.faults = [Fault.http(429, retry_after="0.05")]
    config = SchedulerConfig(max_concurrent_llm_calls=1)
    with interpreter(server, scheduler=config) as omega:
        seen: list[int] = []
        omega.scheduler.listeners.append(
            lambda event: (
                seen.append(omega.calls.governor.in_flight)
                if event["event"] == "LLMFinished"
                else None
            )
        )
        assert omega.eval('(llm.infer "again")') == "re: again"
        assert omega.calls.total.retries == 1
        assert seen == [0, 0]


@pytest.mark.parametrize("fault", ["500", "503", "cut"])
def test_broken_answers_are_tried_again(server: LoopbackServer, fault: str) -> None:
    server.faults = [Fault.parse(fault)]
    provider = OpenAIProvider("test-model", api_key=server.api_key, base_url=server.base_url)
    with Interpreter(llm=provider) as omega:
        omega.calls.retry.base_s = 0.001
        assert omega.eval('(llm.infer "again")') == "re: again"


def test_a_call_that_fails_for_good_is_a_condition_with_its_code(server: LoopbackServer) -> None:
    server.faults = lambda call: Fault.http(401)
    with interpreter(server) as omega:
        with pytest.raises(LispError) as caught:
            omega.eval('(llm.infer "x")')
        assert caught.value.code == "E702"
        assert omega.eval('(guard (e (#t \'refused)) (llm.infer "x"))').name == "refused"
        assert omega.calls.governor.in_flight == 0


def test_losers_of_a_race_stop_paying() -> None:
    rules = [
        {"match": "slow", "reply": "late", "latency_ms": 60_000},
        {"match": ".", "reply": "first", "latency_ms": 10},
    ]
    provider = ScriptedProvider(rules)
    with Interpreter(llm=provider, virtual_time=True) as omega:
        omega.eval("(define (ask q) (lambda () (llm.infer q)))")
        text = '(race (ask "slow") (ask "quick") (ask "slow"))'
        assert omega.eval(text) == "first"
        assert omega.scheduler.driver.now() < 1.0
    assert sorted(call.outcome for call in provider.calls) == ["cancelled", "cancelled", "ok"]


PROGRAM = """
(define (work i)
  (guard (e (#t (list 'failed (condition-kind e))))
    (sleep (random 20))
    (llm.infer (string-append "question " (number->string i)) :timeout 900)))
(define tasks (map (lambda (i) (async (lambda () (work i)) :priority (modulo i 3))) (iota 20)))
(async (lambda () (sleep 100) (cancel (list-ref tasks 7) "not needed")))
(await-all tasks :mode 'settle)
"""


@pytest.mark.parametrize("fairness", ["fifo", "priority", "round-robin"])
def test_equal_runs_give_byte_identical_event_streams(fairness: str) -> None:
    def stream() -> str:
        out = io.StringIO()
        config = SchedulerConfig(fairness_mode=fairness)
        with Interpreter(virtual_time=True, seed=7, scheduler=config) as omega:
            omega.scheduler.listeners.append(EventWriter(out))
            omega.eval(PROGRAM)
        return out.getvalue()

    first = stream()
    assert "LLMStarted" in first and "TaskCancelled" in first
    for _ in range(100):
        assert stream() == first


@pytest.mark.parametrize("seed", range(12))
def test_a_retry_under_virtual_time_waits_its_whole_delay_and_goes_on(seed: int) -> None:
    # The delay's fraction of a microsecond once kept the clock where it was, for ever.
    rules = [
        {"match": ".", "fault": "500", "times": 2, "latency_ms": 300},
        {"match": ".", "reply": "ok", "latency_ms": 1},
    ]
    with Interpreter(llm=ScriptedProvider(rules), virtual_time=True, seed=seed) as omega:
        assert omega.eval('(llm.infer "hi")') == "ok"
        assert omega.calls.total.retries == 2


def test_priority_is_lent_along_the_queue_of_calls() -> None:
    """One call at a time; the one a more urgent task waits for leaves its place in the queue."""
    config = SchedulerConfig(max_concurrent_llm_calls=1, fairness_mode="priority", ageing=None)
    program = """
      (define (ask name priority)
        (async (lambda () (llm.infer name)) :priority priority))
      (define first (ask "first" 1))
      (define low (ask "low" 1))
      (define middle (ask "middle" 5))
      (define other (ask "other" 1))
      (sleep 1)
      (define high (async (lambda () (await other)) :priority 9))
      (await-all (list first low middle other high))"""
    provider = ScriptedProvider({"rules": [{"reply": "ok", "latency_ms": 10}]})
    with Interpreter(llm=provider, scheduler=config, virtual_time=True) as omega:
        omega.eval(program)
    assert [call.prompt for call in provider.calls] == ["middle", "other", "first", "low"]


def test_when_all_calls_fail_only_a_share_is_tried_again_and_the_rest_say_so() -> None:
    """60 calls to a server that is down: 60 + 10 + 20 % attempts, not five times 60."""
    provider = ScriptedProvider([{"fault": "500", "latency_ms": 1}])
    with Interpreter(llm=provider, virtual_time=True) as omega:
        errors = list(
            omega.eval("""
              (par-map (lambda (i) (guard (e (#t e)) (llm.infer (number->string i)))) (iota 60))""")
        )
        whole = omega.calls.total
        assert (whole.calls, whole.retries, whole.failures) == (82, 22, 60)
    notes = {text for error in errors for text, _ in error.notes}
    assert notes == {
        "not tried again: too many calls fail for each of them to be repeated",
        *("asked scripted, once", "asked scripted, 2 times"),
    }
    assert all(error.kind == "llm-unavailable" for error in errors)


def test_a_quota_that_is_used_up_fails_who_waits_unsent_and_is_asked_for_again_after_a_minute() -> (
    None
):
    rules = [
        {"match": "question 0$", "fault": "429:quota", "latency_ms": 10, "times": 1},
        {"reply": "ok", "latency_ms": 100},
    ]
    program = """
      (define (ask i)
        (guard (e (#t (let ((told (llm.error->table e)))
                        (list (condition-kind e) (hash-ref told :throttle)
                              (hash-ref told :attempts)))))
          (llm.infer (string "question " i))))
      (define first (par-map ask (iota 8)))
      (define soon (ask 8))
      (sleep 61000)
      (list first soon (par-map ask (iota 3)))"""
    config = SchedulerConfig(max_concurrent_llm_calls=4)
    provider = ScriptedProvider(rules)
    with Interpreter(llm=provider, scheduler=config, virtual_time=True) as omega:
        first, soon, later = omega.eval(program)
        kind = omega.eval("'refused")
    refused = [kind, "quota", 0]
    assert [list(end) for end in first if end != "ok"] == [[kind, "quota", 1], *[refused] * 4]
    assert list(soon) == refused and list(later) == ["ok"] * 3
    assert len(provider.calls) == 7, "four of the first, and those after a minute"


def test_one_refusal_does_not_fail_the_calls_that_wait_with_a_time_limit() -> None:
    """The gate may open with a ramp from one call; what waits is not judged by that."""
    rules = [
        {"match": "question 150$", "fault": "429", "retry_after_ms": 100, "times": 1},
        {"reply": "ok", "latency_ms": 5_000},
    ]
    program = """
      (define (ask i) (llm.infer (string-append "question " (number->string i)) :timeout 60000))
      (length (par-map ask (iota 400) :max-par 100))"""
    config = SchedulerConfig(max_concurrent_llm_calls=100)
    with Interpreter(llm=ScriptedProvider(rules), scheduler=config, virtual_time=True) as omega:
        assert omega.eval(program) == 400
        assert omega.calls.total.throttled == 1
