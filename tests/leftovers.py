"""What a test leaves behind is told in that test: sockets, files, coroutines nobody awaited."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def collected(filters: Callable[[], object] = lambda: None) -> Iterator[None]:
    """What is made inside is collected at the end, and nothing that is older: a process that has
    run some thousand tests holds so much that looking at all of it takes half a second. So what is
    alive before is frozen and stays so: thawed, Python itself would look at it, and soon.
    filters: of warnings, while it is collected.
    """
    gc.collect()  # what is garbage already is not to stay
    gc.freeze()
    try:
        yield
    finally:
        with warnings.catch_warnings():
            filters()
            gc.collect()
