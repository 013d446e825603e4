"""Hints: what wrong values and wrong calls are told to do, cheaply and whatever the text."""

from __future__ import annotations

import time

import pytest

from omega import Interpreter
from omega.errors import ArityError, LispError, OmegaError, Source, Span, printable
from omega.lisp import hints
from omega.lisp.arity import Misfit
from omega.lisp.data import Keyword, Symbol
from omega.lisp.docstring import docstring, documentation_of, place_of, signature_of
from omega.lisp.keywords import UNSET, bind_keywords
from omega.lisp.primitives import check
from omega.lisp.report import report
from omega.lisp.spelling import ELSEWHERE, suggestion


@pytest.mark.parametrize(
    ("name", "wanted", "value", "hint"),
    [
        ("f", "a number", "5", '(string->number "5")'),
        ("f", "an exact non-negative integer", "5", '(string->number "5")'),
        ("f", "an exact integer", 2.5, "(exact (round 2.5))"),
        ("f", "a byte (an integer from 0 to 255)", 300, "out of range"),
        ("+", "a number", "5", "`string-append` joins strings"),
        ("f", "a string", Symbol.of("x"), "(symbol->string 'x)"),
        ("f", "a string", Keyword.of("x"), "(keyword->string :x)"),
        ("f", "a keyword", Symbol.of("x"), "colon in front"),
        ("f", "a procedure", Symbol.of("x"), "leave out the quote"),
        ("f", "a procedure without arguments", 5, "write (lambda () ...) around"),
        ("f", "a list of strings", [], "(vector->list #())"),
        ("f", "a hash table", None, "give no value"),
        ("f", "a task or a task's id", len, "(async len)"),
        ("f", "a number", False, "test for it before"),
    ],
)
def test_a_hint_knows_what_was_wanted_and_what_was_given(name, wanted, value, hint):
    assert hint in (check.wrong_type(name, 1, wanted, value).hint or "")


def test_a_hint_does_not_repeat_a_long_value():
    error = check.wrong_type("f", 1, "a number", "x" * 1000)
    assert error.hint == "(string->number string) reads a number from a string, or gives #f"


def test_every_row_of_the_tables_can_be_met():
    kinds = {*hints._TYPES.values(), "pair", "empty list", "#f", "eof", "condition"}
    wanted = {*hints._WORDS.values(), "thunk", "list of"}
    for want, given in hints._PAIRS:
        assert want in wanted and (given in kinds or given in ("task", "promise")), (want, given)
    assert set(hints._WANTED) <= wanted


def test_names_in_hints_are_bound():
    """What a hint tells to write exists."""
    import re

    with Interpreter() as interpreter:
        interpreter.python(Source("x", "1"))  # loads the library's macros
        names = {*interpreter.names(), *interpreter._evaluator.compiler.library.syntax}
        tables = (hints._CALLS, hints._PAIRS, hints._GIVEN, hints._WANTED, hints._CALLED)
        for table in tables:
            for hint in table.values():
                for name in re.findall(r"`([^`]+)`|\(([^\s()]+) ", hint):
                    word = name[0] or name[1]
                    if word not in ("VALUE", "x", "lambda", "a", "key"):
                        assert word in names, hint
        for other, ours in ELSEWHERE.items():
            assert other not in names
            assert ours in names or ours[0] in "'#(", ours


def test_wrong_types_caught_in_a_loop_stay_cheap():
    began = time.process_time()
    for _ in range(2_000):
        check.wrong_type("+", 2, "a number", "text")
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    ("misfit", "hint"),
    [
        (Misfit("f", "(f a b)", 0, 2, 2, of_program=False), "give `a` and `b` as well"),
        (Misfit("f", "(f a b)", 3, 2, 2, of_program=False), "leave out the last one"),
        (Misfit("f", "(f)", 2, 0, 0, of_program=False), "leave them out"),
        (Misfit("f", None, 0, 2, 2, of_program=False), "give 2 arguments more"),
        (
            Misfit("f", "(f)", 1, 0, 0, of_program=True),
            "leave it out, or take any number: (define (f . more) ...)",
        ),
        (
            Misfit("lambda", "(lambda)", 1, 0, 0, of_program=True),
            "leave it out, or take any number: (lambda more ...)",
        ),
        (
            Misfit("lambda", "(lambda x)", 3, 1, 1, of_program=True),
            "leave out the last 2, or take any number: (lambda (x . more) ...)",
        ),
    ],
)
def test_a_call_that_does_not_fit_is_told_how_it_would(misfit, hint):
    assert misfit.hint == hint


