"""Twenty thousand calls of two vendors in bad weather, and the books are right in the end.

`OMEGA_CHAOS=20000 pytest tests/llm/test_chaos.py` makes so many.
"""

from __future__ import annotations

import gc
import os
from collections import Counter

import pytest

from omega.llm.budget import Amounts
from tests.llm.chaos import BURST, LIMIT, PRICES, Chaos, answer_of

COUNT = int(os.environ.get("OMEGA_CHAOS", "150"))
ENDS = {"ok", "cancelled", "E701", "E702", "E703", "E704", "E705"}


@pytest.fixture(scope="module", params=[1, 2])
def chaos(request):
    made = Chaos(COUNT, request.param)
    made.run()
    gc.collect()
    return made


def cost_of(model, usage):
    price = PRICES[model]
    return usage[0] * price[0] + usage[1] * price[1]


def test_every_task_ends_and_most_get_their_answer(chaos):
    assert sorted(chaos.ends) == list(range(COUNT))
    counts = Counter(chaos.ends.values())
    assert set(counts) <= ENDS, counts
    assert counts["ok"] > COUNT / 3 and counts["cancelled"] > 0, counts
    assert sum(server.troubled for server in chaos.servers.values()) > COUNT / 20


def test_slots_buckets_and_budgets_balance(chaos):
    governor = chaos.calls.governor
    governor._check()
    assert (governor.in_flight, governor.queued, chaos.calls_in_flight) == (0, 0, 0)
    assert governor.peak <= LIMIT
    assert not chaos.calls._live and not chaos.calls._shared and not chaos.calls._flights
    for name in PRICES:
        lane = governor.lane(chaos.calls.models.named[name].lane)
        entries = [entry for entry in chaos.books.entries if entry.model == name]
        tokens = sum(e.outcome.input_tokens + e.outcome.output_tokens for e in entries)
        assert lane.in_flight == 0
        requests_gone, tokens_gone = (BURST - bucket.level(0.0) for bucket in lane.buckets[:2])
        assert (round(requests_gone), round(tokens_gone)) == (len(entries), tokens)
    chaos.budget._check()
    assert chaos.budget.reserved == chaos.budget.overrun == [0, 0, 0]


def test_no_connection_is_left_on_either_side(chaos):
    assert chaos.sockets_after == chaos.sockets_before
    assert chaos.connections_idle <= 2 * LIMIT
    for server in chaos.servers.values():
        seen = server.server.snapshot()
        assert (seen.open_connections, seen.in_flight) == (0, 0)
        assert seen.connections < seen.requests, "connections are used again"


def test_no_call_is_made_for_who_has_given_up(chaos):
    """What reaches a server was sent before; what is sent, before its task was cancelled."""
    books, arrived = chaos.books, Counter()
    for server in chaos.servers.values():
        arrived.update(call.prompt for call in server.server.calls)
    for number, plan in enumerate(chaos.plans):
        assert arrived[plan.text] <= books.attempts[plan.text], plan.text
        then = books.last[plan.text] if plan.how == "shared" else books.then[number]
        assert books.attempts[plan.text] == then, (plan.text, chaos.ends[number])


def test_spending_adds_up_with_the_servers_own_books(chaos):
    entries = chaos.books.entries
    for name, server in chaos.servers.items():
        mine = [entry for entry in entries if entry.model == name]
        answered = Counter(c.prompt for c in server.server.calls if c.outcome == "replied")
        got = Counter(entry.text for entry in mine if entry.reply is not None)
        left = Counter(entry.text for entry in mine if entry.reply is None)
        # What a server answered was received, or its client had just left.
        assert all(got[text] <= times <= got[text] + left[text] for text, times in answered.items())
        assert not got - answered
        ledger = sum(cost_of(name, answer_of(text)[1]) * n for text, n in answered.items())
        missed = sum(cost_of(name, answer_of(text)[1]) * n for text, n in (answered - got).items())
        received = sum(entry.outcome.used.cost for entry in mine if entry.reply is not None)
        assert received == ledger - missed
        for entry in mine:
            usage, used = entry.usage, entry.outcome.used
            if entry.reply is not None:
                assert (usage.input_tokens, usage.output_tokens) == answer_of(entry.text)[1]
            told = (0, 0) if usage is None else (usage.input_tokens, usage.output_tokens)
            assert used.cost == cost_of(name, told) and used.tokens == sum(told)
            assert all(n <= most for n, most in zip(used, entry.reserve, strict=True))
        figures = chaos.calls.figures[name]
        assert figures.cost == sum(entry.outcome.used.cost for entry in mine)
        assert figures.replies == sum(got.values())
    whole = Amounts(*map(sum, zip(*(entry.outcome.used for entry in entries), strict=True)))
    assert chaos.budget.settled == list(whole)
