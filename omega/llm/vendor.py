"""What providers over a vendor's official async SDK have in common.

Owns: `VendorProvider`: the key and the base URL, one client per event loop, one attempt with its
time limit, whole or streamed, the SDK's exceptions to ours. Refuses: to know a vendor's protocol:
that is the subclass's (`openai_provider.py`, `anthropic_provider.py`). Retries and limits are
nobody's here: the SDKs' own are off.

The key is in no message, repr or log, even when a server echoes it, and no SDK exception is chained
to ours. Streams are read as bytes through the SDK's response, not as its objects: every server's
events are then checked alike, in every version of the SDK.

Cancelling `infer` or `stream` closes the connection before it returns; the pool has no limit of its
own, so neither a slow nor a lost connection can hold up another call.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from omega.errors import LLMError
from omega.llm.answers import UnreadableAnswer, error_facts, parse_json, without_secrets
from omega.llm.attempt import Allowance, bounded_attempt
from omega.llm.events import EventReader
from omega.llm.failures import (
    bad_response,
    connection_failure,
    http_failure,
    misconfigured,
    not_ready,
    not_sent,
    retry_after_s,
    stream_failure,
    timeout_failure,
)
from omega.llm.provider import Emit, Sleep, note_on
from omega.llm.rate_limits import RateLimits, read_rate_limits
from omega.llm.request import LLMReply, LLMRequest, Usage

TIMEOUT_S = 600.0  # of one attempt, when the request names none (as the SDKs)
CONNECT_TIMEOUT_S = 10.0
IDLE_CONNECTIONS_MAX = 100
DRAIN_S_MAX = 1.0  # waited for the end of a body whose stream is complete
CAUSES_SHOWN_MAX = 8


class Vendor:
    """Words that differ between vendors.

    name: of the provider, its SDK's package and the extra that installs it. key_name,
    base_url_name: environment variables. base_url: the vendor's own; example_url: of another
    server.
    """

    __slots__ = ("base_url", "base_url_name", "example_url", "key_name", "name")

    def __init__(
        self, name: str, *, key_name: str, base_url_name: str, base_url: str, example_url: str
    ) -> None:
        self.name = name
        self.key_name = key_name
        self.base_url_name = base_url_name
        self.base_url = base_url
        self.example_url = example_url


class BrokenOff(Exception):
    """A vendor's error event in the middle of a stream: its words, code and type."""

    def __init__(self, detail: str, code: str | None, error_type: str | None) -> None:
        super().__init__(detail)
        self.detail, self.code, self.error_type = detail, code, error_type


class StreamReader:
    """Events of one stream in, its text and at its end a reply out. A vendor's subclass says how.

    usage: as told so far, or None. is_done: nothing more will come.
    """

    def __init__(self, request: LLMRequest, model: str) -> None:
        self.request, self.model = request, model
        self.pieces: list[str] = []
        self.usage: Usage | None = None
        self.is_done = False

    def feed(self, name: str, data: str) -> str:
        """The text an event adds. Raises BrokenOff; UnreadableAnswer when it makes no sense."""
        raise NotImplementedError

    def reply(self, provider: str) -> LLMReply | LLMError | None:
        """What the stream was in all; None when it ended before its end."""
        raise NotImplementedError


class _Stream:
    """One stream under way: what its attempt and its errors need to know of each other."""

    __slots__ = ("allowance", "emit", "limits", "raised", "reader")

    def __init__(self, emit: Emit, reader: StreamReader, allowance: Allowance) -> None:
        self.emit, self.reader, self.allowance = emit, reader, allowance
        self.limits: RateLimits | None = None
        self.raised: Exception | None = None  # by emit

    async def give(self, text: str) -> None:
        self.reader.pieces.append(text)
        try:
            await self.allowance.excepting(self.emit(text))
        except Exception as error:
            self.raised = error
            raise


