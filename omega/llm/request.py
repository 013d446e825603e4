"""What is asked of a language model, and what comes back.

Owns: `LLMRequest`, `LLMReply`, `Usage`: plain values, complete and checked when made, never changed
afterwards. Refuses: to know any vendor, clock or queue. The shapes of messages and tools are
`messages.py`'s, which is loaded when a request has some.

Invariant: two requests with equal content have equal `content_hash()`, in every process and version
of Python. The hash covers everything that may change the answer, and nothing else (`timeout_s` is
left out).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from omega.errors import LispTypeError, LispValueError

if TYPE_CHECKING:
    from omega.llm.messages import ToolCall
    from omega.llm.rate_limits import RateLimits

SCHEMA_NAME = "answer"
PROMPT_SHOWN_CHARS = 60  # of a prompt, in a repr
COUNT_MAX = 10**15  # of tokens: no model has so many, and larger ones cannot even be written
EXTRA_NODES_MAX = 1_000_000  # values inside of a request: also what stops a cycle


class Usage:
    """Tokens of one call.

    cached_tokens: how many of the input tokens the vendor read from its cache. written_tokens: how
    many it wrote to its cache. reasoning_tokens: how many of the output tokens are thinking, as far
    as the vendor tells. is_reported: False when the provider did not say; the counts are then 0.
    """

    __slots__ = (
        *("cached_tokens", "input_tokens", "is_reported", "output_tokens"),
        *("reasoning_tokens", "written_tokens"),
    )

    def __init__(
        self,
        input_tokens: int = 0,
        output_tokens: int = 0,
        *,
        cached_tokens: int = 0,
        written_tokens: int = 0,
        reasoning_tokens: int = 0,
        is_reported: bool = True,
    ) -> None:
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens
        self.cached_tokens = cached_tokens
        self.written_tokens = written_tokens
        self.reasoning_tokens = reasoning_tokens
        self.is_reported = is_reported

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def parts(self) -> dict[str, int]:
        """What is told of its parts, by name: those that are not 0."""
        names = ("cached_tokens", "written_tokens", "reasoning_tokens")
        return {name: count for name in names if (count := getattr(self, name))}

    def _key(self) -> tuple[Any, ...]:
        parts = (self.cached_tokens, self.written_tokens, self.reasoning_tokens)
        return (self.input_tokens, self.output_tokens, *parts, self.is_reported)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Usage) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        parts = "".join(f", {name}={count}" for name, count in self.parts().items())
        known = "" if self.is_reported else ", is_reported=False"
        counts = f"input_tokens={self.input_tokens}, output_tokens={self.output_tokens}"
        return f"Usage({counts}{parts}{known})"


class LLMReply:
    """One finished answer.

    model: the model that answered, as the provider names it. finish_reason: "stop", "length",
    "tool_calls", or the vendor's word. tool_calls: what the model asks to be done before it goes
    on. limits: what the vendor told of its limits, if it did. parts: of an answer with thinking,
    its thinking and its texts in the order they came, as content parts (omega/llm/messages.py).
    """

    __slots__ = ("finish_reason", "limits", "model", "parts", "text", "tool_calls", "usage")

    def __init__(
        self,
        text: str,
        usage: Usage | None = None,
        model: str = "",
        finish_reason: str = "stop",
        *,
        tool_calls: Sequence[ToolCall] = (),
        limits: RateLimits | None = None,
        parts: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.text = text
        self.usage = usage if usage is not None else Usage(is_reported=False)
        self.model = model
        self.finish_reason = finish_reason
        self.tool_calls = tuple(tool_calls)
        self.limits = limits
        self.parts = tuple(parts)

    @property
    def thinking(self) -> str:
        """What the model thought before it answered, as far as its vendor shows that."""
        if not self.parts:
            return ""
        from omega.llm.messages import thinking_of

        return thinking_of(self.parts)

    def as_message(self) -> dict[str, Any]:
        """The assistant's turn, for the `messages` of the next request: its thinking with it."""
        content: Any = [dict(part) for part in self.parts] or self.text
        turn: dict[str, Any] = {"role": "assistant", "content": content}
        if self.tool_calls:
            turn["tool_calls"] = [call.as_message() for call in self.tool_calls]
        return turn

    def __repr__(self) -> str:
        calls = f", tool_calls={self.tool_calls!r}" if self.tool_calls else ""
        answered = f"{self.usage!r}, {self.model!r}, {self.finish_reason!r}"
        return f"LLMReply({_shown(self.text)}, {answered}{calls})"


