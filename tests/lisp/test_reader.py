"""The reader: syntax, spans, exact errors, depth and speed."""
# ruff: noqa: E501  (tables of cases read best one case beside another)

from __future__ import annotations

import subprocess
import sys
import time
from fractions import Fraction
from typing import Any

import pytest

from omega.errors import LimitExceeded, ReadError, Source
from omega.lisp.data import Char, Keyword, Nil, Pair, Symbol
from omega.lisp.reader import HASH_LITERAL, SourcePair, is_incomplete, read_all, read_one


def read(text: str) -> Any:
    """The one datum of `text`, as nested Python tuples for lists (a dotted tail after "...")."""
    data = [plain(datum) for datum, _ in read_all(Source("t", text))]
    return data[0] if len(data) == 1 else data


def plain(datum: Any) -> Any:
    if isinstance(datum, list):
        return [plain(item) for item in datum]
    if not isinstance(datum, Pair):
        return () if datum is Nil else datum
    items = []
    while isinstance(datum, Pair):
        items.append(plain(datum.car))
        datum = datum.cdr
    return tuple(items) if datum is Nil else (*items, "...", datum)


def sym(name: str) -> Symbol:
    return Symbol.of(name)


A, B, C = sym("a"), sym("b"), sym("c")
QUOTE = sym("quote")


@pytest.mark.parametrize(
    ("text", "datum"),
    [
        ("()", ()), ("(a b c)", (A, B, C)), ("[a (b) c]", (A, (B,), C)), ("(a . b)", (A, "...", B)),
        ("(a b . c)", (A, B, "...", C)), ("(a . (b c))", (A, B, C)), ("'a", (QUOTE, A)),
        ("'()", (QUOTE, ())), ("`(a ,b ,@c)", (sym("quasiquote"), (A, (sym("unquote"), B),
         (sym("unquote-splicing"), C)))), ("' #;b a", (QUOTE, A)),
        ("#(a #(b) ())", [A, [B], ()]), ("#()", []), ("#u8(0 255)", bytearray(b"\0\xff")),
        ("#u8()", bytearray()), ("#t", True), ("#true", True), ("#f", False), ("#false", False),
        (":k", Keyword.of("k")), (":|a b|", Keyword.of("a b")), (":", sym(":")),
        ("|a b|", sym("a b")), ("||", sym("")), (r"|a\|\x41;|", sym("a|A")), ("Abc", sym("Abc")),
        ("+", sym("+")), ("-", sym("-")), ("...", sym("...")), ("->x", sym("->x")),
        ("-insert", sym("-insert")), ("-fini", sym("-fini")), ("+nice", sym("+nice")),
        ("1+", sym("1+")), ("-1+", sym("-1+")), ("λ", sym("λ")), ("a:b", sym("a:b")), ("c#", sym("c#")),
        (".x", sym(".x")), ("<=?", sym("<=?")),
        ("12", 12), ("-12", -12), ("+12", 12), ("1/2", Fraction(1, 2)), (".5", 0.5), ("-1e3", -1000.0),
        ("#xFF", 255), ("#e1.5", Fraction(3, 2)), ("+inf.0", float("inf")), ("0" * 600 + "7", 7),
        ('"a b"', "a b"), ('""', ""), ('"a\nb"', "a\nb"), ('"a\r\nb\rc"', "a\nb\nc"),
        (r'"\a\b\t\n\r\"\\\|"', '\a\b\t\n\r"\\|'), (r'"\x41;\x3bb;"', "Aλ"),
        ('"a\\  \n   b"', "ab"), ('"a\\\r\n\tb"', "ab"),
        (r"#\a", Char.of("a")), (r"#\A", Char.of("A")), (r"#\(", Char.of("(")), (r"#\space", Char.of(" ")),
        (r"#\ ", Char.of(" ")), (r"#\x", Char.of("x")), (r"#\x41", Char.of("A")), (r"#\x3bb", Char.of("λ")),
        (r"#\null", Char.of("\0")), (r"#\newline", Char.of("\n")), (r"#\1", Char.of("1")),
        (r"(#\))", (Char.of(")"),)), ("#\\\"", Char.of('"')), (r"#\;", Char.of(";")),
        ("; c\na ; c\n", A), ("#| x #| y |# z |# a", A), ("#;(a b) c", C), ("#; #; a b c", C),
        ("(a #;b)", (A,)), ("(a . #;x b #;y)", (A, "...", B)), ("(#;x a)", (A,)),
        ("#!/usr/bin/env omega\na", A), ("#! anything (\na", A), ("\ufeffa", A),
        ("#!fold-case ABC", sym("abc")), ("#!fold-case #!no-fold-case ABC", sym("ABC")),
        ("{:a 1}", (HASH_LITERAL, Keyword.of("a"), 1)), ("{}", (HASH_LITERAL,)),
        ("a'b", [A, (QUOTE, B)]), ("", []), ("  ; nothing", []), ("#||#", []), ("a\"b\"", [A, "b"]),
    ],
)  # fmt: skip
def test_syntax_reads_as_data(text: str, datum: object) -> None:
    result = read(text)
    assert result == datum
    assert type(result) is type(datum)