def test_a_docstring_holds_signature_place_and_text():
    def f() -> None:
        pass

    span = Span(f.__code__.co_filename, 3, 1, 4, 20)
    f.__doc__ = docstring("(f x)", span, "What it does.\n\n;not a place")
    assert signature_of(f) == "(f x)"
    assert place_of(f) == span
    assert documentation_of(f) == "(f x)\n\nWhat it does.\n\n;not a place"
    f.__doc__ = docstring("(f x)", None, None)
    assert (place_of(f), documentation_of(f)) == (None, "(f x)")
    f.__doc__ = None
    assert (signature_of(f), place_of(f), documentation_of(f)) == (None, None, "")


def test_keywords_are_bound_and_misuse_blames_the_caller():
    limit = Keyword.of("limit")
    assert bind_keywords("(f :limit l)", (limit, 1), 0, ("limit",), False) == (1,)
    assert bind_keywords("(f (a 1) :limit l)", (), 1, ("limit",), False) == (UNSET, UNSET)
    with pytest.raises(ArityError) as caught:
        bind_keywords("(f :limit l)", (Keyword.of("limt"), 1), 0, ("limit",), False)
    assert caught.value.blames_caller


@pytest.mark.parametrize("text", ["a\ud800b", "\x1b[31m", "\x00", "tab\tand\nline", "\x9b"])
def test_any_text_can_be_reported_and_printed(text):
    error = LispError(text, hint=text, irritants=[text])
    error.task = text
    for shown in (str(error), report(error, lambda file: None), printable(text)):
        assert shown.encode("utf-8")
        assert not any(c < " " and c not in "\n\t" for c in shown)


def test_a_report_is_made_whatever_a_place_is_called():
    for name in ("a\0b", "\ud800", "", "/" * 5000):
        error = LispError("oh", span=Span(name, 1, 1, 1, 2))
        assert "oh" in report(error, lambda file: None)


def test_a_suggestion_is_always_made():
    assert suggestion("lenght", ["length", "list"]) == "did you mean `length`?"
    assert suggestion("println", ["length"]) == "did you mean `displayln`?"
    assert suggestion("qqq", ["length"]) == "define it before it is used: (define qqq ...)"


# -- host functions --------------------------------------------------------------------------------


def failure(interpreter: Interpreter, text: str) -> OmegaError:
    with pytest.raises(OmegaError) as caught:
        interpreter.eval(text)
    return caught.value


@pytest.mark.parametrize(
    ("call", "fact", "hint"),
    [
        ("(ask)", "nothing is given for `question`", "give `question` as well"),
        ("(ask 1 2 3)", "it is given 3 arguments", "leave out the last one"),
        ("(ask 1 :max-tokns 2)", "it has no keyword :max-tokns", "did you mean :max-tokens?"),
        ("(ask 1 :question 2)", "it is given :question although", "leave one of the two out"),
    ],
)
def test_a_call_a_host_function_cannot_take_is_an_arity_error(call, fact, hint):
    def ask(question: object, limit: int = 3, *, max_tokens: int = 5) -> object:
        return question

    with Interpreter() as interpreter:
        interpreter.define("ask", ask)
        error = failure(interpreter, f"(define (f) (list {call}))\n(f)")
        shape = "(ask question [limit] [:max-tokens max-tokens])"
        assert error.kind == "arity-error"
        assert error.message.startswith(f"`ask` is called as {shape}, but {fact}")
        assert error.hint == hint
        assert repr(error.span) == "<eval>:1:19"
        assert interpreter.documentation("ask") == shape


