"""The seam between the governor and a model: the `Provider` protocol.

Owns: what any provider promises. Refuses: retries, queues, limits, prices; those belong to the
governor's side, so that every provider gets the same ones. One contract suite
(`tests/llm/test_provider_contract.py`) runs over all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias, runtime_checkable

from omega.llm.request import LLMReply, LLMRequest

Sleep: TypeAlias = Callable[[float], Awaitable[None]]


@runtime_checkable
class Provider(Protocol):
    """One way to reach models. Any Python object with these four members is one.

    name: a short word for messages and traces ("openai").
    needs_real_time: True when `infer` awaits anything but `sleep`; such a provider refuses virtual
    time.
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
