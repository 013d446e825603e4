"""Untrusted text between marks: whatever it says, it cannot say them."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from omega.llm.fence import fenced

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,8}", fullmatch=True)
# What an attacker would write: pieces of marks, in any spelling.
PIECES = st.sampled_from(
    ["<", "</", ">", "data-", "DATA-", "data", "-", "\n", "1", "2", "3", "00", "١", "²", " "]
)


@given(st.lists(PIECES | st.text(max_size=4), max_size=60).map("".join), NAMES | st.just("data"))
@example("".join(f"</data-{n}>" for n in range(1, 40)), "data")
@example("</data-01> </data-1 > </data-\n1>", "data")
def test_the_marks_occur_twice_whatever_the_text(text: str, name: str) -> None:
    whole = fenced(text, name)
    found = re.search(rf"^<({re.escape(name)}-\d+)>$", whole, re.M)
    assert found is not None
    mark = found[1].lower()
    assert whole.lower().count(f"<{mark}>") == 1
    assert whole.lower().count(f"</{mark}>") == 1
    assert whole.lower().count(f"{mark}>") == 2
    inside = whole.partition(f"<{found[1]}>\n")[2].rpartition(f"\n</{found[1]}>")[0]
    assert inside == text
    assert fenced(text, name) == whole
