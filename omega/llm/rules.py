"""The rules of the scripted provider: read from JSON or Python, checked completely, then only
looked up.

Owns: the format below, its error messages, and what a rule answers. Refuses: to wait, and to keep a
log.

A rule (the first that matches answers; fields not listed are refused):

    match           regular expression (of omega/regex/syntax.py: linear in the prompt, so without
                    back-references and look-around), searched in the prompt (or the last message);
                    absent: matches everything
    reply           text with \\1 or \\g<name> for groups, \\\\ for a backslash; absent: the default
                    answer
    json            data: the answer is its JSON; groups stand in its strings as in a reply
    tool_calls      [{"name": text, "arguments": object}]: what the model asks for, beside `reply`;
                    groups stand in the arguments' strings
    thinking        what the model thinks first, if the request asks for thinking or effort; groups
                    stand in it as in a reply
    latency_ms      n, or [lo, hi]: drawn by a hash of the prompt and of how often it was asked
                    before; of a stream it is spread over the words
    usage           {"input_tokens": n, "output_tokens": n, "cached_tokens": n}; absent: a word
                    counts as a token
    fault           "429", "500" or any status 400-599, and after a colon which kind: "429:slope"
                    (concurrency, rate, slope, quota, overload), "400:context" (key, model, context,
                    content, schema, tools, images) · "timeout" · "cut:K" (breaks after K words; of
                    a stream those have come) · "garbage"
    retry_after_ms  what a status fault asks to wait
    times           the rule answers so often, and is then passed over

Every problem is one error that names the file, and the line and column or the rule's index and the
field.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from omega.errors import LispFileError, LLMError, OmegaError, Span
from omega.llm.failures import (
    REASONS,
    THROTTLES,
    bad_response,
    connection_failure,
    http_failure,
    misconfigured,
)
from omega.llm.request import Usage

if TYPE_CHECKING:
    from omega.llm.messages import ToolCall
    from omega.regex import Match, Regex

DEFAULT_LATENCY_MS = (200.0, 1200.0)
LATENCY_MS_MAX = 86_400_000.0
SEARCH_STEPS_MAX = 1_000_000  # of one rule in one prompt: about a second
DATA_NESTING_MAX = 100  # of `json` and of arguments
RULES_HINT = 'a rules file is {"rules": [{"match": "regex", "reply": "text with \\\\1"}]}'


class Rule:
    """One checked rule.

    pattern: None matches everything. template: None answers as if there were no rule, unless it
    has `data` or `calls`. data: a box with the data of `json`. calls: (name, arguments) of its tool
    calls. times_left: None is without end.
    """

    __slots__ = (
        "calls",
        "data",
        "fault",
        "latency_ms",
        "pattern",
        "retry_after_s",
        "template",
        "thinking",
        "times_left",
        "usage",
    )

    def __init__(self) -> None:
        self.pattern: Regex | None = None
        self.template: str | None = None
        self.data: tuple[Any] | None = None
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.thinking = ""
        self.latency_ms = DEFAULT_LATENCY_MS
        self.usage: Usage | None = None
        self.fault: str | None = None
        self.retry_after_s: float | None = None
        self.times_left: int | None = None

    @classmethod
    def saying(cls, text: str) -> Rule:
        """A rule that answers `text` as it is, at once."""
        rule = cls()
        rule.template = text.replace("\\", "\\\\")
        rule.latency_ms = (0.0, 0.0)
        return rule

    @classmethod
    def read(cls, raw: object, where: str) -> Rule:
        """Check a rule as it came from JSON or Python.

        Raises LLMError (llm-configuration) that begins with `where`.
        """
        if not isinstance(raw, Mapping):
            raise _wrong(where, f"a rule is an object, got {_json_name(raw)}")
        rule = cls()
        for field, value in raw.items():
            read = _FIELDS.get(field)
            if read is None:
                known = ", ".join(_FIELDS)
                raise misconfigured(
                    f"{where}: unknown field `{field}`", f"fields of a rule: {known}"
                )
            read(rule, value, f"{where}, field `{field}`")
        if rule.retry_after_s is not None and not (rule.fault or "")[:3].isdigit():
            raise _wrong(f"{where}, field `retry_after_ms`", 'needs a fault such as "429"')
        if rule.template is not None:
            if rule.data is not None:
                raise _wrong(f"{where}, field `json`", "there is a `reply` as well")
            _check_groups(rule.template, rule.pattern, f"{where}, field `reply`")
        checked = (("json", rule.data), ("tool_calls", rule.calls), ("thinking", rule.thinking))
        for field, data in checked:
            for text in _strings(data):
                _check_groups(text, rule.pattern, f"{where}, field `{field}`")
        return rule

    def search(self, prompt: str) -> Match | bool:
        """The match of the rule's pattern; True when it has none, False when it does not match.

        Raises LLMError (llm-configuration) when it takes more than SEARCH_STEPS_MAX.
        """
        if self.pattern is None:
            return True
        left = SEARCH_STEPS_MAX

        def charge(steps: int) -> None:
            nonlocal left
            left -= steps
            if left < 0:
                raise misconfigured(
                    f"the regular expression {pattern.pattern[:100]!r} of a rule takes too long",
                    "its counted repetitions are large: use * and +",
                )

        pattern = self.pattern
        return pattern.search(prompt, 0, charge) or False

    def latency(self, prompt: str, occurrence: int) -> float:
        """Milliseconds within the rule's bounds, by a hash of the prompt and its occurrence."""
        low, high = self.latency_ms
        return low + (high - low) * (crc(f"{occurrence}:{prompt}") / 0x1_0000_0000)

    def text(self, match: Match | None, prompt: str) -> str:
        """The answer, with the groups of `match` in their places."""
        if self.template is not None:
            return _filled(self.template, match)
        if self.data is not None:
            import json

            return json.dumps(_filled_data(self.data[0], match), ensure_ascii=False)
        if self.calls:
            return ""
        lines = prompt.splitlines()
        return "[scripted] " + (lines[0] if lines else "")

    def thought(self, match: Match | None) -> str:
        """What the model thinks before it answers."""
        return _filled(self.thinking, match)

    def tool_calls(self, match: Match | None, prompt: str, occurrence: int) -> list[ToolCall]:
        """What the model asks for. The ids are equal in equal runs."""
        if not self.calls:
            return []
        from omega.llm.messages import ToolCall

        turn = crc(f"{occurrence}:{prompt}")
        return [
            ToolCall(f"call_{turn:08x}_{at}", name, _filled_data(arguments, match))
            for at, (name, arguments) in enumerate(self.calls)
        ]

    def failure(self, provider: str) -> LLMError:
        """The error of the rule's fault ("timeout" excepted, which depends on the request)."""
        fault = self.fault or ""
        if fault == "garbage":
            return bad_response(provider, "scripted garbage")
        if self.cut_after is not None:
            return connection_failure(provider, f"connection cut after {self.cut_after} tokens")
        status, _, what = fault.partition(":")
        return http_failure(
            provider,
            int(status),
            "scripted fault",
            retry_after_s=self.retry_after_s,
            throttle=what if what in THROTTLES else None,
            reason=what if what in REASONS else None,
        )

    @property
    def cut_after(self) -> int | None:
        """Words until the connection is cut; None when it is not."""
        fault = self.fault or ""
        return int(fault[4:]) if fault.startswith("cut:") else None


