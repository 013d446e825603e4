"""What befalls calls of a model in an explored run: slow and fast answers, and faults.

Owns: `Weather`, a provider around a provider that asks the run's chooser about every call.
Refuses: real time: an explored run waits for nothing.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

from omega.errors import LLMError
from omega.exploration.choosers import Follower
from omega.llm import LLMReply, LLMRequest, Provider
from omega.llm.failures import connection_failure, http_failure, timeout_failure
from omega.llm.provider import Sleep

SLOW_S = 60.0
LATENCIES = ("fast", "slow")
# "cut" comes when the answer was on its way: it has taken as long as an answer does.
FAULTS = ("429", "500", "timeout", "cut")
RETRY_AFTER_S = 2.0


class Weather:
    """`provider`, with what `chooser` lets befall its calls: how long they take and, with `faults`,
    how they fail. A call is known by its prompt and how often that was asked.
    """

    needs_real_time = False

    def __init__(self, provider: Provider, chooser: Follower, *, faults: bool) -> None:
        self._provider, self._chooser = provider, chooser
        self._choices = (*LATENCIES, *FAULTS) if faults else LATENCIES
        self._asked: dict[str, int] = {}

    @property
    def name(self) -> str:
        return self._provider.name

    async def infer(self, request: LLMRequest, *, sleep: Sleep) -> LLMReply:
        text = request.prompt_text
        prompt = f"{crc32(text.encode('utf-8', 'surrogatepass')):x}"
        count = self._asked[prompt] = self._asked.get(prompt, 0) + 1
        what = self._chooser.call_befalls(prompt, text, count, self._choices)
        if what == "slow":
            await sleep(SLOW_S)
        fault = self._fault(what, request)
        if fault is not None and what != "cut":
            await sleep(request.timeout_s or SLOW_S if what == "timeout" else 0.0)
            raise fault
        reply = await self._provider.infer(request, sleep=_at_once if what == "fast" else sleep)
        if fault is not None:
            raise fault
        return reply

    def _fault(self, what: str | None, request: LLMRequest) -> LLMError | None:
        match what:
            case "429":
                return http_failure(self.name, 429, retry_after_s=RETRY_AFTER_S)
            case "500":
                return http_failure(self.name, 500)
            case "timeout":
                return timeout_failure(self.name, request.timeout_s)
            case "cut":
                return connection_failure(self.name, "the connection was cut")
        return None

    async def aclose(self) -> None:
        await self._provider.aclose()


async def _at_once(_: float) -> Any:
    return None
