"""The pool of threads for blocking calls: the only threads of the package.

Owns: at most `most` daemon threads, started when needed, and the queue before them.
Refuses: to interrupt a call. An abandoned one keeps its thread until it ends; one that has not
begun never begins.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from sys import version_info
from typing import Any

from omega.concurrency.outside import External
from omega.errors import Cancelled

# A call has the recursion limit of the tasks, which need no C stack. What recurses through C, as
# `repr` of a program's deep data does, takes up to 900 bytes a level of it before Python 3.12 has a
# limit of its own for that. Of address space: only what is used becomes memory.
STACK_BYTES = 1 << (30 if version_info < (3, 12) else 27)

Ended = Callable[[Any, BaseException | None], None]


class ThreadPool:
    # Invariant, under _lock: _idle <= _threads <= most; a call is in _queue until a thread takes
    # it.
    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Condition()
        self._queue: deque[tuple[External, Ended]] = deque()
        self._threads = 0
        self._idle = 0
        self._closed = False

    def submit(self, external: External, ended: Ended) -> None:
        """Run the function of `external` in a thread, then call `ended` there."""
        with self._lock:
            self._queue.append((external, ended))
            if self._idle >= len(self._queue):
                self._lock.notify()
            elif self._threads < self._most:
                self._threads += 1
                self._start()

    def abandon(self, external: External) -> None:
        """Drop a call that has not begun; a running one ends by itself."""
        with self._lock:
            for entry in self._queue:
                if entry[0] is external:
                    self._queue.remove(entry)
                    entry[1](None, Cancelled(external.abort_reason))
                    return

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._queue.clear()
            self._lock.notify_all()

    def _start(self) -> None:
        usual = threading.stack_size(STACK_BYTES)
        try:
            threading.Thread(target=self._work, name="omega-blocking", daemon=True).start()
            return
        except RuntimeError:  # there is no room for so much
            pass
        finally:
            threading.stack_size(usual)
        threading.Thread(target=self._work, name="omega-blocking", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._queue:
                    if self._closed:
                        self._threads -= 1
                        return
                    self._idle += 1
                    self._lock.wait()
                    self._idle -= 1
                external, ended = self._queue.popleft()
                function = external.function
            value: Any = None
            failure: BaseException | None = None
            try:
                assert function is not None
                value = external.context.run(function)
            except BaseException as error:
                failure = error
            ended(value, failure)
            value = failure = function = None
            del external, ended
