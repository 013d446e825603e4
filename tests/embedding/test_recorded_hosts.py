"""A host records a run by `Interpreter(record=path)` and has it again by `omega.replay(path)`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import omega
from omega import Budget, Model, Models
from omega.concurrency import AsyncioDriver, EventWriter, VirtualDriver
from omega.errors import (
    Cancelled,
    HostError,
    LimitExceeded,
    LispFileError,
    LLMError,
    OmegaError,
    PermissionDenied,
    Raised,
    Span,
    TimeoutExpired,
)
from omega.lisp.data import Char, Eof, Keyword, Symbol, to_list
from omega.lisp.equality import is_equal
from omega.lisp.table import HashTable
from omega.llm import (
    LaneLimits,
    Limit,
    LLMReply,
    PriceTable,
    Rate,
    RateLimits,
    ScriptedProvider,
    ToolCall,
    Usage,
)
from omega.tape.values import Unwritable, decode, decode_error, encode, encode_error

Host = Callable[[omega.Interpreter], Any]


class Lines:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str) -> None:
        self.lines.append(text)


def watched(interpreter: omega.Interpreter) -> Lines:
    lines = Lines()
    interpreter.scheduler.listeners.append(EventWriter(lines))
    return lines


def both(path: Path, host: Host, **options: Any) -> tuple[Any, Any]:
    """What a host gets, and what happens, in a recorded run and in its replay."""
    output = Lines()
    with omega.Interpreter(record=str(path), output=output, **options) as interpreter:
        events = watched(interpreter)
        first = (host(interpreter), output.lines, events.lines)
    output = Lines()
    with omega.replay(str(path), output=output) as interpreter:
        events = watched(interpreter)
        again = (host(interpreter), output.lines, events.lines)
    return first, again


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    return tmp_path / "run.tape"


class Thing:
    """An object of the host, of which no tape can tell."""


def test_functions_of_the_host_answer_from_the_tape_and_are_not_called(tape: Path) -> None:
    called: list[str] = []

    def lookup(name: str, *, factor: int = 1) -> Any:
        called.append(name)
        if name == "grace":
            raise ValueError("not grace")
        return {"name": name, "len": len(name) * factor, "call": len(called)}

    async def fetch(url: str) -> list[Any]:
        called.append(url)
        await asyncio.sleep(0.002)
        if url == "bad":
            raise OSError(2, "gone")
        return [url, len(called)]

    def read(name: str) -> str:
        called.append(name)
        return f"{name} {len(called)}"

    def host(interpreter: omega.Interpreter) -> Any:
        interpreter.define("lookup", lookup)
        interpreter.define("fetch", fetch)
        interpreter.define("read-it", read, blocking=True)
        interpreter.eval(
            """
            (define (tried thunk) (guard (e (#t (condition-message e))) (thunk)))
            (displayln (lookup "ada" :factor 2))
            (displayln (tried (lambda () (lookup "grace"))))
            (displayln (tried (lambda () (lookup))))
            (for-each displayln (par-map fetch '("x" "y" "z")))
            (displayln (tried (lambda () (fetch "bad"))))
            (for-each displayln (par-map read-it '("m" "n" "o")))
            """
        )
        return interpreter.eval("(+ 1 2)"), len(called)

    (first, *seen), (again, *seen_again) = both(tape, host)
    assert first == (3, 9), "each was called, but what was refused"
    assert again == first and seen_again == seen, "and none of them a second time"


def test_slices_that_took_long_took_as_long(tape: Path) -> None:
    def hold(seconds: float) -> None:
        until = monotonic() + seconds
        while monotonic() < until:
            pass

    def host(interpreter: omega.Interpreter) -> Any:
        interpreter.define("hold", hold)
        interpreter.eval("(hold 0) (hold 0.02) (hold 0.03) (define (f n) (if (> n 0) (f (- n 1))))")
        interpreter.eval("(f 999)")
        return interpreter.manager.get_stats()

    first, again = both(tape, host, scheduler=omega.SchedulerConfig(slow_slice=0.01))
    assert first == again
    assert sum(line.startswith("SliceOverrun") for line in first[2]) >= 2
    assert first[0].longest_slice_ms >= 30


def test_a_function_that_calls_back_is_called_again(tape: Path) -> None:
    called: list[Any] = []

    def twice(procedure: Any, value: Any) -> Any:
        called.append(value)
        return procedure(procedure(value))

    def host(interpreter: omega.Interpreter) -> Any:
        interpreter.define("twice", twice, reentrant=True)
        interpreter.define("plainly", twice)
        return interpreter.eval(
            """
            (define (slow n) (sleep 1) (* n 3))
            (list (twice slow 1) (plainly (lambda (n) (+ n (random 10))) 2))
            """
        )

    first, again = both(tape, host)
    assert list(first[0]) == list(again[0]) and first[1:] == again[1:]
    assert called == [1, 2, 1, 2]


def test_what_cannot_be_written_is_asked_of_the_host_again(tape: Path) -> None:
    made: list[Thing] = []

    def make() -> Thing:
        made.append(Thing())
        return made[-1]

    def host(interpreter: omega.Interpreter) -> Any:
        interpreter.define("make", make)
        interpreter.define("is-thing", lambda thing: isinstance(thing, Thing))
        return interpreter.eval("(list (make) (is-thing (make)))")

    first, again = both(tape, host)
    assert [type(x) for x in first[0]] == [type(x) for x in again[0]] == [Thing, bool]
    assert len(made) == 4


def test_an_asynchronous_answer_that_cannot_be_written_ends_the_replay(tape: Path) -> None:
    async def make() -> Thing:
        return Thing()

    def host(interpreter: omega.Interpreter) -> Any:
        interpreter.define("make", make)
        return interpreter.eval("(guard (e (#t 'caught)) (make))")

    with pytest.raises(OmegaError, match="does not hold what was answered here: a Thing"):
        both(tape, host)


def in_a_loop(tape: Path, host: Callable[..., Any], first: Any, again: Any) -> list[Any]:
    """What a host and the events are in a recorded run and in its replay, inside a loop. first,
    again: what the host is given besides.
    """

    async def run(opened: Any, given: Any) -> tuple[Any, list[str]]:
        async with opened as interpreter:
            events = watched(interpreter)
            return await host(interpreter, given), events.lines

    recorded = asyncio.run(run(omega.Interpreter(record=str(tape)), first))
    return [recorded, asyncio.run(run(omega.replay(str(tape)), again))]


def test_a_host_in_an_asyncio_loop_acts_where_it_acted(tape: Path) -> None:
    """Each of three coroutines evaluates earlier or later than it did; the program goes on until
    then, or waits. No evaluation ends before the last one has begun, so the order of the acts is
    the same however long anything takes.
    """
    looked: list[int] = []
    text = """
        (set! here (+ here 1))
        (let loop () (look) (when (< here 3) (sleep 0.01) (loop)))
        '{}
    """

    async def has_looked(times: int) -> None:
        while len(looked) < times:
            await asyncio.sleep(0)

    async def turns(count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    async def host(interpreter: omega.Interpreter, given: Any) -> list[Any]:
        interpreter.define("look", lambda: looked.append(1))
        await interpreter.eval_async("(define here 0)")
        pause, pauses = given
        begun = [asyncio.Event() for _ in pauses]
        submitted = [asyncio.Event() for _ in pauses]

        async def one(number: int) -> list[str]:
            if number:
                await begun[number - 1].wait()
            await pause(pauses[number])
            evaluation = asyncio.ensure_future(interpreter.eval_async(text.format(f"t{number}")))
            await asyncio.sleep(0)  # it acts
            begun[number].set()
            value = await evaluation
            if number:
                await submitted[number - 1].wait()
            task = interpreter.submit("(sleep 2) 'submitted")
            submitted[number].set()
            return [repr(value), repr(await interpreter.manager.wait_async(task))]

        return await asyncio.gather(*(one(number) for number in range(len(pauses))))

    recorded, again = in_a_loop(tape, host, (has_looked, [0, 5, 20]), (turns, [0, 0, 300]))
    assert len(looked) >= 20
    assert recorded[0] == [[f"t{n}", "submitted"] for n in range(3)]
    assert again == recorded


@pytest.mark.parametrize("first", ["submit", "evaluate"])
def test_an_act_out_of_turn_is_told(tape: Path, first: str) -> None:
    """Whether it is awaited or not: a call that is not cannot wait."""

    async def host(interpreter: omega.Interpreter, order: list[str]) -> Any:
        for act in order:
            if act == "submit":
                task = interpreter.submit("1")
            else:
                await interpreter.eval_async("2")
        await interpreter.manager.wait_async(task)

    order = sorted(["submit", "evaluate"], key=lambda act: act != first)
    told = f"asks for an act of the host: {order[1]}.*recorded is an act of the host: {first}"
    with pytest.raises(omega.ReplayDivergence, match=told):
        in_a_loop(tape, host, order, order[::-1])


def test_what_other_threads_submit_comes_in_where_it_came_in(tape: Path) -> None:
    def host(interpreter: omega.Interpreter) -> Any:
        def post() -> None:
            interpreter.submit_threadsafe("(set! posted 1) (displayln 'posted)")

        thread = threading.Thread(target=post)
        interpreter.eval("(define posted 0)")
        with interpreter.scheduler.hold_external():
            thread.start()
            value = interpreter.eval(
                "(let loop ((n 0)) (if (= posted 1) n (begin (yield) (loop (+ n 1)))))"
            )
        thread.join()
        interpreter.run()
        return value

    first, again = both(tape, host)
    assert first == again and first[0] >= 0


def test_a_host_that_does_something_else_is_told(tape: Path) -> None:
    def host(text: str, *more: str) -> Host:
        return lambda interpreter: [interpreter.eval(each) for each in (text, *more)]

    def replayed(run: Host) -> None:
        with omega.replay(str(tape)) as interpreter:
            run(interpreter)

    with omega.Interpreter(record=str(tape)) as interpreter:
        host("(define x 1)", "(random 10)")(interpreter)
    replayed(host("(define x 1)", "(random 10)"))
    for run, told in (
        (host("(define x 2)"), "the text <eval> has changed"),
        (host("(define x 1)"), "had an act of the host: evaluate <eval>, which"),
        (
            host("(define x 1)", "(random 10)", "3"),
            "host: evaluate <eval>; recorded is an act of the host: close",
        ),
    ):
        with pytest.raises(omega.ReplayDivergence, match=told):
            replayed(run)


def test_no_handler_and_no_cleanup_runs_on_what_nobody_recorded(tape: Path) -> None:
    output = Lines()
    text = """
        (dynamic-wind (lambda () #f)
                      (lambda () (guard (e (#t (display "handled"))) (now) {}))
                      (lambda () (display "cleaned up")))"""
    with omega.Interpreter(record=str(tape)) as interpreter:
        interpreter.eval(text.format("1"))
    tape.write_text(tape.read_text().replace('"now"', '"then"'))
    interpreter = omega.replay(str(tape), output=output)
    with pytest.raises(omega.ReplayDivergence) as raised:
        interpreter.eval(text.format("1"))
    interpreter.close()
    assert output.lines == []
    assert raised.value.code == "E902" and raised.value.span is not None
    assert raised.value.span.line == 3


def test_settings_are_those_of_the_tape(tape: Path) -> None:
    limits, grants = omega.Limits(fuel=5_000, wall_s=50), omega.Grants(llm=False)
    config = omega.SchedulerConfig(yield_every=7, fairness_mode="fifo")

    def host(interpreter: omega.Interpreter) -> Any:
        value = interpreter.eval(
            """(list (random 1000) (guard (e (#t (condition-code e))) (llm.infer "x")))"""
        )
        with pytest.raises(LimitExceeded):
            interpreter.eval("(let loop () (loop))")
        return list(value), interpreter.scheduler.config

    first, again = both(tape, host, limits=limits, grants=grants, scheduler=config, seed=9)
    assert first == again and first[0] == ([first[0][0][0], "E503"], config)


def test_a_tape_that_is_torn_ends_the_replay_where_it_ends(tape: Path) -> None:
    text = "(define (f n) (sleep 1) (display n) (f (+ n 1))) (with-timeout 20 (f 0))"
    with omega.Interpreter(record=str(tape), output=Lines()) as it, pytest.raises(omega.LispError):
        it.eval(text)
    lines = tape.read_text().splitlines(keepends=True)
    tape.write_text("".join(lines[: len(lines) * 2 // 3]) + '["timers",12')
    output = Lines()
    ended = pytest.raises(omega.TapeEnded, match="the tape ends here, in turn")
    with omega.replay(str(tape), output=output) as interpreter, ended:
        interpreter.eval(text)
    assert output.lines and output.lines == [str(n) for n in range(len(output.lines))]


def test_a_tape_that_cannot_be_made_or_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(LispFileError, match="cannot write"):
        omega.Interpreter(record=str(tmp_path / "no" / "run.tape"))
    with pytest.raises(LispFileError, match="cannot open"):
        omega.replay(str(tmp_path / "nowhere"))


# -- values and errors in a tape -------------------------------------------------------------------

LEAF = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(st.characters(codec=None)),
    st.fractions(),
    st.text(max_size=5).map(Symbol.of),
    st.text(max_size=5).map(Keyword.of),
    st.characters(codec="utf-8").map(Char.of),
    st.just(Eof),
    st.binary().map(bytearray),
)
VALUE = st.recursive(
    LEAF,
    lambda below: st.one_of(
        st.lists(below),
        st.lists(below).map(to_list),
        st.lists(below, min_size=1).map(lambda items: to_list(items, 7)),
        st.lists(st.tuples(st.text(), below)).map(HashTable),
    ),
    max_leaves=20,
)


@given(VALUE)
def test_what_is_read_back_is_what_was_written(value: Any) -> None:
    import json

    back = decode(json.loads(json.dumps(encode(value))))
    assert type(back) is type(value)
    assert is_equal(back, value) or back == value


HOSTS = st.one_of(LEAF, st.binary(), st.complex_numbers(allow_nan=False))


@given(st.recursive(HOSTS, lambda below: st.tuples(below, st.dictionaries(st.text(), below))))
def test_values_of_the_host_come_back_as_they_were(value: Any) -> None:
    import json

    assert decode(json.loads(json.dumps(encode(value)))) == value


def test_what_has_no_end_or_no_meaning_elsewhere_is_not_written() -> None:
    circle = to_list([1, 2])
    circle.cdr.cdr = circle
    deep: Any = None
    for _ in range(10_000):
        deep = [deep]
    itself: list[Any] = []
    itself.append(itself)
    for value in (circle, deep, itself, Thing(), lambda: 1, print):
        with pytest.raises(Unwritable):
            encode(value)


def test_replies_come_back_as_they_were() -> None:
    import json

    limits = RateLimits(tokens=Limit(1000, 900, None))
    calls = [ToolCall("a", "f", {"x": [1, 2.5]}), ToolCall("b", "g", "no object")]
    for reply in (
        LLMReply("t", Usage(1, 2), "m", "length"),
        LLMReply("t", Usage(9, 2, cached_tokens=4), tool_calls=calls, limits=limits),
        LLMReply("t", limits=limits),
    ):
        back = decode(json.loads(json.dumps(encode(reply))))
        for name in LLMReply.__slots__:
            assert getattr(back, name) == getattr(reply, name), name
    old = decode({"reply": ["t", [1, 2, True], "m", "stop"]})  # as tapes had it before
    assert (old.text, old.usage, old.tool_calls, old.limits) == ("t", Usage(1, 2), (), None)


def test_errors_come_back_as_the_same_conditions() -> None:
    llm = LLMError(
        "busy", kind="rate-limited", status=429, retry_after_s=1.5, retryable=True, hint="wait"
    )
    limits = RateLimits(requests=Limit(60, 0, 1.5), input_tokens=Limit(remaining=7))
    cut = LLMError(
        *("cut",),
        kind="llm-unavailable",
        throttle="slope",
        reason="context",
        model="m",
        attempts=3,
        partial="so far",
        usage=Usage(5, 2, cached_tokens=3),
        limits=limits,
    )
    for error in (
        llm,
        cut,
        LispFileError("cannot open x", hint="look", span=Span("f", 1, 2, 3, 4)),
        PermissionDenied("no"),
        TimeoutExpired("too late"),
        LimitExceeded("size", 5, 3, "characters"),
        Raised([1, Fraction(1, 2)]),
        OmegaError("odd", irritants=[1, "two", Symbol.of("three")]),
    ):
        back = decode_error(encode_error(error))
        assert type(back) is type(error)
        for name in ("message", "kind", "code", "hint", "irritants", "span", "status", "payload",
                     "retry_after_s", "retryable", "limit", "used", "allowed", "throttle",
                     "reason", "model", "attempts", "partial", "usage", "limits"):  # fmt: skip
            assert getattr(back, name, None) == getattr(error, name, None), name
    own = decode_error(encode_error(Cancelled("why", "host")))
    assert isinstance(own, Cancelled) and (own.reason, own.by) == ("why", "host")
    for foreign in (ValueError("x", 1), KeyError("k"), UnicodeDecodeError("a", b"b", 0, 1, "c")):
        back = decode_error(encode_error(foreign))
        assert isinstance(back, type(foreign)) and type(back).__name__ == type(foreign).__name__
        assert str(back) == str(foreign)
    gone = decode_error(encode_error(FileNotFoundError(2, "gone")))
    assert isinstance(gone, FileNotFoundError) and gone.strerror == "gone"


# -- drivers given by the host ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: VirtualDriver(start_s=3600),
        lambda: VirtualDriver(),
        lambda: AsyncioDriver(blocking_max=1),
    ],
)
def test_a_driver_given_by_the_host_is_recorded(tape: Path, make: Callable[[], Any]) -> None:
    running: list[int] = []
    most: list[int] = []

    def blocked() -> int:
        running.append(1)
        most.append(len(running))
        running.pop()
        return len(most)

    def host(interpreter: omega.Interpreter) -> Any:
        interpreter.define("blocked", blocked, blocking=True)
        return [
            *interpreter.eval("(list (current-jiffy) (begin (sleep 5) (now)) (random 1000))"),
            *interpreter.eval("(par-map (lambda (i) (sleep i) (blocked)) (iota 5))"),
            interpreter.scheduler.driver.virtual,
        ]

    first, again = both(tape, host, driver=make())
    assert first == again
    if make().virtual:
        assert first[0][0] // 1_000_000 == make().start_s and first[0][-1]
    assert set(most) == {1}


def test_a_driver_of_the_hosts_own_kind_is_refused(tape: Path) -> None:
    class Own(VirtualDriver):
        pass

    with pytest.raises(HostError, match="driver of the host's own cannot be recorded: Own"):
        omega.Interpreter(record=str(tape), driver=Own())
    assert not tape.exists(), "nothing is written over"
    used = VirtualDriver()
    with (
        omega.Interpreter(driver=used),
        pytest.raises(HostError, match="a driver serves one scheduler"),
    ):
        omega.Interpreter(record=str(tape), driver=used)


def test_a_call_is_started_once_although_there_is_no_loop_yet(tape: Path) -> None:
    """And one that fails at once, or is aborted at once, has its place."""
    begun: list[str] = []

    async def answer(what: str) -> str:
        begun.append(what)
        await asyncio.sleep(0.001)
        return what

    def host(interpreter: omega.Interpreter) -> Any:
        interpreter.define("answer", answer)
        return list(
            interpreter.eval(
                """(list (answer "first") (guard (e (#t 'late)) (with-timeout 0 (answer "second")))
                     (race (lambda () (answer "third")) (lambda () 'at-once))
                     (guard (e (#t 'wrong)) (answer)))"""
            )
        )

    first, again = both(tape, host)
    assert first == again
    assert begun.count("first") == 1


class Strict(ScriptedProvider):
    has_schemas = True


def of_three_lanes() -> Models:
    """Two providers with models of one name, limits, prices of their own, a fallback."""
    quick = {"latency_ms": 10, "usage": {"input_tokens": 10, "output_tokens": 5}}
    price = PriceTable.of_data({"models": {"same": {"input": 100, "output": 200}}}, "a test")
    slow = LaneLimits(requests=Rate.per_minute(60, 1), cap_ceiling=3)
    one, other = Strict([{"json": {"a": 1}, **quick}]), ScriptedProvider([{"fault": "401:key"}])
    return Models(
        ScriptedProvider([{"json": {"a": 2}, **quick}]),
        {
            "one": Model("one", one, "same", limits=slow),
            "other": Model("other", other, "same", fallback=["one"]),
        },
        default="one",
        prices=price,
    )


def test_models_made_by_the_host_are_replayed_with_their_lanes_limits_and_prices(
    tmp_path: Path,
) -> None:
    program = """
        (define (ask model)
          (guard (e (#t (condition-kind e)))
            (llm.infer "x" :model model :max-tokens 5 :schema {"type" "object"})))
        (define got (par-map ask '("one" "other" "one" "other" "one" "unknown" "other")))
        (json-write (list (map symbol->string (filter symbol? got))
                          (length (filter hash-table? got)) (now)
                          (hash-ref (llm.usage) :usd)))"""

    tape = str(tmp_path / "run.tape")
    budget = Budget(usd=Decimal("0.03"))
    with omega.Interpreter(
        llm=of_three_lanes(), budget=budget, record=tape, virtual_time=True
    ) as recorded:
        first = recorded.eval(program)
    assert "limit-exceeded" in first and "llm-configuration" in first
    with omega.replay(tape) as again:
        assert again.eval(program) == first


def test_a_tape_may_keep_prompts_as_hashes_only(tape: Path) -> None:
    """It is replayed all the same, and another prompt is noticed."""

    def host(patient: str) -> Host:
        def run(interpreter: omega.Interpreter) -> Any:
            interpreter.define("patient", patient)
            program = """
                (define (ask) (llm.infer (string-append "Diagnose " patient) :system patient))
                (with-stream (s (string-append "Comfort " patient)) (recv! s))
                (list (ask) (car (map llm.infer (list (string-upcase patient)))))"""
            return list(interpreter.eval(program))

        return run

    models = {"llm": ScriptedProvider([{"reply": "rest"}]), "virtual_time": True}
    first, again = both(tape, host("Ada Lovelace"), record_prompts=False, **models)
    assert first == again and first[0] == ["rest", "rest"]
    kept = tape.read_text()
    assert "Lovelace" not in kept and "LOVELACE" not in kept and "rest" in kept
    with (
        pytest.raises(omega.ReplayDivergence, match=r"the prompt #[0-9a-f]{16}") as caught,
        omega.replay(str(tape)) as interpreter,
    ):
        host("Grace Hopper")(interpreter)
    assert "Lovelace" not in str(caught.value) and "Hopper" not in str(caught.value)
    both(tape, host("Ada Lovelace"), **models)
    assert "Lovelace" in tape.read_text(), "unless that was asked for"
