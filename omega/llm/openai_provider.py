"""OpenAI, and every server that speaks its protocol, through the official async SDK.

Owns: `OpenAIProvider`: parameters out, the answer in, the SDK's exceptions to ours, one client per
event loop. Refuses: retries (the SDK's are off: `retry.py` has them), limits (the governor has
them), and to show the key: it is in no message, repr or log, even when a server echoes it, and no
SDK exception is chained to ours.

Environment: OPENAI_API_KEY, OPENAI_BASE_URL (vLLM, Ollama, llama.cpp, LM Studio). Extra:
`omega-lisp[openai]`.

Cancelling `infer` closes its connection before it returns; the pool has no limit of its own, so
neither a slow nor a lost connection can hold up another call.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import Any

from omega.errors import LLMError
from omega.llm.attempt import bounded_attempt
from omega.llm.failures import (
    bad_response,
    connection_failure,
    http_failure,
    misconfigured,
    retry_after_s,
    shortened,
    timeout_failure,
)
from omega.llm.provider import Sleep
from omega.llm.request import LLMReply, LLMRequest, Usage

KEY_NAME = "OPENAI_API_KEY"
BASE_URL_NAME = "OPENAI_BASE_URL"
OFFICIAL_BASE_URL = "https://api.openai.com/v1"
TIMEOUT_S = 600.0  # of one attempt, when the request names none (as the SDK)
CONNECT_TIMEOUT_S = 10.0
IDLE_CONNECTIONS_MAX = 100
_INSTALL_HINT = "pip install omega-lisp[openai]"
NESTING_MAX = 200  # of a reply's JSON: the C parser must not recurse as deep as a server likes


class OpenAIProvider:
    """Chat completions.

    Made without network and without loading the SDK; the client is made by the first call.
    model: the default model. api_key, base_url: instead of the environment's.
    Raises LLMError (llm-configuration) when the key or the SDK is missing, or one of them cannot be
    used.
    """

    needs_real_time = True

    def __init__(
        self, model: str | None = None, *, api_key: str | None = None, base_url: str | None = None
    ) -> None:
        self.model = model
        key = (api_key if api_key is not None else os.environ.get(KEY_NAME, "")).strip()
        url = (base_url if base_url is not None else os.environ.get(BASE_URL_NAME, "")).strip()
        self._base_url = url or OFFICIAL_BASE_URL
        self._key = _checked_key(key)
        if not self._base_url.startswith(("http://", "https://")):
            raise misconfigured(
                f"the base URL {without_secrets(self._base_url, self._key)} is no http(s) URL",
                f"set {BASE_URL_NAME} to something like http://localhost:11434/v1",
            )
        _require_sdk()
        self._sdk: Any = None  # the module, once it is loaded
        # Event loop -> client: its connections live in that loop.
        self._clients: dict[Any, Any] = {}

    @property
    def name(self) -> str:
        return "openai"

    async def infer(self, request: LLMRequest, *, sleep: Sleep) -> LLMReply:
        """One attempt over HTTP.

        See `Provider.infer`; `sleep` is not used: the network keeps its own time.
        """
        outcome = await self._attempt(request)
        if isinstance(outcome, LLMReply):
            return outcome
        try:
            raise outcome
        finally:
            del outcome  # or the error's traceback and this frame would hold each other

    async def aclose(self) -> None:
        """Close this loop's connections, and forget those of loops that are closed."""
        import asyncio

        client = self._clients.pop(asyncio.get_running_loop(), None)
        self._forget_closed_loops()
        if client is not None:
            await client.close()

    def __repr__(self) -> str:
        url = without_secrets(self._base_url, self._key)
        return f"OpenAIProvider({self.model!r}, base_url={url!r})"

    async def _attempt(self, request: LLMRequest) -> LLMReply | LLMError:
        """The reply, or the error to raise.

        Raised outside of `except`, so that nothing is chained to it.
        """
        import asyncio

        model = request.model or self.model
        if model is None:
            return misconfigured("the request names no model", "give one, or use openai:MODEL")
        if self._sdk is None:
            problem = await self._load_sdk()
            if problem is not None:
                return problem
        client = self._client(asyncio.get_running_loop())
        parameters = chat_parameters(request, model, is_official=self._is_official)
        timeout_s = request.timeout_s if request.timeout_s is not None else TIMEOUT_S
        try:
            sending = client.chat.completions.with_raw_response.create(**parameters)
            raw = await bounded_attempt(sending, timeout_s)
        except TimeoutError:
            return timeout_failure(self.name, timeout_s)
        except Exception as error:
            return self._failure(error, timeout_s)
        return self._reply(raw.http_response.content, model)

    async def _load_sdk(self) -> LLMError | None:
        """Import the SDK in a thread: it takes 0.4 s, and nothing may stop the loop so long."""
        import asyncio
        from importlib import import_module

        try:
            self._sdk = await asyncio.to_thread(import_module, "openai")
            return None
        except Exception as error:
            problem = str(error)
        return misconfigured(f"the openai package cannot be loaded: {problem}", _INSTALL_HINT)

    def _client(self, loop: Any) -> Any:
        client = self._clients.get(loop)
        if client is None:
            openai = self._sdk
            self._forget_closed_loops()
            # The SDK's own classes: which HTTP library is below them changed between its versions.
            limits = type(openai.DEFAULT_CONNECTION_LIMITS)(
                max_connections=None, max_keepalive_connections=IDLE_CONNECTIONS_MAX
            )
            timeout = type(openai.DEFAULT_TIMEOUT)(None, connect=CONNECT_TIMEOUT_S)
            client = self._clients[loop] = openai.AsyncOpenAI(
                api_key=self._key,
                base_url=self._base_url,
                max_retries=0,
                timeout=timeout,
                http_client=openai.DefaultAsyncHttpxClient(limits=limits, timeout=timeout),
            )
        return client

    def _forget_closed_loops(self) -> None:
        for loop in [loop for loop in self._clients if loop.is_closed()]:
            del self._clients[loop]

    @property
    def _is_official(self) -> bool:
        return re.match(r"https?://api\.openai\.com(?:[:/]|$)", self._base_url) is not None

    def _reply(self, content: bytes, model: str) -> LLMReply | LLMError:
        try:
            return read_reply(parse_json(content), self.name, model)
        except ValueError as error:
            problem = str(error)
        return bad_response(self.name, without_secrets(problem, self._key))

    def _failure(self, error: Exception, timeout_s: float) -> LLMError:
        """Our error for whatever the SDK raised."""
        openai = self._sdk
        detail = without_secrets(_chain_text(error), self._key)
        if isinstance(error, openai.APIStatusError):
            body = error.body if isinstance(error.body, Mapping) else {}
            said = body.get("message")
            return http_failure(
                self.name,
                error.status_code,
                without_secrets(said, self._key) if isinstance(said, str) else detail,
                code=error.code,
                retry_after_s=retry_after_s(error.response.headers, time.time()),
                key_name=KEY_NAME,
            )
        if isinstance(error, openai.APITimeoutError):
            # Only connecting has a limit of its own; nothing was sent, so trying again is safe.
            return self._unreached(f"no connection within {CONNECT_TIMEOUT_S:g} s")
        if isinstance(error, openai.APIConnectionError):
            return self._unreached(detail)
        if isinstance(error, openai.APIError):
            return bad_response(self.name, detail)
        # Not the server's doing: the request itself could not be written (a lone surrogate, no JSON
        # data in `extra`).
        return LLMError(
            f"the request could not be sent: {detail}",
            kind="refused",
            hint="look at the prompt and the options of the call",
        )

    def _unreached(self, detail: str) -> LLMError:
        hint = (
            f"is this machine online? {BASE_URL_NAME} names another server"
            if self._is_official
            else f"does the server run, and is {BASE_URL_NAME} right?"
        )
        url = without_secrets(self._base_url, self._key)
        return connection_failure(self.name, detail, url=url, hint=hint)


