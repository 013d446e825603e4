"""What every provider promises of a stream, run over all of them: the vendors' real SDKs against
the loopback server, and the scripted one.
"""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any

import pytest

from omega.errors import LLMError
from omega.llm import LLMReply, LLMRequest, Usage, stream_from
from omega.testing import LoopbackReply
from tests.llm.harness import (
    PROMPTLY_S,
    Harness,
    Pieces,
    VendorHarness,
    asked,
    checked,
    run,
)

STREAMS = int(os.environ.get("OMEGA_STREAMS", "10"))  # at once, cancelled at random moments


def stream(harness: Harness, emit: Any, prompt: str = "p", **fields: Any) -> Any:
    return harness.provider.stream(LLMRequest(prompt, **fields), sleep=asyncio.sleep, emit=emit)


def broken(harness: Harness, emit: Any, **fields: Any) -> LLMError:
    """The error of a stream, after which the next call succeeds."""

    async def body() -> LLMError:
        with pytest.raises(LLMError) as caught:
            await stream(harness, emit, **fields)
        assert (await asked(harness, "streamed", "after")).text == "echo: after"
        return caught.value

    return checked(run(harness, body))


def test_the_text_comes_in_pieces_and_the_tokens_are_told_before_the_end(harness: Harness) -> None:
    pieces = Pieces()
    reply = run(harness, lambda: stream(harness, pieces, "one two three"))
    assert pieces == ["echo:", " one", " two", " three"]
    assert reply.text == "echo: one two three"
    known = [usage for usage, _ in pieces.notes if usage is not None]
    assert known and known[-1].input_tokens == 7


def test_a_piece_comes_before_the_next_is_sent(harness: Harness) -> None:
    """The server sends a word when the word before has been taken."""
    taken = asyncio.Event

    async def body() -> None:
        first: asyncio.Event = taken()

        async def emit(text: str) -> None:
            first.set()

        if isinstance(harness, VendorHarness):
            harness.server.faults = [f"stall:{harness.events_before_text + 1}"]
        else:
            harness.latency_s = 0.01
            harness.reply = lambda prompt: "first second"
        task = asyncio.create_task(stream(harness, emit, "a b c"))
        await asyncio.wait_for(first.wait(), PROMPTLY_S)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(harness, body)


@pytest.mark.parametrize("words", [0, 1, 3])
def test_a_cut_stream_keeps_what_has_come(harness: Harness, words: int) -> None:
    pieces = Pieces()
    harness.fail_with(f"cut-words:{words}")
    error = broken(harness, pieces, prompt="one two three four")
    assert (error.kind, error.retryable) == ("llm-unavailable", True)
    assert error.partial == "".join(["echo:", " one", " two"][:words]) == "".join(pieces)
    if harness.kind == "openai":  # it tells the usage at the end only
        assert error.usage is None
    else:
        assert error.usage.input_tokens == 7 and error.usage.cached_tokens == 3
        assert error.usage.output_tokens <= 5


def test_a_timeout_keeps_what_has_come(harness: Harness) -> None:
    if isinstance(harness, VendorHarness):
        harness.server.faults = [f"stall:{harness.events_before_text + 2}"]
        timeout_s = 0.5
    else:
        harness.latency_s, timeout_s = 0.6, 0.4

    async def body() -> LLMError:
        with pytest.raises(LLMError) as caught:
            await stream(harness, Pieces(), "b c", timeout_s=timeout_s)
        return caught.value

    error = checked(run(harness, body))
    assert (error.kind, error.partial) == ("llm-timeout", "echo: b"[: len(error.partial or "")])
    assert error.partial


def test_a_slow_reader_does_not_use_up_the_time(harness: Harness) -> None:
    async def slowly(text: str) -> None:
        await asyncio.sleep(0.1)

    reply = run(harness, lambda: stream(harness, slowly, "b c d", timeout_s=0.25))
    assert reply.text == "echo: b c d"


def test_what_emit_raises_ends_the_stream_and_is_raised(harness: Harness) -> None:
    class Enough(TimeoutError):  # even one that looks like ours
        pass

    async def refuse(text: str) -> None:
        raise Enough("enough")

    async def body() -> None:
        with pytest.raises(Enough):
            await stream(harness, refuse, "b c d")
        await harness.wait_active(0)
        assert (await asked(harness, "streamed", "after")).text == "echo: after"

    run(harness, body)


