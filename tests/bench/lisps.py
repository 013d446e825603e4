"""Rows: programs.omega beside the other Lisps hosted in Python and beside monty, one row for each.

Owns: which peers there are, what is expected beside each, which of our programs is which of theirs.
Refuses: embedding any of them: they run in an environment of their own (peer_process.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.bench import language
from tests.bench.kit import (
    PAIRS_MAX,
    Bench,
    Case,
    Row,
    Skipped,
    clock,
    cpu,
    geometric_mean,
    timed,
    times,
)
from tests.bench.peer_process import PeerFailed, PeerProcess

# name of a peers' program -> (ours, the size it has there)
PROGRAMS: dict[str, tuple[str, int]] = {
    "fib": ("fib", 25),
    "tak": ("tak", 18),
    "loop": ("loop", 1_000_000),
    "list": ("list", 200_000),
    "hof": ("hof", 200_000),
    "str": ("string", 100_000),
    "wc": ("words", 100_000),
    "even": ("even", 1_000_000),
}
QUICK = ("fib", "tak")

CUT_OFF_S = 30.0
FEW_ROUNDS_MS, ONE_ROUND_MS = 500.0, 2000.0
PLAIN_PYTHON = "no limits, no tail calls"


class Peer(NamedTuple):
    """goal: the most any single program's ratio may be, None where Omega does more than the peer.

    apart: it computes in a process of its own, whose CPU nobody sees: both sides by the clock.
    traits: what it has and lacks, for the note.
    """

    name: str
    traits: str
    goal: float | None = None
    apart: bool = False


PEERS = (
    Peer("hy", PLAIN_PYTHON),
    Peer("hissp", PLAIN_PYTHON),
    Peer("basilisp", PLAIN_PYTHON),
    Peer("calysto", "tail calls, no limits", goal=1.0),
    Peer("monty", "limits, no tail calls", goal=1.0, apart=True),
)
NOT_TO_BE_HAD = {"lispy": "PyPI lists it, without a file to install"}


class Pair(NamedTuple):
    """Milliseconds of one program on both sides."""

    ours: float
    theirs: float
    ratio: float


def beside(peer: Peer) -> Case:
    def run(bench: Bench) -> Row:
        pairs: dict[str, Pair] = {}
        failures: dict[str, str] = {}
        with PeerProcess(peer.name) as process:
            for name in QUICK if bench.quick else PROGRAMS:
                try:
                    pairs[name] = measured(bench, peer, process, name)
                except PeerFailed as failed:
                    failures[name] = cause(str(failed))
        if not pairs:
            raise Skipped("; ".join(f"{name}: {why}" for name, why in failures.items()))
        return row(f"{peer.name} {process.version}", peer, pairs, failures)

    return Case(peer.name, run)


def measured(bench: Bench, peer: Peer, process: PeerProcess, name: str) -> Pair:
    called, n = PROGRAMS[name]
    ours = language.program(bench, called)
    unit = "wall_ms" if peer.apart else "cpu_ms"
    omega = timed(lambda: ours(n), now=clock if peer.apart else cpu)

    def theirs() -> float:
        return float(process.ask(name, CUT_OFF_S)[unit])

    first = process.ask(name, CUT_OFF_S)
    if first["result"].lower() not in results(name, ours, n):
        raise PeerFailed(f"answers {first['result']}")
    took = float(first[unit])
    if took > ONE_ROUND_MS:
        best = bench.best(omega)
        return Pair(best, took, best / took)
    return Pair(*bench.pairs(omega, theirs, most=3 if took > FEW_ROUNDS_MS else PAIRS_MAX))


def results(name: str, ours: Callable[[int], Any], n: int) -> set[str]:
    """What a peer may answer. Some sum 0 to n-1 where others sum 1 to n."""
    value = ours(n)
    return {str(value).lower()} | ({str(value - n)} if name == "list" else set())


def row(title: str, peer: Peer, pairs: dict[str, Pair], failures: dict[str, str]) -> Row:
    worst_first = sorted(pairs, key=lambda name: -pairs[name].ratio)
    above = [name for name in worst_first if peer.goal and pairs[name].ratio > peer.goal]
    notes = [f"above {peer.goal:g}x: {', '.join(above)}"] if above else []
    notes.append(", ".join(f"{name} {times(pairs[name].ratio)}" for name in worst_first))
    notes += [f"{name}: {why}" for name, why in failures.items()]
    return Row(
        title,
        "ms",
        geometric_mean(pair.ours for pair in pairs.values()),
        geometric_mean(pair.theirs for pair in pairs.values()),
        ratio=geometric_mean(pair.ratio for pair in pairs.values()),
        goal=peer.goal,
        holds=not above,
        note="; ".join([*notes, peer.traits]),
    )


def cause(text: str) -> str:
    """The innermost error's name, where the text has one: engines wrap what Python raised."""
    named = re.findall(r"\w+Error\b", text)
    return named[-1] if named else text[:60]


def not_to_be_had(name: str, why: str) -> Case:
    def run(bench: Bench) -> Row:
        raise Skipped(why)

    return Case(name, run)


CASES = [
    *(beside(peer) for peer in PEERS),
    *(not_to_be_had(name, why) for name, why in NOT_TO_BE_HAD.items()),
]
