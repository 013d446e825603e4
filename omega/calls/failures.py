"""What is told of a call that failed, and whether another model may answer in its place.

Owns: `as_error`, `told`, `falls_back`. Refuses: to decide whether it is made again (llm/retry.py).
"""

from __future__ import annotations

from omega.calls.flight import Call
from omega.errors import Cancelled, LimitExceeded, LLMError, OmegaError

# Another model may answer what this one could not for such a reason.
FALLS_BACK = frozenset(("rate-limited", "llm-unavailable", "llm-timeout"))
FALLS_BACK_REASONS = frozenset(("key", "model", "context", "schema", "tools", "images"))


def as_error(call: Call, error: BaseException) -> OmegaError:
    """The condition for what a provider raised."""
    if isinstance(error, OmegaError):
        return error
    name = call.model.provider.name
    if isinstance(error, Cancelled):
        return LLMError(f"the call of the provider `{name}` was cancelled", kind="llm-error")
    wrapped = LLMError(f"the provider `{name}` raised {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped


def told(call: Call, error: OmegaError) -> OmegaError:
    """`error` with what is known here: which model was asked, how often; and that a program may
    handle it, budgets too: it goes on without what it cannot pay.
    """
    if isinstance(error, LimitExceeded):
        error.is_final = False
    if isinstance(error, LLMError):
        error.model = error.model or call.model.shown
        error.attempts = call.flight.attempts
        if call.flight.attempts > 1 and "attempts" not in error.message:
            error.message += f" ({call.flight.attempts} attempts)"
    return error


def falls_back(error: OmegaError) -> bool:
    """Whether another model might answer."""
    if not isinstance(error, LLMError):
        return False
    return (
        error.kind in FALLS_BACK or error.throttle == "quota" or error.reason in FALLS_BACK_REASONS
    )