class LLMRequest:
    """One call of a language model.

    prompt: the user's turn; with `messages` it is the last turn, and may then be empty.
    messages: earlier turns (their shape: omega/llm/messages.py).
    model: None takes the provider's default. system: the system prompt. temperature: a finite
    number >= 0.
    max_tokens: > 0, of the answer. thinking: > 0, tokens the model may think for; effort: the
    vendor's word for how much it is to think, such as "low". stop: texts that end the answer.
    timeout_s: > 0, seconds one attempt may take; a stream's reader's own slowness does not count.
    tools: what the model may ask for, each {"name", "description", "parameters": JSON Schema}.
    schema: the JSON Schema the answer's text is to follow, under the name schema_name; it is passed
    on to vendors that have a JSON mode, and the answer is not checked here.
    extra: further parameters, passed to the vendor as they are (JSON data).
    cache: whether an equal call may have been answered before (None: only one in flight, and with
    temperature 0). hedge_after_s: when the call is made once more. Neither is part of the content.
    Raises LispTypeError and LispValueError, naming the field.
    """

    __slots__ = (
        "_hash",
        "cache",
        "effort",
        "extra",
        "hedge_after_s",
        "max_tokens",
        "messages",
        "model",
        "prompt",
        "schema",
        "schema_name",
        "stop",
        "system",
        "temperature",
        "thinking",
        "timeout_s",
        "tools",
    )

    def __init__(
        self,
        prompt: str = "",
        *,
        messages: Sequence[Mapping[str, Any]] = (),
        model: str | None = None,
        system: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        stop: str | Sequence[str] = (),
        timeout_s: float | None = None,
        extra: Mapping[str, Any] | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
        schema: Mapping[str, Any] | None = None,
        schema_name: str = SCHEMA_NAME,
        cache: bool | None = None,
        hedge_after_s: float | None = None,
        thinking: int | None = None,
        effort: str | None = None,
    ) -> None:
        self.prompt: str = _text("prompt", prompt)
        self.messages: tuple[dict[str, Any], ...] = ()
        self.tools: tuple[dict[str, Any], ...] = ()
        self.schema: dict[str, Any] | None = None
        self.schema_name = SCHEMA_NAME
        if messages != () or tools != () or schema is not None or schema_name != SCHEMA_NAME:
            self._read(messages, tools, schema, schema_name)
        self.model = None if model is None else _text("model", model)
        if model is not None and not model.strip():
            raise LispValueError(
                "an LLM request's model must not be empty", hint="leave it out for the default"
            )
        self.system = None if system is None else _text("system", system)
        self.temperature = None if temperature is None else _number("temperature", temperature)
        self.max_tokens = None if max_tokens is None else _count("max_tokens", max_tokens)
        self.stop: tuple[str, ...] = _texts("stop", stop)
        self.timeout_s = None if timeout_s is None else _number("timeout_s", timeout_s)
        if self.timeout_s == 0:
            raise LispValueError("an LLM request's timeout_s must be positive, got 0")
        if extra is not None and not isinstance(extra, Mapping):
            raise LispTypeError(f"an LLM request's extra must be a mapping, got {_kind(extra)}")
        self.extra: dict[str, Any] = dict(extra or {})
        self.cache = cache
        self.hedge_after_s = hedge_after_s
        self.thinking = None if thinking is None else _count("thinking", thinking)
        self.effort = None if effort is None else _text("effort", effort)
        self._hash: str | None = None

    def replaced(self, **changes: Any) -> LLMRequest:
        """The same request but for `changes`."""
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "_hash"}
        return LLMRequest(**(fields | changes))

    def _read(self, messages: object, tools: object, schema: object, schema_name: object) -> None:
        from omega.llm import messages as shapes

        self.messages = shapes.checked_messages(messages)
        self.tools = shapes.checked_tools(tools)
        self.schema = shapes.checked_schema(schema)
        self.schema_name = shapes.checked_name(schema_name, "an LLM request's schema_name")

    def turns(self) -> list[dict[str, Any]]:
        """The conversation without the system prompt: `messages`, then the prompt as the user's
        turn.
        """
        turns = list(self.messages)
        if self.prompt or not turns:
            turns.append({"role": "user", "content": self.prompt})
        return turns

    @property
    def prompt_text(self) -> str:
        """What the model is to answer: the prompt, or the text of the last turn."""
        if self.prompt or not self.messages:
            return self.prompt
        from omega.llm.messages import text_of

        return text_of(self.messages[-1]["content"])

    def content_hash(self) -> str:
        """A SHA-256, in hexadecimal, of everything that may change the answer.

        Computed once, when first asked for.
        Raises LispTypeError when a part of the request holds what is not JSON data.
        """
        if self._hash is None:
            content: list[object] = [
                self.prompt,
                self.messages,
                self.model,
                self.system,
                self.temperature,
                self.max_tokens,
                self.stop,
                self.extra,
            ]
            if self.tools or self.schema is not None:  # others keep the hash they always had
                content += [self.tools, self.schema, self.schema_name]
            if self.thinking is not None or self.effort is not None:
                content.append({"thinking": self.thinking, "effort": self.effort})
            self._hash = _digest(content)
        return self._hash

    def __repr__(self) -> str:
        model = f", model={self.model!r}" if self.model is not None else ""
        return f"LLMRequest({_shown(self.prompt_text)}{model})"


