"""Server-sent events come out alike however the network cuts them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omega.llm import events
from omega.llm.events import EventReader

LINES = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)
EVENTS = st.lists(st.tuples(LINES.map(str.strip), st.lists(LINES, min_size=1, max_size=3)))


def read(chunks: list[bytes]) -> list[tuple[str, str]]:
    reader = EventReader()
    return [event for chunk in chunks for event in reader.feed(chunk)]


@given(EVENTS, st.sampled_from(["\n", "\r\n", "\r"]), st.data())
def test_any_cut_gives_the_same_events(
    wanted: list[tuple[str, list[str]]], end: str, data: st.DataObject
) -> None:
    text = "".join(
        f": note{end}event: {name}{end}" + "".join(f"data: {line}{end}" for line in lines) + end
        for name, lines in wanted
    )
    whole = text.encode() + b": the end\n"  # a lone CR at the very end may be half of a CRLF
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    chunks = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    expected = [(name, "\n".join(lines)) for name, lines in wanted]
    assert read(chunks) == expected
    assert read([bytes([byte]) for byte in whole]) == expected


def test_fields_are_read_as_the_standard_says() -> None:
    text = "\ufeffdata:tight\ndata\nid: 7\nretry: 5\nunknown: x\n\nevent: lost\n\ndata: left open\n"
    assert read([text.encode()]) == [("", "tight\n")]


def test_separators_that_are_none_in_events_stay_in_the_text() -> None:
    assert read(["data: a\u2028b\x0bc\x85d\n\n".encode()]) == [("", "a\u2028b\x0bc\x85d")]


def test_what_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "EVENT_BYTES_MAX", 1000)
    reader = EventReader()
    for _ in range(500):  # many small events are no large one
        reader.feed(b": ping\n\ndata: x\n\n")
    with pytest.raises(ValueError, match="more than"):
        for _ in range(20):
            reader.feed(b"x" * 100)
    with pytest.raises(ValueError):
        read([b"data: \xff\n\n"])
