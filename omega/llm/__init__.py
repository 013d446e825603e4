"""LLM calls as values and state machines: requests, replies, providers, retry, the governor.

No scheduler, no clock and no Lisp in here; `omega/effects.py` puts the parts together. Importing
this package loads neither asyncio nor a vendor's SDK: a provider imports what it needs when it is
first used.
"""

from omega.llm.governor import Governor
from omega.llm.openai_provider import OpenAIProvider
from omega.llm.provider import Provider, Sleep
from omega.llm.request import LLMReply, LLMRequest, Usage
from omega.llm.retry import RetryPolicy
from omega.llm.scripted import ScriptedCall, ScriptedProvider
from omega.llm.spec import provider_from_spec

__all__ = [
    "Governor",
    "LLMReply",
    "LLMRequest",
    "OpenAIProvider",
    "Provider",
    "RetryPolicy",
    "ScriptedCall",
    "ScriptedProvider",
    "Sleep",
    "Usage",
    "provider_from_spec",
]
