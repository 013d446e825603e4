"""One attempt over a real network, ended cleanly however it ends. For providers built on a vendor's
async SDK.

Owns: the time limit of an attempt and the delivery of cancels to it. Refuses: to know what is
attempted.

Invariant: the attempt is cancelled at most once, and whoever waits for it waits until it has ended.
HTTP libraries close their connection while they handle a cancel, and a second cancel in that moment
(a timeout and a cancel meeting, an impatient host) leaves it open: with httpcore 1.0 the server
then keeps generating, and the account pays (httpx #3782).
`test_cancels_at_any_moment_leak_no_connection` shows it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

CLOSE_S_MAX = (
    5.0  # how long a cancelled attempt may take to close its connection before it is left alone
)

T = TypeVar("T")


class Allowance:
    """The time an attempt may take. It stands still while the attempt waits for its own reader.

    Made and used in the attempt's loop.
    """

    __slots__ = ("_left_s", "_loop", "_since_s", "_timer", "expired")

    def __init__(self, timeout_s: float) -> None:
        import asyncio

        self._loop = asyncio.get_running_loop()
        self._left_s = timeout_s
        self._since_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.expired: asyncio.Future[None] = self._loop.create_future()

    async def excepting(self, wait: Awaitable[None]) -> None:
        """Await `wait`, which costs no time."""
        self.stop()
        try:
            await wait
        finally:
            self.start()

    def lower(self, left_s: float) -> None:
        """Leave at most `left_s` of it."""
        self.stop()
        self._left_s = min(self._left_s, left_s)
        self.start()

    def start(self) -> None:
        """Go on counting."""
        self._since_s = self._loop.time()
        self._timer = self._loop.call_later(max(0.0, self._left_s), self._expire)

    def stop(self) -> None:
        """Count no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._left_s -= self._loop.time() - self._since_s

    def _expire(self) -> None:
        if not self.expired.done():
            self.expired.set_result(None)


async def bounded_attempt(
    work: Coroutine[Any, Any, T], timeout_s: float, allowance: Allowance | None = None
) -> T:
    """The result of `work`. Raises TimeoutError after `timeout_s`; when cancelled, CancelledError.

    allowance: counts instead of `timeout_s`.
    A result that comes while a timeout closes the connection is kept: it has been paid for.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    is_cancelled = False
    try:
        if allowance is None:
            await asyncio.wait([task], timeout=timeout_s)
        else:
            allowance.start()
            either: list[asyncio.Future[Any]] = [task, allowance.expired]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        is_cancelled = True
    if not task.done():
        task.cancel()
        deadline_s = loop.time() + CLOSE_S_MAX
        while not task.done() and (left_s := deadline_s - loop.time()) > 0:
            try:
                await asyncio.wait([task], timeout=left_s)
            except asyncio.CancelledError:
                is_cancelled = True
    if allowance is not None:
        allowance.stop()
    if is_cancelled:
        if task.done() and not task.cancelled():
            task.exception()  # looked at, so that the loop does not report it as forgotten
        raise asyncio.CancelledError
    if not task.done() or task.cancelled():
        raise TimeoutError
    return task.result()
