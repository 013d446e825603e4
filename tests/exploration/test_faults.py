"""What exploration lets befall calls that leave a program: models, functions of the host, files."""

from __future__ import annotations

import gc
import warnings

import pytest

from omega import Grants, Interpreter
from omega.errors import HostError, LispTypeError, OmegaError
from omega.exploration.choosers import Follower, Horizon
from omega.exploration.driver import HOST_FAULTS
from omega.exploration.faults import FILE_FAULTS
from omega.exploration.programs import program_run, thunk_run
from omega.exploration.search import explore
from omega.exploration.weather import OUTAGE_S, SLOW_S, fault_kinds
from omega.testing import ScheduleFailed, explore_program
from omega.testing import explore as explore_scenario

HORIZON = Horizon(10**6, 10**6, 10**15)


class Planned(Follower):
    """The calls of a run fail as told, by kind and number."""

    def __init__(self, plan):
        super().__init__((), HORIZON)
        self.plan = plan
        self.offered = []

    def befall(self, place, choices):
        self.offered.append((place[0], place[2], tuple(choices)))
        return self.plan.get((place[0], len(self.offered)))


@pytest.fixture
def omega():
    with Interpreter(virtual_time=True) as interpreter:
        yield interpreter
        gc.collect()


def outcome(omega, text, plan, faults=("host",)):
    """(value or error, how long it took) of a thunk whose calls fail so."""
    chooser = Planned(plan)
    thunk = omega.eval(f"(lambda () (let ((value {text})) (list value (now))))")
    result = thunk_run(omega, thunk.function, faults=faults)(chooser)
    if result.failure is not None:
        return result.failure, None, chooser
    value, now_s = result.value
    return value, now_s, chooser


@pytest.mark.parametrize("kind", ["async", "blocking"])
def test_functions_of_the_host_that_suspend_fail_in_every_way_and_as_they_would(omega, kind):
    calls = []

    async def lookup(name):
        calls.append(name)
        return 42

    def lookup_now(name):
        calls.append(name)
        return 42

    if kind == "async":
        omega.define("lookup", lookup)
    else:
        omega.define("lookup", lookup_now, blocking=True)
    omega.define("plain", lambda: 7)
    ask = """(guard (e ((condition-is? e 'host-error) (condition-message e))) (lookup "a"))"""
    assert outcome(omega, ask, {})[0] == 42
    plain, _, chooser = outcome(omega, "(plain)", {})
    assert plain == 7 and not chooser.offered  # what runs in the slice does not fail

    expected = {
        "slow": (42, 1, SLOW_S),
        "refused": ("raised ConnectionRefusedError: the connection was refused", 0, 0),
        "timeout": ("raised TimeoutError: no answer within 60 s", 0, SLOW_S),
        "cut": ("raised ConnectionResetError: the connection was cut", 1, 0),
        "outage": ("raised ConnectionRefusedError: the service is down", 0, 0),
    }
    assert set(expected) == set(HOST_FAULTS)
    for fault, (value, times, seconds) in expected.items():
        calls.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a coroutine that is forgotten
            got, now_s, chooser = outcome(omega, ask, {("host", 1): fault})
        assert chooser.offered == [("host", 1, HOST_FAULTS)]
        assert got == value or str(got).endswith(value), fault
        assert (len(calls), now_s) == (times, seconds), fault


def test_a_late_call_that_nobody_waits_for_any_more_never_begins(omega):
    calls = []

    async def lookup():
        calls.append(1)

    omega.define("lookup", lookup)
    for fault in ("slow", "timeout"):
        text = "(guard (e (#t (condition-code e))) (with-timeout 1000 (lookup)))"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            got, now_s, _ = outcome(omega, text, {("host", 1): fault})
        assert (got, now_s, calls) == ("E606", 1.0, [])


def test_an_outage_is_one_decision_that_lasts_for_its_time_and_its_service(omega):
    async def ask():
        return "yes"

    async def tell():
        return "told"

    omega.define("ask", ask)
    omega.define("tell", tell)
    text = """
    (let ((try (lambda (f) (guard (e (#t 'down)) (f)))))
      (let* ((a (try ask)) (b (try tell)) (c (begin (sleep 59000) (try ask)))
             (d (begin (sleep 2000) (try ask))))
        (list a b c d)))
    """
    got, now_s, chooser = outcome(omega, text, {("host", 1): "outage"})
    assert str(got) == '(down "told" down "yes")' and now_s == OUTAGE_S + 1
    assert len(chooser.taken) == 1 and len(chooser.offered) == 3  # nothing is asked meanwhile


def test_all_attempts_of_a_models_call_fail_in_an_outage_and_another_model_is_up(omega):
    text = """
    (list (guard (e ((condition-is? e 'llm-error) (condition-message e))) (llm.infer "a"))
          (llm.infer "a" :model "other"))
    """
    got, _, chooser = outcome(omega, text, {("llm", 1): "outage"}, ["llm"])
    assert "answered 503" in str(got) and "[scripted] a" in str(got)
    (only,) = chooser.taken
    assert str(only).endswith("#1=outage")


