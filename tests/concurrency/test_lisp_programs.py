"""Race-free Lisp programs, made at random, mean the same however they are scheduled.

Every policy, slices of 1 to 1,000 steps, few slots and many; by itself and as a guest of a running
asyncio loop; in virtual and in real time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import fields

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from omega.concurrency import SchedulerConfig
from omega.interpreter import Interpreter

PRELUDE = """
(define (spin n) (if (= n 0) 0 (spin (- n 1))))
(define-syntax safely (syntax-rules () ((_ e) (guard (x (#t (list 'caught x))) e))))
(define (outcomes thunks)
  (map (lambda (o) (if (eq? (car o) 'ok) o 'not-ok))
       (await-all (map async-detached thunks) :mode 'settle)))
(define (drain ch)
  (let loop ((got '()))
    (let ((x (recv! ch))) (if (eof-object? x) (reverse got) (loop (cons x got))))))
(define (pipeline items . rooms)
  (let ((first (make-channel)))
    (async (lambda () (for-each (lambda (x) (send! first x)) items) (close! first)))
    (let loop ((in first) (rooms rooms))
      (if (null? rooms)
          (drain in)
          (let ((out (make-channel (car rooms))))
            (async (lambda () (for-each (lambda (x) (send! out (list x))) (drain in)) (close! out)))
            (loop out (cdr rooms)))))))
(define (many-to-one n each)
  (let ((ch (make-channel 1)))
    (let ((senders (map (lambda (i) (async (lambda () (send! ch (each i))))) (iota n))))
      (async (lambda () (await-all senders) (close! ch)))
      (sort (drain ch) <))))
(define (counted n pause)
  (let ((m (make-mutex)) (count 0))
    (await-all
      (map (lambda (i)
             (async (lambda ()
               (with-mutex m (let ((seen count)) (pause) (set! count (+ seen 1)))))))
           (iota n)))
    count))
(define (at-most slots n)
  (let ((s (make-semaphore slots)) (inside 0) (most 0))
    (await-all
      (map (lambda (i)
             (async (lambda ()
               (with-semaphore s
                 (set! inside (+ inside 1))
                 (set! most (max most inside))
                 (sleep 0.1)
                 (set! inside (- inside 1))))))
           (iota n)))
    (<= most slots)))
"""

SMALL = st.integers(0, 4)
PAUSES = st.sampled_from(["yield", "(lambda () (sleep 0.1))", "(lambda () (spin 30))"])
LEAVES = st.one_of(
    st.integers(-9, 9).map(str),
    st.integers(1, 300).map("(spin {})".format),
    st.sampled_from(["0.1", "0.3", "1"]).map("(begin (sleep {}) 'slept)".format),
    st.just("(begin (yield) 'yielded)"),
    st.just("(safely (raise 'planned))"),
    st.just("(safely (await (async-detached (lambda () (raise 'in-a-task)))))"),
    st.just("(guard (x (#t (condition-kind x))) (with-timeout 0.2 (sleep 60000)))"),
    st.just(
        "(guard (x (#t (condition-kind x)))"
        " (await (async-detached (lambda () (sleep 60000)) :timeout 0.2)))"
    ),
    st.builds("(counted {} {})".format, SMALL, PAUSES),
    st.builds("(many-to-one {} (lambda (i) (spin (* i 20)) i))".format, SMALL),
    st.builds("(at-most {} {})".format, st.integers(1, 3), SMALL),
    st.just(
        "(let ((t (async (lambda () (sleep 60000))))) (yield) (cancel t)"
        " (guard (x (#t (condition-kind x))) (await t)))"
    ),
)  # fmt: skip


def combined(below: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    some = st.lists(below, min_size=1, max_size=3)
    thunks = some.map(lambda es: " ".join(f"(lambda () {e})" for e in es))
    return st.one_of(
        some.map(lambda es: f"(list {' '.join(es)})"),
        below.map("(await (async (lambda () {})))".format),
        thunks.map("(outcomes (list {} (lambda () (raise 'one-fails))))".format),
        thunks.map("(par-map (lambda (f) (f)) (list {}) :max-par 2)".format),
        st.builds("(scope (async (lambda () {})) {})".format, below, below),
        st.builds("(pipeline (list {}) {} {})".format, some.map(" ".join), SMALL, SMALL),
        below.map("(race (lambda () (sleep 60000) 'slow) (lambda () {}))".format),
        below.map("(with-timeout 60000 {})".format),
        below.map("(shield {})".format),
        below.map("(safely (begin (raise {}) 'not-reached))".format),
        below.map("(safely (scope (async (lambda () (sleep 60000))) (raise {})))".format),
    )


PROGRAMS = st.recursive(LEAVES, combined, max_leaves=6)

MODES = ("fifo", "round-robin", "priority")
FAIR_BY = (
    [{"fair_by": "scope"}] if any(f.name == "fair_by" for f in fields(SchedulerConfig)) else []
)
VARIANTS = [
    *({"fairness_mode": mode, "max_concurrent_tasks": n} for mode in MODES for n in (1, 3, 10_000)),
    *FAIR_BY,
]


class Ways:
    """An interpreter per way of running, kept for all programs; one loop for all guests."""

    def __init__(self, stack: ExitStack) -> None:
        self.runner = stack.enter_context(asyncio.Runner())
        self.virtual = [self._made(stack, True, variant) for variant in VARIANTS]
        self.guest = self._made(stack, True, {})
        self.real = self._made(stack, False, {})
        self.real_guest = self._made(stack, False, {})

    def _made(self, stack: ExitStack, virtual: bool, config: dict[str, object]) -> Interpreter:
        made = stack.enter_context(
            Interpreter(virtual_time=virtual, scheduler=SchedulerConfig(**config))  # type: ignore[arg-type]
        )
        made.eval(PRELUDE)
        return made

    def values(self, text: str, slices: list[int]) -> Iterator[tuple[str, str]]:
        """(how it was run, what came out), the longest ways last."""
        for i, omega in enumerate(self.virtual):
            every = slices[i % len(slices)]
            omega.scheduler.configure(yield_every=every)
            yield f"{VARIANTS[i]}, slices of {every}", self._shown(omega, omega.eval(text))
        for name in ("guest", "real", "real_guest"):
            omega = getattr(self, name)
            omega.scheduler.configure(yield_every=slices[0])
            value = omega.eval(text) if name == "real" else self.runner.run(omega.eval_async(text))
            yield f"{name}, slices of {slices[0]}", self._shown(omega, value)

    def _shown(self, omega: Interpreter, value: object) -> str:
        omega.scheduler._check()
        assert omega.scheduler.live == 0, "a race-free program leaves nobody behind"
        return str(omega.runtime.display(value))


@pytest.fixture(scope="module")
def ways() -> Iterator[Ways]:
    with ExitStack() as stack:
        yield Ways(stack)


@settings(
    max_examples=int(os.environ.get("OMEGA_MODELS", "25")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=PROGRAMS, slices=st.lists(st.integers(1, 1000), min_size=3, max_size=3))
@example(text="(pipeline (list 1 2 3) 0 2)", slices=[1, 2, 1000])
def test_race_free_programs_mean_the_same_however_they_run(ways, text, slices):
    found = dict(ways.values(text, slices))
    assert len(set(found.values())) == 1, found
