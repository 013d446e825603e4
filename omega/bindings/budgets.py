"""The Lisp names of budgets and of what calls of models come to.

Owns: `budgets`. Refuses: mechanism (omega/llm/budget.py, omega/calls).
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

from omega.bindings.base import Bindings, Table, keyword_table, shown
from omega.errors import HostError, LispTypeError, LispValueError
from omega.lisp.data import Keyword
from omega.lisp.primitives import check
from omega.lisp.primitives.check import wrong_type
from omega.lisp.table import HashTable
from omega.llm.budget import Budget

KINDS = ("calls", "tokens", "usd")
LIMIT_MAX = 10**15


def budgets(b: Bindings, table: Table) -> None:
    calls = b.interpreter.calls

    def with_budget(limits: Any, thunk: Any) -> Any:
        """(%with-budget limits thunk) -> its value; calls of models made in it, and in the tasks it
        makes, come to no more than limits
        """
        dynamics = b.rt.host.dynamics()
        outer = dynamics.budget
        dynamics.budget = _budget(limits, b.door.budget)
        failure: BaseException | None = None
        try:
            value = b.guarded(thunk)()
        except BaseException as raised:
            failure = raised
        dynamics.budget = outer
        if failure is not None:
            raise failure
        return value

    def budget_left() -> Any:
        """(budget-left) -> a hash table: what may still be spent here, :calls, :tokens and :usd as
        far as a budget limits them, the narrowest of those around; #f outside of budgets
        """
        budget = b.door.budget
        if budget is None:
            return False
        found: dict[str, Any] = {}
        for level in budget.levels:
            for kind, left in level.left().items():
                found[kind] = min(left, found.get(kind, left))
        return _table({kind: found[kind] for kind in KINDS if kind in found})

    def budget_spent() -> Any:
        """(budget-spent) -> a hash table: :calls, :tokens and :usd that were paid from the
        innermost budget; #f outside of budgets
        """
        budget = b.door.budget
        return False if budget is None else _table(budget.spent())

    def usage() -> HashTable:
        """(llm.usage) -> a hash table: input and output tokens so far, and what they cost, :usd; #f
        where a model has no price
        """
        whole = calls.total
        usd = whole.usd
        return _table(
            {
                "input-tokens": whole.input_tokens,
                "cached-tokens": whole.cached_tokens,
                "output-tokens": whole.output_tokens,
                "usd": False if usd is None else usd,
            }
        )

    def stats() -> HashTable:
        """(llm.stats) -> a hash table: calls, retries, failures, in flight, queued, peak, limit;
        :models, the figures of each model; :lanes, for each provider, model and key its cap, its
        queue by scope, when something can be sent next
        """
        now_s = b.scheduler.driver.now()
        told = calls.stats(now_s)
        b.rt.charge(20 * (1 + len(told["models"]) + len(told["lanes"])))
        return _table(told)

    def tokens(text: Any, *rest: Any) -> int:
        """(llm.tokens text [model]) -> how many tokens text has for a model: exactly where its
        tokenizer is installed, else about
        """
        if not isinstance(text, str):
            raise wrong_type("llm.tokens", 1, "a string", text)
        if len(rest) > 1 or (rest and not isinstance(rest[0], str)):
            raise wrong_type("llm.tokens", 2, "a model's name", rest[0])
        check.spend(b.rt, len(text))
        model = calls.models.find(rest[0] if rest else None)
        found: int = calls.spending.tokens(text, model)
        return found

    table["%with-budget"] = with_budget
    table["budget-left"], table["budget-spent"] = budget_left, budget_spent
    table["llm.usage"], table["llm.stats"], table["llm.tokens"] = usage, stats, tokens


def _budget(limits: Any, parent: Budget | None) -> Budget:
    """The budget that a program asks for, inside of `parent`."""
    if not isinstance(limits, HashTable):
        raise wrong_type("with-budget", 1, "a hash table such as {:calls 50 :usd 0.5}", limits)
    given: dict[str, Any] = {}
    for key, value in limits.items():
        name = key.name if isinstance(key, Keyword) else key
        if name not in KINDS:
            raise LispValueError(
                f"`with-budget` has no limit {shown(key)}", hint="it has :calls, :tokens and :usd"
            )
        if isinstance(value, (int, Fraction)) and not -LIMIT_MAX <= value <= LIMIT_MAX:
            # Huge ones cannot even be written: str refuses 5,000 digits.
            raise LispValueError(
                f"`with-budget` expected at most {LIMIT_MAX:,} for :{name}, got {shown(value)}"
            )
        given[name] = value
    if not given:
        raise LispValueError("`with-budget` needs a limit", hint="such as {:calls 50}")
    try:
        return Budget(**given, parent=parent, name="with-budget")
    except HostError as error:
        message = error.message
    raise LispTypeError(f"`with-budget`: {message}")


def _table(fields: dict[str, Any]) -> HashTable:
    """Python's figures as a program has them: keywords, exact numbers, tables within tables."""
    return keyword_table({name: _value(value) for name, value in fields.items()})


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return _table(value)
    if isinstance(value, Decimal):
        exact = Fraction(value)
        return int(exact) if exact.denominator == 1 else float(value)
    return False if value is None else value