def test_files_fail_as_files_do(tmp_path):
    path = tmp_path / "notes.txt"
    acts = {
        "file.open-read": f'(call-with-input-file "{path}" read-line)',
        "file.open-write": f'(call-with-output-file "{path}" void)',
        "file.write": f"""
            (let ((p (open-output-file "{path}")))
              (dynamic-wind void
                            (lambda () (write-string "new" p) (flush-output-port p))
                            (lambda () (guard (e (#t #f)) (close-port p)))))
            """,
        "file.delete": f'(delete-file "{path}")',
    }
    assert set(acts) == set(FILE_FAULTS)
    for kind, act in acts.items():
        path.write_text("old", encoding="utf-8")
        verb, (fault,) = FILE_FAULTS[kind]
        number = 2 if kind == "file.write" else 1
        chooser = Planned({("files", number): fault})
        text = f"(guard (e ((condition-is? e 'file-error) (display (condition-message e)))) {act})"
        run = program_run(Interpreter, text, "<f>", faults=["files"], grants=Grants.everything())
        result = run(chooser)
        reason = {"eio": "input/output error", "enospc": "no space left on device"}[fault]
        assert result.value == f"{verb} {path}: {reason}", kind
        assert path.read_text(encoding="utf-8") == ("" if kind == "file.write" else "old")


def test_faults_are_opt_in_kind_by_kind(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("old", encoding="utf-8")
    text = f'(llm.infer "x") (call-with-input-file "{path}" read-line)'
    grants = Grants(read=True)
    assert explore_program(text, runs=50, grants=grants).failure is None
    assert explore_program(text, runs=50, grants=grants, faults=["host"]).failure is None
    with pytest.raises(ScheduleFailed, match=rf"opening {path} fails: input/output error"):
        explore_program(text, runs=200, grants=grants, faults=["files"])
    with pytest.raises(ScheduleFailed, match='the call with the prompt "x" is'):
        explore_program(text, runs=200, grants=grants, faults=["llm"])


def test_a_failure_of_the_host_is_told_and_comes_again(omega):
    async def charge(amount):
        return amount

    omega.define("charge", charge)
    omega.eval("(define (pay) (await-all (list (async (lambda () (charge 5))) (async void))))")
    with pytest.raises(OmegaError, match="the call of the host function `charge` is") as caught:
        omega.eval("(check-schedules pay :faults '(host))")
    (again,) = [text for text, _ in caught.value.notes if text.startswith("again: ")]
    assert ":faults '(host)" in again and '"host:' in again
    with pytest.raises(OmegaError, match="host function `charge`"):
        omega.eval(again.removeprefix("again: ").replace("thunk", "pay"))


def test_what_a_scenario_asks_of_the_outside_fails_where_that_is_asked_for():
    def scenario(s):
        async def fetch():
            return 1

        return s.sync(s.external(fetch, waits_for="a page").event)

    assert explore_scenario(scenario, runs=50).failure is None
    with pytest.raises(ScheduleFailed, match="the call of the host function `a page` is"):
        explore_scenario(scenario, runs=50, faults=True)


def test_a_run_that_is_recorded_meanwhile_replays_with_its_faults(tmp_path):
    """The tap that records stays below the one that makes files fail."""
    from omega import replay

    path, tape = tmp_path / "notes.txt", str(tmp_path / "run.tape")
    path.write_text("old", encoding="utf-8")
    text = f"""
    (define (look)
      (guard (e ((condition-is? e 'file-error) 'lost)) (call-with-input-file "{path}" read-line)))
    (define seen '())
    (check-schedules (lambda () (set! seen (cons (look) seen))) :faults '(files) :runs 20)
    seen
    """
    grants = Grants(read=True)
    with Interpreter(record=tape, grants=grants) as recorded:
        seen = str(recorded.eval(text))
    assert "lost" in seen and "old" in seen
    path.unlink()
    with replay(tape) as replayed:
        assert str(replayed.eval(text)) == seen


def test_kinds_of_faults_that_there_are_not_are_refused(omega):
    assert fault_kinds(True) == {"llm", "host", "files"} and not fault_kinds(False)
    with pytest.raises(HostError, match="there are no faults of 'network'"):
        explore_program("1", faults=["network"])
    with pytest.raises(HostError, match="no faults of 'network'"):
        omega.eval("(check-schedules void :faults '(network))")
    with pytest.raises(LispTypeError, match="a list of symbols for :faults"):
        omega.eval("(check-schedules void :faults 5)")


def test_an_outage_is_found_by_all_strategies(omega):
    omega.eval("""
    (define (ask)
      (let ((answer (guard (e ((condition-is? e 'llm-timeout) 'late)) (llm.infer "x"))))
        answer))
    """)
    ask = omega.get("ask").function
    for strategy in ("mixed", "random", "pct", "systematic"):
        made = explore(thunk_run(omega, ask, faults=["llm"]), runs=500, strategy=strategy)
        assert made.failure is not None and len(made.failure.schedule) == 1
        assert made.failure.schedule[0].choice == "outage"