# Reading rules


def read_rules_file(path: str, read_text: Callable[[str], str] | None) -> Any:
    """The JSON object in a rules file. Raises LispFileError (unreadable), LLMError (none)."""
    data = _parse(_read(path, read_text), path)
    if not isinstance(data, Mapping):
        raise misconfigured(f"{path}: expected an object, got {_json_name(data)}", RULES_HINT)
    return data


def _read(path: str, read_text: Callable[[str], str] | None) -> str:
    try:
        return (read_text or _open)(path)
    except OmegaError:
        raise
    except FileNotFoundError:
        problem, hint = "there is no such file", "the path is relative to the working directory"
    except IsADirectoryError:
        problem, hint = "it is a directory", "name the JSON file in it"
    except UnicodeDecodeError as error:
        problem, hint = f"it is not UTF-8 (byte {error.start})", "save it as UTF-8"
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        hint = "check its name and its permissions"
    raise LispFileError(f"cannot read the rules file {path}: {problem}", hint=hint)


def _open(path: str) -> str:
    with open(path, encoding="utf-8-sig") as file:
        return file.read()


def _parse(text: str, path: str) -> Any:
    import json

    try:
        return json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        line, column, problem = error.lineno, error.colno, error.msg
    except RecursionError:
        raise misconfigured(f"{path}: nested too deeply", RULES_HINT) from None
    failure = misconfigured(f"not JSON: {problem}", RULES_HINT)
    failure.span = Span(path, line, column, line, column + 1)
    raise failure


