"""Several models in one interpreter: names, keys, limits, prices, budgets, fallbacks, caches; over
real sockets where a server has to see it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from omega import Budget, BudgetExceeded, HostError, Interpreter, LispError, Model, Models
from omega.calls.figures import lines
from omega.llm import LaneLimits, OpenAIProvider, PriceTable, Rate, ScriptedProvider, parse_settings
from omega.testing import Fault, LoopbackServer

Reply = dict[str, Any]


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(reply=lambda call: f"{call.wire}: {call.prompt}") as running:
        yield running


@pytest.fixture
def made(server: LoopbackServer, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Models]:
    """The models of a text of settings, in which BASE stands for the server."""
    monkeypatch.setenv("FIRST_KEY", "key-1")
    monkeypatch.setenv("SECOND_KEY", "key-2")
    monkeypatch.delenv("THIRD_KEY", raising=False)

    def make(text: str) -> Models:
        text = text.replace("BASE", f'base-url = "{server.base_url}"')
        return Models.of_settings(
            parse_settings(text.replace("ROOT", f'base-url = "{server.base_url[:-3]}"'))
        )

    return make


THREE = """
[llm]
model = "fast"

[models.fast]
provider = "openai"
model = "small"
key = "FIRST_KEY"
BASE
max-concurrent = 2

[models.other-key]
provider = "openai"
model = "small"
key = "SECOND_KEY"
BASE

