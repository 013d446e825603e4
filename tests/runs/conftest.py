"""What a run leaves behind is that test's own failure."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator

import pytest

from tests.runs.kit import OPENED


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()
    with warnings.catch_warnings():
        # CPython 3.13 tells of each connection that is dropped open; stores close theirs then.
        warnings.filterwarnings("ignore", "unclosed database", ResourceWarning)
        gc.collect()