def _shown(text: str) -> str:
    cut = text if len(text) <= PROMPT_SHOWN_CHARS else text[: PROMPT_SHOWN_CHARS - 3] + "..."
    return repr(cut)


def _kind(value: object) -> str:
    return type(value).__name__


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise LispTypeError(f"an LLM request's {field} must be a string, got {_kind(value)}")
    return value


def _texts(field: str, value: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Sequence):
        raise LispTypeError(
            f"an LLM request's {field} must be a list of strings, got {_kind(value)}"
        )
    return tuple(_text(field, one) for one in value)


def _number(field: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, Fraction)):
        raise LispTypeError(f"an LLM request's {field} must be a number, got {_kind(value)}")
    if not 0 <= value <= 1e15:  # refuses NaN and infinity as well
        raise LispValueError(
            f"an LLM request's {field} must be finite and not negative, got {_digits(value)}"
        )
    return float(value)


def _count(field: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise LispTypeError(f"an LLM request's {field} must be an integer, got {_kind(value)}")
    if value < 1:
        raise LispValueError(f"an LLM request's {field} must be positive, got {_digits(value)}")
    if value > COUNT_MAX:
        raise LispValueError(
            f"an LLM request's {field} must be at most {COUNT_MAX:,}, got {_digits(value)}"
        )
    return value


def _digits(value: int | float | Fraction) -> str:
    """A number as it is written; of one that is beyond all bounds (str refuses 5,000 digits) how
    large it is.
    """
    if isinstance(value, (int, Fraction)) and not -COUNT_MAX <= value <= COUNT_MAX:
        return f"a number of {int(value).bit_length()} bits"
    return str(value)


def _digest(content: object) -> str:
    """SHA-256 of a tagged, length-prefixed walk.

    Iterative: data from outside may be nested as deep as it likes.
    """
    import hashlib  # 3 ms that most programs never need

    hasher = hashlib.sha256(b"omega.llm.request/1")
    stack: list[object] = [content]
    nodes = 0
    while stack:
        nodes += 1
        if nodes > EXTRA_NODES_MAX:
            raise LispValueError(f"an LLM request holds more than {EXTRA_NODES_MAX:,} values")
        value = stack.pop()
        if value is None:
            encoded, tag = b"", "n"
        elif isinstance(value, bool):
            encoded, tag = str(value).encode(), "b"
        elif isinstance(value, int):
            encoded, tag = hex(value).encode(), "i"  # str() refuses large ones
        elif isinstance(value, float):
            encoded, tag = repr(value).encode(), "f"
        elif isinstance(value, str):
            encoded, tag = value.encode("utf-8", "surrogatepass"), "s"
        elif isinstance(value, Mapping):
            if not all(isinstance(key, str) for key in value):
                raise LispTypeError("an LLM request's mappings need string keys")
            encoded, tag = str(len(value)).encode(), "m"
            for key in sorted(value, reverse=True):
                stack.append(value[key])
                stack.append(key)
        elif isinstance(value, (list, tuple)):
            encoded, tag = str(len(value)).encode(), "l"
            stack.extend(reversed(value))
        else:
            raise LispTypeError(f"an LLM request must hold JSON data only, got {_kind(value)}")
        hasher.update(f"{tag}{len(encoded)}:".encode())
        hasher.update(encoded)
    return hasher.hexdigest()
