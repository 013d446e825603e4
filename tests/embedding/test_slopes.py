"""A vendor that refuses what grows too fast, over the wire: the governor learns which limit it was,
and all calls are answered in the end.
"""

from __future__ import annotations

from typing import Any

import pytest

from omega import Interpreter, SchedulerConfig
from omega.llm import AnthropicProvider, OpenAIProvider
from omega.testing import LoopbackLimits, LoopbackServer

CALLS = 60


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
@pytest.mark.parametrize("retry_after", ["fractional", None])
def test_calls_that_grow_too_fast_are_slowed_and_all_answered(
    vendor: str, retry_after: str | None
) -> None:
    limits = LoopbackLimits(growth=2, growth_floor=4, growth_window_s=0.05, retry_after=retry_after)
    with LoopbackServer(limits=limits) as server:
        provider: Any = (
            OpenAIProvider("m", base_url=server.base_url, api_key="sk-loopback")
            if vendor == "openai"
            else AnthropicProvider("m", base_url=server.anthropic_url, api_key="sk-loopback")
        )
        config = SchedulerConfig(max_concurrent_llm_calls=30)
        with Interpreter(llm=provider, scheduler=config) as omega:
            answers = omega.eval(
                f"(par-map (lambda (i) (llm.infer (number->string i))) (iota {CALLS}))"
            )
            assert list(answers) == [f"echo: {number}" for number in range(CALLS)]
            (lane,) = omega.calls.stats(0.0)["lanes"].values()
        refused = server.snapshot().limited
        assert 0 < refused == lane["throttled"].pop("slope") < CALLS
        assert lane["throttled"] == {}, "and none was taken for another limit"
