"""Cancellation tokens: a switch a host can hand around and throw once.

Owns: the token and its callbacks. Refuses: to know tasks; whoever wants to be told subscribes.
"""

from __future__ import annotations

from collections.abc import Callable

from omega.errors import Cancelled


class CancellationToken:
    """Thrown at most once, for good, from any thread.

    Callbacks run in order of subscription, in the thrower's stack; a scheduler's own only tell the
    scheduler when that is another thread's.
    """

    __slots__ = ("__weakref__", "_callbacks", "_cancelled", "_reason")

    def __init__(self) -> None:
        self._cancelled = False
        self._reason: str | None = None
        self._callbacks: dict[object, Callable[[str | None], None]] = {}

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled

    @property
    def reason(self) -> str | None:
        return self._reason

    def cancel(self, reason: str | None = None) -> bool:
        """Throw it. False: it was thrown before, nothing changed.

        Every callback runs even if one raises; the first exception is raised after the last has
        run.
        """
        if self._cancelled:
            return False
        self._reason = reason
        self._cancelled = True
        first: BaseException | None = None
        for key in list(self._callbacks):
            callback = self._take(key)
            try:
                if callback is not None:
                    callback(reason)
            except Exception as error:
                first = first or error
        if first is not None:
            raise first
        return True

    def throw_if_cancelled(self) -> None:
        """Raise Cancelled if the token has been thrown."""
        if self._cancelled:
            raise Cancelled(self._reason, "token")

    def on_cancel(self, callback: Callable[[str | None], None]) -> Callable[[], None]:
        """Call `callback(reason)` when it is thrown, at once if it has been.

        Answers the way to unsubscribe.
        """
        key = object()
        self._callbacks[key] = callback
        # Looked at after subscribing: whoever throws it meanwhile, in another thread, and this one
        # both take the callback, and one of them gets it.
        if self._cancelled and self._take(key) is not None:
            callback(self._reason)
        return lambda: self._forget(key)

    def _take(self, key: object) -> Callable[[str | None], None] | None:
        return self._callbacks.pop(key, None)

    def _forget(self, key: object) -> None:
        self._take(key)
