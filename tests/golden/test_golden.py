"""Every code has its golden report: what the command line prints today is what was reviewed."""

from __future__ import annotations

import pytest

from omega.codes import CODES
from tests.golden.kit import FOLDER, WITHOUT, codes, files_of, is_told, transcript

REGISTERED = {code for code, _ in CODES.values()}
# what a host is told by a Python exception, which has no code in its text
OF_HOSTS = {"E901", "E903", "E904", "E906", *(f"E91{i}" for i in range(8))}


def test_every_code_has_a_golden_report_or_a_reason() -> None:
    assert sorted(set(codes()) | set(WITHOUT)) == sorted(REGISTERED)
    assert sorted(set(codes()) & set(WITHOUT)) == [], "these have a report now: take them off"


def test_every_file_belongs_to_a_report() -> None:
    known = {path for code in codes() for path in files_of(code)}
    for path in FOLDER.iterdir():
        if path.suffix not in (".txt", ".pyc") and path.is_file():
            assert (
                path in known
                or path.name in ("__init__.py", "__main__.py", "kit.py")
                or (path.name.startswith("test_"))
            ), f"{path.name} belongs to no code"


@pytest.mark.parametrize("code", codes())
def test_the_report_is_as_reviewed(code: str) -> None:
    wanted = (FOLDER / f"{code}.txt").read_text("utf-8")
    assert transcript(code) == wanted, f"review it: python -m tests.golden {code}"
    assert is_told(code, wanted) or code in OF_HOSTS, f"{code}.txt is not about {code}"
