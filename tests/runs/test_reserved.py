"""What a call of a model may cost is in the store before it is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omega import Interpreter
from omega.durable.sqlite import SQLiteStore
from omega.llm.budget import Budget
from omega.llm.prices import standard_prices
from omega.llm.request import LLMReply, LLMRequest, Usage

MODEL = "gpt-4o-mini"
PRICE = standard_prices().find(MODEL)


class Model:
    """Looks at its own run while it is asked."""

    name, model, needs_real_time = "vendor", MODEL, False

    def __init__(self, store: SQLiteStore) -> None:
        self._store = store
        self.seen: list[tuple[int, int]] = []

    async def infer(self, request: LLMRequest, *, sleep: Callable[[float], Any]) -> LLMReply:
        await sleep(1.0)
        intents = [intent for intent, _ in self._store.effects("r", open_only=True)]
        reserved = sum(intent.reserved for intent in intents)
        assert reserved == self._store.run("r").reserved
        self.seen.append((len(intents), reserved))
        return LLMReply("yes", Usage(9, 2), MODEL, "stop")

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize("budget", [None, Budget(usd=1)])
def test_what_a_call_may_cost_is_reserved_until_it_has_ended(tmp_path: Path, budget: Any) -> None:
    assert PRICE is not None
    store = SQLiteStore(str(tmp_path / "runs.db"))
    model = Model(store)
    with Interpreter(store=store, virtual_time=True, llm=model, budget=budget) as made:
        program = """
        (define (ask n) (llm.infer "well?" :max-tokens 100))
        (ask 0)
        (par-map ask (iota 3))
        """
        made.run_durable(program, id="r")
    output = PRICE.cost_max(0, 100)
    assert [(n, 1 <= reserved / (n * output) < 1.5) for n, reserved in model.seen] == [
        *((1, True), (3, True), (2, True), (1, True)),  # each ends by itself
    ]
    run = store.run("r")
    assert run.reserved == 0 and run.totals.cost == 4 * PRICE.cost_of(Usage(9, 2))
    store.close()


def test_a_call_without_a_limit_may_cost_as_much_as_the_longest_answer(tmp_path: Path) -> None:
    assert PRICE is not None and PRICE.output_max is not None
    store = SQLiteStore(str(tmp_path / "runs.db"))
    model = Model(store)
    with Interpreter(store=store, virtual_time=True, llm=model) as made:
        made.run_durable('(llm.infer "well?")', id="r")
    ((_, reserved),) = model.seen
    assert PRICE.cost_max(0, PRICE.output_max) < reserved < 1.1 * PRICE.cost_max(0, 16_384)
    store.close()
