"""What a call may cost before it is sent, and what it did cost when it is over.

Owns: `Spending`: estimates, upper bounds, reservations, prices put together.
Refuses: the budgets themselves (llm/budget.py) and the figures (figures.py).

A budget of tokens or money is never exceeded, so what is reserved is an upper bound: of the input
by its bytes, of the output by the request's own `max_tokens`. A request that names none is sent
with one when such a budget pays for it: OUTPUT_TOKENS, or less where the budget has less left for
each of those that wait for it, but not below its `answer_min`. How many is known when the call is
admitted; one that cannot have so many waits for what others give back.

When a call is cancelled, or cut, nobody tells in the end what it used: what was told so far counts,
and what came of its text as estimated, within what was reserved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omega.calls.flight import CHARACTERS, Call
from omega.calls.models import Model, Models
from omega.errors import LLMError
from omega.llm.budget import NOTHING, ONE_CALL, Amounts, Budget, Elastic
from omega.llm.lane import Outcome
from omega.llm.request import LLMReply, LLMRequest, Usage

if TYPE_CHECKING:
    from omega.llm.prices import Price
    from omega.llm.tokens import TokenCounter

OUTPUT_TOKENS = 4_096  # of an answer, at most, where a budget pays and the request names no limit
GUESSED_OUTPUT = 256  # of an answer nobody knows anything about
WEIGHT = 0.1  # of the latest answer in the mean length of a model's answers


def _bounds_answers(budget: Budget) -> bool:
    """Whether tokens or money are limited at any level, and not only the number of calls."""
    return any(limit is not None for level in budget.levels for limit in level.limits[1:])


class Sent:
    """A request as it is sent, and what it counts for. elastic: how much longer than its
    `max_tokens` its answer may be, where the budget has it; what a token more costs.
    """

    __slots__ = ("elastic", "input_tokens", "output_tokens", "request", "reserve")

    def __init__(
        self,
        request: LLMRequest,
        reserve: Amounts,
        elastic: Elastic | None,
        input_tokens: int,
        output_tokens: int,
    ) -> None:
        self.request, self.reserve, self.elastic = request, reserve, elastic
        self.input_tokens, self.output_tokens = input_tokens, output_tokens


class Spending:
    def __init__(self, models: Models) -> None:
        self._models = models
        self._counter: TokenCounter | None = None
        self._lengths: dict[str, float] = {}  # model -> the mean of its answers' tokens, of late

    def outgoing(self, request: LLMRequest, model: Model, budget: Budget | None) -> Sent:
        """`request` as `model` gets it, and what is reserved for it in `budget`.

        Raises LLMError (llm-configuration) when a budget of money meets a model without a price.
        """
        changes: dict[str, Any] = {}
        if request.model != model.model:
            changes["model"] = model.model
        if request.schema is not None and not getattr(model.provider, "has_schemas", False):
            from omega.llm.structured import instruction

            told = instruction(request.schema)
            changes["system"] = f"{request.system}\n\n{told}" if request.system else told
        reserve, elastic = ONE_CALL, None
        if budget is not None and _bounds_answers(budget):
            price = self._needed_price(model, budget) if budget.needs_price else None
            asked = request.replaced(**changes) if changes else request
            most_in = self.counter.input(asked, model.vendor_name).most
            most_out = request.max_tokens or 0
            if request.max_tokens is None:
                most = OUTPUT_TOKENS
                if price is not None and price.output_max is not None:
                    most = min(most, price.output_max)
                changes["max_tokens"] = most_out = min(most, budget.answer_min)
                token_cost = 0 if price is None else price.output_max_price(most_in)
                elastic = Elastic(Amounts(0, 1, token_cost), most - most_out)
            cost = 0 if price is None else price.cost_max(most_in, most_out)
            reserve = Amounts(1, most_in + most_out, cost)
        sent = request.replaced(**changes) if changes else request
        put = self.counter.input(sent, exact=False).typical
        got = self._lengths.get(model.shown, GUESSED_OUTPUT)
        length = round(got)
        if elastic is None and sent.max_tokens:
            length = min(length, sent.max_tokens)
        return Sent(sent, reserve, elastic, put, length)

    def _needed_price(self, model: Model, budget: Budget) -> Price:
        price = self._models.price(model)
        if price is None:
            limited = next(each for each in budget.levels if each.limits[2] is not None)
            name = model.vendor_name or model.provider.name
            return self._models.prices.need(name, limited.name, model.title)
        return price

    @property
    def counter(self) -> TokenCounter:
        if self._counter is None:
            from omega.llm.tokens import TokenCounter

            self._counter = TokenCounter()
        return self._counter

    def tokens(self, text: str, model: Model) -> int:
        """How many tokens a text has for a model: exactly, where its tokenizer is at hand."""
        return self.counter.text(text, model.vendor_name).typical

    def cost_max(self, call: Call) -> int:
        """Pico-dollars that an attempt may cost at most; 0 when its model has no price. As much as
        a budget holds for it, or else of an answer as long as the model gives.
        """
        price = self._models.price(call.model)
        if price is None or call.reserve.cost:
            return call.reserve.cost
        put = self.counter.input(call.request, exact=False).most
        got = call.request.max_tokens or price.output_max or OUTPUT_TOKENS
        return price.cost_max(put, got)

    # -- afterwards ----------------------------------------------------------------------------

    def is_priced(self, call: Call) -> bool:
        return self._models.price(call.model) is not None

    def outcome(
        self, call: Call, reply: LLMReply | None, error: BaseException | None
    ) -> tuple[Outcome, Usage | None]:
        """What became of an attempt, for the governor, and the tokens it is counted with."""
        if error is None:
            assert reply is not None
            usage = reply.usage
            if not usage.is_reported:
                usage = self._so_far(call, usage, reply.text)
            self._learn(call.model, usage.output_tokens)
            return self._outcome(call, usage, is_ok=True, limits=reply.limits), usage
        if not call.is_sent:
            return Outcome(used=NOTHING, input_tokens=0, output_tokens=0), None
        if not isinstance(error, LLMError):
            # Cancelled, or a provider that broke: it was sent, and whoever answers it bills it.
            usage = self._so_far(call, call.noted, None)
            return self._outcome(call, usage), usage
        limits = {
            "throttle": error.throttle,
            "error": error,
            "retry_after_s": error.retry_after_s,
            "limits": error.limits,
        }
        if error.usage is None and error.partial is None and not self._may_be_billed(error):
            return Outcome(used=NOTHING, input_tokens=0, output_tokens=0, **limits), None
        usage = error.usage
        if usage is None or not usage.is_reported or error.reason != "content":
            usage = self._so_far(call, usage or call.noted, error.partial)
        return self._outcome(call, usage, **limits), usage

    def _may_be_billed(self, error: LLMError) -> bool:
        """Whether the model may have worked for it: it was reached, and did not refuse."""
        return error.kind in ("llm-timeout", "bad-response")

    def paid(self, model: Model, usage: Usage) -> tuple[int, int]:
        """(tokens, pico-dollars) of so much usage of a model."""
        price = self._models.price(model)
        return usage.total_tokens, 0 if price is None else price.cost_of(usage)

    def _outcome(self, call: Call, usage: Usage, **known: Any) -> Outcome:
        tokens, cost = self.paid(call.model, usage)
        return Outcome(
            used=Amounts(1, tokens, cost),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            **known,
        )

    def _so_far(self, call: Call, told: Usage | None, text: str | None) -> Usage:
        """The tokens of an attempt whose end nobody told. Vendors count the output at the end: what
        they told before is the input, and hardly more.
        """
        from omega.llm.tokens import typical_tokens

        got = typical_tokens(text) if text is not None else round(call.flight.pieces / CHARACTERS)
        got = min(got, call.request.max_tokens or got)
        if told is not None and told.is_reported:
            most = max(told.output_tokens, got)
            parts: dict[str, Any] = told.parts()
            return Usage(told.input_tokens, most, **parts)
        put = self.counter.input(call.request, exact=False).typical
        return Usage(put, got, is_reported=False)

    def _learn(self, model: Model, output_tokens: int) -> None:
        mean = self._lengths.get(model.shown)
        self._lengths[model.shown] = (
            float(output_tokens) if mean is None else mean + WEIGHT * (output_tokens - mean)
        )
