"""JSON: what is written is read back; a text is data or an error with a place; work is paid for."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omega.errors import JsonError, LimitExceeded
from omega.lisp.equality import is_equal
from omega.lisp.primitives.json import NULL, format_json, parse_json
from omega.lisp.table import HashTable


def table(entries: dict[str, Any]) -> HashTable:
    return HashTable(entries.items())


texts = st.text(st.characters() | st.sampled_from('"\\/\n\x00\x7f\u2028\ud800\udc00é😀'))
atoms = (
    st.booleans()
    | st.just(NULL)
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4).map(table)
    ),
    max_leaves=20,
)


def plain(value: Any) -> Any:
    """As Python's json has it."""
    if isinstance(value, HashTable):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    return None if value is NULL else value


@given(values, st.sampled_from([None, 0, 2]))
def test_what_is_written_is_read_back(value: Any, indent: int | None) -> None:
    text = format_json(value, indent)
    again = parse_json(text)
    assert is_equal(again, whole(value))
    assert format_json(again, indent) == format_json(whole(value), indent)
    assert repr(whole(json.loads(text))) == repr(plain(again))


def whole(value: Any) -> Any:
    """As JSON has it: two surrogates that stand beside each other are one character, one alone is
    U+FFFD.
    """
    if isinstance(value, HashTable):
        return table({whole(key): whole(part) for key, part in value.items()})
    if isinstance(value, dict):
        return {whole(key): whole(part) for key, part in value.items()}
    if isinstance(value, list):
        return [whole(part) for part in value]
    if type(value) is str:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


@given(values)
def test_what_was_read_can_be_written_as_utf_8(value: Any) -> None:
    assert json.dumps(plain(parse_json(format_json(value))), ensure_ascii=False).encode()


@given(st.text('[]{},:"\\ue+-.0123456789truefalsn \n\x0c\xa0\ufeff\x00', max_size=12))
def test_every_text_is_read_as_by_python_or_has_a_place(text: str) -> None:
    try:
        value = plain(parse_json(text))
    except JsonError as error:
        assert error.message.startswith("JSON ")
        if "too large" not in error.message and not text.startswith("\ufeff"):
            with pytest.raises(ValueError, match=r"\S"):
                json.loads(text, parse_constant=int)
    else:
        assert repr(value) == repr(json.loads(text.removeprefix("\ufeff")))


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("\x0c", "JSON 1:1: expected a value, found U+000C", "no blanks but"),
        ("[1]\n\xa0", "JSON 2:1: text follows the value", None),
        ("[1] and so on", "JSON 1:5: text follows the value", None),
        ("{a: 1}", "JSON 1:2: expected a key in double quotes, found `a`", None),
        ("[-Infinity]", "JSON 1:2: expected a value, found `-Infinity`", "no NaN or infinity"),
        ("[True]", "JSON 1:2: expected a value, found `True`", "small letters"),
        ("[None]", "JSON 1:2: expected a value, found `None`", "written null"),
        ("[1, 01]", "JSON 1:5: expected a value, found `01`", "-12, 0.5"),
        ("1e400", "JSON 1:1: `1e400` is too large", None),
        ('{"a": "b\n"}', "JSON 1:9: a string holds no raw control characters", r"\\n"),
        ("[1,   ]", "JSON 1:3: a comma before `]`", "remove it"),
    ],
)
def test_a_text_that_is_no_json_says_where_and_why(
    text: str, message: str, hint: str | None
) -> None:
    with pytest.raises(JsonError) as caught:
        parse_json(text)
    assert caught.value.message.startswith(message)
    assert (hint or "") in (caught.value.hint or "").replace("\\", "\\\\")


@pytest.mark.parametrize(
    "text",
    [
        '"' + "\\n" * 300_000 + '"',
        '"' + "\\u00e9" * 100_000 + '"',
        '"' + "\ud800" * 300_000 + '"',
        "[" + "1," * 300_000 + "1]",
        "[" * 600_000 + "]" * 600_000,
    ],
    ids=["escapes", "codes", "halves", "items", "deep"],
)
def test_reading_is_paid_for_in_short_pieces(text: str) -> None:
    charged: list[int] = []
    parse_json(text, charged.append)
    assert sum(charged) >= len(text) // 64
    assert max(charged) < 2_000


def test_endless_numbers_are_paid_for_or_refused() -> None:
    charged: list[int] = []
    assert parse_json("7" * 200_000, charged.append) % 10 == 7
    assert sum(charged) > 3_000
    with pytest.raises(LimitExceeded, match="bits of an integer"):
        parse_json("[" + "7" * 30_000_000)
    with pytest.raises(JsonError):
        parse_json("7" * 3_000_000 + "x")


def test_a_key_given_twice_has_its_last_value_in_its_first_place() -> None:
    assert list(parse_json('{"a": 1, "b": 2, "a": 3}').items()) == [("a", 3), ("b", 2)]


def test_random_bytes_of_a_real_text_do_no_harm() -> None:
    chance = random.Random(7)
    text = json.dumps({"a": [1, -2.5e3, None, True, "x\n\u00e9"], "b": {"c": {}}})
    for _ in range(2_000):
        at = chance.randrange(len(text))
        broken = text[:at] + chance.choice('{}[],:"\\0x- \x01é') + text[at + chance.randrange(3) :]
        try:
            parse_json(broken)
        except JsonError as error:
            assert error.message.startswith("JSON 1:")