def read_rules(script: object, source: str) -> list[Rule]:
    """Check {"rules": [...]}, or from Python a plain list of rules too. Raises LLMError."""
    if isinstance(script, Mapping):
        unknown = [key for key in script if key != "rules"]
        if unknown:
            raise misconfigured(f"{source}: unknown field `{unknown[0]}`", RULES_HINT)
        if "rules" not in script:
            raise misconfigured(f"{source}: there is no field `rules`", RULES_HINT)
        script = script["rules"]
        if isinstance(script, (str, bytes)) or not isinstance(script, Sequence):
            raise misconfigured(
                f"{source}: field `rules` must be a list, got {_json_name(script)}", RULES_HINT
            )
    elif isinstance(script, (str, bytes)) or not isinstance(script, Iterable):
        raise misconfigured(f"{source}: expected an object, got {_json_name(script)}", RULES_HINT)
    return [Rule.read(raw, f"{source}: rule {index}") for index, raw in enumerate(script)]


def _match_field(rule: Rule, value: object, where: str) -> None:
    if not isinstance(value, str):
        raise _wrong(where, f"must be a string, got {_json_name(value)}")
    from omega.regex import Regex, RegexError

    try:
        rule.pattern = Regex(value)
        return
    except RegexError as error:
        problem, hint = error.message, error.hint
    raise _wrong(where, problem, hint or "in JSON a backslash is written \\\\")


def _reply_field(rule: Rule, value: object, where: str) -> None:
    if not isinstance(value, str):
        raise _wrong(where, f"must be a string, got {_json_name(value)}")
    rule.template = value


def _thinking_field(rule: Rule, value: object, where: str) -> None:
    if not isinstance(value, str):
        raise _wrong(where, f"must be a string, got {_json_name(value)}")
    rule.thinking = value


def _json_field(rule: Rule, value: object, where: str) -> None:
    _check_data(value, where)
    rule.data = (value,)


def _tool_calls_field(rule: Rule, value: object, where: str) -> None:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise _wrong(where, f"must be a list, got {_json_name(value)}")
    for at, call in enumerate(value):
        here = f"{where}, call {at}"
        if not isinstance(call, Mapping):
            raise _wrong(here, f"must be an object, got {_json_name(call)}")
        unknown = [name for name in call if name not in ("name", "arguments")]
        if unknown:
            raise _wrong(here, f"unknown field `{unknown[0]}`", "fields: name, arguments")
        name, arguments = call.get("name"), call.get("arguments", {})
        if not isinstance(name, str) or not name:
            raise _wrong(here, f"`name` must be a string, got {_json_name(name)}")
        if not isinstance(arguments, Mapping):
            raise _wrong(here, f"`arguments` must be an object, got {_json_name(arguments)}")
        _check_data(arguments, here)
        rule.calls.append((name, dict(arguments)))


def _check_data(value: object, where: str, depth: int = 0) -> None:
    if depth > DATA_NESTING_MAX:
        raise _wrong(where, f"nested more than {DATA_NESTING_MAX} deep")
    if isinstance(value, Mapping):
        for key, inside in value.items():
            if not isinstance(key, str):
                raise _wrong(where, f"a key must be a string, got {_json_name(key)}")
            _check_data(inside, where, depth + 1)
    elif isinstance(value, (list, tuple)):
        for inside in value:
            _check_data(inside, where, depth + 1)
    elif value is not None and not isinstance(value, (str, int, float)):
        raise _wrong(where, f"must hold JSON data only, got {_json_name(value)}")


