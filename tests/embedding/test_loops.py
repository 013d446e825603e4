"""An interpreter in a host's loop: its end, its limits, coroutines that cancel themselves."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from omega import Interpreter, LimitExceeded, Limits, LispError
from omega.llm import OpenAIProvider
from omega.testing import LoopbackServer


async def _cancels_what_it_awaits() -> None:
    inner = asyncio.ensure_future(asyncio.sleep(5))
    inner.cancel()
    await inner


def test_a_cancel_nobody_asked_for_is_an_error_of_the_host_function() -> None:
    with Interpreter() as omega:
        omega.define("f", _cancels_what_it_awaits)
        assert str(omega.eval("(guard (e (#t 'caught)) (f))")) == "caught"
        with pytest.raises(LispError, match=r"E505.*`f` raised.*CancelledError"):
            omega.eval("(f)")


def test_the_manager_changes_the_cap_of_llm_calls() -> None:
    with LoopbackServer(latency_s=0.05) as server:
        provider = OpenAIProvider("m", api_key=server.api_key, base_url=server.base_url)
        with Interpreter(llm=provider) as omega:
            omega.manager.configure(max_concurrent_llm_calls=2)
            omega.eval("(par-map (lambda (i) (llm.infer (number->string i))) (iota 8))")
            assert server.snapshot().peak == 2
            omega.eval("(configure-scheduler! :max-concurrent-llm-calls 5)")
            omega.eval("(par-map (lambda (i) (llm.infer (number->string i))) (iota 10))")
            assert server.snapshot().peak == 5


class _Noting(OpenAIProvider):
    ended = False

    async def aclose(self) -> None:
        await super().aclose()
        await asyncio.sleep(0)
        self.ended = True


@pytest.mark.parametrize("way", ["close", "aclose", "async with"])
def test_closing_inside_a_loop_closes_the_connections(way: str) -> None:
    async def main(provider: Any) -> None:
        omega = Interpreter(llm=provider)
        assert await omega.eval_async('(llm.infer "a")')
        omega.submit('(llm.infer "b")')
        with pytest.warns(ResourceWarning, match="task 2 has not begun"):
            if way == "aclose":
                await omega.aclose()
            elif way == "async with":
                async with omega:
                    pass
            else:
                omega.close()
        if way == "close":
            del omega
            gc.collect()
            await asyncio.sleep(0.2)
        assert provider.ended

    with LoopbackServer() as server:
        provider = _Noting("m", api_key=server.api_key, base_url=server.base_url)
        asyncio.run(main(provider))


SPIN = "(define (spin n) (if (= n 0) 0 (spin (- n 1))))"


def test_fuel_counts_what_is_called_inside_a_loop() -> None:
    async def main() -> None:
        with Interpreter(limits=Limits(fuel=20_000)) as omega:
            await omega.eval_async(SPIN)
            spin = omega.get("spin")
            before = omega.manager.get_stats().steps
            spin(5_000)
            assert omega.manager.get_stats().steps - before >= 5_000
            with pytest.raises(LimitExceeded, match="steps"):
                for _ in range(4):
                    spin(5_000)
            with pytest.raises(LimitExceeded):
                await omega.eval_async("(spin 1000)")

    asyncio.run(main())


def test_the_wall_limit_ends_what_is_called_inside_a_loop() -> None:
    async def main() -> None:
        with Interpreter(limits=Limits(wall_s=0.3)) as omega:
            await omega.eval_async(SPIN)
            with pytest.raises(LimitExceeded) as caught:
                omega.get("spin")(10**9)
            assert caught.value.limit == "wall"
            assert caught.value.used is not None and caught.value.used < 1.0

    asyncio.run(main())


def test_calls_within_calls_inside_a_loop_share_the_fuel() -> None:
    async def main() -> None:
        with Interpreter(limits=Limits(fuel=50_000)) as omega:
            await omega.eval_async(SPIN)
            omega.define("back", lambda f: f())
            await omega.eval_async("(define (nest) (spin 5000) (back (lambda () (nest))))")
            with pytest.raises(LimitExceeded) as caught:
                omega.get("nest")()
            assert caught.value.limit == "fuel"
            assert omega.manager.get_stats().steps <= 60_000

    asyncio.run(main())


@pytest.mark.parametrize("way", ["close", "aclose"])
def test_virtual_time_is_closed_in_a_loop(way: str) -> None:
    async def main() -> object:
        made = Interpreter(virtual_time=True)
        value = await made.eval_async("(begin (sleep 3) 'done)")
        if way == "close":
            made.close()
        else:
            await made.aclose()
        return value

    assert str(asyncio.run(main())) == "done"
