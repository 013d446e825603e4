"""LLM calls as values and state machines: requests, replies, providers, retry, the governor.

No scheduler, no clock and no Lisp in here; `omega/effects.py` puts the parts together. Importing
this package loads neither asyncio nor a vendor's SDK, and what few programs need only when it is
first asked for; a provider imports what it needs when it is first used.
"""

from typing import TYPE_CHECKING, Any

from omega.llm.governor import Governor
from omega.llm.provider import Emit, Provider, Sleep, StreamingProvider, stream_from
from omega.llm.request import LLMReply, LLMRequest, Usage
from omega.llm.retry import RetryPolicy
from omega.llm.scripted import ScriptedCall, ScriptedProvider
from omega.llm.spec import provider_from_spec

if TYPE_CHECKING:
    from omega.llm.anthropic_provider import AnthropicProvider
    from omega.llm.buckets import Rate
    from omega.llm.budget import Budget, BudgetExceeded
    from omega.llm.lane import LaneLimits
    from omega.llm.messages import ToolCall
    from omega.llm.openai_provider import OpenAIProvider
    from omega.llm.prices import Price, PriceTable
    from omega.llm.rate_limits import Limit, RateLimits
    from omega.llm.settings import Settings, parse_settings, read_settings

_LATER = {
    "AnthropicProvider": "omega.llm.anthropic_provider",
    "Budget": "omega.llm.budget",
    "BudgetExceeded": "omega.llm.budget",
    "LaneLimits": "omega.llm.lane",
    "Limit": "omega.llm.rate_limits",
    "OpenAIProvider": "omega.llm.openai_provider",
    "Price": "omega.llm.prices",
    "PriceTable": "omega.llm.prices",
    "Rate": "omega.llm.buckets",
    "RateLimits": "omega.llm.rate_limits",
    "Settings": "omega.llm.settings",
    "ToolCall": "omega.llm.messages",
    "parse_settings": "omega.llm.settings",
    "read_settings": "omega.llm.settings",
}

__all__ = [
    "AnthropicProvider",
    "Budget",
    "BudgetExceeded",
    "Emit",
    "Governor",
    "LLMReply",
    "LLMRequest",
    "LaneLimits",
    "Limit",
    "OpenAIProvider",
    "Price",
    "PriceTable",
    "Provider",
    "Rate",
    "RateLimits",
    "RetryPolicy",
    "ScriptedCall",
    "ScriptedProvider",
    "Settings",
    "Sleep",
    "StreamingProvider",
    "ToolCall",
    "Usage",
    "parse_settings",
    "provider_from_spec",
    "read_settings",
    "stream_from",
]


def __getattr__(name: str) -> Any:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(module), name)
