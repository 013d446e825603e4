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

from collections.abc import Coroutine
from typing import Any, TypeVar

CLOSE_S_MAX = (
    5.0  # how long a cancelled attempt may take to close its connection before it is left alone
)

T = TypeVar("T")


async def bounded_attempt(work: Coroutine[Any, Any, T], timeout_s: float) -> T:
    """The result of `work`. Raises TimeoutError after `timeout_s`; when cancelled, CancelledError.

    A result that comes while a timeout closes the connection is kept: it has been paid for.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    is_cancelled = False
    try:
        await asyncio.wait([task], timeout=timeout_s)
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
    if is_cancelled:
        if task.done() and not task.cancelled():
            task.exception()  # looked at, so that the loop does not report it as forgotten
        raise asyncio.CancelledError
    if not task.done() or task.cancelled():
        raise TimeoutError
    return task.result()
