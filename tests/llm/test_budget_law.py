"""Budgets under explored interleavings: what is settled and what is reserved never exceed a limit.

The law is looked at whenever either changes, at every level, in every schedule that is tried: with
calls that fail, are tried again, hedged, handed on to another model, streamed, left and cancelled.
`OMEGA_MODELS=20000` in the environment tries so many schedules.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from omega import Interpreter
from omega.calls import Model, Models
from omega.errors import OmegaError
from omega.llm import ScriptedProvider
from omega.llm import budget as budgets
from omega.llm.budget import Amounts, Budget, Reservation
from omega.llm.lane import LaneLimits
from omega.llm.prices import Price

RUNS = int(os.environ.get("OMEGA_MODELS", "400"))
# What a call may use at most, which is reserved, is 57 tokens here.
RULES = {
    "rules": [
        {
            "match": ".*",
            "reply": "one two three four",
            "latency_ms": [5, 40],
            "usage": {"input_tokens": 40, "output_tokens": 8},
        }
    ]
}
PROGRAM = """
(define (ask text . more) (apply llm.infer text :max-tokens 8 more))
(define (look stream n)
  (unless (or (= n 0) (eof-object? (recv! stream))) (look stream (- n 1))))
(define (law)
  (with-budget {:calls 9 :tokens 300 :usd 0.0003}
    (let* ((tasks
             (map async
                  (list (lambda () (ask "a"))
                        (lambda () (ask "b" :hedge-after 10))
                        (lambda () (ask "c" :model "second" :timeout 30))
                        (lambda () (with-budget {:calls 2 :tokens 120}
                                     (await-all (map (lambda (t) (async (lambda () (ask t))))
                                                     '("d" "e" "f"))
                                                :mode 'settle)))
                        (lambda () (scope (look (llm.stream "g" :max-tokens 8) 2)))
                        (lambda () (look (llm.stream "h" :max-tokens 8) 9))
                        (lambda () (llm.infer "i"))
                        (lambda () (ask "j" :temperature 0))
                        (lambda () (ask "j" :temperature 0)))))
           (canceller (async (lambda () (sleep 20) (cancel (car tasks)) (cancel (third tasks)))))
           (ends (await-all tasks :mode 'settle)))
      (await canceller)
      (calm)
      (length ends))))
"""


class Watched:
    """Every budget that is made, and what breaks the law in one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.budgets: list[Budget] = []
        self.changes = 0
        made, reserve, settle = Budget.__init__, Budget.reserve, Reservation.settle
        watched = self

        def init(self: Budget, *limits: Any, **more: Any) -> None:
            made(self, *limits, **more)
            watched.budgets.append(self)

        def look(budget: Budget) -> None:
            watched.changes += 1
            for level in budget.levels:
                held = [s + r for s, r in zip(level.settled, level.reserved, strict=True)]
                for limit, amount in zip(level.limits, held, strict=True):
                    assert limit is None or amount <= limit, (level.name, held, level.limits)
                assert min(*level.settled, *level.reserved) >= 0

        def reserving(self: Budget, wanted: Amounts) -> Reservation | None:
            found = reserve(self, wanted)
            look(self)
            return found

        def settling(self: Reservation, used: Amounts) -> None:
            settle(self, used)
            look(self.budget)

        monkeypatch.setattr(budgets.Budget, "__init__", init)
        monkeypatch.setattr(budgets.Budget, "reserve", reserving)
        monkeypatch.setattr(budgets.Reservation, "settle", settling)

    def calm(self) -> None:
        """No task waits for a call: nothing is reserved."""
        assert all(budget.reserved == [0, 0, 0] for budget in self.budgets)
        self.budgets.clear()


def models() -> Models:
    price = Price("m", 1_000_000, 1_000_000)
    limits = LaneLimits(cap_ceiling=3, gate_s=0.01, gate_s_max=0.02)
    first, second = ScriptedProvider(RULES), ScriptedProvider(RULES)
    named = {
        "first": Model("first", first, "f", price=price, limits=limits, fallback=["second"]),
        "second": Model("second", second, "s", price=price),
    }
    return Models(first, named, default="first")


def explored(monkeypatch: pytest.MonkeyPatch, options: str) -> Watched:
    with Interpreter(llm=models(), virtual_time=True) as omega:
        watched = Watched(monkeypatch)
        omega.define("calm", watched.calm)
        omega.eval(PROGRAM)
        omega.eval(f"(check-schedules law {options})")
    return watched


@pytest.mark.parametrize("strategy", ["random", "pct", "systematic"])
def test_settled_and_reserved_never_exceed_a_budget(
    monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    options = f":runs {max(1, RUNS // 3)} :faults '(llm) :strategy '{strategy}"
    assert explored(monkeypatch, options).changes > RUNS


def test_the_law_would_be_seen_to_be_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that reserves less than it uses breaks it in some schedule."""
    from omega.calls.spending import Spending

    outgoing = Spending.outgoing

    def careless(self: Spending, *asked: Any) -> Any:
        sent = outgoing(self, *asked)
        sent.reserve = Amounts(1, 1, 1)
        return sent

    monkeypatch.setattr(Spending, "outgoing", careless)
    with pytest.raises(OmegaError, match="with-budget"):
        explored(monkeypatch, ":runs 200 :faults '(llm)")


@pytest.mark.parametrize(
    "ask_twice",
    [
        "(map await (map (lambda (t) (async (lambda () (tried t)))) '(a b)))",
        "(par-map tried '(a b))",
        "(list (tried 'a) (race (lambda () (tried 'b))))",
        "(list (tried 'a) (await (async-detached (lambda () (tried 'b)))))",
        "(list (tried 'a) (sync (guard-event (lambda () (always (tried 'b))))))",
        '(list (tried \'a) (outcome (lambda () (sync (llm-event "b")))))',
        '(list (tried \'a) (outcome (lambda () (recv! (llm.stream "b")))))',
    ],
)
def test_a_budget_holds_in_every_task_that_is_made_in_it(ask_twice: str) -> None:
    with Interpreter(llm=models(), virtual_time=True) as omega:
        omega.eval("""
        (define (outcome thunk)
          (car (car (await-all (list (async thunk)) :mode 'settle))))
        (define (tried t) (outcome (lambda () (llm.infer (symbol->string t)))))
        """)
        ends = omega.eval(f"(with-budget {{:calls 1}} {ask_twice})")
        assert sorted(map(str, ends)) == ["error", "ok"]
        assert omega.calls.total.calls == 1


def asked_for(budget: str, count: int, **limits: Any) -> tuple[list[str], list[int], int]:
    """(how `count` calls without :max-tokens end, what answers they are given room for, the most in
    flight) that are made at once in `budget`.
    """
    provider = ScriptedProvider(RULES)
    with Interpreter(llm=provider, virtual_time=True, budget=Budget(**limits)) as omega:
        omega.eval("(configure-scheduler! :max-concurrent-llm-calls 8)")
        ends = omega.eval(f"""
          (map car (with-budget {budget}
            (par-map (lambda (i) (llm.infer (string i))) (iota {count}) :on-error 'keep)))""")
        rooms = [call.request.max_tokens for call in provider.calls]
        return list(map(str, ends)), [room or 0 for room in rooms], provider.peak


def test_calls_in_flight_share_a_small_budget_alike() -> None:
    ends, rooms, peak = asked_for("{:tokens 4000}", 8)
    assert ends == ["ok"] * 8 and peak == 8
    assert max(rooms) - min(rooms) <= 1 and 4_000 / 8 - 60 < rooms[0] < 4_000 / 8


def test_a_call_alone_has_all_that_is_left_up_to_an_answer_of_usual_length() -> None:
    assert asked_for("{:tokens 1000}", 1)[1][0] > 900
    assert asked_for("{:tokens 100000}", 8)[1] == [4_096] * 8


def test_no_answer_is_asked_for_that_is_too_short_and_calls_wait_for_what_comes_back() -> None:
    ends, rooms, peak = asked_for("{:tokens 600}", 8)
    assert ends == ["ok"] * 8
    assert min(rooms) >= 64 and peak < 8
    ends, rooms, _ = asked_for("{:tokens 130}", 3)
    assert ends == ["ok", "error", "error"], "what cannot have so many is not sent"
    assert len(rooms) == 1 and rooms[0] >= 64


def test_a_host_says_how_short_an_answer_may_be() -> None:
    ends, rooms, _ = asked_for("{:tokens 100}", 1, answer_min=90)
    assert (ends, rooms) == (["error"], [])
    ends, rooms, _ = asked_for("{:tokens 66}", 3, answer_min=1)
    assert ends[0] == "ok" and rooms[0] < 64
