"""The seam between the governor and a model: the `Provider` protocol.

Owns: what any provider promises. Refuses: retries, queues, limits, prices; those belong to the
governor's side, so that every provider gets the same ones. One contract suite
(`tests/llm/test_provider_contract.py`) runs over all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from omega.llm.answers import token_counts
from omega.llm.request import LLMReply, LLMRequest, Usage

if TYPE_CHECKING:
    from omega.llm.rate_limits import RateLimits

Sleep: TypeAlias = Callable[[float], Awaitable[None]]

# Takes a piece of a stream's text, and waits while its reader is slow. It may have a method
# `note(usage, limits)`, which is told the tokens and the vendor's limits known so far, before the
# end: what is known of a stream that is cancelled (each may be None).
Emit: TypeAlias = Callable[[str], Awaitable[None]]


@runtime_checkable
class Provider(Protocol):
    """One way to reach models. Any Python object with these four members is one.

    name: a short word for messages and traces ("openai").
    needs_real_time: True when `infer` awaits anything but `sleep`; such a provider refuses virtual
    time.

    One that has `async def prepare(*, sleep)` besides is made ready by it before it is first asked
    in an interpreter: for what takes long once and is no part of a call. It raises nothing.
    """

    @property
    def name(self) -> str: ...

    @property
    def needs_real_time(self) -> bool: ...

    async def infer(self, request: LLMRequest, *, sleep: Sleep) -> LLMReply:
        """Make ONE attempt of the call.

        sleep: the driver's `await sleep(seconds)`; a provider that waits for nothing else runs
        under virtual time. Raises LLMError with kind, status, retry_after_s and retryable set (see
        `failures.py`), without holding anything afterwards. When cancelled it returns only after
        its connection is closed: the caller's slot follows it. Overlapping calls are allowed,
        without a limit of the provider's own.
        """

    async def aclose(self) -> None:
        """Give back connections opened in the running loop.

        Idempotent; a later `infer` opens new ones.
        """


@runtime_checkable
class StreamingProvider(Provider, Protocol):
    """A provider that can also give an answer piece by piece."""

    async def stream(self, request: LLMRequest, *, sleep: Sleep, emit: Emit) -> LLMReply:
        """As `infer`, with `await emit(text)` for every piece of the answer's text as it comes.

        The pieces together are the reply's text. While `emit` waits, nothing is read: the reader's
        slowness reaches the server, and does not count for the request's timeout_s. What `emit`
        raises ends the stream and is raised. When the answer breaks off, the LLMError has `partial`
        and, as far as the vendor told it, `usage`. One task owns the connection from its opening to
        its end; `emit` is awaited in it.
        """


async def stream_from(
    provider: Provider, request: LLMRequest, *, sleep: Sleep, emit: Emit
) -> LLMReply:
    """The stream of any provider: of one that has none, its whole answer as one piece."""
    if isinstance(provider, StreamingProvider):
        return await provider.stream(request, sleep=sleep, emit=emit)
    reply = checked_reply(await provider.infer(request, sleep=sleep))
    note_on(emit, reply.usage, reply.limits)
    if reply.text:
        await emit(reply.text)
    return reply


def checked_reply(reply: object) -> LLMReply:
    """What a provider answered. It may be anybody's code: what is no reply is an error of the call,
    which whoever waits for it hears of. Raises TypeError, ValueError.
    """
    if not isinstance(reply, LLMReply):
        raise TypeError(f"its answer must be an LLMReply, got {type(reply).__name__}")
    if not isinstance(reply.text, str):
        raise TypeError(f"the text of its LLMReply must be a str, got {type(reply.text).__name__}")
    usage = reply.usage
    if not isinstance(usage, Usage):
        raise TypeError(f"the usage of its LLMReply must be a Usage, got {type(usage).__name__}")
    if token_counts(usage.input_tokens, usage.output_tokens, *usage.parts().values()) is None:
        raise ValueError(f"the counts of its Usage must be whole numbers from 0 on, got {usage!r}")
    return reply


def note_on(emit: Emit, usage: Usage | None, limits: RateLimits | None) -> None:
    """Tell `emit`, if it listens, what is known so far."""
    note = getattr(emit, "note", None)
    if note is not None:
        note(usage, limits)
