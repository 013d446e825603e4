"""Regular expressions: what a search costs and keeps, and long texts in pieces."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from omega import Interpreter
from omega.errors import LimitExceeded, OmegaError, TaskCancelled
from omega.interpreter import Limits
from omega.regex import Regex, RegexError
from omega.regex.automaton import UNITS_MAX, WORK_MAX
from omega.regex.search import CHUNK, PIECE, WINDOW


def cost(pattern: str, text: str) -> int:
    """Steps of a first search of all matches."""
    charged: list[int] = []
    for _ in Regex(pattern).search_all(text, 0, charged.append):
        pass
    return sum(charged)


PATHOLOGICAL = [
    ("(a*)*b", "a"),
    ("(a|a)*b", "a"),
    ("(a|aa)+$x", "a"),
    ("(?:a?){30}a{30}b", "a"),
    ("x*x*x*x*y", "x"),
    ("(x+x+)+y", "x"),
    ("(.*)(.*)(.*)(.*)z", "xy"),
    ("(?:[a-z]+)*[0-9]", "ab"),
    (r"(\w+\s?)+:$", "word "),
    ("(a*)*", "a"),
    ("((?:a|b)*?)*c", "ab"),
]


@pytest.mark.parametrize(("pattern", "unit"), PATHOLOGICAL)
def test_work_is_linear_in_the_text(pattern: str, unit: str) -> None:
    small, large = cost(pattern, unit * 10_000), cost(pattern, unit * 80_000)
    assert 0 < large < 10 * small


@pytest.mark.parametrize(
    "pattern",
    ["(a*b)*c", "(?:a|b)*c", r"\w{200}x", r"(\w+)\sx", "a+", "nope"],
)
def test_no_piece_of_a_search_is_long(pattern: str) -> None:
    charged: list[int] = []
    text = "ab" * 100_000
    for _ in Regex(pattern).search_all(text, 0, charged.append):
        pass
    assert sum(charged) >= 3_000
    assert max(charged) < 2_100


def test_a_charge_that_raises_leaves_the_pattern_in_order() -> None:
    regex, text = Regex("(?:a|b)*(c|d)x"), "ab" * 20_000 + "cx"
    for after in range(9):
        left = after

        def charge(steps: int) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            regex.full_match(text, charge)
    found = regex.full_match(text)
    assert found is not None
    assert found.spans == ((0, 40_002), (40_000, 40_001))


def test_searches_may_take_turns() -> None:
    regex = Regex("(a|b|ab)*?c(x)")
    texts = ["ab" * 5_000 + "cx", "ba" * 7_000 + "cx", "b" * 9_000 + "cx"]

    def nested(depth: int) -> Any:
        calls = 0

        def charge(steps: int) -> None:
            nonlocal calls
            calls += 1
            if calls == 2 and depth:
                regex._backward.forget() if regex._backward else None
                for machine in regex._forward.values():
                    machine.forget()
                nested(depth - 1)

        found = regex.search(texts[depth], 0, charge)
        assert found is not None
        assert found.end == len(texts[depth])

    nested(2)


def test_what_is_kept_is_bounded() -> None:
    chance = random.Random(3)
    regex = Regex(r"(?:[ab]{0,14}a[ab]{9,12}c|é)")
    text = "".join(chance.choice("ab") for _ in range(4_000))
    assert regex.search(text) is None
    every = "".join(map(chr, range(32, 50_000)))
    assert regex.search(every + "é") is not None
    for machine in [*regex._forward.values(), regex._backward]:
        assert machine is not None
        assert machine.units <= 2 * UNITS_MAX + WORK_MAX
        assert sum(map(len, machine.states.values())) <= 2 * UNITS_MAX + WORK_MAX


@pytest.mark.parametrize("pattern", [r"(\w)(\w*)(-?)\b", "(a)(b?)a*", r"(?m)^(.*?)$", r"\b(\w+)\b"])
@pytest.mark.parametrize("length", [PIECE - 1, PIECE, CHUNK, WINDOW, WINDOW + 7, 3 * WINDOW])
def test_long_matches_are_found_across_pieces(pattern: str, length: int) -> None:
    for text in ("a" * length + "-", "b\n" + "a" * length + "\n", "ab " * (length // 3) + "a-"):
        expected = [found.regs for found in re.finditer(pattern, text)]
        regex = Regex(pattern)
        assert [found.spans for found in regex.search_all(text)] == expected
        regex._plain = None
        assert [found.spans for found in regex.search_all(text)] == expected


@pytest.mark.parametrize(
    ("pattern", "is_plain"),
    [
        (r"\d{4}-\d\d-\d\d", True),
        (r"\w+", True),
        (r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?", True),
        (r"ERROR (\d+)|WARN", True),
        (r"\s*", True),
        (r"\w+@", False),  # every beginning reads on to the end of the word
        (r"a*a*b", False),
        (r"(?:ab)*", False),
        (r"(?:\d+)*", False),
        (r"(?:a|b){30}", False),
        (r"x?\d+$", False),
        (r"(?:\d+ )?x", False),
        (r"(?:a?){20}", False),
    ],
)
def test_re_is_trusted_with_what_is_provably_linear(pattern: str, is_plain: bool) -> None:
    assert (Regex(pattern)._plain is not None) is is_plain


def test_an_error_shows_the_place() -> None:
    with pytest.raises(RegexError, match="at character 3 of the pattern") as caught:
        Regex("ab(?=c)")
    assert caught.value.notes == [("ab(?=c)\n    ^", None)]
    assert caught.value.kind == "regex-error"


def test_every_text_is_a_pattern_or_a_regex_error() -> None:
    chance = random.Random(5)
    for _ in range(3_000):
        pattern = "".join(
            chance.choice(r"ab\\()[]{}?*+|^$.-,:<>=!#P1xuUwd0 i")
            for _ in range(chance.randrange(12))
        )
        try:
            Regex(pattern).search("ab1 xu")
        except RegexError:
            pass


@pytest.mark.parametrize("limits", [Limits(fuel=50_000), Limits(wall_s=0.3)])
def test_a_long_search_meets_the_limits(limits: Limits) -> None:
    program = '(regex-search "(?:a|b|ab)*c(x)" (string-repeat "ab" 20000000))'
    with Interpreter(limits=limits) as interpreter, pytest.raises(LimitExceeded):
        interpreter.eval(program)


def test_a_search_delays_no_timer_and_hears_a_cancel() -> None:
    with Interpreter(virtual_time=True) as interpreter, pytest.raises(TaskCancelled):
        interpreter.eval("""
            (define text (make-string 20000000 #\\a))
            (define busy (async (lambda () (regex-search "(?:a|b)*c" text))))
            (sleep 20)
            (cancel busy)
            (await busy)""")


def test_a_hostile_amount_of_text_in_a_replacement_is_refused() -> None:
    program = '(regex-replace-all "" (make-string 1000 #\\a) (make-string 1000 #\\b))'
    limits = Limits(alloc_items=100_000)
    with Interpreter(limits=limits) as interpreter, pytest.raises(OmegaError, match="size limit"):
        interpreter.eval(program)
