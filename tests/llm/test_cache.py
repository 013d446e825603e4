"""Caches of answers: one contract over the one in memory and the one in a file, and the file."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from omega.errors import HostError, LLMError
from omega.llm.cache import ENTRY_BYTES, MemoryCache, ReplyCache, reply_from_text, reply_to_text
from omega.llm.cache_sqlite import VERSION, SQLiteCache
from omega.llm.messages import ToolCall
from omega.llm.request import LLMReply, Usage


def reply(text: str, tokens: int = 7) -> LLMReply:
    return LLMReply(text, Usage(tokens, 3), "gpt-4o", "stop")


def shown(found: LLMReply | None) -> object:
    if found is None:
        return None
    return (found.text, found.usage, found.model, found.finish_reason)


# -- what any cache does -------------------------------------------------------------------------


@pytest.fixture(params=["memory", "file"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ReplyCache]:
    made: ReplyCache
    made = MemoryCache() if request.param == "memory" else SQLiteCache(str(tmp_path / "c.db"))
    yield made
    made.close()


def test_what_was_put_is_found_and_nothing_else(cache: ReplyCache) -> None:
    first = reply("one")
    cache.put("a", first)
    assert cache.get("b") is None
    found = cache.get("a")
    assert shown(found) == shown(first) and found is not first
    assert (cache.hits, cache.misses, len(cache)) == (1, 1, 1)


def test_the_latest_reply_under_a_key_counts(cache: ReplyCache) -> None:
    cache.put("a", reply("one"))
    cache.put("a", reply("two", 9))
    assert shown(cache.get("a")) == shown(reply("two", 9)) and len(cache) == 1


@pytest.mark.parametrize("text", ["", "\x00", "é今日😀", "half a pair: \ud83d", '"\\\n'])
def test_any_text_comes_back_as_it_was(cache: ReplyCache, text: str) -> None:
    cache.put("a", reply(text))
    found = cache.get("a")
    assert found is not None and found.text == text


def test_unreported_usage_stays_unreported(cache: ReplyCache) -> None:
    cache.put("a", LLMReply("x"))
    found = cache.get("a")
    assert found is not None and not found.usage.is_reported


def test_tool_calls_and_cached_tokens_are_kept(cache: ReplyCache) -> None:
    calls = [ToolCall("1", "search", {"query": "é"}), ToolCall("2", "fetch", "no JSON")]
    usage = Usage(9, 3, cached_tokens=5)
    cache.put("a", LLMReply("", usage, "gpt-4o", "tool_calls", tool_calls=calls))
    found = cache.get("a")
    assert found is not None and found.tool_calls == tuple(calls) and found.usage == usage


def test_clear_forgets_and_close_ends(cache: ReplyCache) -> None:
    cache.put("a", reply("one"))
    cache.clear()
    assert cache.get("a") is None and len(cache) == 0
    cache.put("a", reply("one"))
    cache.close()
    cache.close()
    cache.put("b", reply("two"))
    assert cache.get("a") is None and cache.get("b") is None and len(cache) == 0


@given(text=st.text(st.characters()), put=st.integers(0), got=st.integers(0), known=st.booleans())
def test_a_reply_written_down_is_the_same_reply(text: str, put: int, got: int, known: bool) -> None:
    first = LLMReply(text, Usage(put, got, is_reported=known), text[:3], text[-3:])
    written = reply_to_text(first)
    assert shown(reply_from_text(written)) == shown(first)
    written.encode()


# -- in memory -----------------------------------------------------------------------------------


class _Memory(RuleBasedStateMachine):
    """Against a list of [key, text, bytes], oldest use first."""

    MOST = 6 * ENTRY_BYTES

    def __init__(self) -> None:
        super().__init__()
        self.cache = MemoryCache(self.MOST)
        self.kept: list[tuple[str, str, int]] = []

    @rule(key=st.sampled_from("abcdefgh"), length=st.integers(0, 3 * ENTRY_BYTES))
    def put(self, key: str, length: int) -> None:
        answer = reply("x" * length)
        self.cache.put(key, answer)
        self.kept = [entry for entry in self.kept if entry[0] != key]
        size = 1 + len(reply_to_text(answer)) + ENTRY_BYTES
        if size <= self.MOST:
            self.kept.append((key, answer.text, size))
        while sum(entry[2] for entry in self.kept) > self.MOST:
            self.kept.pop(0)

    @rule(key=st.sampled_from("abcdefgh"))
    def get(self, key: str) -> None:
        known = [entry for entry in self.kept if entry[0] == key]
        found = self.cache.get(key)
        assert (found.text if found is not None else None) == (known[0][1] if known else None)
        if known:
            self.kept.remove(known[0])
            self.kept.append(known[0])

    @invariant()
    def it_agrees(self) -> None:
        assert len(self.cache) == len(self.kept)
        assert self.cache.bytes_used == sum(entry[2] for entry in self.kept) <= self.MOST


TestMemoryAgainstModel = _Memory.TestCase
TestMemoryAgainstModel.settings = settings(
    max_examples=int(os.environ.get("OMEGA_MODELS", "50")), stateful_step_count=40, deadline=None
)


def test_a_reply_larger_than_the_cache_drives_nothing_out() -> None:
    cache = MemoryCache(2_000)
    cache.put("a", reply("one"))
    cache.put("b", reply("x" * 3_000))
    assert cache.get("a") is not None and cache.get("b") is None


@pytest.mark.parametrize("wrong", [-1, 1.5, True, "9"])
def test_a_size_that_makes_no_sense_is_refused(wrong: object) -> None:
    with pytest.raises(HostError, match="bytes_max"):
        MemoryCache(wrong)  # type: ignore[arg-type]


# -- in a file -----------------------------------------------------------------------------------


def test_a_file_outlives_its_process_and_its_cache(tmp_path: Path) -> None:
    path = str(tmp_path / "c.db")
    first = SQLiteCache(path)
    first.put("a", reply("one"))
    second = SQLiteCache(path)  # while the first is open
    second.put("b", reply("two"))
    assert shown(second.get("a")) == shown(reply("one"))
    assert shown(first.get("b")) == shown(reply("two"))
    first.close()
    second.close()
    third = SQLiteCache(path)
    assert len(third) == 2
    third.close()


WRITER = """
import sys
from omega.llm.cache_sqlite import SQLiteCache
from omega.llm.request import LLMReply, Usage
cache = SQLiteCache(sys.argv[1])
for number in range(200):
    cache.put(f"{sys.argv[2]} {number}", LLMReply("x" * 500, Usage(number, 1)))
    assert cache.get(f"{sys.argv[2]} {number // 2}") is not None or cache.dropped
