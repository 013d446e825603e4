"""Providers are anybody's code: whatever one gives back or raises, whoever waits hears of it, the
slot is free again, and what was reserved is accounted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from omega import Interpreter
from omega.errors import LLMError
from omega.llm import LLMReply, LLMRequest, Usage

ASK = '(llm.infer "x" :max-tokens 5)'
READ = '(with-stream (s "x" :max-tokens 5) (recv! s))'
AFTERWARDS = """
(define (stands)
  (define told (llm.stats))
  (list (hash-ref told :in-flight) (hash-ref told :queued) (hash-ref (budget-left) :calls)))
(with-budget {:calls 3 :tokens 1000}
  (guard (e ((condition-is? e 'llm-error) (cons (condition-message e) (stands)))) %s))
"""

WRONG: dict[str, tuple[Any, str]] = {
    "nothing": (None, "TypeError: its answer must be an LLMReply, got NoneType"),
    "a text": ("yes", "TypeError: its answer must be an LLMReply, got str"),
    "no text": (LLMReply(None), "TypeError: the text of its LLMReply must be a str, got NoneType"),  # type: ignore[arg-type]
    "a usage of another kind": (
        LLMReply("yes", usage={"input": 1}),  # type: ignore[arg-type]
        "TypeError: the usage of its LLMReply must be a Usage, got dict",
    ),
    "tokens below zero": (
        LLMReply("yes", usage=Usage(-5, -5)),
        "ValueError: the counts of its Usage must be whole numbers from 0 on, got"
        " Usage(input_tokens=-5, output_tokens=-5)",
    ),
    "half a token": (
        LLMReply("yes", usage=Usage(1.5, 1)),  # type: ignore[arg-type]
        "ValueError: the counts of its Usage must be whole numbers from 0 on, got"
        " Usage(input_tokens=1.5, output_tokens=1)",
    ),
}


class Odd:
    name = "odd"
    needs_real_time = False

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def infer(self, request: LLMRequest, *, sleep: Callable[..., Any]) -> Any:
        return self.answer

    async def aclose(self) -> None:
        pass


class OddStream(Odd):
    async def stream(self, request: LLMRequest, *, sleep: Any, emit: Any) -> Any:
        return self.answer


@pytest.mark.parametrize("provider", [Odd, OddStream])
@pytest.mark.parametrize("body", [ASK, READ])
@pytest.mark.parametrize("kind", WRONG)
def test_an_answer_that_is_none_is_an_error_of_the_call(
    kind: str, body: str, provider: type[Odd]
) -> None:
    answer, words = WRONG[kind]
    with Interpreter(llm=provider(answer)) as omega:
        told, in_flight, queued, left = omega.eval(AFTERWARDS % body)
    assert told == f"the provider `odd` raised {words}"
    assert (in_flight, queued, left) == (0, 0, 2)


class OddPieces(Odd):
    async def stream(self, request: LLMRequest, *, sleep: Any, emit: Any) -> Any:
        await emit(self.answer)
        return LLMReply("yes")


@pytest.mark.parametrize(("piece", "kind"), [(5, "int"), (None, "NoneType"), ((1, 2), "tuple")])
def test_a_piece_that_is_no_text_is_an_error_of_the_call(piece: Any, kind: str) -> None:
    with Interpreter(llm=OddPieces(piece)) as omega:
        told, in_flight, queued, left = omega.eval(AFTERWARDS % READ)
    words = f"a piece of its stream must be a str, got {kind}"
    assert told == f"the provider `odd` raised TypeError: {words}"
    assert (in_flight, queued, left) == (0, 0, 2)


def test_the_error_names_the_model_and_how_often_it_was_asked() -> None:
    with Interpreter(llm=Odd(None)) as omega, pytest.raises(LLMError, match="asked odd, once"):
        omega.eval(ASK)
