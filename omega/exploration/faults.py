"""How what befalls a call is done: to models by a provider, to files by a tap of the effect door.

Owns: `WeatheredProvider`, `FaultTap`. Refuses: deciding (weather.py); functions of the host, which
the driver starts (driver.py).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Any

from omega.effects import FILE_HINT, Act, Tap
from omega.errors import LispFileError, LLMError
from omega.exploration.weather import FILES, LLM, OUTAGE, SLOW, SLOW_S, Weather
from omega.llm import LLMReply, LLMRequest, Provider, Usage
from omega.llm.failures import connection_failure, http_failure, timeout_failure
from omega.llm.provider import Emit, Sleep, note_on, stream_from
from omega.llm.rate_limits import RateLimits

LATENCIES = ("fast", SLOW)
# "cut" comes when the answer was on its way: it has taken as long as an answer does.
LLM_FAULTS = ("429", "500", "timeout", "cut", OUTAGE)
CUTS = {"cut0": 0, "cut1": 1, "cut4": 4}  # of a stream, after so many pieces; "cut" after the last
RETRY_AFTER_S = 2.0
# Of what is done to a file, as errno has it.
FILE_FAULTS = {
    "file.open-read": ("cannot open", ("eio",)),
    "file.open-write": ("cannot open", ("enospc",)),
    "file.delete": ("cannot delete", ("eio",)),
    "file.write": ("cannot write", ("enospc",)),
}


class WeatheredProvider:
    """`provider`, with what `weather` lets befall its calls: how long they take, how they fail."""

    needs_real_time = False

    def __init__(self, provider: Provider, weather: Weather) -> None:
        self._provider, self._weather = provider, weather
        self.model = getattr(provider, "model", None)
        self.has_schemas = getattr(provider, "has_schemas", False)
        self._choices = (*LATENCIES, *LLM_FAULTS) if LLM in weather.kinds else LATENCIES

    @property
    def name(self) -> str:
        return self._provider.name

    async def infer(self, request: LLMRequest, *, sleep: Sleep) -> LLMReply:
        what, fault = await self._befallen(request, sleep, self._choices)
        reply = await self._provider.infer(request, sleep=_at_once if what == "fast" else sleep)
        if fault is not None:
            raise fault
        return reply

    async def stream(self, request: LLMRequest, *, sleep: Sleep, emit: Emit) -> LLMReply:
        choices = (*self._choices, *CUTS) if "cut" in self._choices else self._choices
        what, fault = await self._befallen(request, sleep, choices)
        pace = _at_once if what == "fast" else sleep
        if fault is None:
            return await stream_from(self._provider, request, sleep=pace, emit=emit)
        told = _CutOff(emit, CUTS.get(what or ""))
        try:
            await stream_from(self._provider, request, sleep=pace, emit=told)
        except _Cut:
            pass
        fault.partial, fault.usage = "".join(told.pieces), told.usage
        raise fault

    async def _befallen(
        self, request: LLMRequest, sleep: Sleep, choices: Sequence[str]
    ) -> tuple[str | None, LLMError | None]:
        """What befalls a call; what comes instead of its answer is raised, what comes after some of
        it is given.
        """
        service = request.model or self.name
        what = self._weather.befalls(LLM, request.prompt_text, choices, service)
        if what == SLOW:
            await sleep(SLOW_S)
        fault = self._fault(what, request)
        if fault is not None and what != "cut" and what not in CUTS:
            await sleep(request.timeout_s or SLOW_S if what == "timeout" else 0.0)
            raise fault
        return what, fault

    def _fault(self, what: str | None, request: LLMRequest) -> LLMError | None:
        match what:
            case "429":
                return http_failure(self.name, 429, retry_after_s=RETRY_AFTER_S)
            case "500":
                return http_failure(self.name, 500)
            case "timeout":
                return timeout_failure(self.name, request.timeout_s)
            case "cut" | "cut0" | "cut1" | "cut4":
                return connection_failure(self.name, "the connection was cut")
            case "outage":
                return http_failure(self.name, 503)
        return None

    async def aclose(self) -> None:
        await self._provider.aclose()


class _Cut(Exception):
    """A stream has come as far as it may."""


class _CutOff:
    """An `emit` that takes at most so many pieces. pieces, usage: what came."""

    def __init__(self, emit: Emit, most: int | None) -> None:
        self._emit, self._most = emit, most
        self.pieces: list[str] = []
        self.usage: Usage | None = None

    async def __call__(self, piece: str) -> None:
        if len(self.pieces) == self._most:
            raise _Cut
        self.pieces.append(piece)
        await self._emit(piece)

    def note(self, usage: Usage | None, limits: RateLimits | None) -> None:
        self.usage = usage or self.usage
        note_on(self._emit, usage, limits)


async def _at_once(_: float) -> Any:
    return None


class FaultTap:
    """Files fail as `weather` says. inner: the tap that was there, which records or replays."""

    def __init__(self, weather: Weather, inner: Tap | None) -> None:
        self._weather, self._inner = weather, inner

    def _fail(self, kind: str, path: Any) -> None:
        """Raise what befalls this act on a file, if anything does."""
        verb, choices = FILE_FAULTS[kind]
        what = self._weather.befalls(FILES, f"{kind} {path}", choices)
        if what is not None:
            reason = os.strerror(getattr(errno, what.upper())).lower()
            hint = FILE_HINT if verb == "cannot open" else None
            raise LispFileError(f"{verb} {path}: {reason}", hint=hint)

    def reply(self, kind: str, arguments: tuple[Any, ...], act: Act) -> Any:
        path = arguments[0] if arguments and isinstance(arguments[0], str) else None
        if kind in FILE_FAULTS and path is not None:
            self._fail(kind, path)
        value = act() if self._inner is None else self._inner.reply(kind, arguments, act)
        if kind == "file.open-write":
            return _FailingFile(value, lambda: self._fail("file.write", path))
        return value

    # -- the rest is as it was -----------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        return self._inner is not None and self._inner.is_over

    def written(self, kind: str, act: Act) -> None:
        if self._inner is None:
            act()
        else:
            self._inner.written(kind, act)

    def host(self, name: str, arguments: Any, act: Act) -> Any:
        return act() if self._inner is None else self._inner.host(name, arguments, act)

    def entered(self) -> None:
        if self._inner is not None:
            self._inner.entered()

    def file(self, key: str, act: Act) -> Any:
        return act() if self._inner is None else self._inner.file(key, act)

    def text(self, filename: str, text: str) -> None:
        if self._inner is not None:
            self._inner.text(filename, text)


class _FailingFile:
    """An output file's handle; before each write `fail` may raise."""

    def __init__(self, file: Any, fail: Act) -> None:
        self._file, self._fail = file, fail

    def write(self, data: Any) -> None:
        self._fail()
        self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()
