"""Numbers that no call and no budget can mean: told as what they are, without being sent."""

from __future__ import annotations

import pytest

from omega import Interpreter
from omega.errors import LispValueError

HUGE = "(expt 10 5000)"  # Python does not even write it


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            f'(llm.infer "x" :max-tokens {HUGE})',
            "max_tokens must be at most 1,000,000,000,000,000, got a number of 16610 bits",
        ),
        (
            f'(with-budget {{:tokens 100}} (llm.infer "x" :max-tokens {HUGE}))',
            "max_tokens must be at most 1,000,000,000,000,000",
        ),
        (
            f'(llm.infer "x" :max-tokens (- {HUGE}))',
            "max_tokens must be positive, got a number of 16610 bits",
        ),
        (f'(llm.infer "x" :thinking {HUGE})', "thinking must be at most"),
        (f'(llm.infer "x" :temperature {HUGE})', "temperature must be finite and not negative"),
        (
            f'(with-budget {{:tokens {HUGE}}} (llm.infer "x"))',
            "`with-budget` expected at most 1,000,000,000,000,000 for :tokens, got #<a number of"
            " about 4,983 digits>",
        ),
        (f'(with-budget {{:calls (- {HUGE})}} (llm.infer "x"))', "expected at most"),
        (f'(with-budget {{:usd {HUGE}}} (llm.infer "x"))', "expected at most"),
    ],
)
def test_a_number_that_is_too_large_is_told(code: str, words: str) -> None:
    with Interpreter() as omega, pytest.raises(LispValueError) as caught:
        omega.eval(code)
    assert words in caught.value.message


def test_an_exact_fraction_is_a_temperature() -> None:
    with Interpreter(virtual_time=True) as omega:
        assert omega.eval('(llm.infer "x" :temperature 1/3)') == "[scripted] x"
