"""Counting tokens: estimates without packages, exact counts with a tokenizer that is at hand."""

from __future__ import annotations

import hashlib
import sys
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omega import Budget, BudgetExceeded, Interpreter, Model, Models
from omega.llm import LLMRequest, ScriptedProvider, tokens
from omega.llm.tokens import IMAGE, TOOLS, TokenCounter, most_tokens, typical_tokens

PROSE = (
    "The committee met on Tuesday to consider the proposal, which had been circulated a week"
    " before; nobody had read it, and so the meeting was short."
)


@given(st.text(st.characters(), max_size=300))
def test_the_most_is_a_token_for_each_byte_and_never_less_than_typical(text: str) -> None:
    forms = [text, unicodedata.normalize("NFKC", text)]
    assert most_tokens(text) == max(len(form.encode("utf-8", "surrogatepass")) for form in forms)
    assert typical_tokens(text) <= most_tokens(text)
    assert (typical_tokens(text) == 0) == (text == "")


@given(st.text(max_size=200), st.text(max_size=200))
def test_longer_texts_have_more(first: str, second: str) -> None:
    both = typical_tokens(first + second)
    assert max(typical_tokens(first), typical_tokens(second)) <= both
    assert both <= typical_tokens(first) + typical_tokens(second)


@pytest.mark.parametrize(
    ("text", "o200k", "cl100k"),  # as tiktoken 0.14 counts them
    [
        (PROSE, 30, 30),
        ("今日は天気がいいので、公園まで歩いて行きましょう。", 16, 28),
        ("Заседание перенесли на четверг, потому что никто не пришёл.", 17, 26),
        ("تم تأجيل الاجتماع إلى يوم الخميس لأن أحدا لم يحضر.", 14, 37),
        ("3.14159265358979 2718281828 1234567890123", 18, 18),
    ],
)
def test_typical_is_near_what_tokenizers_say(text: str, o200k: int, cl100k: int) -> None:
    assert 0.6 * min(o200k, cl100k) <= typical_tokens(text) <= 1.4 * max(o200k, cl100k)
    assert most_tokens(text) >= max(o200k, cl100k)


def test_everything_in_a_request_that_becomes_tokens_counts() -> None:
    counter = TokenCounter()
    bare = counter.input(LLMRequest("hello"))
    assert 2 <= bare.typical <= bare.most and not bare.is_exact
    system = counter.input(LLMRequest("hello", system=PROSE))
    assert system.typical >= bare.typical + typical_tokens(PROSE)
    assert system.most >= bare.most + len(PROSE)
    turns = [{"role": "user", "content": PROSE}, {"role": "assistant", "content": PROSE}]
    longer = counter.input(LLMRequest("hello", messages=turns))
    assert longer.typical >= bare.typical + 2 * typical_tokens(PROSE)
    call = {"id": "1", "name": "search", "arguments": {"query": PROSE}}
    answer = {"role": "tool", "tool_call_id": "1", "content": PROSE}
    asked = [{"role": "user", "content": "?"}, {"role": "assistant", "tool_calls": [call]}, answer]
    assert counter.input(LLMRequest(messages=asked)).most >= 2 * len(PROSE)
    tool = {"name": "search", "description": PROSE, "parameters": {"type": "object"}}
    with_tool = counter.input(LLMRequest("hello", tools=[tool]))
    assert with_tool.typical >= bare.typical + TOOLS[0] + typical_tokens(PROSE)
    schema = {"type": "object", "description": PROSE}
    assert counter.input(LLMRequest("hello", schema=schema)).most >= bare.most + len(PROSE)


def test_an_image_is_not_counted_as_its_text() -> None:
    parts = [
        {"type": "text", "text": "what is this?"},
        {"type": "image", "media_type": "image/png", "data": "A" * 1_000_000},
    ]
    found = TokenCounter().input(LLMRequest(messages=[{"role": "user", "content": parts}]))
    assert IMAGE[0] <= found.typical < IMAGE[0] + 100
    assert IMAGE[1] <= found.most < IMAGE[1] + 200