class VendorProvider:
    """Made without network and without loading the SDK; the client is made by the first call.

    model: the default model. api_key, base_url: instead of the environment's. key_name: the
    environment variable with the key, when it is not the vendor's usual one.
    Raises LLMError (llm-configuration) when the key or the SDK is missing, or one of them cannot be
    used.
    """

    needs_real_time = True
    vendor: ClassVar[Vendor]

    def __init__(
        self,
        model: str | None = None,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        key_name: str | None = None,
    ) -> None:
        vendor = self.vendor
        self.model = model
        self._key_name = key_name or vendor.key_name
        key = (api_key if api_key is not None else os.environ.get(self._key_name, "")).strip()
        url = base_url if base_url is not None else os.environ.get(vendor.base_url_name, "")
        # Where whoever mends it finds it.
        self._url_name = vendor.base_url_name if base_url is None else "its base URL"
        self._base_url = self._complete_url(url.strip() or vendor.base_url)
        self._key = key
        if not self._base_url.startswith(("http://", "https://")):
            raise misconfigured(
                f"the base URL {without_secrets(self._base_url, self._key)} is no http(s) URL",
                f"set {self._url_name} to something like {vendor.example_url}",
            )
        self._require_sdk()
        _check_key(key, self._key_name)
        self._sdk: Any = None  # the module, once it is loaded
        # Event loop -> client: its connections live in that loop.
        self._clients: dict[Any, Any] = {}

    @property
    def name(self) -> str:
        return self.vendor.name

    async def infer(self, request: LLMRequest, *, sleep: Sleep) -> LLMReply:
        """One attempt over HTTP.

        See `Provider.infer`; `sleep` is not used: the network keeps its own time.
        """
        return _raised(await self._attempt(request, None))

    async def stream(self, request: LLMRequest, *, sleep: Sleep, emit: Emit) -> LLMReply:
        """One attempt over HTTP, piece by piece. See `StreamingProvider.stream`."""
        return _raised(await self._attempt(request, emit))

    async def prepare(self, *, sleep: Sleep) -> None:
        """Load the SDK. What goes wrong is told by the first attempt."""
        if self._sdk is None:
            await self._load_sdk()

    async def aclose(self) -> None:
        """Close this loop's connections, and forget those of loops that are closed."""
        import asyncio

        client = self._clients.pop(asyncio.get_running_loop(), None)
        self._forget_closed_loops()
        if client is not None:
            await client.close()

    def __repr__(self) -> str:
        url = without_secrets(self._base_url, self._key)
        return f"{type(self).__name__}({self.model!r}, base_url={url!r})"

    # -- the vendor's part -------------------------------------------------------------------------

    def _complete_url(self, url: str) -> str:
        return url

    def _new_client(self, sdk: Any, **options: Any) -> Any:
        """The SDK's async client."""
        raise NotImplementedError

    def _endpoint(self, client: Any) -> Any:
        """What of it has `create`."""
        raise NotImplementedError

    def _parameters(self, request: LLMRequest, model: str) -> dict[str, Any]:
        """What `create` gets for `request`. The SDK is loaded."""
        raise NotImplementedError

    def _stream_parameters(self) -> dict[str, Any]:
        """What it gets besides, to stream."""
        return {"stream": True}

    def _read(self, body: Any, request: LLMRequest, model: str) -> LLMReply | LLMError:
        """The reply in the JSON of a whole answer. Raises ValueError when it is none."""
        raise NotImplementedError

    def _reader(self, request: LLMRequest, model: str) -> StreamReader:
        raise NotImplementedError

    # -- one attempt -------------------------------------------------------------------------------

    async def _attempt(self, request: LLMRequest, emit: Emit | None) -> LLMReply | Exception:
        """The reply, or the error to raise.

        Raised outside of `except`, so that nothing is chained to it.
        """
        import asyncio

        model = request.model or self.model
        if model is None:
            return misconfigured(
                "the request names no model", f"give one, or use {self.name}:MODEL"
            )
        if self._sdk is None:
            problem = await self._load_sdk()
            if problem is not None:
                return problem
        endpoint = self._endpoint(self._client(asyncio.get_running_loop()))
        timeout_s = request.timeout_s if request.timeout_s is not None else TIMEOUT_S
        stream: _Stream | None = None
        outcome: LLMReply | Exception
        try:
            parameters = self._parameters(request, model)
            if emit is None:
                sending = endpoint.with_raw_response.create(**parameters)
                raw = await bounded_attempt(sending, timeout_s)
                outcome = self._whole(raw.http_response.content, raw.headers, request, model)
            else:
                stream = _Stream(emit, self._reader(request, model), Allowance(timeout_s))
                reading = self._follow(endpoint, parameters, stream)
                outcome = await bounded_attempt(reading, timeout_s, stream.allowance)
        except TimeoutError:
            outcome = timeout_failure(self.name, timeout_s)
        except Exception as error:
            outcome = self._failure(error, request)
        if stream is not None and stream.raised is not None:
            return stream.raised
        if isinstance(outcome, LLMError) and stream is not None and stream.reader.is_done:
            outcome = self._end(stream)  # what went wrong came after the end
        if isinstance(outcome, LLMError):
            outcome.model = outcome.model or model
            if stream is not None:
                outcome.partial = "".join(stream.reader.pieces)
                outcome.usage = outcome.usage or stream.reader.usage
                outcome.limits = outcome.limits or stream.limits
        return outcome

    def _whole(
        self, content: bytes, headers: Mapping[str, str], request: LLMRequest, model: str
    ) -> LLMReply | LLMError:
        """The reply in a whole answer."""
        try:
            outcome = self._read(parse_json(content), request, model)
        except ValueError as error:
            problem = str(error)
        else:
            outcome.limits = read_rate_limits(headers, time.time())
            return outcome
        return bad_response(self.name, without_secrets(problem, self._key))

    async def _follow(
        self, endpoint: Any, parameters: dict[str, Any], stream: _Stream
    ) -> LLMReply | LLMError:
        """Read a stream to its end. The task this runs in owns the connection."""
        reader = stream.reader
        opening = endpoint.with_streaming_response.create(**parameters, **self._stream_parameters())
        async with opening as response:
            stream.limits = read_rate_limits(response.headers, time.time())
            note_on(stream.emit, None, stream.limits)
            if "json" in response.headers.get("content-type", ""):  # a server that does not stream
                content = await response.read()
                whole = self._whole(content, response.headers, reader.request, reader.model)
                if isinstance(whole, LLMReply):
                    note_on(stream.emit, whole.usage, stream.limits)
                    if whole.text:
                        await stream.give(whole.text)
                return whole
            events = EventReader()
            # To its end even when the reader is done: so the connection can be used again.
            async for chunk in response.iter_bytes():
                for name, data in _complete(events, chunk):
                    await self._take(name, data, stream)
        return self._end(stream)

    async def _take(self, name: str, data: str, stream: _Stream) -> None:
        """One event."""
        reader, usage = stream.reader, stream.reader.usage
        if reader.is_done:
            return
        text = reader.feed(name, data)
        if reader.usage is not usage:
            note_on(stream.emit, reader.usage, stream.limits)
        if text:
            await stream.give(text)
        if reader.is_done:
            stream.allowance.lower(DRAIN_S_MAX)

    def _end(self, stream: _Stream) -> LLMReply | LLMError:
        """What a stream was in all."""
        try:
            outcome = stream.reader.reply(self.name)
        except UnreadableAnswer as error:
            return bad_response(self.name, self._clean(str(error)))
        if outcome is None:
            return self._unreached("the answer ended before its end")
        outcome.limits = stream.limits
        return outcome

    async def _load_sdk(self) -> LLMError | None:
        """Import the SDK in a thread: it takes 0.4 s, and nothing may stop the loop so long."""
        import asyncio
        from importlib import import_module

        try:
            self._sdk = await asyncio.to_thread(import_module, self.name)
            return None
        except asyncio.CancelledError:
            return not_sent()  # and so not paid for
        except Exception as error:
            problem = str(error)
        return misconfigured(
            f"the {self.name} package cannot be loaded: {problem}", self._install_hint
        )

    def _require_sdk(self) -> None:
        from importlib.util import find_spec

        if find_spec(self.name) is None:
            raise not_ready(
                f"the provider `{self.name}` needs the {self.name} package", self._install_hint
            )

    @property
    def _install_hint(self) -> str:
        return f"pip install omega-lisp[{self.name}]"

    def _client(self, loop: Any) -> Any:
        client = self._clients.get(loop)
        if client is None:
            sdk = self._sdk
            self._forget_closed_loops()
            # The SDK's own classes: which HTTP library is below them changed between its versions.
            limits = type(sdk.DEFAULT_CONNECTION_LIMITS)(
                max_connections=None, max_keepalive_connections=IDLE_CONNECTIONS_MAX
            )
            timeout = type(sdk.DEFAULT_TIMEOUT)(None, connect=CONNECT_TIMEOUT_S)
            client = self._clients[loop] = self._new_client(
                sdk,
                api_key=self._key,
                base_url=self._base_url,
                max_retries=0,
                timeout=timeout,
                http_client=sdk.DefaultAsyncHttpxClient(limits=limits, timeout=timeout),
            )
        return client

    def _forget_closed_loops(self) -> None:
        for loop in [loop for loop in self._clients if loop.is_closed()]:
            del self._clients[loop]

    @property
    def _is_official(self) -> bool:
        host = re.escape(self.vendor.base_url.split("/")[2])
        return re.match(rf"https?://{host}(?:[:/]|$)", self._base_url) is not None

    # -- failures ----------------------------------------------------------------------------------

    def _failure(self, error: Exception, request: LLMRequest) -> LLMError:
        """Our error for whatever the SDK or the reading of a stream raised."""
        sdk = self._sdk
        if isinstance(error, LLMError):
            return error
        if isinstance(error, BrokenOff):
            return stream_failure(
                self.name,
                self._clean(error.detail),
                code=error.code,
                error_type=error.error_type,
                key_name=self._key_name,
                uses=uses_of(request),
            )
        detail = self._clean(_chain_text(error))
        if isinstance(error, sdk.APIStatusError):
            return self._status_failure(error, detail, request)
        if isinstance(error, sdk.APITimeoutError):
            # Only connecting has a limit of its own; nothing was sent, so trying again is safe.
            return self._unreached(f"no connection within {CONNECT_TIMEOUT_S:g} s")
        if isinstance(error, sdk.APIConnectionError) or is_transport_error(error):
            return self._unreached(detail)
        if isinstance(error, (sdk.APIError, UnreadableAnswer)):
            return bad_response(self.name, detail)
        # Not the server's doing: the request itself could not be written (a lone surrogate, no JSON
        # data in `extra`).
        return LLMError(
            f"the request could not be sent: {detail}",
            kind="refused",
            hint="look at the prompt and the options of the call",
        )

    def _status_failure(self, error: Any, detail: str, request: LLMRequest) -> LLMError:
        said, code, error_type = error_facts(error.body)
        headers = error.response.headers
        now_s = time.time()
        failure = http_failure(
            self.name,
            error.status_code,
            detail if said is None else self._clean(said),
            code=code,
            error_type=error_type,
            retry_after_s=retry_after_s(headers, now_s),
            key_name=self._key_name,
            uses=uses_of(request),
        )
        failure.limits = read_rate_limits(headers, now_s)
        return failure

    def _unreached(self, detail: str) -> LLMError:
        hint = (
            f"is this machine online? {self.vendor.base_url_name} names another server"
            if self._is_official
            else f"does the server run, and is {self._url_name} right?"
        )
        url = without_secrets(self._base_url, self._key)
        return connection_failure(self.name, detail, url=url, hint=hint)

    def _clean(self, text: str) -> str:
        return without_secrets(text, self._key)


