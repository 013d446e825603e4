"""The Lisp names of models: infer, chat, stream, what they cost, and data from and for prompts.

Owns: `models`; how a program's arguments become an `LLMRequest`, and a reply what the program gets;
the loop that has an answer mended until it follows its schema.
Refuses: to call a model itself: everything goes through the effect door.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.bindings.base import (
    Bindings,
    Table,
    keyword_table,
    of_kind,
    optional_seconds,
    options,
    shown,
)
from omega.bindings.json_data import from_json, to_json
from omega.bindings.streams import Stream, open_stream
from omega.concurrency import Event, task_event, with_nack
from omega.concurrency.events import on_refusal
from omega.errors import (
    LispTypeError,
    LispValueError,
    LLMError,
    OmegaError,
    TimeoutExpired,
)
from omega.lisp.data import Keyword, Pair, Symbol, list_items
from omega.lisp.primitives import check
from omega.lisp.primitives.check import wrong_type
from omega.lisp.table import HashTable
from omega.llm import LLMReply, LLMRequest

REPAIRS = 2  # times an answer that does not follow its schema is asked for again
REPAIRS_MAX = 20
# What every call of a model takes, with what it is when it is left out.
OPTIONS: dict[str, Any] = {
    "model": None,
    "system": None,
    "temperature": None,
    "max_tokens": None,
    "stop": None,
    "timeout": None,
    "schema": None,
    "repair": None,
    "cache": None,
    "hedge_after": None,
    "thinking": None,
    "effort": None,
}
ROLES = ("system", "user", "assistant")

of_stream = of_kind(Stream, "a stream of a model")


def models(b: Bindings, table: Table) -> None:
    scheduler, asking = b.scheduler, Asking(b)

    def infer(prompt: Any, *rest: Any) -> Any:
        """(llm.infer prompt :model m :system s :temperature t :max-tokens n :stop list :timeout ms
        :schema s :repair 2 :cache #t :hedge-after ms :thinking n :effort "low") -> the reply's
        text; with :schema, data that follows it. :cache answers equal calls once; :hedge-after asks
        again when no reply has come; :thinking lets the model think for so many tokens first,
        :effort for as long as its vendor's word says
        """
        return asking.call("llm.infer", prompt, rest)()

    def chat(messages: Any, *rest: Any) -> Any:
        """(llm.chat messages ...) -> the reply to a conversation, its text or data; takes what
        llm.infer takes. A message is (user "text" ...), (assistant "text"), (system "text"), or a
        hash table with :role and :content; an image stands among the texts
        """
        if isinstance(messages, str):
            raise wrong_type("llm.chat", 1, "a list of messages", messages)
        return asking.call("llm.chat", messages, rest)()

    def llm_event(prompt: Any, *rest: Any) -> Event:
        """(llm-event prompt ...) -> the event of a model's reply, its value the text; takes what
        llm.infer takes. The call is made by a child task when the event is synced, and cancelled
        when another event is chosen
        """
        run = b.interpreter.task_body(asking.call("llm-event", prompt, rest))

        def make(refused: Event) -> Event:
            dynamics = b.rt.host.dynamics().snapshot()
            task = scheduler.spawn(run, name="llm-event", locals=dynamics)
            on_refusal(refused, lambda: scheduler.cancel(task, "its reply is not waited for"))
            return task_event(task)

        return with_nack(make)

    def stream(prompt: Any, *rest: Any) -> Stream:
        """(llm.stream prompt ...) -> a channel of the pieces of the reply's text, as they come;
        takes what llm.infer takes but :schema, :cache and :hedge-after, and messages as well. A
        slow reader slows the model's server. The call ends when the channel is closed, when the
        task or the scope that opened it ends, and with its last piece
        """
        given = options("llm.stream", 2, rest, **OPTIONS)
        for name in ("schema", "repair", "cache", "hedge_after"):
            if given[name] is not None:
                word = ":" + name.replace("_", "-")
                raise LispValueError(f"`llm.stream` takes no {word}", hint="llm.infer does")
        request = asking.request("llm.stream", prompt, given)
        limit = optional_seconds("llm.stream", ":timeout", given["timeout"])
        return open_stream(b, request, limit)

    def stream_text(stream: Any) -> str:
        """(stream-text stream) -> the text that has come so far, whatever became of the call"""
        text = of_stream("stream-text", stream).text
        check.spend(b.rt, len(text))
        return text

    def stream_usage(stream: Any) -> HashTable:
        """(stream-usage stream) -> a hash table: input and output tokens so far, as the model's
        server told them, else as estimated
        """
        found = of_stream("stream-usage", stream)
        check.spend(b.rt, found.characters)
        return keyword_table(found.usage())

    def stream_thinking(stream: Any) -> str:
        """(stream-thinking stream) -> what the model thought before it answered, once the reply has
        come to its end; "" before, and where the vendor shows nothing of it
        """
        text: str = getattr(of_stream("stream-thinking", stream).reply, "thinking", "")
        check.spend(b.rt, len(text))
        return text

    def as_data(text: Any, *rest: Any) -> str:
        """(as-data text [:name "data"]) -> text between marks that do not occur in it, for a
        prompt: what stands there is data and nothing to follow
        """
        if not isinstance(text, str):
            raise wrong_type("as-data", 1, "a string", text)
        name = options("as-data", 2, rest, name="data")["name"]
        if not isinstance(name, str) or not name.replace("-", "").replace("_", "").isalnum():
            raise LispTypeError(f"`as-data` expected a word for :name, got {shown(name)}")
        from omega.llm.fence import fenced

        check.spend(b.rt, len(text))
        return fenced(text, name)

    def image_url(url: Any) -> HashTable:
        """(image-url url) -> an image for a message of llm.chat"""
        if not isinstance(url, str):
            raise wrong_type("image-url", 1, "a string", url)
        check.spend(b.rt, len(url))
        return from_json({"type": "image", "url": url})  # type: ignore[no-any-return]

    def image_data(bytes_: Any, media_type: Any) -> HashTable:
        """(image-data bytevector media-type) -> an image for a message of llm.chat, such as
        (image-data (call-with-port (open-binary-input-file "x.png") read-bytevector) "image/png")
        """
        if not isinstance(bytes_, (bytes, bytearray)):
            raise wrong_type("image-data", 1, "a bytevector", bytes_)
        if not isinstance(media_type, str):
            raise wrong_type("image-data", 2, 'a string such as "image/png"', media_type)
        from base64 import b64encode

        check.spend(b.rt, len(bytes_))
        data = b64encode(bytes_).decode()
        part = {"type": "image", "media_type": media_type, "data": data}
        return from_json(part)  # type: ignore[no-any-return]

    def cacheable(part: Any) -> HashTable:
        """(cacheable text) -> the text, or an image, as a part of a message, marked: what stands up
        to here is the same in many calls and worth keeping in the vendor's cache
        """
        if not isinstance(part, (str, HashTable)):
            raise wrong_type("cacheable", 1, "a string or an image", part)
        made = asking.part("cacheable", part)
        return from_json({**made, "cache": True})  # type: ignore[no-any-return]

    table["llm.infer"], table["llm.chat"], table["llm-event"] = infer, chat, llm_event
    table["llm.stream"] = stream
    table["stream-text"], table["stream-usage"] = stream_text, stream_usage
    table["stream-thinking"], table["cacheable"] = stream_thinking, cacheable
    table["as-data"], table["image-url"], table["image-data"] = as_data, image_url, image_data


class Asking:
    """From the arguments of a call to its reply."""

    def __init__(self, b: Bindings) -> None:
        self._b = b

    def call(self, name: str, prompt: Any, rest: tuple[Any, ...]) -> Callable[[], Any]:
        """What makes the call that was asked for as `name`."""
        given = options(name, 2, rest, **OPTIONS)
        request = self.request(name, prompt, given)
        limit = optional_seconds(name, ":timeout", given["timeout"])
        run = self.answer(request, given["repair"], name)
        return lambda: self.timed(request, run, limit)

    def answer(
        self, request: LLMRequest, repair: Any, name: str, reply: Any = None
    ) -> Callable[[], Any]:
        """What performs `request` and answers what a program gets: text, or data. reply: the first
        one, if it has come already.
        """
        perform = self._b.door.perform
        if request.schema is None:
            if repair is not None:
                raise LispValueError(f"`{name}` takes :repair with :schema only")
            return lambda: answered_text(perform("llm.infer", (request,)))
        repairs = REPAIRS if repair is None else repair
        if type(repairs) is not int or not 0 <= repairs <= REPAIRS_MAX:
            raise LispValueError(
                f"`{name}` expected 0 to {REPAIRS_MAX} for :repair, got {shown(repairs)}"
            )
        from omega.llm.structured import Schema

        schema = Schema(request.schema)
        return lambda: self._structured(request, schema, repairs, reply)

    def _structured(self, request: LLMRequest, schema: Any, repairs: int, reply: Any) -> Any:
        """The data of a reply that follows its schema; else it is asked for again."""
        from omega.llm.structured import json_text, repair_turns

        asked = request
        for attempt in range(repairs + 1):
            if reply is None or attempt > 0:
                reply = self._b.door.perform("llm.infer", (asked,))
            text = reply_text(reply)
            if not isinstance(text, str):
                return text  # a handler of the program answered with data
            self._b.rt.host.charge(len(text) // 4)
            _, problems = schema.read(text)
            if not problems:
                return from_json_text(self._b, json_text(text))
            if attempt < repairs:
                turns = [*asked.turns(), *repair_turns(text, problems)]
                asked = asked.replaced(prompt="", messages=turns)
        model, title = self.who(request, reply)
        raise LLMError(
            f"the answer of {title} does not follow its schema, asked {_times(repairs + 1)}: "
            f"{problems[0]}",
            kind="bad-response",
            hint="a simpler schema, a :system prompt with an example, or a larger :repair may help",
            model=model,
            attempts=repairs + 1,
            partial=text,
            irritants=problems,
        )

    def who(self, request: LLMRequest, reply: Any) -> tuple[str, str]:
        """Whose answer `reply` is: the name that was asked for, and that with what answered."""
        model = self._b.interpreter.calls.models.find(request.model)
        return model.shown, model.titled(getattr(reply, "model", None))

    def request(self, name: str, prompt: Any, given: dict[str, Any], **more: Any) -> LLMRequest:
        """The request that the options ask for. prompt: a text, or a list of messages."""
        stop, schema, hedge = given["stop"], given["schema"], given["hedge_after"]
        if stop is False:
            stop = None
        if stop is not None and not isinstance(stop, str):
            stop = self._b.elements(name, ":stop", stop, "a string or a list of strings")
        messages: Any = ()
        if not isinstance(prompt, str):
            messages, prompt = self.messages(name, prompt), ""
        check.spend(self._b.rt, len(prompt) + (0 if stop is None else len(stop)))
        cache, thinking, most = given["cache"], given["thinking"], given["max_tokens"]
        if type(thinking) is int and type(most) is int and thinking >= most:
            raise LispValueError(
                f"`{name}` got :thinking {thinking} with :max-tokens {most}",
                hint="thinking counts as output: :max-tokens must leave room for the answer",
            )
        return LLMRequest(
            prompt,
            messages=messages,
            model=_name(given["model"]),
            system=given["system"],
            temperature=given["temperature"],
            max_tokens=most,
            stop=() if stop is None else stop,
            schema=None if schema is None else self._json(name, ":schema", schema),
            cache=None if cache is None else cache is not False,
            hedge_after_s=None if hedge is None else optional_seconds(name, ":hedge-after", hedge),
            thinking=thinking,
            effort=_name(given["effort"]),
            **more,
        )

    def messages(self, name: str, given: Any) -> list[dict[str, Any]]:
        """The messages of a conversation, from a program's list of them."""
        items = self._b.elements(name, 1, given, "a string or a list of messages")
        if not items:
            raise LispValueError(f"`{name}` needs at least one message")
        return [self._message(name, item) for item in items]

    def _message(self, name: str, item: Any) -> dict[str, Any]:
        if isinstance(item, HashTable):
            return self._json(name, "a message", item)
        parts = list_items(item) if isinstance(item, Pair) else None
        role = parts[0] if parts else None
        if not isinstance(role, Symbol) or role.name not in ROLES or not parts or len(parts) < 2:
            raise LispTypeError(
                f'`{name}` expected messages such as (user "text"), got {shown(item)}',
                hint=f"roles are {', '.join(ROLES)}; texts and images follow",
            )
        check.spend(self._b.rt, sum(len(part) for part in parts[1:] if isinstance(part, str)))
        content = [self.part(name, part) for part in parts[1:]]
        if len(content) == 1 and isinstance(parts[1], str):
            return {"role": role.name, "content": parts[1]}
        return {"role": role.name, "content": content}

    def part(self, name: str, part: Any) -> dict[str, Any]:
        """A part of a message, from a text or a table."""
        if isinstance(part, str):
            return {"type": "text", "text": part}
        if isinstance(part, HashTable):
            return self._json(name, "a part of a message", part)
        raise LispTypeError(f"`{name}` expected texts and images in a message, got {shown(part)}")

    def _json(self, name: str, what: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, HashTable):
            raise LispTypeError(f"`{name}` expected a hash table for {what}, got {shown(value)}")
        made: dict[str, Any] = to_json(self._b, value)
        return made

    def timed(self, request: LLMRequest, run: Callable[[], Any], limit: float | None) -> Any:
        """`run()`, which performs `request`, or llm-timeout after `limit` seconds."""
        if limit is None:
            return run()
        self._b.door.prepare("llm.infer", request)
        expired: OmegaError | None = None
        try:
            return self._b.scheduler.with_timeout(limit, run)
        except TimeoutExpired as error:
            expired = error
        raise timeout_error(self._b, limit) from expired


def timeout_error(b: Bindings, limit: float) -> LLMError:
    """For a call of the running task that was left after `limit` seconds."""
    from omega.calls.failing import told

    flight = b.interpreter.calls.left_by(b.scheduler.running_task("call a model"))
    message = f"the LLM call had no reply within {limit * 1000:g} ms"
    if limit == 0:
        message = "the time of the LLM call, 0 ms, was over before anybody was asked"
    hint = "allow more by :timeout MS, or go on without: (condition-is? e 'llm-timeout)"
    error = LLMError(message, kind="llm-timeout", hint=hint)
    return error if flight is None else told(flight, error)


def reply_text(reply: Any) -> Any:
    """What a program gets: a handler of its own may have replied with anything."""
    return getattr(reply, "text", reply)


def answered_text(reply: Any) -> Any:
    """`reply_text`. Raises LLMError (bad-response) when a model has answered with nothing."""
    if isinstance(reply, LLMReply) and not reply.text.strip() and not reply.tool_calls:
        from omega.calls.failing import nothing_said

        raise nothing_said(reply)
    return reply_text(reply)


def from_json_text(b: Bindings, text: str) -> Any:
    from omega.lisp.primitives.json import parse_json

    return parse_json(text, b.rt.charge)


def _name(value: Any) -> Any:
    return value.name if isinstance(value, (Symbol, Keyword)) else value


def _times(count: int) -> str:
    return "once" if count == 1 else "twice" if count == 2 else f"{count} times"
