"""One attempt is cancelled at most once, and is over when its waiter goes on."""

from __future__ import annotations

import asyncio

import pytest

from omega.llm.attempt import bounded_attempt


class Work:
    """Waits, and takes a few turns of the loop to close when it is cancelled."""

    def __init__(self, *, late_result: bool = False) -> None:
        self.cancels = 0
        self.is_closed = False
        self.late_result = late_result

    async def run(self) -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancels += 1
            for _ in range(5):
                try:
                    await asyncio.sleep(0.001)
                except asyncio.CancelledError:
                    self.cancels += 1
            self.is_closed = True
            if self.late_result:
                return "late"
            raise
        return "slept"


def test_a_result_or_an_error_passes_through() -> None:
    async def answer() -> int:
        return 5

    async def fail() -> int:
        raise ValueError("mine")

    assert asyncio.run(bounded_attempt(answer(), 1.0)) == 5
    with pytest.raises(ValueError, match="mine"):
        asyncio.run(bounded_attempt(fail(), 1.0))


def test_a_timeout_waits_for_the_close() -> None:
    work = Work()
    with pytest.raises(TimeoutError):
        asyncio.run(bounded_attempt(work.run(), 0.001))
    assert (work.cancels, work.is_closed) == (1, True)


def test_a_result_that_comes_with_the_timeout_is_kept() -> None:
    assert asyncio.run(bounded_attempt(Work(late_result=True).run(), 0.001)) == "late"


@pytest.mark.parametrize("late_result", [False, True])
@pytest.mark.parametrize("timeout_s", [0.002, 60.0])
def test_many_cancels_are_one_and_the_close_is_awaited(timeout_s: float, late_result: bool) -> None:
    work = Work(late_result=late_result)

    async def main() -> None:
        task = asyncio.create_task(bounded_attempt(work.run(), timeout_s))
        await asyncio.sleep(0.003)
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
        assert work.is_closed
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert work.cancels == 1


def test_an_attempt_that_never_closes_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omega.llm.attempt.CLOSE_S_MAX", 0.01)
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                pass

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await bounded_attempt(stubborn(), 0.001)
        release.set()
        await asyncio.sleep(0)

    asyncio.run(main())