print(cache.dropped)
cache.close()
"""


def test_several_processes_make_and_fill_one_file(tmp_path: Path) -> None:
    path = str(tmp_path / "c.db")
    command = [sys.executable, "-c", WRITER, path]
    writers = [
        subprocess.Popen([*command, str(number)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for number in range(4)
    ]
    told = [writer.communicate(timeout=60) for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 4, told
    dropped = sum(int(out) for out, _ in told)
    cache = SQLiteCache(path)
    assert len(cache) == 800 - dropped and dropped < 400
    cache.close()


def test_a_writer_in_the_way_is_not_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "c.db")
    cache = SQLiteCache(path)
    cache.put("a", reply("one"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    cache.put("b", reply("two"))
    assert cache.dropped == 1 and cache.get("b") is None
    assert cache.get("a") is not None, "readers never wait"
    other.execute("ROLLBACK")
    other.close()
    cache.put("b", reply("two"))
    assert cache.get("b") is not None
    cache.close()


def test_the_oldest_answers_go_when_the_file_is_full(tmp_path: Path) -> None:
    cache = SQLiteCache(str(tmp_path / "c.db"), bytes_max=200_000)
    for number in range(400):
        cache.put(f"{number}", reply("x" * 1000))
    assert cache.bytes_used <= 210_000 and 100 < len(cache) < 250
    assert cache.get("399") is not None and cache.get("0") is None
    cache.close()


def refused(path: Path, says: str) -> LLMError:
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(LLMError, match=says) as caught:
        SQLiteCache(str(path))
    assert caught.value.kind == "llm-configuration" and str(path) in caught.value.message
    assert caught.value.hint
    assert before is None or path.read_bytes() == before, "it has not been changed"
    assert list(path.parent.glob("*-wal")) == [], "nothing is left open beside it"
    return caught.value


def test_a_file_of_somebody_else_is_refused_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "orders.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE orders (number INTEGER)")
    other.commit()
    other.close()
    refused(path, "not a cache of answers .*orders")


def test_a_file_of_a_newer_omega_is_refused_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    SQLiteCache(str(path)).close()
    other = sqlite3.connect(path)
    other.execute(f"PRAGMA user_version = {VERSION + 1}")
    other.close()
    refused(path, f"newer Omega .*format {VERSION + 1}, this one knows {VERSION}")


def test_a_cache_without_its_table_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    SQLiteCache(str(path)).close()
    other = sqlite3.connect(path)
    other.execute("DROP TABLE replies")
    other.commit()
    other.close()
    refused(path, "damaged: it has no table `replies`")


@pytest.mark.parametrize(
    "content", [b"not a database, " * 100, b"SQLite format 3\x00" + b"\xff" * 999]
)
def test_what_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.db"
    path.write_bytes(content)
    refused(path, "damaged, or no SQLite file")


def test_a_file_damaged_in_its_middle_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    cache = SQLiteCache(str(path))
    for number in range(300):
        cache.put(f"{number}", reply("x" * 1000))
    cache.close()
    content = bytearray(path.read_bytes())
    for at in range(4096, len(content), 64):  # every page but the first
        content[at : at + 32] = b"\xa5" * 32
    path.write_bytes(content)
    with pytest.raises(LLMError, match=r"c\.db: the cache is damaged") as caught:
        cache = SQLiteCache(str(path))
        for number in range(300):
            cache.get(f"{number}")
    assert caught.value.kind == "llm-configuration"
    cache.close()


def test_an_answer_that_is_no_reply_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    cache = SQLiteCache(str(path))
    cache.put("a", reply("one"))
    other = sqlite3.connect(path)
    other.execute("UPDATE replies SET reply = '[]'")
    other.commit()
    other.close()
    with pytest.raises(LLMError, match="damaged: the answer of a is no reply"):
        cache.get("a")
    cache.close()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere" / "c.db", "cannot be used: unable to open")
    refused(tmp_path, "cannot be used: unable to open")


def test_the_table_refuses_what_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    SQLiteCache(str(path)).close()
    other = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="cannot store BLOB"):
        other.execute("INSERT INTO replies (key, reply) VALUES ('a', x'00')")
    other.close()