def chat_parameters(request: LLMRequest, model: str, *, is_official: bool) -> dict[str, Any]:
    """What `chat.completions.create` gets. Fields the request leaves out are left out.

    is_official: OpenAI itself, which refuses `max_tokens` for its newer models; other servers know
    no other name.
    """
    messages = request.turns()
    if request.system is not None:
        messages.insert(0, {"role": "system", "content": request.system})
    parameters: dict[str, Any] = {"model": model, "messages": messages}
    if request.temperature is not None:
        parameters["temperature"] = request.temperature
    if request.max_tokens is not None:
        name = "max_completion_tokens" if is_official else "max_tokens"
        parameters[name] = request.max_tokens
    if request.stop:
        parameters["stop"] = list(request.stop)
    if request.extra:
        parameters["extra_body"] = request.extra
    return parameters


def read_reply(body: Any, provider: str, model: str) -> LLMReply | LLMError:
    """The reply in a chat completion.

    Raises ValueError when it is none.
    """
    if not isinstance(body, dict):
        raise ValueError(f"expected a JSON object, got {type(body).__name__}")
    problem = body.get("error")
    if problem and not body.get("choices"):  # gateways that fail with status 200
        said = problem.get("message") if isinstance(problem, dict) else problem
        raise ValueError(str(said))
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise ValueError("the answer has no choices")
    choice = choices[0]
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise ValueError("the answer has no message")
    finish_reason = str(choice.get("finish_reason") or "stop")
    refusal = message.get("refusal")
    if refusal or finish_reason == "content_filter":
        reason = refusal if isinstance(refusal, str) else "stopped by the content filter"
        return LLMError(f"{provider}: the model refused: {shortened(reason)}", kind="refused")
    text = message.get("content")
    if text is None and not message.get("tool_calls"):
        text = ""
    if not isinstance(text, str):
        raise ValueError("the answer's content is no text")
    return LLMReply(text, _usage(body.get("usage")), str(body.get("model") or model), finish_reason)