[models.other-vendor]
provider = "anthropic"
model = "large"
key = "SECOND_KEY"
ROOT
"""


def test_several_vendors_models_and_keys_at_once(
    server: LoopbackServer, made: Callable[[str], Models]
) -> None:
    with Interpreter(llm=made(THREE)) as omega:
        answers = omega.eval("""
            (par-map (lambda (model) (llm.infer "hi" :model model))
                     '("fast" "other-key" "other-vendor" fast))""")
        assert list(answers) == ["openai: hi", "openai: hi", "anthropic: hi", "openai: hi"]
        assert omega.eval('(llm.infer "default")') == "openai: default"
        names = omega.eval(
            "(map symbol->string (map keyword->symbol (hash-keys (hash-ref (llm.stats) :models))))"
        )
        assert sorted(names) == ["fast", "other-key", "other-vendor"]
    keys = {(c.wire, c.body["model"], key_of(c.headers)) for c in server.calls}
    assert keys == {
        ("openai", "small", "key-1"),
        ("openai", "small", "key-2"),
        ("anthropic", "large", "key-2"),
    }


def key_of(headers: dict[str, str]) -> str:
    return headers.get("x-api-key") or headers["authorization"].removeprefix("Bearer ")


def test_a_lane_has_its_own_cap(server: LoopbackServer, made: Callable[[str], Models]) -> None:
    server.latency_s = 0.02
    with Interpreter(llm=made(THREE)) as omega:
        omega.eval('(par-map (lambda (i) (llm.infer "x")) (iota 8))')
        assert server.snapshot().peak == 2
        omega.eval('(par-map (lambda (i) (llm.infer "x" :model "other-key")) (iota 8))')
    assert server.snapshot().peak > 2


def test_a_key_that_is_throttled_holds_up_no_other(
    server: LoopbackServer, made: Callable[[str], Models]
) -> None:
    def faults(call: Any) -> Fault | None:
        is_first = key_of(call.headers) == "key-1" and call.index == 0
        return Fault.http(429, retry_after="0.3") if is_first else None

    server.faults = faults
    order: list[str] = []
    with Interpreter(llm=made(THREE)) as omega:
        omega.define("done", lambda name: order.append(str(name)))
        omega.eval("""
            (define (ask model) (llm.infer "x" :model model) (done model))
            (define slow (async (lambda () (ask "fast"))))
            (sleep 100)
            (par-map ask (list "other-key" "other-key"))
            (await slow)""")
        assert omega.calls.total.retries == 1
    assert order == ["other-key", "other-key", "fast"]


FALLBACK = """
[llm]
model = "first"

[models.first]
provider = "openai"
model = "first"
key = "FIRST_KEY"
fallback = ["second"]
BASE

[models.second]
provider = "anthropic"
model = "second"
key = "SECOND_KEY"
ROOT
"""


@pytest.mark.parametrize(
    ("fault", "attempts"), [("500", 5), ("401", 1), ("404", 1)], ids=["down", "key", "model"]
)
def test_another_model_answers_what_the_first_cannot(
    server: LoopbackServer, made: Callable[[str], Models], fault: str, attempts: int
) -> None:
    server.faults = lambda call: Fault.parse(fault) if call.wire == "openai" else None
    with Interpreter(llm=made(FALLBACK)) as omega:
        omega.calls.retry.base_s = 0.001
        assert omega.eval('(llm.infer "x")') == "anthropic: x"
        pieces = omega.eval('(with-stream (s "y") (recv! s) (stream-text s))')
        assert "anthropic: y".startswith(pieces)
        assert omega.calls.figures["first"].calls == 2 * attempts
        assert omega.calls.figures["second"].calls == 2


def test_what_no_model_can_cure_is_not_asked_of_another(
    server: LoopbackServer, made: Callable[[str], Models]
) -> None:
    server.faults = lambda call: Fault.parse("400")
    with Interpreter(llm=made(FALLBACK)) as omega:
        with pytest.raises(LispError) as caught:
            omega.eval('(llm.infer "x")')
        assert caught.value.kind == "refused"
        assert caught.value.model == "first"  # type: ignore[attr-defined]
    assert len(server.calls) == 1


def test_when_all_fail_the_last_failure_is_told_with_all_attempts(
    server: LoopbackServer, made: Callable[[str], Models]
) -> None:
    server.faults = lambda call: Fault.parse("401")
    with Interpreter(llm=made(FALLBACK)) as omega:
        with pytest.raises(LispError) as caught:
            omega.eval('(llm.infer "x")')
        error: Any = caught.value
        assert (error.code, error.model, error.attempts) == ("E702", "second", 2)
        assert "asked second, once; before it first, once" in str(error)


CHAIN = """
[models.a]
provider = "openai"
model = "x-a"
key = "FIRST_KEY"
fallback = ["b"]
BASE
[models.b]
provider = "openai"
model = "x-b"
key = "SECOND_KEY"
fallback = ["c", "a"]
BASE
[models.c]
provider = "openai"
model = "x-c"
key = "FIRST_KEY"
BASE
"""


def test_the_fallbacks_of_a_fallback_are_not_followed(
    server: LoopbackServer, made: Callable[[str], Models]
) -> None:
    """So that entries may name each other, and whoever asks knows who may answer."""
    server.faults = lambda call: Fault.parse("401")
    with Interpreter(llm=made(CHAIN)) as omega:
        with pytest.raises(LispError, match=r"asked b \(x-b\), once; before it a \(x-a\), once"):
            omega.eval('(llm.infer "x" :model "a")')
        assert [call.body["model"] for call in server.calls] == ["x-a", "x-b"]
        with pytest.raises(LispError):
            omega.eval('(llm.infer "x" :model "b")')
    assert [call.body["model"] for call in server.calls][2:] == ["x-b", "x-c", "x-a"]


def test_a_fallback_without_its_key_is_passed_over_and_told(
    server: LoopbackServer, made: Callable[[str], Models]
) -> None:
    text = CHAIN.replace("SECOND_KEY", "THIRD_KEY").replace('["b"]', '["b", "c"]')
    server.faults = lambda call: Fault.parse("401") if call.body["model"] == "x-a" else None
    with Interpreter(llm=made(text)) as omega:
        assert omega.eval('(llm.infer "x" :model "a")') == "openai: x"
    server.faults = lambda call: Fault.parse("401")
    with Interpreter(llm=made(text.replace('["b", "c"]', '["b"]'))) as omega:
        with pytest.raises(LispError) as caught:
            omega.eval('(llm.infer "x" :model "a")')
        error: Any = caught.value
        assert (error.kind, error.model) == ("refused", "a")
        note = f"its fallback b (x-b) cannot be asked: omega.toml: models.b: {NOT_SET}"
        assert note in str(error)


def test_errors_and_figures_call_a_model_the_same(
    server: LoopbackServer, made: Callable[[str], Models]
) -> None:
    """By its entry, and in parentheses what the vendor calls it; data has both apart."""
    text = THREE.replace("fast", "quick")
    server.faults = lambda call: Fault.parse("401") if call.index else None
    with Interpreter(llm=made(text)) as omega:
        omega.eval('(llm.infer "x")')
        with pytest.raises(LispError, match=r"asked quick \(small\), once") as caught:
            omega.eval('(llm.infer "x")')
        error: Any = caught.value
        assert error.model == "quick"
        assert [line.split("  ")[0] for line in lines(omega.calls.figures)[1:]] == ["quick (small)"]
        table = "(hash-ref (hash-ref (llm.stats) :models) :quick)"
        assert omega.eval(f"(hash-ref {table} :vendor-name)") == "small"
        said = '(guard (e (#t (hash-ref (llm.error->table e) :model))) (llm.infer "x"))'
        assert omega.eval(said) == "quick"
    money = Budget(usd=Decimal(1), name="today")
    with (
        Interpreter(llm=made(text), budget=money) as omega,
        pytest.raises(LispError, match=r"no price is known for the model `quick \(small\)`"),
    ):
        omega.eval('(llm.infer "x")')
    server.faults = []
    with (
        Interpreter(llm=made(text)) as omega,
        pytest.raises(LispError, match=r"the answer of quick \(small\) does not follow"),
    ):
        omega.eval('(llm.infer "x" :repair 0 :schema {"type" "object"})')


def test_a_price_is_not_that_of_a_model_that_is_called_like_the_entry() -> None:
    models = Models.of_settings(
        parse_settings('[models.gpt-4o]\nprovider = "scripted"\nmodel = "own"\n')
    )
    money = Budget(usd=Decimal(1), name="today")
    with (
        Interpreter(llm=models, budget=money, virtual_time=True) as omega,
        pytest.raises(LispError, match=r"no price is known for the model `gpt-4o \(own\)`"),
    ):
        omega.eval('(llm.infer "x" :model "gpt-4o")')


NOT_SET = "no API key: the environment variable THIRD_KEY is not set"


def test_a_missing_key_is_told_to_whoever_asks_that_model(made: Callable[[str], Models]) -> None:
    """With the entry, the variable and the file; other models of the file answer."""
    models = made(
        """
        [models.one]
        provider = "openai"
        model = "x"
        key = "THIRD_KEY"
        BASE
        [models.two]
        provider = "openai"
        model = "x"
        key = "THIRD_KEY"
        BASE
        [models.ready]
        provider = "openai"
        model = "x"
        key = "FIRST_KEY"
        BASE
        """
    )
    with pytest.raises(LispError, match=r"omega\.toml: models\.two: no API key"):
        models.need_ready("two")
    models.need_ready("ready")
    with Interpreter(llm=models) as omega:
        assert omega.eval('(llm.infer "x" :model "ready")') == "openai: x"
        for name in ("one", "two"):
            with pytest.raises(LispError) as caught:
                omega.eval(f'(llm.infer "x" :model "{name}")')
            assert caught.value.kind == "llm-configuration"
            assert caught.value.message == f"omega.toml: models.{name}: {NOT_SET}"
            assert f"asked {name} (x), but nothing was sent" in str(caught.value)
            with pytest.raises(LispError, match=f"models.{name}: {NOT_SET}"):
                omega.eval(f'(recv! (llm.stream "x" :model "{name}"))')
        assert "one" not in omega.calls.figures, "nothing was asked"


def test_a_default_model_without_its_key_fails_when_it_is_asked(
    made: Callable[[str], Models],
) -> None:
    models = made('[llm]\nmodel = "m"\n[models.m]\nprovider = "openai:x"\nkey = "THIRD_KEY"\n')
    with Interpreter(llm=models) as omega:
        assert omega.eval("(+ 1 2)") == 3
        for more in ("", ':model "any"'):
            with pytest.raises(LispError, match=r"models\.m: no API key"):
                omega.eval(f'(llm.infer "x" {more})')


def test_a_mistake_of_an_entry_is_told_at_once_whether_its_key_is_there_or_not(
    made: Callable[[str], Models],
) -> None:
    with pytest.raises(LispError, match=r"models\.m: the base URL nowhere is no http"):
        made('''[models.m]
            provider = "openai:x"
            key = "THIRD_KEY"
            base-url = "nowhere"''')
    with pytest.raises(LispError, match=r"models\.m: the provider `scripted` takes no key"):
        made('[models.m]\nprovider = "scripted"\nkey = "FIRST_KEY"\n')


def test_an_entry_without_a_model_does_not_ask_for_that_of_another(
    server: LoopbackServer, made: Callable[[str], Models]
) -> None:
    entry = '[models.NAME]\nprovider = "openai"\nkey = "FIRST_KEY"\nBASE\n'
    one, two = entry.replace("NAME", "one") + 'model = "x"\n', entry.replace("NAME", "two")
    for text in (one + two, two + one):
        with Interpreter(llm=made(text)) as omega:
            assert omega.eval('(llm.infer "hi" :model "one")') == "openai: hi"
            with pytest.raises(LispError, match="the request names no model"):
                omega.eval('(llm.infer "hi" :model "two")')
    assert [call.body["model"] for call in server.calls] == ["x", "x"]


def test_a_wrong_base_url_of_the_file_is_told_as_that(made: Callable[[str], Models]) -> None:
    model = '[models.m]\nprovider = "openai"\nmodel = "x"\nkey = "FIRST_KEY"\n'
    with pytest.raises(LispError) as caught:
        made(model + 'base-url = "nowhere"\n')
    assert caught.value.message.endswith("models.m: the base URL nowhere is no http(s) URL")
    assert caught.value.hint == "set its base URL to something like http://localhost:11434/v1"
    with (
        Interpreter(llm=made(model + 'base-url = "http://127.0.0.1:1"\n')) as omega,
        pytest.raises(LispError) as caught,
    ):
        omega.eval('(llm.infer "x" :model "m")')
    assert caught.value.hint == "does the server run, and is its base URL right?"


def test_a_key_is_in_no_error_and_no_repr(
    server: LoopbackServer, made: Callable[[str], Models]
) -> None:
    server.faults = lambda call: Fault.parse("401")
    with Interpreter(llm=made(THREE)) as omega:
        with pytest.raises(LispError) as caught:
            omega.eval('(llm.infer "x" :model "other-key")')
        shown = (
            str(caught.value)
            + repr(omega.calls.models.providers())
            + str(omega.eval("(llm.stats)"))
        )
    assert "key-2" not in shown


# -- without a server ------------------------------------------------------------------------------

QUICK: list[Reply] = [
    {"reply": "ok", "latency_ms": 10, "usage": {"input_tokens": 10, "output_tokens": 5}}
]
PRICES = PriceTable.of_data(
    {"models": {"scripted": {"input": 100, "output": 200}}}, "a table of the test"
)  # a call of QUICK costs 0.002 dollars


def scripted(**fields: Any) -> Model:
    return Model("m", ScriptedProvider(QUICK), **fields)


def test_a_rate_is_kept_to_the_moment() -> None:
    limits = LaneLimits(requests=Rate.per_minute(60, 1))
    models = Models(ScriptedProvider(QUICK), {"m": scripted(limits=limits)}, default="m")
    with Interpreter(llm=models, virtual_time=True) as omega:
        took = omega.eval("""
            (define start (now))
            (par-map (lambda (i) (llm.infer "x")) (iota 5))
            (- (now) start)""")
        assert 4.0 <= took < 4.1
        assert omega.calls.total.throttled == 0


def test_a_call_larger_than_a_second_of_tokens_is_sent_all_the_same() -> None:
    limits = LaneLimits(tokens=Rate.per_minute(600))
    models = Models(ScriptedProvider(QUICK), {"m": scripted(limits=limits)}, default="m")
    with Interpreter(llm=models, virtual_time=True) as omega:
        assert omega.eval("(llm.infer (make-string 4000 #\\a) :max-tokens 100)") == "ok"


def test_a_name_that_is_not_configured_goes_to_the_default_provider() -> None:
    asked: list[str | None] = []

    class Watched(ScriptedProvider):
        async def infer(self, request: Any, **options: Any) -> Any:
            asked.append(request.model)
            return await super().infer(request, **options)

    models = Models(Watched(QUICK), {"m": scripted(model="inner")})
    with Interpreter(llm=models, virtual_time=True) as omega:
        omega.eval('(llm.infer "x") (llm.infer "x" :model "any-other") (llm.infer "x" :model "m")')
    assert asked == [None, "any-other"]


def test_wrong_names_in_models_are_told() -> None:
    provider = ScriptedProvider(QUICK)
    with pytest.raises(HostError, match="the default model `x` is not configured"):
        Models(provider, default="x")
    with pytest.raises(HostError, match="the fallback `x` of the model `m` is not configured"):
        Models(provider, {"m": Model("m", provider, fallback=["x"])})
    with pytest.raises(HostError, match="needs real time"):
        Interpreter(llm=OpenAIProvider("m", api_key="k"), virtual_time=True)


def test_a_budget_of_the_host_is_exact_to_the_cent_and_reaches_it_as_a_limit() -> None:
    budget = Budget(usd=Decimal("0.01"), name="today")
    with Interpreter(
        llm=Models(ScriptedProvider(QUICK), prices=PRICES), budget=budget, virtual_time=True
    ) as omega:
        with pytest.raises(BudgetExceeded) as caught:
            omega.eval("""
                (define (ask n) (llm.infer "x" :max-tokens 5))
                (for-each ask (iota 100))""")
        assert caught.value.limit == "usd" and caught.value.budget.name == "today"
        assert "in the budget `today`" in str(caught.value)
        assert omega.calls.total.usd == budget.spent()["usd"]
    spent = budget.spent()
    assert spent["usd"] == Decimal("0.002") * spent["calls"]
    assert Decimal("0.002") <= spent["usd"] <= Decimal("0.01")


def test_a_program_may_handle_the_end_of_the_hosts_budget_and_spends_no_more() -> None:
    budget = Budget(calls=2)
    with Interpreter(llm=ScriptedProvider(QUICK), budget=budget, virtual_time=True) as omega:
        answers = omega.eval("""
            (map (lambda (i)
                   (guard (e ((condition-is? e 'limit-exceeded) 'left-out)) (llm.infer "x")))
                 (iota 5))""")
        assert [str(each) for each in answers] == ["ok", "ok", *["left-out"] * 3]
        left = omega.eval("(with-budget {:calls 10} (hash-ref (budget-left) :calls))")
        assert left == 0
    assert budget.spent()["calls"] == 2


def test_a_budget_of_money_needs_a_price() -> None:
    with Interpreter(llm=ScriptedProvider(QUICK), budget=Budget(usd=1), virtual_time=True) as omega:
        with pytest.raises(LispError) as caught:
            omega.eval('(llm.infer "x")')
        assert caught.value.kind == "llm-configuration"
        assert "no price is known for the model `scripted`" in caught.value.message


def test_prices_of_a_configuration_stand_above_the_table() -> None:
    text = """
        [llm]
        model = "m"
        [models.m]
        provider = "scripted"
        price = { input = 1, output = 2 }"""
    with Interpreter(llm=Models.of_settings(parse_settings(text)), virtual_time=True) as omega:
        omega.eval('(llm.infer "one two three")')
        figures = omega.calls.figures["m"]
        wanted = Decimal(figures.input_tokens + 2 * figures.output_tokens) / 1_000_000
        assert figures.usd == wanted > 0


def test_answers_are_kept_in_a_file_from_one_run_to_the_next(tmp_path: Path) -> None:
    def run() -> int:
        models = Models.from_file(str(tmp_path / "omega.toml"))
        with Interpreter(llm=models, virtual_time=True) as omega:
            omega.eval(
                '(llm.infer "x" :cache #t) (llm.infer "y" :cache #t) (llm.infer "x" :cache #t)'
            )
            return omega.calls.total.calls

    (tmp_path / "omega.toml").write_text(
        '[llm]\nmodel = "m"\ncache = "answers.sqlite"\n[models.m]\nprovider = "scripted"\n'
    )
    assert [run(), run()] == [2, 0]
    assert (tmp_path / "answers.sqlite").exists()


def test_a_host_is_told_of_progress_and_of_what_failed() -> None:
    told: list[tuple[str, int, int | None, int, bool]] = []
    with Interpreter(virtual_time=True) as omega:
        omega.watch_progress(lambda p: told.append((p.label, p.done, p.total, p.failed, p.is_over)))
        omega.eval("""
            (par-map (lambda (n) (/ 1 n)) '(1 0) :progress "parts" :on-error 'keep :max-par 1)""")
        omega.watch_progress(None)
        omega.eval('(par-map square \'(1) :progress "unseen")')
    assert told == [
        ("parts", 0, 2, 0, False),
        ("parts", 1, 2, 0, False),
        ("parts", 2, 2, 1, False),
        ("parts", 2, 2, 1, True),
    ]