def test_a_type_error_inside_a_host_function_is_its_own():
    def inner(x: object) -> object:
        return len(x)  # type: ignore[arg-type]

    def outer(x: object) -> object:
        return inner()  # type: ignore[call-arg]

    async def later(x: object) -> object:
        return inner()  # type: ignore[call-arg]

    with Interpreter() as interpreter:
        for function in (inner, outer, later):
            interpreter.define("f", function)
            error = failure(interpreter, "(f 1)")
            assert error.kind == "host-error"
            assert isinstance(error.__cause__, TypeError)
            assert failure(interpreter, "(f)").kind == "arity-error"


def test_wrapped_partial_bound_and_callable_objects_are_understood():
    import functools

    def plain(x: object, y: object = 1) -> object:
        return x

    @functools.wraps(plain)
    def wrapped(*args: object, **keywords: object) -> object:
        return plain(*args, **keywords)  # type: ignore[arg-type]

    class Callable:
        def __call__(self, x: object) -> object:
            return x

        def method(self, x: object) -> object:
            return x

    with Interpreter() as interpreter:
        for function in (wrapped, functools.partial(plain), Callable(), Callable().method):
            interpreter.define("f", function)
            assert "nothing is given for `x`" in failure(interpreter, "(f)").message


# -- procedures called from outside ----------------------------------------------------------------


def test_a_procedure_called_from_outside_is_reported_where_it_is_defined():
    with Interpreter() as interpreter:
        two = interpreter.eval("\n (define (two a b) a) two")
        with pytest.raises(ArityError) as caught:
            two(1)
        assert repr(caught.value.span) == "<eval>:2:2"
        error = failure(interpreter, "(await (async (lambda (x) x)))")
        assert repr(error.span) == "<eval 2>:1:15"
        assert "write (lambda () ...)" in (error.hint or "")


def test_a_limit_names_what_a_host_can_set():
    from omega import Limits

    with Interpreter(limits=Limits(fuel=1000)) as interpreter:
        assert failure(interpreter, "(let f () (f))").hint == "Limits(fuel=...) allows more"
    with Interpreter(limits=Limits(depth=1000)) as interpreter:
        error = failure(interpreter, "(define (f) (+ 1 (f))) (f)")
        assert (error.hint or "").endswith("; Limits(depth=...) allows more")


# -- cleanup ---------------------------------------------------------------------------------------

WIND = "(dynamic-wind (lambda () 1) (lambda () {body}) (lambda () {after}))"


def test_a_failing_cleanup_goes_on_and_keeps_the_first_failure():
    with Interpreter() as interpreter:
        error = failure(interpreter, WIND.format(body="(car 5)", after='(error "late")'))
        assert error.message == "late"
        assert isinstance(error.__context__, LispError)
        assert error.__context__.kind == "type-error"
        assert "it failed in the cleanup after error[E301]" in str(error)
        caught = WIND.format(body="(car 5)", after="(vector-ref (vector) 1)")
        assert interpreter.eval(f"(guard (e (#t (condition-code e))) {caught})") == "E303"
        raised = failure(interpreter, WIND.format(body="(raise 'odd)", after='(error "late")'))
        assert "raise of odd" in str(raised)


def test_a_cleanup_cannot_get_rid_of_a_limit():
    from omega import LimitExceeded, Limits

    deep = "(let f () (+ 1 (f)))"
    with Interpreter(limits=Limits(depth=1000)) as interpreter:
        for after in ('(error "late")', "(k 1)", "(raise 'odd)"):
            wind = WIND.format(body=deep, after=after)
            error = failure(interpreter, f"(guard (e (#t 1)) (call/cc (lambda (k) {wind})))")
            assert isinstance(error, LimitExceeded)
            assert "the cleanup failed, too" in str(error)
