"""The embedded provider: answers by rules, without key, network, clock or chance.

Owns: `ScriptedProvider`, its rules and its call log. It waits for nothing but the driver's `sleep`,
and every latency is a hash of the prompt, so it runs under virtual time and equal runs are equal.
Refuses: to be a model. Rules come from the host; a search for one takes time in proportion to the
prompt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from omega.errors import LLMError, OmegaError
from omega.llm.failures import timeout_failure
from omega.llm.provider import Emit, Sleep, note_on
from omega.llm.request import LLMReply, LLMRequest, Usage
from omega.llm.rules import Rule, crc, read_rules, read_rules_file, token_estimate, words_of

if TYPE_CHECKING:
    from omega.regex import Match

CALLS_KEPT = 10_000  # entries of the call log
PROMPTS_COUNTED_MAX = 1_000_000  # distinct ones; then counting their occurrences starts again

Answer = str | LLMReply | Mapping[str, Any] | None
Script = Mapping[str, Any] | Sequence[Mapping[str, Any]] | Callable[[LLMRequest], Answer]


class ScriptedCall:
    """One entry of the call log.

    started, ended: positions in the one order of all starts and ends (ended None: in flight).
    outcome: "pending", "ok", "cancelled", or the kind of the error. rule: index of the rule that
    answered, or None.
    """

    __slots__ = ("ended", "latency_ms", "outcome", "request", "rule", "started", "text")

    def __init__(self, request: LLMRequest, started: int) -> None:
        self.request = request
        self.started = started
        self.ended: int | None = None
        self.outcome = "pending"
        self.rule: int | None = None
        self.latency_ms = 0.0
        self.text: str | None = None

    @property
    def prompt(self) -> str:
        return self.request.prompt_text

    def __repr__(self) -> str:
        return f"ScriptedCall({self.request!r}, {self.outcome}, {self.started}..{self.ended})"


class ScriptedProvider:
    """Answers from `script`: {"rules": [...]}, a list of rules, or a callable; None has the default
    answer only.

    A callable gets the LLMRequest and returns a text, an LLMReply, a rule (a mapping), or None for
    the default answer; an LLMError it raises is the call's.
    Raises LLMError (llm-configuration), naming `source`, the rule's index and the field.
    """

    needs_real_time = False

    def __init__(
        self,
        script: Script | None = None,
        *,
        model: str = "scripted",
        source: str = "<rules>",
        calls_kept: int = CALLS_KEPT,
    ) -> None:
        self.model = model
        self._source = source
        self._answer = script if callable(script) else None
        self._rules: list[Rule] = []
        if script is not None and not callable(script):
            self._rules = read_rules(script, source)
        self._log: deque[ScriptedCall] = deque(maxlen=calls_kept)
        self._events = 0
        self._asked: dict[int, int] = {}  # crc32 of a prompt -> times asked
        self.in_flight = 0
        self.peak = 0

    @classmethod
    def from_file(
        cls, path: str, *, read_text: Callable[[str], str] | None = None, model: str = "scripted"
    ) -> ScriptedProvider:
        """Rules from a JSON file.

        Raises LispFileError (unreadable), LLMError (not what rules look like).
        """
        return cls(read_rules_file(path, read_text), model=model, source=path)

    @property
    def name(self) -> str:
        return "scripted"

    @property
    def calls(self) -> list[ScriptedCall]:
        """The log, oldest call first; at most `calls_kept` of the latest."""
        return list(self._log)

    async def infer(self, request: LLMRequest, *, sleep: Sleep) -> LLMReply:
        """Answer after the rule's latency. See `Provider.infer`."""
        return await self._logged(request, sleep, None)

    async def stream(self, request: LLMRequest, *, sleep: Sleep, emit: Emit) -> LLMReply:
        """Answer word by word, with the rule's latency spread over the words. See
        `StreamingProvider.stream`.
        """
        return await self._logged(request, sleep, emit)

    async def aclose(self) -> None:
        """Nothing to give back."""

    def __repr__(self) -> str:
        return f"ScriptedProvider({self._source}, {len(self._rules)} rules)"

    async def _logged(self, request: LLMRequest, sleep: Sleep, emit: Emit | None) -> LLMReply:
        call = ScriptedCall(request, self._tick())
        self._log.append(call)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            reply = await self._play(call, sleep, emit)
            call.outcome, call.text = "ok", reply.text
            return reply
        except OmegaError as error:
            call.outcome = error.kind
            if isinstance(error, LLMError) and error.model is None:
                error.model = request.model or self.model
            raise
        except Exception as error:
            call.outcome = type(error).__name__
            raise
        finally:
            if call.outcome == "pending":
                call.outcome = "cancelled"
            self.in_flight -= 1
            call.ended = self._tick()

    def _tick(self) -> int:
        self._events += 1
        return self._events

    async def _play(self, call: ScriptedCall, sleep: Sleep, emit: Emit | None) -> LLMReply:
        request = call.request
        prompt = request.prompt_text
        occurrence = self._count(prompt)
        rule, groups, ready = self._find(call, request, prompt)
        call.latency_ms = rule.latency(prompt, occurrence)
        timeout_s = request.timeout_s
        wait_s = call.latency_ms / 1000
        if ready is None and (rule.fault is None or rule.cut_after is not None):
            ready = self._reply(rule, groups, request, occurrence)
        if emit is not None and ready is not None:
            return await _told(ready, _Pace(sleep, wait_s, timeout_s), rule, self.name, emit)
        is_late = timeout_s is not None and (rule.fault == "timeout" or wait_s >= timeout_s)
        await sleep(timeout_s if is_late and timeout_s is not None else wait_s)
        if is_late or rule.fault == "timeout":
            raise timeout_failure(self.name, timeout_s)
        if rule.fault is not None:
            raise rule.failure(self.name)
        assert ready is not None
        return ready

    def _reply(
        self, rule: Rule, groups: Match | None, request: LLMRequest, occurrence: int
    ) -> LLMReply:
        prompt = request.prompt_text
        text = rule.text(groups, prompt)
        calls = rule.tool_calls(groups, prompt, occurrence)
        is_to_think = request.thinking is not None or request.effort is not None
        thought = rule.thought(groups) if is_to_think else ""
        said = token_estimate(text) + sum(token_estimate(repr(call.arguments)) for call in calls)
        mused = token_estimate(thought)
        usage = rule.usage or Usage(token_estimate(prompt), said + mused, reasoning_tokens=mused)
        model = request.model or self.model
        finish = "tool_calls" if calls else "stop"
        parts = [{"type": "thinking", "text": thought}] if thought else []
        if thought and text:
            parts.append({"type": "text", "text": text})
        return LLMReply(text, usage, model, finish, tool_calls=calls, parts=parts)

    def _count(self, prompt: str) -> int:
        key = crc(prompt)
        if len(self._asked) >= PROMPTS_COUNTED_MAX:
            self._asked.clear()
        self._asked[key] = occurrence = self._asked.get(key, 0) + 1
        return occurrence

    def _find(
        self, call: ScriptedCall, request: LLMRequest, prompt: str
    ) -> tuple[Rule, Match | None, LLMReply | None]:
        """The rule that answers, its match, and the finished reply if a callable gave one."""
        if self._answer is not None:
            answer = self._answer(request)
            if isinstance(answer, LLMReply):
                return _AT_ONCE, None, answer
            if isinstance(answer, str):
                return Rule.saying(answer), None, None
            if answer is None:
                return _DEFAULT, None, None
            rule = Rule.read(answer, f"{self._source}: the callable's answer")
            match = rule.search(prompt)
            return (rule if match else _DEFAULT), _groups(match), None
        for index, rule in enumerate(self._rules):
            if rule.times_left != 0 and (match := rule.search(prompt)):
                if rule.times_left is not None:
                    rule.times_left -= 1
                call.rule = index
                return rule, _groups(match), None
        return _DEFAULT, None, None


