"""The two contract suites' other side: every provider, those of vendors alone, and how they are
asked.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.llm.harness import Harness, VendorHarness, harness_of


@pytest.fixture(params=["scripted", "openai", "anthropic"])
def harness(request: pytest.FixtureRequest) -> Iterator[Harness]:
    with harness_of(request.param) as made:
        yield made


@pytest.fixture(params=["openai", "anthropic"])
def vendor(request: pytest.FixtureRequest) -> Iterator[VendorHarness]:
    with harness_of(request.param) as made:
        assert isinstance(made, VendorHarness)
        yield made


@pytest.fixture(params=["whole", "streamed"])
def how(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind
