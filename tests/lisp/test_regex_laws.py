"""Regular expressions against Python's `re`: equal matches, equal groups, on generated patterns and
texts. OMEGA_LONG=20000 makes it so many of them.
"""

from __future__ import annotations

import os
import re

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from omega.regex import Regex

EXAMPLES = int(os.environ.get("OMEGA_LONG", "400"))

ATOMS = [
    "a",
    "b",
    "c",
    "A",
    ".",
    " ",
    "1",
    "-",
    "é",
    "ß",
    "ab",
    r"\d",
    r"\w",
    r"\s",
    r"\W",
    r"\n",
    r"\.",
]
CLASSES = ["[ab]", "[^a]", r"[a-c\d]", r"[^\w]", r"[\]-]", r"\x61", r"\u00e9"]
atoms = st.sampled_from(ATOMS + CLASSES)
places = st.sampled_from(["^", "$", "\\b", "\\B", "\\A", "\\Z"])
counts = st.sampled_from(["*", "+", "?", "{2}", "{0}", "{1,2}", "{,2}", "{2,}", "{0,3}", "{2,3}"])
lazy = st.sampled_from(["", "", "?"])


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    grouped = st.tuples(st.sampled_from(["(", "(", "(?:", "(?i:", "(?s-i:", "(?m:"]), inner).map(
        lambda parts: parts[0] + parts[1] + ")"
    )
    return st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner | st.just(""), min_size=2, max_size=3).map(
            lambda options: f"(?:{'|'.join(options)})"
        ),
        grouped,
        st.tuples(grouped | atoms.filter(lambda a: a != "ab"), counts, lazy).map("".join),
    )


patterns = st.tuples(
    st.sampled_from(["", "", "", "(?i)", "(?m)", "(?s)", "(?ims)"]),
    st.recursive(atoms | places, _grown, max_leaves=12),
).map("".join)
texts = st.text("aabbcA1 -.\néßſK", max_size=14)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(patterns, texts)
@example("(?:(?:a?)*|b)*", "ab")
@example("(|a)*$", "aa")
@example("(?:(a)|b)*", "ab")
@example("(a|ab)(c|bcd)(d*)", "abcd")
@example("(a??)*?b", "aab")
@example("(?:|a){0,2}b", "aab")
@example("^$", "\n\n")
@example("$", "a\n")
def test_matches_and_groups_are_those_of_re(pattern: str, text: str) -> None:
    try:
        compiled = re.compile(pattern)
    except re.error:
        return
    if text == "" and "\\B" in pattern:
        return  # before 3.14 \B does not match in a text without characters
    regex = Regex(pattern)
    expected = [match.regs for match in compiled.finditer(text)]
    whole = compiled.fullmatch(text)
    for is_plain in (True, False):
        if not is_plain:
            regex._plain = None
        assert [found.spans for found in regex.search_all(text)] == expected
        found = regex.full_match(text)
        assert (found and found.spans) == (whole and whole.regs)
        for start in range(0, len(text) + 1, 3):
            first = compiled.search(text, start)
            mine = regex.search(text, start)
            assert (mine and mine.spans) == (first and first.regs)