def _complete(events: EventReader, chunk: bytes) -> list[tuple[str, str]]:
    try:
        return events.feed(chunk)
    except ValueError as error:
        problem = str(error)
    raise UnreadableAnswer(problem)


def _raised(outcome: LLMReply | Exception) -> LLMReply:
    if isinstance(outcome, LLMReply):
        return outcome
    try:
        raise outcome
    finally:
        del outcome  # or the error's traceback and this frame would hold each other


def uses_of(request: LLMRequest) -> list[str]:
    """Which of what not every server can do a request uses: see `failures.http_failure`."""
    uses = ["schema"] if request.schema is not None else []
    if request.tools:
        uses.append("tools")
    if request.messages:
        from omega.llm.messages import has_images

        if has_images(request.messages):
            uses.append("images")
    return uses


def is_transport_error(error: BaseException) -> bool:
    """Whether the HTTP library below the SDK raised it, of whatever name and version that is."""
    return any(cls.__name__ == "RequestError" for cls in type(error).__mro__)


def _chain_text(error: BaseException) -> str:
    """What went wrong, from the outermost exception to the cause that says most."""
    texts: list[str] = []
    at: BaseException | None = error
    while at is not None and len(texts) < CAUSES_SHOWN_MAX:
        text = str(at) or type(at).__name__
        if text not in texts:
            texts.append(text)
        at = at.__cause__
    return ": ".join(text.rstrip(".") for text in texts)


def _check_key(key: str, key_name: str) -> None:
    if not key:
        raise not_ready(
            f"no API key: the environment variable {key_name} is not set",
            f"export {key_name}=... (any value for a local server), or use `--llm scripted`",
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise not_ready(
            f"the key in {key_name} holds characters that no key has",
            "copy it again, without quotes or line breaks",
        )
