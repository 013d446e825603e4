"""What has to end ends, also where runs take hardly any steps: events and time heal them, too."""

from __future__ import annotations

import pytest

from omega import Interpreter
from omega.errors import OmegaError
from omega.exploration import search
from omega.exploration.choosers import Follower, Horizon
from omega.exploration.programs import program_run
from omega.exploration.runs import Endless, scenario_run
from omega.exploration.search import explore

HOUR_US = 3_600 * 1_000_000
HEALED = "did not finish after everything was healed"


def missed(growth):
    """A signal that comes too early is lost, and whoever waits for it tries again for ever."""

    def scenario(s):
        waits, open_ = [False], [False]

        def wait():
            waits[0] = True
            delay_s = 1.0
            while not open_[0]:
                s.sleep(delay_s)
                delay_s *= growth

        def signal():
            if waits[0]:
                open_[0] = True

        s.await_all([s.spawn(wait), s.spawn(signal)])

    return scenario_run(scenario)


@pytest.mark.parametrize("growth", [1, 1.5, 2, 10])
def test_a_retry_loop_that_never_ends_is_told_however_its_sleeps_grow(growth):
    made = explore(missed(growth), runs=100)
    assert made.failure is not None and isinstance(made.failure.error, Endless)
    assert HEALED in str(made.failure.error) and len(made.failure.schedule) == 1


@pytest.mark.parametrize("growth", [1, 2])
def test_one_that_does_not_even_end_in_the_usual_order_is_told(growth, monkeypatch):
    monkeypatch.setattr(search, "FIRST", search.FIRST._replace(events=2_000))  # as seconds count

    def scenario(s):
        delay_s = 1.0
        while True:
            s.sleep(delay_s)
            delay_s *= growth

    made = explore(scenario_run(scenario), runs=10, horizon=1_000)
    assert made.runs == 1 and made.failure is not None and HEALED in str(made.failure.error)


def test_a_retry_loop_in_lisp_is_told():
    with Interpreter() as omega:
        omega.eval("""
        (define (visit)
          (define waits #f)
          (define open #f)
          (define (wait) (set! waits #t) (let retry ((ms 100)) (unless open (sleep ms) (retry (* 2 ms)))))
          (define (signal) (when waits (set! open #t)))
          (await-all (list (async wait) (async signal))))
        """)  # noqa: E501
        with pytest.raises(OmegaError, match=HEALED):
            omega.eval("(check-schedules visit :runs 100)")


class Hostile(Follower):
    """Lets every call fail for as long as it may."""

    def befall(self, place, choices):
        return "timeout"


def test_a_loop_that_tries_until_it_is_answered_ends_once_time_has_healed_the_run():
    text = """
    (let retry ((ms 1000))
      (guard (e ((condition-is? e 'llm-error) (sleep ms) (retry (* 2 ms)))) (llm.infer "?")))
    """
    run = program_run(Interpreter, text, "<retry>", faults=True)
    chooser = Hostile((), Horizon(10**6, 10**6, HOUR_US))
    result = run(chooser)
    assert result.failure is None and 3 <= len(chooser.taken) <= 60
    assert result.time_us > HOUR_US


def test_a_run_that_sleeps_for_long_and_often_is_not_taken_for_endless():
    text = """
    (define (poll n) (when (> n 0) (sleep (* 60 60 1000)) (poll (- n 1))))
    (await-all (list (async (lambda () (poll 300))) (async (lambda () (poll 300)))))
    """
    made = explore(program_run(Interpreter, text, "<poll>"), runs=20)
    assert made.failure is None and made.runs == 20
