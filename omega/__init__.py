"""Omega: an embeddable Lisp on one deterministic scheduler, for programs whose slow instructions
are LLM calls.

`Interpreter` is where a host starts. Names are loaded when first used: importing `omega` costs next
to nothing.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # as `typing` has it, which takes longer than all of this
if TYPE_CHECKING:
    from typing import Any

    from omega.calls import Model, Models
    from omega.concurrency import CancellationToken, ConcurrencyManager, SchedulerConfig, Task
    from omega.effects import Grants
    from omega.errors import (
        Cancelled,
        Deadlock,
        HostError,
        LimitExceeded,
        LispError,
        OmegaError,
        ReplayDivergence,
        RunStopped,
        TapeEnded,
        TaskCancelled,
        UnknownOutcome,
    )
    from omega.interpreter import Interpreter
    from omega.limits import Limits
    from omega.lisp.procedure import Procedure
    from omega.llm import Budget, BudgetExceeded, LLMReply, LLMRequest, Provider
    from omega.replays import replay
    from omega.runs.session import RunSettings
    from omega.runs.taps import effect_key
    from omega.runs.unknown import ASK, RETRY

_HOMES = {
    "Budget": "omega.llm",
    "BudgetExceeded": "omega.llm",
    "CancellationToken": "omega.concurrency",
    "ConcurrencyManager": "omega.concurrency",
    "SchedulerConfig": "omega.concurrency",
    "Task": "omega.concurrency",
    "Grants": "omega.effects",
    "Cancelled": "omega.errors",
    "Deadlock": "omega.errors",
    "HostError": "omega.errors",
    "LimitExceeded": "omega.errors",
    "LispError": "omega.errors",
    "OmegaError": "omega.errors",
    "ReplayDivergence": "omega.errors",
    "RunStopped": "omega.errors",
    "TapeEnded": "omega.errors",
    "UnknownOutcome": "omega.errors",
    "TaskCancelled": "omega.errors",
    "Interpreter": "omega.interpreter",
    "Limits": "omega.limits",
    "Procedure": "omega.lisp.procedure",
    "LLMReply": "omega.llm",
    "LLMRequest": "omega.llm",
    "Model": "omega.calls",
    "Models": "omega.calls",
    "Provider": "omega.llm",
    "ASK": "omega.runs.unknown",
    "RETRY": "omega.runs.unknown",
    "RunSettings": "omega.runs.session",
    "effect_key": "omega.runs.taps",
    "replay": "omega.replays",
}

__all__ = [*sorted(_HOMES), "__version__"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'omega' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(home), name)