class _Pace:
    """The waits of a stream: the latency in even parts, until the time is up."""

    def __init__(self, sleep: Sleep, wait_s: float, timeout_s: float | None) -> None:
        self._sleep, self._wait_s, self._timeout_s = sleep, wait_s, timeout_s
        self._waited_s = 0.0

    async def reach(self, part: float) -> bool:
        """Wait until `part` of the latency is over; False when the time is up before."""
        until_s = self._wait_s * part
        is_late = self._timeout_s is not None and until_s >= self._timeout_s
        if is_late and self._timeout_s is not None:
            until_s = self._timeout_s
        await self._sleep(max(0.0, until_s - self._waited_s))
        self._waited_s = until_s
        return not is_late

    def failure(self, provider: str) -> LLMError:
        return timeout_failure(provider, self._timeout_s)


async def _told(reply: LLMReply, pace: _Pace, rule: Rule, provider: str, emit: Emit) -> LLMReply:
    """`reply` word by word, or as far as the rule's cut and the time let it come."""
    words = words_of(reply.text) or [""]
    usage = reply.usage
    note_on(emit, Usage(usage.input_tokens, cached_tokens=usage.cached_tokens), reply.limits)
    failure: LLMError | None = None
    told: list[str] = []
    for number, word in enumerate(words, 1):
        if not await pace.reach(number / len(words)):
            failure = pace.failure(provider)
        elif number - 1 == rule.cut_after:
            failure = rule.failure(provider)
        if failure is not None:
            break
        if word:
            told.append(word)
            await emit(word)
    if failure is None and rule.cut_after is not None:  # a cut after more words than there are
        failure = rule.failure(provider)
    if failure is None:
        return reply
    sent = min(len(told), usage.output_tokens)
    failure.partial = "".join(told)
    failure.usage = Usage(usage.input_tokens, sent, cached_tokens=usage.cached_tokens)
    failure.limits = reply.limits
    raise failure


def _groups(match: Match | bool) -> Match | None:
    return None if isinstance(match, bool) else match


_DEFAULT = Rule()
_AT_ONCE = Rule.saying("")
