"""Nonsense where texts come in is read, or is an error of its kind; `make fuzz` tries more."""

from __future__ import annotations

import os

import pytest

from tests.lisp.fuzz.entries import ENTRIES, try_entry

TRIALS = int(os.environ.get("OMEGA_FUZZ_TRIALS", "1500"))
ELSEWHERE = {"json", "regex", "formats"}  # test_json.py, test_regex.py, test_formatting.py


@pytest.mark.parametrize("name", sorted(set(ENTRIES) - ELSEWHERE))
def test_nonsense_is_refused_or_read(name: str) -> None:
    assert try_entry(name, "the same each time", TRIALS) == []