def test_a_cancel_while_the_reader_is_waited_for_ends_the_stream(harness: Harness) -> None:
    async def body() -> None:
        waiting = asyncio.Event()

        async def never(text: str) -> None:
            waiting.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(stream(harness, never, "b c d"))
        await asyncio.wait_for(waiting.wait(), PROMPTLY_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await harness.wait_active(0)

    run(harness, body)


def test_of_a_provider_without_streams_the_answer_is_one_piece(harness: Harness) -> None:
    class Whole:
        name, needs_real_time = "whole", True
        infer, aclose = harness.provider.infer, harness.provider.aclose

    async def body(provider: Any) -> Pieces:
        pieces = Pieces()
        request = LLMRequest("b c")
        reply = await stream_from(provider, request, sleep=asyncio.sleep, emit=pieces)
        assert isinstance(reply, LLMReply) and reply.text == "echo: b c"
        return pieces

    assert run(harness, lambda: body(Whole())) == ["echo: b c"]
    assert run(harness, lambda: body(harness.provider)) == ["echo:", " b", " c"]


# -- over the wire ---------------------------------------------------------------------------------


def test_an_error_event_is_the_error_it_stands_for(vendor: VendorHarness) -> None:
    vendor.server.faults = [f"error:{vendor.events_before_text + 2}"]
    pieces = Pieces()
    error = broken(vendor, pieces, prompt="b c d")
    assert (error.kind, error.retryable) == ("llm-unavailable", True)
    assert error.status == {"openai": 500, "anthropic": 529}[vendor.kind]
    assert error.throttle == {"openai": None, "anthropic": "overload"}[vendor.kind]
    assert error.partial == "echo: b" and "broke off" in error.message


def test_garbage_in_the_middle_is_a_bad_response(vendor: VendorHarness) -> None:
    vendor.server.faults = [f"garbage:{vendor.events_before_text + 2}"]
    error = broken(vendor, Pieces(), prompt="b c d")
    assert (error.kind, error.partial) == ("bad-response", "echo: b")


def test_an_end_before_the_end_is_a_cut(vendor: VendorHarness) -> None:
    for events in (0, 1, vendor.events_before_text + 2):
        vendor.server.faults = [f"end:{events}"]
        error = broken(vendor, Pieces(), prompt="b c d")
        assert (error.kind, error.retryable) == ("llm-unavailable", True)
        assert "before its end" in error.message


def test_what_goes_wrong_after_the_end_does_no_harm(
    vendor: VendorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omega.llm.vendor.DRAIN_S_MAX", 0.05)
    vendor.server.faults = ["cut-events:99", "stall:99"]
    for _ in range(2):
        reply = run(vendor, lambda: asked(vendor, "streamed"))
        assert (reply.text, reply.usage) == ("echo: p", Usage(7, 5, cached_tokens=3))


def test_a_server_that_does_not_stream_is_understood(vendor: VendorHarness) -> None:
    vendor.server.streams = False
    pieces = Pieces()
    reply = run(vendor, lambda: stream(vendor, pieces, "b c"))
    assert (reply.text, pieces) == ("echo: b c", ["echo: b c"])
    assert reply.usage == Usage(7, 5, cached_tokens=3)


def test_a_slow_reader_slows_the_servers_sending(vendor: VendorHarness) -> None:
    """Back-pressure: what waits on the way is bounded, however long the answer."""
    piece = "x" * 10_000 + " "
    vendor.server.send_buffer_bytes = 20_000
    vendor.server.reply = LoopbackReply(piece * 1000)
    total = len(piece) * 1000

    async def body() -> None:
        gate, taken = asyncio.Event(), 0

        async def emit(text: str) -> None:
            nonlocal taken
            taken += len(text)
            await gate.wait()

        task = asyncio.create_task(stream(vendor, emit))
        sent = -1
        while taken == 0 or vendor.server.calls[0].bytes_sent != sent:  # until nothing moves
            sent = vendor.server.calls[0].bytes_sent if vendor.server.calls else -1
            await asyncio.sleep(0.1)
        assert taken == len(piece) - 1 and sent < total / 2
        gate.set()
        assert len((await task).text) == taken == total

    run(vendor, body)


def test_connections_of_streams_are_used_again(vendor: VendorHarness) -> None:
    async def body() -> None:
        for number in range(4):
            await asked(vendor, "streamed", f"p{number}")

    run(vendor, body)
    assert vendor.server.snapshot().connections == 1


def test_the_server_sees_the_end_of_a_slow_stream_at_once(vendor: VendorHarness) -> None:
    vendor.server.bytes_per_s = 50_000
    vendor.server.reply = LoopbackReply(pieces=["x" * 4000] * 100)  # eight seconds of it
    pick = random.Random(3)

    async def body() -> list[float]:
        cancelled_s: dict[str, float] = {}
        prompts = [f"p{number}" for number in range(STREAMS)]
        tasks = {p: asyncio.create_task(stream(vendor, Pieces(), p)) for p in prompts}
        await vendor.wait_active(STREAMS)
        for prompt, task in tasks.items():
            await asyncio.sleep(pick.random() * 0.02)
            cancelled_s[prompt] = vendor.server.now_s()
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        await vendor.wait_active(0)
        ends = {call.prompt: call.ended_s or 0.0 for call in vendor.server.calls}
        return [ends[prompt] - at_s for prompt, at_s in cancelled_s.items() if prompt in ends]

    took_s = run(vendor, body)
    print(f"{len(took_s)} closes of {STREAMS} streams, the latest after {max(took_s) * 1e3:.1f} ms")
    assert max(took_s) < PROMPTLY_S
    assert {call.outcome for call in vendor.server.calls} == {"closed"}
