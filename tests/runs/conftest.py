"""What a run leaves behind is that test's own failure."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from tests.leftovers import collected
from tests.runs.kit import OPENED


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    with collected(lambda: warnings.filterwarnings("ignore", "unclosed database", ResourceWarning)):
        # CPython 3.13 tells of each connection that is dropped open; stores close theirs then.
        yield
        while OPENED:
            OPENED.pop().close()