@pytest.mark.parametrize(
    ("text", "kind", "at", "pattern"),
    [
        ("(", "unclosed", (1, 1), r"`\(` is never closed"), ("(a\n [b", "unclosed", (2, 2), r"`\["),
        ("x {", "unclosed", (1, 3), "{"), ("#(1", "unclosed", (1, 1), r"`#\(`"),
        ("#u8(1", "unclosed", (1, 1), r"`#u8\(`"), ('(a "b\nc', "unclosed", (1, 4), "string"),
        ("|ab", "unclosed", (1, 1), "name"), (":|ab", "unclosed", (1, 1), "name"),
        ('"a\\', "unclosed", (1, 1), "string"), ("a #| #| |#", "unclosed", (1, 3), "comment"),
        ("'", "unclosed", (1, 1), "`'`"), ("a ,@", "unclosed", (1, 3), "`,@`"), ("#;", "unclosed", (1, 1), "#;"),
        ("#\\", "unclosed", (1, 1), "character"),
        (")", "stray-bracket", (1, 1), "closes nothing"), ("(a\n(b ]", "stray-bracket", (2, 4), "needs"),
        ("{a)", "stray-bracket", (1, 3), "needs `}`"), ("a\n  }", "stray-bracket", (2, 3), "nothing"),
        ("(')", "read-error", (1, 2), "none follows"), ("(#;)", "read-error", (1, 2), "none follows"),
        ("(a . )", "read-error", (1, 4), "nothing follows"), ("(. a)", "read-error", (1, 2), "before"),
        ("(a . b c)", "read-error", (1, 8), "more than one"), ("a . b", "read-error", (1, 3), "inside a list"),
        ("#(a . b)", "read-error", (1, 5), "inside a list"), ("(a . . b)", "read-error", (1, 6), "`.`"),
        ("{a 1 b}", "read-error", (1, 1), "keys and values"), ("\x01", "read-error", (1, 1), "U\\+0001"),
        ("1+2i", "bad-literal", (1, 1), "complex"), ("(+i)", "bad-literal", (1, 2), "complex"),
        ("-1.5e3-2/3i", "bad-literal", (1, 1), "complex"), ("1@2", "bad-literal", (1, 1), "complex"),
        ("+inf.0i", "bad-literal", (1, 1), "complex"), ("#x1+1i", "bad-literal", (1, 1), "complex"),
        ("12abc", "bad-literal", (1, 1), "begins like a number"), ("1/0", "bad-literal", (1, 1), "number"),
        ("#xyz", "bad-literal", (1, 1), "no number"), ("#foo", "bad-literal", (1, 1), "unknown syntax"),
        ("#", "bad-literal", (1, 1), "unknown syntax"), ("#<procedure f>", "bad-literal", (1, 1), "written form"),
        (r'"a\qb"', "bad-literal", (1, 3), r"`\\q`"), ('"\n\n  \\x41"', "bad-literal", (3, 3), "escape"),
        (r'"\x110000;"', "bad-literal", (1, 2), "escape"), (r'"\xd800;"', "bad-literal", (1, 2), "escape"),
        (r"|\xDFFF;|", "bad-literal", (1, 2), "escape"), (r"#\xd800", "bad-literal", (1, 1), "character"),
        (r"#\foo", "bad-literal", (1, 1), "character"),
        (r"#\x110000", "bad-literal", (1, 1), "character"), ("#!eof", "bad-literal", (1, 1), "directive"),
        ("a #!/x", "bad-literal", (1, 3), "directive"), ("#u8(1 256)", "bad-literal", (1, 7), "0 to 255"),
        ("#u8(1.0)", "bad-literal", (1, 5), "0 to 255"), ("#0#", "bad-literal", (1, 1), "label"),
        ("#0=#0#", "read-error", (1, 1), "itself"), ("#e1e9999999", "bad-literal", (1, 1), "too large"),
    ],
)  # fmt: skip
def test_mistakes_are_reported_where_they_are(
    text: str, kind: str, at: tuple[int, int], pattern: str
) -> None:
    with pytest.raises(ReadError, match=pattern) as caught:
        read_all(Source("t", text))
    assert caught.value.kind == kind
    assert caught.value.span is not None
    assert (caught.value.span.line, caught.value.span.column) == at


