"""What bindings do in proportion to some number is paid for in steps: that of tasks, of waits, of
events, of handlers. The primitives' test of the same is tests/lisp/test_work.py.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from omega import Grants, Interpreter
from omega.bindings import table_of
from omega.bindings.base import Bindings
from omega.concurrency import SchedulerConfig
from omega.concurrency.listing import steps_of
from omega.errors import LispError
from omega.lisp.data import Symbol, to_list

SIZE = 512
MANY = 5_000

HELPERS = """
(define (times n f) (let loop ((i 0) (made '())) (if (< i n) (loop (+ i 1) (cons (f i) made)) made)))
(define (sleepers n) (times n (lambda (i) (async (lambda () (sleep 1000)) :daemon #t))))
(define (ended n)
  (let ((made (times n (lambda (i) (async (lambda () i))))))
    (for-each await made)
    made))
(define (chain n)              ; each waits for the one before
  (let loop ((i 1) (last (async (lambda () (sleep 9000)))))
    (if (< i n) (loop (+ i 1) (let ((before last)) (async (lambda () (await before))))) last)))
(define (waiters n f) (let ((made (times n (lambda (i) (async f))))) (sleep 100) made))
(define (handled n thunk)      ; within so many handlers of something else
  (if (= n 0) (thunk) (with-handler ((other (lambda () 1))) (handled (- n 1) thunk))))
(define (failing-scope n run) (guard (e (#t 0)) (run (lambda () (sleepers n) (error "enough")))))
(define me (current-task))
"""  # noqa: E501

# Calls that take a while: what is needed before, and the call. `n` is a large number.
LONG: dict[str, tuple[str, str]] = {
    "tasks": ("(sleepers n)", "(tasks)"),
    "ps": ("(sleepers n)", "(ps)"),
    "configure-scheduler!": ("(sleepers n)", "(configure-scheduler! :yield-every 50)"),
    "await-all": ("(define ts (ended n))", "(await-all ts)"),
    "await-any": ("(define ts (ended n))", "(await-any ts)"),
    "await-any/values": ("(define ts (ended n))", "(await-any/values ts)"),
    "await-first": ("(define ts (ended n))", "(await-first ts)"),
    "race": ("(define fs (times n (lambda (i) (lambda () i))))", "(race fs)"),
    "par-map": ("(define is (iota n))", "(par-map (lambda (i) i) is)"),
    "supervise": ("(define fs (times n (lambda (i) (lambda () i))))", "(supervise fs)"),
    "cancel": (
        "(define t (async (lambda () (scope (sleepers n) (sleep 1000))))) (sleep 100)",
        "(cancel t)",
    ),
    "choose": ("(define es (times n (lambda (i) (never))))", "(apply choose es)"),
    "sync": ("(define e (apply choose (times n (lambda (i) (always i)))))", "(sync e)"),
    "close!": ("(define c (make-channel)) (waiters n (lambda () (recv! c)))", "(close! c)"),
    "ivar-put!": (
        "(define v (make-ivar)) (waiters n (lambda () (ivar-take v)))",
        "(ivar-put! v 1)",
    ),
    "barrier-wait": (
        "(define b (make-barrier (+ n 1))) (waiters n (lambda () (barrier-wait b)))",
        "(barrier-wait b)",
    ),
    "%scope": ("", "(failing-scope n (lambda (f) (scope (f))))"),
    "%shield": ("", "(failing-scope n (lambda (f) (shield (f))))"),
    "%with-timeout": ("", "(failing-scope n (lambda (f) (with-timeout 1000 (f))))"),
    "%with-handler": ("", "(failing-scope n (lambda (f) (with-handler ((x (lambda () 1))) (f))))"),
    "%with-mutex": (
        "(define m (make-mutex)) (async (lambda () (with-mutex m (await (chain n))))) (sleep 1000)",
        "(with-mutex m 1)",
    ),
    "check-schedules": ("", "(check-schedules (lambda () (times n list)) :runs 1)"),
    "random": ("", "(random (expt 2 (* 32 n)))"),
    "command-line": ("", "(command-line)"),
    "get-environment-variables": (
        "", "(with-handler ((env-list (lambda () (vector->list (make-vector n '(\"a\" \"b\"))))))"
        " (get-environment-variables))",
    ),
    "llm.infer": ("(define s (make-string (* 64 n) #\\a))", "(llm.infer s)"),
    "llm-event": ("(define s (make-string (* 64 n) #\\a))", "(llm-event s)"),
    "llm.chat": ("(define s (make-string (* 64 n) #\\a))", "(llm.chat (list (list 'user s)))"),
    "llm.stream": ("(define s (make-string (* 64 n) #\\a))", "(llm.stream s)"),
    "llm.tokens": ("(define s (make-string (* 64 n) #\\a))", "(llm.tokens s)"),
    "as-data": ("(define s (make-string (* 64 n) #\\a))", "(as-data s)"),
    "image-data": ("(define s (make-bytevector (* 64 n) 1))", '(image-data s "image/png")'),
    "image-url": ("(define s (make-string (* 64 n) #\\a))", "(image-url s)"),
    "llm.error->table": (
        """(define e (guard (e (#t e))
          (with-handler ((llm.infer (lambda (request) (make-string (* 64 n) #\\a))))
            (llm.infer "x" :schema {"type" "object"} :repair 0))))""",
        "(llm.error->table e)",
    ),
    "llm.request->table": (
        """(define r #f)
        (with-handler ((llm.infer (lambda (request) (set! r request) "")))
          (llm.infer (make-string (* 64 n) #\\a)))""",
        "(llm.request->table r)",
    ),
    "stream-text": (
        "(define s (llm.stream (make-string (* 64 n) #\\a))) (channel->list s)",
        "(stream-text s)",
    ),
    "stream-usage": (
        "(define s (llm.stream (make-string (* 64 n) #\\a))) (channel->list s)",
        "(stream-usage s)",
    ),
    "make-tool": (
        "(eval (list 'define '(f x) (make-string (* 64 n) #\\a) 'x))",
        "(make-tool f)",
    ),
    "tool-schema": (
        "(eval (list 'define '(f x) (make-string (* 64 n) #\\a) 'x))",
        "(tool-schema f)",
    ),
    "tool-loop": (
        "(define s (make-string (* 64 n) #\\a)) (define (t x) x)",
        "(tool-loop s :tools (list t))",
    ),
}  # fmt: skip
BY_ID = "await task-result task-state task-name task-id get-task task-event"
# By a task's id: the tasks there are are searched.
LONG |= {
    name: ("(define t (car (ended n))) (define id (task-id t)) (sleepers n)", f"({name} id)")
    for name in BY_ID.split()
}
# Through every handler that there is.
LONG |= {
    name: ("", f"(handled n (lambda () (start) (finish ({name} {arguments}))))")
    for name, arguments in {
        "effect": "'now", "sleep": "0", "now": "", "current-milliseconds": "",
        "current-second": "", "current-jiffy": "", "get-environment-variable": '"PATH"',
    }.items()
}  # fmt: skip

# What takes as long whatever there is.
SHORT: dict[str, str] = {
    "async": "(async (lambda () 1))",
    "async-detached": "(async-detached (lambda () 1))",
    "yield": "(void)",
    "current-task": "(current-task)",
    "cancelled?": "(cancelled?)",
    "task?": "(task? big-list)",
    "concurrency-stats": "(concurrency-stats)",
    "%atomic": "(atomic 1)",
    "abort": "(with-handler ((x (lambda () (abort big-list)))) (effect 'x))",
    "make-channel": "(make-channel n)",
    "channel?": "(channel? big-list)",
    "send!": "(send! full big-list)",
    "recv!": "(recv! full)",
    "recv-event": "(recv-event full)",
    "send-event": "(send-event full big-list)",
    "wrap": "(wrap (always big-list) car)",
    "timer-event": "(timer-event 5)",
    "guard-event": "(guard-event (lambda () (never)))",
    "with-nack": "(with-nack (lambda (nack) (never)))",
    "always": "(always big-list)",
    "never": "(never)",
    "event?": "(event? big-list)",
    "make-mutex": "(make-mutex)",
    "mutex-event": "(mutex-event mutex)",
    "mutex-release!": "(let ((m mutex)) (sync (mutex-event m)) (mutex-release! m))",
    "%with-semaphore": "(with-semaphore semaphore 1)",
    "make-semaphore": "(make-semaphore n)",
    "semaphore-event": "(semaphore-event semaphore)",
    "semaphore-release!": "(let ((s semaphore)) (sync (semaphore-event s)) (semaphore-release! s))",
    "make-serializer": "((make-serializer) car)",
    "make-barrier": "(make-barrier n)",
    "barrier-event": "(barrier-event (make-barrier n))",
    "make-ivar": "(make-ivar)",
    "ivar-take": "(ivar-take ivar)",
    "ivar-event": "(ivar-event ivar)",
    "llm.reply->table": '(llm.reply->table "said")',
    "llm.stats": "(llm.stats)",
    "%with-budget": "(with-budget {:calls 5} 1)",
    "budget-left": "(with-budget {:calls 5} (budget-left))",
    "budget-spent": "(with-budget {:calls 5} (budget-spent))",
    "make-progress": '(make-progress "label" n)',
    "progress-add!": '(progress-add! (make-progress "label" n) n)',
    "progress-end!": '(progress-end! (make-progress "label" n))',
    "llm.usage": "(llm.usage)",
    "cacheable": '(cacheable "said")',
    "wait-signal": "(with-handler ((signal.wait (lambda (name) big-list))) (wait-signal 'go))",
    "continued-arguments": "(continued-arguments)",
    "jiffies-per-second": "(jiffies-per-second)",
    "make-generator": "(make-generator (lambda (yield) (yield 1)))",
}
SHORT["make-coroutine-generator"] = SHORT["make-generator"]

# With them the program is over.
ENDS = {"exit", "emergency-exit", "continue-as"}
# The scripted provider does not think: tests/embedding/test_thinking_in_programs.py has it.
ELSEWHERE = {"stream-thinking"}

# Of the checks of tests: the path of the group they are in, and texts, are as long as one likes.
PATH = to_list(["group"] * 8 * SIZE)
OTHER = LispError("a" * 64 * SIZE)
CHECKS: dict[str, list[Any]] = {
    "%test-differs": [PATH, False, 1, 2, 3],
    "%test-raised": [PATH, False, 1, OTHER],
    "%test-no-error": [PATH, False, 1, Symbol.of("error"), 2],
    "%test-other-error": [PATH, False, 1, Symbol.of("error"), "b", OTHER],
    "%test-error": [PATH, OTHER],
    "%test-wanted?": [PATH],
    "%test-end": [PATH],
}
SHORT_CHECKS: dict[str, list[Any]] = {
    "%test-passed": [PATH],
    "%test-fits?": [Symbol.of("error"), "b", OTHER],
}


def test_every_binding_is_known_to_take_long_or_not() -> None:
    with Interpreter() as omega:
        names = set(table_of(Bindings(omega)))
    groups = [set(LONG), set(SHORT), set(CHECKS), set(SHORT_CHECKS), ENDS, ELSEWHERE]
    assert set().union(*groups) == names
    assert sum(map(len, groups)) == len(names)


def interpreter(n: int) -> Interpreter:
    omega = Interpreter(
        virtual_time=True,
        output=io.StringIO(),
        grants=Grants.everything(),
        scheduler=SchedulerConfig(keep_finished=max(1_000, 2 * n)),
    )
    omega.door.arguments = ["word"] * (8 * n)
    omega.define("n", n)
    omega.eval(HELPERS)
    return omega


@pytest.mark.parametrize("name", sorted(LONG))
def test_what_takes_long_is_paid_for(name: str) -> None:
    """A few cost no step more than a call does, many at least an eighth of one each."""
    few, many = (steps_taken(name, n) for n in (2, SIZE))
    assert few < 200
    assert many - few >= SIZE // 8


def steps_taken(name: str, n: int) -> int:
    before, call = LONG[name]
    marks: list[int] = []
    with interpreter(n) as omega:
        scheduler = omega.scheduler

        def mark(*_: Any) -> None:
            assert scheduler.current is not None
            marks.append(steps_of(scheduler, scheduler.current))

        omega.define("start", mark)
        omega.define("finish", mark)
        if "(start)" not in call:
            call = f"(begin (start) (finish {call}))"
        omega.eval(f"{before} {call}")
        scheduler.cancel_all()
    return marks[1] - marks[0]


@pytest.mark.parametrize("name", sorted(CHECKS | SHORT_CHECKS))
def test_what_checks_tell_is_paid_for(name: str) -> None:
    with interpreter(2) as omega:
        scheduler = omega.scheduler
        check = table_of(Bindings(omega))[name]
        omega.runtime.tests.wanted = "group"
        before = scheduler.steps_now()
        scheduler.wait(scheduler.spawn(lambda: check(*(CHECKS | SHORT_CHECKS)[name])))
        taken = scheduler.steps_now() - before
    assert (taken >= SIZE // 8) is (name in CHECKS)


@pytest.fixture(scope="module")
def crowded() -> Iterator[Interpreter]:
    """An interpreter in which there is much of everything."""
    with interpreter(MANY) as omega:
        omega.eval("""
          (define asleep (sleepers n))
          (define big-list (iota n))
          (define full (make-channel (+ n 1)))
          (for-each (lambda (i) (send! full i)) big-list)
          (define mutex (make-mutex))
          (define semaphore (make-semaphore n))
          (define ivar (make-ivar))
          (ivar-put! ivar big-list)
        """)
        yield omega
        omega.eval("(close! full)")
        omega.eval("(let loop () (unless (eof-object? (recv! full)) (loop)))")
        omega.scheduler.cancel_all()


@pytest.mark.parametrize("name", sorted(SHORT))
def test_what_is_taken_for_short_is_short(name: str, crowded: Interpreter) -> None:
    """Python's own loops are counted by the lines run: those of C are not seen."""
    assert lines_run(crowded, SHORT[name]) < MANY // 10


def lines_run(omega: Interpreter, call: str) -> int:
    """How many lines of Python the call runs, of which there are some."""
    lines = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    omega.define("start", lambda: sys.settrace(trace))
    omega.define("finish", lambda _: sys.settrace(before))
    try:
        omega.eval(f"(begin (start) (finish {call}))")
    finally:
        sys.settrace(before)
    assert lines
    return lines
