"""How a program's calls fail: what it is told of them, and when another model is asked.

Owns: `as_error`, `told`, `empty_answer`, `nothing_said`, `next_fallback`. Refuses: to know what
went wrong on the wire (llm/failures.py), and when to try again (llm/retry.py).

Whatever a call fails with names the model that was asked and how often, in a note and as fields.
"""

from __future__ import annotations

from typing import TypeVar

from omega.calls.flight import Call, Flight
from omega.calls.models import Model
from omega.errors import Cancelled, LimitExceeded, LLMError, OmegaError
from omega.lisp.procedure import in_short
from omega.llm.request import LLMReply

Told = TypeVar("Told", bound=OmegaError)

ASKED = "asked "
NOT_AGAIN = "not tried again: too many calls fail for each of them to be repeated"

# Another model may answer what this one could not for such a reason.
_FALLS_BACK = frozenset(("rate-limited", "llm-unavailable", "llm-timeout"))
_FALLS_BACK_REASONS = frozenset(("key", "model", "context", "schema", "tools", "images"))


def as_error(call: Call, error: BaseException) -> OmegaError:
    """What a provider raised, as a condition."""
    if isinstance(error, OmegaError):
        return error
    name = call.model.provider.name
    if isinstance(error, Cancelled):
        return LLMError(f"the call of the provider `{name}` was cancelled", kind="llm-error")
    wrapped = LLMError(f"the provider `{name}` raised {in_short(error)}")
    wrapped.__cause__ = error
    return wrapped


def told(flight: Flight, error: Told) -> Told:
    """`error` with what is known here: which model was asked, how often; and that a program may
    handle it, budgets too: it goes on without what it cannot pay.
    """
    if isinstance(error, LimitExceeded):
        error.is_final = False
    if isinstance(error, LLMError):
        error.model = flight.model.shown
        error.attempts = flight.sent
        if not any(text.startswith(ASKED) for text, _ in error.notes):
            error.notes.append((_asked(flight), None))
    return error


def _asked(flight: Flight) -> str:
    """Who was asked, how often: the last one, and those before it that could not answer."""
    already = [0, *(attempts for _, attempts in flight.tried)]
    text = f"{ASKED}{flight.model.title}, {_times(flight.sent - already[-1])}"
    for (name, until), since in zip(flight.tried, already, strict=False):
        text += f"; before it {name}, {_times(until - since)}"
    return text


def _times(attempts: int) -> str:
    if attempts == 0:
        return "but nothing was sent"
    return "once" if attempts == 1 else f"{attempts} times"


def empty_answer(flight: Flight, reply: LLMReply) -> LLMError | None:
    """The error for an answer in which there is nothing; None: there is something.

    An answer that is to follow a schema is judged by whoever reads it, and asked for again.
    """
    if reply.text or reply.tool_calls or flight.request.schema is not None:
        return None
    return nothing_said(reply)


def nothing_said(reply: LLMReply) -> LLMError:
    """The error for an answer in which there is nothing."""
    hint = "ask otherwise; or, if nothing is an answer, have the model say so in a word"
    if reply.finish_reason == "length":
        hint = "what the model does not show used up its tokens: allow more by :max-tokens"
    return LLMError(
        f"the answer is empty, and ended with {reply.finish_reason}",
        kind="bad-response",
        hint=hint,
        model=reply.model or None,
        partial=reply.text or None,
        usage=reply.usage,
    )


def next_fallback(flight: Flight, error: OmegaError) -> Model | None:
    """Who is to be asked in place of the model that failed with `error`; None: nobody.

    Those that this machine is not ready to ask are passed over, which the error tells.
    """
    if flight.pieces or not _falls_back(error):
        return None
    while flight.fallbacks:
        model = flight.fallbacks.pop(0)
        problem = model.problem
        if problem is None:
            return model
        note = f"its fallback {model.title} cannot be asked: {problem.message}"
        error.notes.append((note, None))
    return None


def _falls_back(error: OmegaError) -> bool:
    """Whether another model might answer."""
    if not isinstance(error, LLMError):
        return False
    return (
        error.kind in _FALLS_BACK
        or error.throttle == "quota"
        or error.reason in _FALLS_BACK_REASONS
    )