def test_a_mismatched_bracket_names_the_open_one() -> None:
    with pytest.raises(ReadError) as caught:
        read_all(Source("t", "(define (f x)\n  (g x]"))
    (note,) = caught.value.notes
    assert note[0] == "opened here"
    assert (note[1].line, note[1].column) == (2, 3)


def test_an_unclosed_bracket_is_reported_where_it_was_opened() -> None:
    with pytest.raises(ReadError) as caught:
        read_all(Source("t", "(a)\n(let [x (f"))
    assert caught.value.hint == "add `)])`"
    assert (caught.value.span.line, caught.value.span.column) == (2, 9)  # type: ignore[union-attr]


def test_a_mistake_before_the_end_wins_over_an_unclosed_bracket() -> None:
    with pytest.raises(ReadError) as caught:
        read_all(Source("t", "( #foo"))
    assert caught.value.kind == "bad-literal"


def test_every_list_and_element_has_its_span() -> None:
    ((datum, span),) = read_all(Source("t", '(f "a\nb" x\n  (g . y))'))
    assert (span.line, span.column, span.end_line, span.end_column) == (1, 1, 3, 11)
    assert isinstance(datum, SourcePair)
    assert datum.span == span
    spans = []
    at: Any = datum
    while isinstance(at, SourcePair):
        s = at.car_span
        assert s is not None
        spans.append((s.line, s.column, s.end_line, s.end_column))
        inner = at.car
        at = at.cdr
    assert spans == [(1, 2, 1, 3), (1, 4, 2, 3), (2, 4, 2, 5), (3, 3, 3, 10)]
    assert isinstance(inner, SourcePair)
    assert inner.span == datum.cdr.cdr.cdr.car_span


def test_quotation_shorthand_carries_spans() -> None:
    ((datum, span),) = read_all(Source("t", "  '(a)"))
    assert isinstance(datum, SourcePair)
    assert datum.span == span
    assert (span.column, span.end_column) == (3, 7)
    inner = datum.cdr
    assert isinstance(inner, SourcePair)
    assert inner.car_span is not None
    assert (inner.car_span.column, inner.car_span.end_column) == (4, 7)


def test_datum_labels_make_cycles_and_sharing() -> None:
    ((datum, _),) = read_all(Source("t", "#0=(a . #0#)"))
    assert datum.cdr is datum
    ((datum, _),) = read_all(Source("t", "(#1=(x) #1# #(#1#))"))
    assert datum.car is datum.cdr.car
    assert datum.cdr.cdr.car[0] is datum.car
    ((datum, _),) = read_all(Source("t", "#0=#(#0#)"))
    assert datum[0] is datum


@pytest.mark.parametrize(
    ("text", "incomplete"),
    [("(a", True), ("'", True), ('"x', True), ("#| x", True), ("(a]", False), ("(a)", False), ("", False),
     ("#foo (", False), ("(a .", True), ("|a", True), ("#;", True), ("{a 1", True)],
)  # fmt: skip
def test_what_the_repl_may_continue(text: str, incomplete: bool) -> None:
    assert is_incomplete(text) is incomplete


def test_read_one_goes_from_datum_to_datum() -> None:
    source = Source("t", " (a b) #;(x) 'c\n12 #;z ")
    found, offset = [], 0
    while (one := read_one(source, offset)) is not None:
        found.append(plain(one[0]))
        offset = one[2]
    assert found == [(A, B), (QUOTE, C), 12]
    with pytest.raises(ReadError):
        read_one(Source("t", ". a"))
    assert read_one(Source("t", "a )"))[2] == 1  # type: ignore[index]


def test_source_size_is_limited() -> None:
    with pytest.raises(LimitExceeded) as caught:
        read_all(Source("t", "a " * 600), characters_max=1000)
    assert caught.value.limit == "source-size"


@pytest.mark.parametrize(
    ("opening", "middle", "closing"),
    [("(", "", ")"), ("#(", "", ")"), ("'", "x", ""), ("(a . ", "b", ")"), ("{a ", "1", "}"),
     ("#;", "a ", "a "), ("#|", "", "|#")],
)  # fmt: skip
def test_depth_is_no_matter(opening: str, middle: str, closing: str) -> None:
    n = 100_000
    assert len(read_all(Source("t", opening * n + middle + closing * n), None)) <= 1


def test_reading_is_linear_and_fast() -> None:
    line = '(define (fib n) (if (< n 2) n (+ (fib (- n 1)) "hello" :key 1.5))) ; comment\n'
    read_all(Source("t", line))
    began = time.process_time()
    read_all(Source("t", line * 4000))
    rate = len(line) * 4000 / (time.process_time() - began)
    assert rate > 60_000, (
        f"{rate:.0f} characters/s"
    )  # about 600,000 on the machine it was written on


def test_importing_the_reader_does_not_load_lark() -> None:
    code = "import sys, omega.lisp.reader, omega.lisp.printer; sys.exit('lark' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
