"""string-format against Python's own formatting, and what it costs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omega.errors import LimitExceeded, OmegaError
from tests.lisp.primitive_kit import FakeRuntime, call

widths = st.integers(0, 30).map(lambda n: str(n or ""))


@given(
    st.integers(-(10**30), 10**30),
    st.sampled_from(["", "<", ">", "^", "*>", "0^"]),
    st.sampled_from(["", "+"]),
    st.sampled_from(["", "0"]),
    widths,
    st.sampled_from(["", "d", "x", "X", "b", "o", ",", "_", ",d"]),
)
def test_integers_are_shown_as_python_shows_them(
    n: int, align: str, sign: str, zero: str, width: str, kind: str
) -> None:
    if "," in kind or "_" in kind or (zero and align):
        zero = ""  # Python groups the zeros, too; and takes a zero for a fill
    spec = f"{align}{sign}{zero}{width}{kind}"
    assert call("string-format", f"{{:{spec}}}", n) == format(n, spec)


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", ">", "^"]),
    st.sampled_from(["", "+"]),
    widths,
    st.sampled_from(["", ","]),
    st.integers(0, 20),
    st.sampled_from(["f", "e"]),
)
def test_reals_are_shown_as_python_shows_them(
    x: float, align: str, sign: str, width: str, group: str, digits: int, kind: str
) -> None:
    spec = f"{align}{sign}{width}{group}.{digits}{kind}"
    expected = format(x, spec)
    if not expected.strip(" -+0.,") and kind == "f":
        expected = format(0.0, spec)  # zero has no sign here
    assert call("string-format", f"{{:{spec}}}", x) == expected


@given(st.text("{}:0a.<8%x,w ", max_size=12), st.lists(st.integers() | st.text(), max_size=2))
def test_every_template_gives_a_text_or_a_condition(template: str, items: list[object]) -> None:
    try:
        assert type(call("string-format", template, *items)) is str
    except OmegaError as error:
        assert error.kind in ("value-error", "type-error", "limit-exceeded")


def test_long_templates_cost_in_proportion() -> None:
    for template in ("{" * 100_000, "{{" * 100_000, "{}" * 3, "x" * 100_000 + "{:"):
        rt = FakeRuntime()
        try:
            call("string-format", template, 1, 2, 3, rt=rt)
        except OmegaError:
            pass
        assert rt.charged >= len(template) // 64
    with pytest.raises(LimitExceeded):
        call("string-format", "{:900000}" * 2, 1, 2)