def _usage(raw: Any) -> Usage:
    if not isinstance(raw, dict):
        return Usage(is_reported=False)
    sent, answered = raw.get("prompt_tokens"), raw.get("completion_tokens")
    if not isinstance(sent, int) or not isinstance(answered, int) or min(sent, answered) < 0:
        return Usage(is_reported=False)
    return Usage(sent, answered)


def parse_json(content: bytes) -> Any:
    """JSON from outside, nested at most NESTING_MAX deep. Raises ValueError."""
    import json

    text = content.decode("utf-8-sig")
    if text.count("[") + text.count("{") > NESTING_MAX:
        depth = deepest = 0
        for bracket in re.findall(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
            if bracket in "[{":
                depth += 1
                deepest = max(deepest, depth)
            elif bracket in "]}":
                depth -= 1
        if deepest > NESTING_MAX:
            raise ValueError(f"nested {deepest} deep, {NESTING_MAX} allowed")
    return json.loads(text)


def without_secrets(text: str, key: str) -> str:
    """`text` without the key, and without the user and password of URLs."""
    text = re.sub(r"(https?://)[^/\s@]+@", r"\1", text)
    if not key:
        return text
    if len(key) >= 8:
        return text.replace(key, "[key]")
    return re.sub(rf"(?<!\w){re.escape(key)}(?!\w)", "[key]", text)  # "x", for a local server


def _chain_text(error: BaseException) -> str:
    """What went wrong, from the outermost exception to the cause that says most."""
    texts: list[str] = []
    at: BaseException | None = error
    while at is not None and len(texts) < 8:
        text = str(at) or type(at).__name__
        if text not in texts:
            texts.append(text)
        at = at.__cause__
    return ": ".join(text.rstrip(".") for text in texts)


def _checked_key(key: str) -> str:
    if not key:
        raise misconfigured(
            f"no API key: the environment variable {KEY_NAME} is not set",
            f"export {KEY_NAME}=... (any value for a local server), or use `--llm scripted`",
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise misconfigured(
            f"the key in {KEY_NAME} holds characters that no key has",
            "copy it again, without quotes or line breaks",
        )
    return key


def _require_sdk() -> None:
    from importlib.util import find_spec

    if find_spec("openai") is None:
        raise misconfigured("the provider `openai` needs the openai package", _INSTALL_HINT)