def test_data_nested_deep_is_no_recursion() -> None:
    deep: dict[str, object] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    found = TokenCounter().input(LLMRequest("x", schema=deep))
    assert found.typical > 100_000


class Tiktoken(SimpleNamespace):
    """As the package is seen from here; a word is a token. It notes what it would have fetched."""

    def __init__(self) -> None:
        super().__init__(loaded=[])

    def encoding_name_for_model(self, model: str) -> str:
        if model.startswith("gpt-"):
            return "words"
        raise KeyError(model)

    def get_encoding(self, name: str) -> object:
        self.loaded.append(name)
        return SimpleNamespace(encode_ordinary=lambda text: text.split())


CONTENT = b"the file of the encoding"
ENCODINGS = {"words": ("https://example.org/words", hashlib.sha256(CONTENT).hexdigest())}


@pytest.fixture
def tiktoken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tiktoken:
    module = Tiktoken()
    monkeypatch.setitem(sys.modules, "tiktoken", module)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    return module


def place(folder: Path, content: bytes) -> None:
    name = hashlib.sha1(b"https://example.org/words").hexdigest()
    (folder / name).write_bytes(content)


def test_a_tokenizer_at_hand_counts_exactly(tiktoken: Tiktoken, tmp_path: Path) -> None:
    place(tmp_path, CONTENT)
    counter = TokenCounter(ENCODINGS)
    found = counter.text("one two three", "gpt-4o")
    assert (found.typical, found.most, found.is_exact) == (3, 3, True)
    assert counter.input(LLMRequest("one two three", model="gpt-4o")).is_exact
    assert not counter.text("one two three", "claude-3-opus").is_exact
    assert not counter.text("one two three").is_exact
    assert not counter.text("x" * 200_001, "gpt-4o").is_exact, "near enough, and fast"
    assert tiktoken.loaded == ["words"], "once"


@pytest.mark.parametrize("content", [None, b"", CONTENT[:-1]])
def test_a_file_that_is_not_there_or_not_whole_is_never_fetched(
    tiktoken: Tiktoken, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        place(tmp_path, content)
    assert not TokenCounter(ENCODINGS).text("one two", "gpt-4o").is_exact
    assert tiktoken.loaded == []


def test_an_encoding_nobody_knows_the_file_of_is_never_fetched(tiktoken: Tiktoken) -> None:
    assert not TokenCounter({}).text("one two", "gpt-4o").is_exact
    assert tiktoken.loaded == []


def test_a_cache_that_is_switched_off_means_fetching(
    tiktoken: Tiktoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    assert not TokenCounter(ENCODINGS).text("one two", "gpt-4o").is_exact
    assert tiktoken.loaded == []


WORDS = 100
PROMPT = " ".join(["different"] * WORDS)
USED = 107 + 5  # what the vendor counts of each call


@pytest.mark.parametrize(
    ("is_at_hand", "reserve"), [(False, len(PROMPT) + 48 + 5), (True, WORDS + 48 + 5)]
)
def test_a_budget_keeps_back_less_than_one_call_reserves(
    tiktoken: Tiktoken,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    is_at_hand: bool,
    reserve: int,
) -> None:
    """A byte for a token where nobody can count; with the tokenizer, hardly more than is used."""
    monkeypatch.setitem(tokens.ENCODINGS, "words", ENCODINGS["words"])
    if is_at_hand:
        place(tmp_path, CONTENT)
    usage = {"input_tokens": 107, "output_tokens": 5}
    provider = ScriptedProvider([{"reply": "ok", "usage": usage}])
    models = Models(provider, {"m": Model("m", provider, "gpt-4o")}, default="m")
    budget = Budget(tokens=2_000)
    with Interpreter(llm=models, budget=budget, virtual_time=True) as omega:
        omega.define("prompt", PROMPT)
        with pytest.raises(BudgetExceeded):
            omega.eval("(let loop () (llm.infer prompt :max-tokens 5) (loop))")
    left = budget.left()["tokens"]
    assert left < reserve
    assert omega.calls.total.calls == 1 + (2_000 - reserve) // USED
