"""Rows: a recorded run of many agents, and its replay.

The run waits as such runs do: 500 tasks make 2,000 scripted calls of models with latencies, faults,
timeouts and cancels, and every switch must come again. OMEGA_BENCH_REPLAY_S is about how many
seconds the recorded run takes (600 for ten minutes).
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import omega
from omega.concurrency import EventWriter, SchedulerConfig
from omega.llm import ScriptedProvider
from tests.bench.kit import Bench, Case, Row

AGENTS, CALLS = 500, 4
CAP = 16  # calls in flight
SECONDS = 24.0
GOAL = 0.05

PROGRAM = """
(define (think n) (let loop ((i 0)) (if (< i n) (loop (+ i 1)) n)))
(define (ask agent i patience)
  (guard (e ((condition-is? e 'timeout-error) 'too-late)
            ((condition-is? e 'llm-error) 'failed))
    (with-timeout patience
      (llm.infer (string-append "agent " (number->string agent) " asks " (number->string i))))))
(define (agent n calls patience)
  (let loop ((i 0) (notes '()))
    (if (= i calls)
        notes
        (let ((answer (ask n i patience)))
          (think (+ 10 (random 400)))
          (send! board n)
          (loop (+ i 1) (cons answer notes))))))
(define board (make-channel 64))
(define (run agents calls patience pause)
  (define reader (async (lambda () (let loop () (recv! board) (loop))) :daemon #t))
  (define tasks (map (lambda (n) (async (lambda () (agent n calls patience)))) (iota agents)))
  (define boss
    (async (lambda ()
             (for-each (lambda (task) (sleep pause) (cancel task "not needed"))
                       (filter (lambda (task) (= 0 (random 25))) tasks)))))
  (define outcomes (await-all tasks :mode 'settle))
  (await boss)
  (cancel reader)
  (length (filter (lambda (outcome) (eq? 'ok (car outcome))) outcomes)))
"""


class Lines(list[str]):
    write = list.append


def performed(interpreter: omega.Interpreter, agents: int, mean_ms: float) -> tuple[Any, ...]:
    """(seconds, events, what else can be seen) of a run."""
    lines = Lines()
    interpreter.scheduler.listeners.append(EventWriter(lines))
    interpreter.eval(PROGRAM)
    began = time.perf_counter()
    value = interpreter.eval(f"(run {agents} {CALLS} {45 * mean_ms:g} {mean_ms:g})")
    took = time.perf_counter() - began
    return took, lines, (value, interpreter.manager.get_stats(), interpreter.calls.calls)


def rules(mean_ms: float) -> list[dict[str, Any]]:
    """Most calls are answered after a while; some are late, refused, or broken off once."""
    spread = [mean_ms * 0.2, mean_ms * 1.8]
    return [
        {"match": "agent \\d*7 asks 2", "fault": "500", "times": 20, "latency_ms": spread},
        {"match": "agent \\d*3 asks 1", "fault": "429", "times": 20, "retry_after_ms": mean_ms},
        {"match": "agent \\d*11 asks 3", "latency_ms": 1000 * mean_ms},
        {"match": ".*", "reply": "noted", "latency_ms": spread},
    ]


def replay(bench: Bench) -> Row:
    agents = bench.size(AGENTS)
    seconds = float(os.environ.get("OMEGA_BENCH_REPLAY_S", SECONDS)) / (AGENTS / agents)
    mean_ms = seconds * 1000 * CAP / (agents * CALLS)
    config = SchedulerConfig(max_concurrent_llm_calls=CAP)
    with tempfile.TemporaryDirectory() as folder:
        tape = str(Path(folder, "run.tape"))
        provider = ScriptedProvider(rules(mean_ms))
        with omega.Interpreter(llm=provider, scheduler=config, record=tape) as interpreter:
            took, events, seen = performed(interpreter, agents, mean_ms)
        size = os.path.getsize(tape)
        with omega.replay(tape) as interpreter:
            again_s, again, seen_again = performed(interpreter, agents, mean_ms)
    is_same = events == again and seen == seen_again
    stats, calls = seen[1], seen[2]
    note = (
        f"{stats.switches:,} switches, {calls:,} calls, {stats.cancelled_tasks} cancels; "
        f"{took / again_s:.0f} times faster; tape {size / 1e6:.1f} MB"
    )
    return Row(
        "a recorded run of agents, replayed", "ms", again_s * 1e3, took * 1e3,
        goal=GOAL, holds=is_same, note=note if is_same else "the replay differs",
    )  # fmt: skip


CASES = [Case("a recorded run of agents, replayed", replay)]