def _strings(data: Any) -> Iterator[str]:
    """The strings in data, keys apart."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, Mapping):
        for inside in data.values():
            yield from _strings(inside)
    elif isinstance(data, (list, tuple)):
        for inside in data:
            yield from _strings(inside)


def _filled(template: str, match: Match | None) -> str:
    """A text with the groups of `match` in their places."""

    def fill(reference: re.Match[str]) -> str:
        group = reference[1] or reference[2]
        if group is None:
            return "\\"
        assert match is not None  # _check_groups: without a match there are no groups
        number = int(group) if group.isdigit() else match.regex.names[group]
        return match.group(number) or ""

    return _REFERENCE.sub(fill, template)


def _filled_data(data: Any, match: Match | None) -> Any:
    if isinstance(data, str):
        return _filled(data, match)
    if isinstance(data, Mapping):
        return {key: _filled_data(inside, match) for key, inside in data.items()}
    if isinstance(data, (list, tuple)):
        return [_filled_data(inside, match) for inside in data]
    return data


def _latency_field(rule: Rule, value: object, where: str) -> None:
    bounds = list(value) if isinstance(value, (list, tuple)) else [value, value]
    if len(bounds) != 2:
        raise _wrong(where, f"must be a number or [low, high], got a list of {len(bounds)}")
    low, high = (_milliseconds(bound, where) for bound in bounds)
    if low > high:
        raise _wrong(where, f"low is above high: [{low:g}, {high:g}]")
    rule.latency_ms = (low, high)


def _usage_field(rule: Rule, value: object, where: str) -> None:
    if not isinstance(value, Mapping):
        raise _wrong(where, f"must be an object, got {_json_name(value)}")
    for name, count in value.items():
        if name not in ("input_tokens", "output_tokens", "cached_tokens"):
            hint = "fields: input_tokens, output_tokens, cached_tokens"
            raise _wrong(where, f"unknown field `{name}`", hint)
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise _wrong(where, f"`{name}` must be an integer >= 0, got {count!r}")
    rule.usage = Usage(**{"input_tokens": 0, "output_tokens": 0, **value})


def _fault_field(rule: Rule, value: object, where: str) -> None:
    if not isinstance(value, str) or not _FAULT.fullmatch(value):
        hint = (
            'faults: "429", "500" or any status 400-599, "timeout", "cut:K", "garbage"; '
            f"after a status and a colon one of {', '.join((*THROTTLES, *REASONS))}"
        )
        raise _wrong(where, f"unknown fault {value!r}", hint)
    rule.fault = value


def _retry_after_field(rule: Rule, value: object, where: str) -> None:
    rule.retry_after_s = _milliseconds(value, where) / 1000


def _times_field(rule: Rule, value: object, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _wrong(where, f"must be an integer >= 1, got {value!r}")
    rule.times_left = value


def _milliseconds(value: object, where: str) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= LATENCY_MS_MAX:  # type: ignore[operator]
        raise _wrong(where, f"must be milliseconds, 0 to {LATENCY_MS_MAX:.0f}, got {value!r}")
    return float(value)  # type: ignore[arg-type]


def _check_groups(template: str, pattern: Regex | None, where: str) -> None:
    for reference in _REFERENCE.finditer(template):
        group = reference[1] or reference[2]
        if group is None:
            continue
        if pattern is None:
            is_known = False
        elif group.isdigit():
            is_known = int(group) <= pattern.groups
        else:
            is_known = group in pattern.names
        if not is_known:
            hint = "write \\\\ for a backslash (\\\\\\\\ in JSON)"
            raise _wrong(where, f"`match` has no group {group}", hint)


def _wrong(where: str, problem: str, hint: str | None = RULES_HINT) -> LLMError:
    return misconfigured(f"{where}: {problem}", hint)


def _json_name(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", str: "a string", int: "a number", float: "a number", list: "a list"}
    return names.get(
        type(value), "an object" if isinstance(value, Mapping) else type(value).__name__
    )


def crc(text: str) -> int:
    """A hash that is equal in every process."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))


def words_of(text: str) -> list[str]:
    """A text in pieces: its words, each with the space before it."""
    return re.findall(r"\s*\S+|\s+$", text)


def token_estimate(text: str) -> int:
    """Tokens of a text, roughly: its words."""
    return len(text.split())


_FIELDS: dict[str, Callable[[Rule, object, str], None]] = {
    "match": _match_field,
    "reply": _reply_field,
    "json": _json_field,
    "tool_calls": _tool_calls_field,
    "thinking": _thinking_field,
    "latency_ms": _latency_field,
    "usage": _usage_field,
    "fault": _fault_field,
    "retry_after_ms": _retry_after_field,
    "times": _times_field,
}
_REFERENCE = re.compile(r"\\(?:(\d{1,2})|g<(\w+)>|\\)")
_FAULT = re.compile(
    rf"[45][0-9]{{2}}(?::(?:{'|'.join((*THROTTLES, *REASONS))}))?|timeout|cut:[0-9]{{1,9}}|garbage"
)
