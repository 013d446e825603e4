"""What primitives answer and how they refuse, as tables of (expression, written value or error)."""
# ruff: noqa: E501  (tables of cases read best one case beside another)

from __future__ import annotations

import pytest

from omega.errors import OmegaError
from tests.lisp.primitive_kit import FakeRuntime, written

VALUES = {
    "numbers": [
        ("(+)", "0"), ("(+ 1 2 3)", "6"), ("(+ 1/3 2/3)", "1"), ("(+ 1 0.5)", "1.5"), ("(*)", "1"), ("(* 2 1/2)", "1"),
        ("(- 5)", "-5"), ("(- 10 1 2)", "7"), ("(/ 1 3)", "1/3"), ("(/ 6 3)", "2"), ("(/ 2)", "1/2"), ("(/ 1.0 0.0)", "+inf.0"),
        ("(/ -1 0.0)", "-inf.0"), ("(/ 1 -0.0)", "-inf.0"), ("(/ 0.0 0.0)", "+nan.0"), ("(+ -0.0)", "-0.0"),
        ("(= 1 1.0 2/2)", "#t"), ("(= 1 2)", "#f"), ("(< 1 2 3)", "#t"), ("(< 1 3 2)", "#f"), ("(<= 1 1 2)", "#t"), ("(>)", "#t"),
        ("(= 9007199254740993 9007199254740992.0)", "#f"), ("(< 1/3 0.3333333333333333)", "#f"), ("(= +nan.0 +nan.0)", "#f"),
        ("(max 1 2.0)", "2.0"), ("(max 3 2.0)", "3.0"), ("(min 1 2 -1)", "-1"), ("(max 1 +nan.0)", "+nan.0"),
        ("(quotient -7 2)", "-3"), ("(remainder -7 2)", "-1"), ("(modulo -7 2)", "1"), ("(modulo 7 -2)", "-1"), ("(quotient 7. 2)", "3.0"),
        ("(floor/ -7 2)", "-4 1"), ("(truncate/ -7 2)", "-3 -1"), ("(floor-quotient -7 2)", "-4"), ("(exact-integer-sqrt 17)", "4 1"),
        ("(gcd)", "0"), ("(gcd 12 -18)", "6"), ("(lcm 4 6.0)", "12.0"), ("(abs -1/2)", "1/2"), ("(square 1/2)", "1/4"),
        ("(floor 2.5)", "2.0"), ("(floor -5/2)", "-3"), ("(ceiling -0.5)", "-0.0"), ("(truncate -2.5)", "-2.0"),
        ("(round 2.5)", "2.0"), ("(round 7/2)", "4"), ("(round 3.5)", "4.0"), ("(floor +inf.0)", "+inf.0"),
        ("(exact 2.5)", "5/2"), ("(exact 2.0)", "2"), ("(inexact 1/3)", "0.3333333333333333"), ("(exact->inexact 1/4)", "0.25"),
        ("(sqrt 16)", "4"), ("(sqrt 1/4)", "1/2"), ("(sqrt 2)", "1.4142135623730951"), ("(sqrt 16.0)", "4.0"),
        ("(exact? (sqrt (expt 10 400)))", "#t"), ("(expt 2 100)", "1267650600228229401496703205376"), ("(expt 2 -2)", "1/4"),
        ("(expt 1/2 2)", "1/4"), ("(expt 2.0 3)", "8.0"), ("(expt 0 0)", "1"), ("(expt 0.0 0)", "1.0"), ("(expt 4 1/2)", "2"),
        ("(expt 10 400.0)", "+inf.0"), ("(expt 0.0 -1)", "+inf.0"), ("(expt -1 10000000000000000000001)", "-1"), ("(expt -8.0 1/3.)", None),
        ("(exp 0)", "1"), ("(log 1)", "0"), ("(log 8 2)", "3.0"), ("(log (expt 10 1000))", "2302.585092994045"), ("(log 0.0)", "-inf.0"),
        ("(atan 1 1)", "0.7853981633974483"), ("(atan 0 -1)", "3.141592653589793"), ("(sin 0)", "0"), ("(cos +inf.0)", "+nan.0"), ("(exp 1000)", "+inf.0"),
        ("(number? 1/2)", "#t"), ("(integer? 2.0)", "#t"), ("(integer? 1/2)", "#f"), ("(rational? +inf.0)", "#f"), ("(number? #t)", "#f"),
        ("(exact-integer? 2.0)", "#f"), ("(exact? 1/2)", "#t"), ("(nan? +nan.0)", "#t"), ("(zero? -0.0)", "#t"), ("(even? 0)", "#t"), ("(odd? -1)", "#t"),
        ("(numerator 6/4)", "3"), ("(denominator 0.5)", "2.0"), ("(rationalize 3/10 1/10)", "1/3"), ("(rationalize .3 1/10)", "0.3333333333333333"),
        ("(number->string 255 16)", '"ff"'), ("(number->string 1.5)", '"1.5"'), ("(string->number \"#xff\")", "255"), ("(string->number \"zz\" 36)", "1295"),
        ('(string->number "abc")', "#f"), ('(string->number "1e3")', "1000.0"), ("(bitwise-and 12 10)", "8"), ("(bitwise-or)", "0"), ("(bitwise-xor 5 1)", "4"),
        ("(bitwise-not 0)", "-1"), ("(arithmetic-shift 1 10)", "1024"), ("(arithmetic-shift -5 -1)", "-3"), ("(arithmetic-shift 1 -1000000000000)", "0"),
        ("(bit-count 255)", "8"), ("(integer-length -8)", "3"), ("(1+ 1)", "2"), ("(-1+ 1)", "0"), ("(+ 1e308 (expt 10 400))", "+inf.0"),
    ],
    "basics": [
        ("(eq? 'a 'a)", "#t"), ("(eq? 100000000000000000000 100000000000000000000)", "#t"), ("(eqv? 1 1.0)", "#f"), ('(eqv? "a" "a")', "#t"),
        ("(equal? '(1 #(2 \"x\")) '(1 #(2 \"x\")))", "#t"), ("(equal? {:a 1 :b 2} {:b 2 :a 1})", "#t"), ("(not 0)", "#f"), ("(not #f)", "#t"),
        ("(boolean=? #t #t #t)", "#t"), ("(boolean? 0)", "#f"), ("(symbol->string 'ab)", '"ab"'), ('(string->symbol "a b")', "|a b|"),
        ("(symbol-append 'a 'b)", "ab"), ("(eq? (gensym) (gensym))", "#f"), ('(string->keyword "k")', ":k"), ("(keyword->string :k)", '"k"'),
        ("(values 1)", "1"), ("(values 1 2)", "1 2"), ("(values)", ""), ("(void 1 2)", ""), ("(symbol=? 'a 'a 'b)", "#f"),
    ],
    "characters": [
        (r"(char->integer #\A)", "65"), ("(integer->char 955)", r"#\λ"), (r"(char<? #\a #\b #\c)", "#t"), (r"(char-ci=? #\a #\A)", "#t"),
        (r"(char-upcase #\ß)", r"#\ß"), (r"(char-upcase #\a)", r"#\A"), (r"(digit-value #\7)", "7"), (r"(digit-value #\a)", "#f"), (r"(char-alphabetic? #\λ)", "#t"),
    ],
    "lists": [
        ("(cons 1 2)", "(1 . 2)"), ("(list 1 2)", "(1 2)"), ("(cons* 1 2 '(3))", "(1 2 3)"), ("(cadr '(1 2))", "2"), ("(cddddr '(1 2 3 4 5))", "(5)"), ("(cdadr '(1 (2 3)))", "(3)"),
        ("(length '(1 2 3))", "3"), ("(append '(1) '(2) 3)", "(1 2 . 3)"), ("(append)", "()"), ("(append '() '())", "()"), ("(reverse '(1 2 3))", "(3 2 1)"),
        ("(list-tail '(1 2 3) 1)", "(2 3)"), ("(list-ref '(1 2 3) 2)", "3"), ("(memq 'c '(a b c d))", "(c d)"), ("(member '(1) '((0) (1) 2))", "((1) 2)"), ("(memv 1.0 '(1 2))", "#f"),
        ("(assq 'b '((a 1) (b 2)))", "(b 2)"), ('(assoc "b" \'(("a" . 1) ("b" . 2)))', '("b" . 2)'), ("(assv 5 '())", "#f"), ('(assoc-ref \'(("a" . 1)) "a")', "1"), ("(assoc-ref '() 1 2)", "2"),
        ("(list-copy '(1 2 . 3))", "(1 2 . 3)"), ("(last-pair '(1 2 . 3))", "(2 . 3)"), ("(last '(1 2 3))", "3"), ("(first '(1 2))", "1"), ("(tenth '(1 2 3 4 5 6 7 8 9 10))", "10"),
        ("(take '(1 2 3) 2)", "(1 2)"), ("(drop '(1 2 3) 2)", "(3)"), ("(take-right '(1 2 3) 2)", "(2 3)"), ("(drop-right '(1 2 3) 2)", "(1)"), ("(split-at '(1 2 3) 1)", "(1) (2 3)"),
        ("(flatten '(1 (2 (3 ())) . 4))", "(1 2 3 4)"), ("(iota 3)", "(0 1 2)"), ("(iota 3 1 1/2)", "(1 3/2 2)"), ("(range 3)", "(0 1 2)"), ("(range 1 10 3)", "(1 4 7)"), ("(range 3 0 -1)", "(3 2 1)"),
        ("(range 0 1 0.25)", "(0.0 0.25 0.5 0.75)"), ("(range 5 1)", "()"), ("(concatenate '((1) (2)))", "(1 2)"), ("(make-list 2 'x)", "(x x)"), ("(delete 2 '(1 2 3 2))", "(1 3)"),
        ("(delete-duplicates '(1 (2) 1.0 (2) 1))", "(1 (2) 1.0)"), ("(list? '(1 . 2))", "#f"), ("(begin (define x (list 1 2)) (list-set! x 1 'y) x)", None),
        ("(define x (list 1 2)) (list-set! x 1 'y) x", "(1 y)"), ("(list? '#0=(1 . #0#))", "#f"), ("(length+ '#0=(1 . #0#))", "#f"), ("(list-ref '#0=(1 2 3 . #0#) 1000000000000000000000)", "2"),
        ("(append-reverse '(2 1) '(3))", "(1 2 3)"), ("(sublist '(1 2 3 4) 1 3)", "(2 3)"), ("(dotted-list? '(1 . 2))", "#t"),
    ],
    "strings": [
        ('(string-append "a" "b" "")', '"ab"'), ('(substring "hello" 1 3)', '"el"'), ('(string-length "λx")', "2"), (r'(string-ref "ab" 1)', r"#\b"), (r"(string #\a #\b)", '"ab"'), ("(string 'a 1 \"x\")", '"a1x"'),
        ('(string<? "a" "b" "c")', "#t"), ('(string-ci=? "Straße" "STRASSE")', "#t"), ('(string-upcase "straße")', '"STRASSE"'), ('(string->list "ab")', r"(#\a #\b)"), (r"(list->string '(#\a #\b))", '"ab"'),
        ('(string-split "a,b,,c" ",")', '("a" "b" "" "c")'), ('(string-split " a  b ")', '("a" "b")'), (r'(string-split "a-b-c" #\- 1)', '("a" "b-c")'), ('(string-join \'("a" "b") ", ")', '"a, b"'), ('(string-join \'("a" "b"))', '"a b"'),
        ('(string-trim "  a ")', '"a"'), ('(string-trim-left "xxa" "x")', '"a"'), ('(string-contains "hello" "ll")', "2"), ('(string-contains "hello" "z")', "#f"), ('(string-prefix? "he" "hello")', "#t"), ('(string-suffix? "lo" "hello")', "#t"),
        ('(string-replace "aXbXc" "X" "--")', '"a--b--c"'), ('(string-replace "aXbX" "X" "" 1)', '"abX"'), ('(string-pad-left "7" 3)', '"  7"'), (r'(string-pad-left "1234" 3 #\0)', '"234"'), ('(string-pad-right "ab" 1)', '"a"'),
        ('(string-reverse "abc")', '"cba"'), ('(string-repeat "ab" 2)', '"abab"'), (r'(string-index "abc" #\c)', "2"), ('(string-null? "")', "#t"), ('(string-copy "abc" 1)', '"bc"'), ('(string->vector "ab")', r"#(#\a #\b)"),
        ('(string-format "{} and {}!" 1 "x")', '"1 and x!"'), ('(string-format "{1}{0}{{}}" \'a "b")', '"ba{}"'), ('(string-format "{:.2} {:>5}|{:<4}|{:^5}|{:3}" 1/3 "ab" "c" "d" 7)', '"0.33    ab|c   |  d  |  7"'), ('(string-format "{:.1}" 0.25)', '"0.2"'),
        ('(make-string 2 #\\z)', '"zz"'), ('(string-lines "a\\r\\nb\\n")', '("a" "b")'), ('(string-titlecase "ab cd")', '"Ab Cd"'),
    ],
    "vectors": [
        ("(vector 1 2)", "#(1 2)"), ("(make-vector 2 0)", "#(0 0)"), ("(vector-ref #(1 2) 1)", "2"), ("(vector->list #(1 2 3) 1)", "(2 3)"), ("(list->vector '(1 2))", "#(1 2)"), ("(subvector #(1 2 3) 1 2)", "#(2)"),
        ("(vector-append #(1) #() #(2 3))", "#(1 2 3)"), ("(define v (vector 1 2 3 4)) (vector-copy! v 1 v 0 3) v", "#(1 1 2 3)"), ("(define v (vector 1 2 3)) (vector-fill! v 0 1) v", "#(1 0 0)"),
        ("(define v (vector 1)) (vector-push! v 2) (vector-swap! v 0 1) v", "#(2 1)"), ("(define v (vector 1 2)) (vector-pop! v)", "2"), ("(reverse-vector #(1 2))", "#(2 1)"),
        ("(bytevector 1 2)", "#u8(1 2)"), ("(bytevector-append #u8(1) #u8(2))", "#u8(1 2)"), ('(utf8->string #u8(206 187))', '"λ"'), ('(string->utf8 "λ")', "#u8(206 187)"), ("(bytevector-copy #u8(1 2 3) 1 2)", "#u8(2)"),
        ("(define b (make-bytevector 3 7)) (bytevector-u8-set! b 0 1) (bytevector-copy! b 1 b 0 2) b", "#u8(1 1 7)"), ("(bytevector-u8-ref #u8(5) 0)", "5"),
    ],
    "tables": [
        ("(define t (make-hash-table)) (hash-set! t \"a\" 1) (hash-set! t 1 2 1.0 3) t", '{"a" 1 1 2 1.0 3}'), ("(hash-ref (hash-table :a 1) :a)", "1"), ("(hash-ref (hash-table) 1 'none)", "none"),
        ("(define t (hash-table 1 2 3 4)) (hash-delete! t 1) (hash-keys t)", "(3)"), ("(hash-values (hash-table 1 2 3 4))", "(2 4)"), ("(hash->alist (hash-table 1 2))", "((1 . 2))"), ("(alist->hash '((a . 1) (a . 2)))", "{a 1}"),
        ("(hash-merge (hash-table 1 2) (hash-table 1 3 4 5))", "{1 3 4 5}"), ("(hash-has-key? (hash-table '(1) 2) '(1))", "#t"), ("(hash-count (hash-table))", "0"), ("(hash-table-ref/default (hash-table) 1 2)", "2"), ("(hash-select {:a 1 :b 2} '(:b :c))", "{:b 2}"),
    ],
    "json": [
        ('(json-read "{\\"a\\": [1, 2.5, true, null, \\"\\\\u00e9\\"]}")', '{"a" #(1 2.5 #t null "é")}'), ("(json-write {:a (1 2) \"b\" #(#f null)})", '"{\\"a\\": [1, 2], \\"b\\": [false, null]}"'),
        ("(json-write #(1 {}) :indent 1)", '"[\\n 1,\\n {}\\n]"'), ("(json-write '())", '"[]"'), ('(json-read (open-input-string " [1] "))', "#(1)"), ('(json-read (open-input-string " "))', "#<eof>"), ('(json-read "\\"\\\\ud83d\\\\ude00\\"")', '"😀"'),
        ('(json-write (json-read "\\"\\\\ud800\\""))', '"\\"\ufffd\\""'), ('(json-write 1e21)', '"1e21"'), ('(json-read "-0.5e-2")', "-0.005"),
    ],
    "ports": [
        ('(define p (open-input-string "ab\\nc")) (list (read-char p) (peek-char p) (read-line p) (read-line p) (read-line p))', r'(#\a #\b "b" "c" #<eof>)'), ('(read-string 2 (open-input-string "abc"))', '"ab"'), ('(read-string 0 (open-input-string ""))', '""'),
        ('(read (open-input-string "(a . b) c"))', "(a . b)"), ('(define p (open-input-string "1 (2) {:a 3}")) (list (read p) (read p) (read p) (read p))', "(1 (2) {:a 3} #<eof>)"), ('(read-all (open-input-string "ab"))', '"ab"'),
        ("(define p (open-output-string)) (write \"a\" p) (display \"b\" p) (newline p) (write-char #\\c p) (write-string \"xyz\" p 1 2) (get-output-string p)", '"\\"a\\"b\\ncy"'), ("(define p (open-output-bytevector)) (write-u8 1 p) (write-bytevector #u8(1 2 3) p 1) (get-output-bytevector p)", "#u8(1 2 3)"),
        ("(define p (open-input-bytevector #u8(1 2 3))) (list (read-u8 p) (peek-u8 p) (read-bytevector 9 p) (read-u8 p))", "(1 2 #u8(2 3) #<eof>)"), ("(define b (make-bytevector 3 0)) (read-bytevector! b (open-input-bytevector #u8(1 2)) 1) b", "#u8(0 1 2)"),
        ('(define p (open-input-string "x")) (close-port p) (input-port-open? p)', "#f"), ("(define p (open-output-string)) (write-shared '(#0=(1) #0#) p) (get-output-string p)", '"(#0=(1) #0#)"'), ("(eof-object? (eof-object))", "#t"), ('(write->string "a")', '"\\"a\\""'),
    ],
    "files": [
        ('(write-file "f" "a\\r\\nb\\n") (read-lines "f")', '("a" "b")'), ('(write-file "f" "a") (append-file "f" "λ") (read-file "f" :binary #t)', "#u8(97 206 187)"), ('(file-exists? "f")', "#f"), ('(write-file "f" "") (delete-file "f") (file-exists? "f")', "#f"),
        ('(define p (open-output-file "f")) (write \'(1 "x") p) (close-port p) (read (open-input-file "f"))', '(1 "x")'), ('(define p (open-output-file "f" :append #t)) (display "abc" p) (close-port p) (define q (open-input-file "f")) (list (read-line q) (read-line q))', '("abc" #<eof>)'),
        ('(write-file "f" "(aaaa \\"b\\\\x41;b\\") #true 12345 ; end") (define p (open-input-file "f")) (list (read p) (read p) (read p) (read p))', '((aaaa "bAb") #t 12345 #<eof>)'),
        ('(write-file "f" "a,b\\n1,\\"x, \\"\\"y\\"\\"\\nz\\"\\n\\n2,\\n") (csv-read "f")', '({"a" "1" "b" "x, \\"y\\"\\nz"} {"a" "2" "b" ""})'), ('(write-file "f" "\\xfeff;a\\r\\n1\\r\\n") (csv-read "f" :header #f)', '(("a") ("1"))'), ('(csv-parse "a;b" :separator ";" :header #f)', '(("a" "b"))'), ('(csv-parse "")', "()"),
        ('(csv-write "f" (list {:a 1 :b "x,y"} {:a "q\\"" :c 2})) (read-file "f")', '":a,:b\\r\\n1,\\"x,y\\"\\r\\n\\"q\\"\\"\\",\\r\\n"'), ('(csv-write "f" \'((1 2) #(3 4)) :columns \'("a" "b")) (csv-read "f")', '({"a" "1" "b" "2"} {"a" "3" "b" "4"})'),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [case for cases in VALUES.values() for case in cases if case[1] is not None],
)
def test_value(text: str, expected: str) -> None:
    assert written(text) == expected


ERRORS = [
    ("(car \"abc\")", "type-error", '`car` expected a pair as argument 1, got "abc"'), ("(+ 1 #t)", "type-error", "`+` expected a number as argument 2, got #t"), ('(* "a" 3)', "type-error", "`*` expected a number as argument 1"),
    ("(< 1 'a)", "type-error", "`<` expected a number as argument 2, got a"), ("(/ 1 0)", "division-by-zero", "`/` cannot divide 1 by zero"), ("(/ 1.0 0)", "division-by-zero", "by zero"), ("(modulo 5 0)", "division-by-zero", "`modulo` cannot divide 5"), ("(quotient 1 0.0)", "division-by-zero", "zero"),
    ("(vector-ref #(1 2) 2)", "index-error", "`vector-ref` index 2 is out of range for a vector of length 2"), ("(vector-ref #(1 2) -1)", "index-error", "-1"), ("(vector-ref #(1 2) 1.0)", "type-error", "index"), ("(string-ref \"\" 0)", "index-error", "length 0"), ("(list-ref '(1 2) 5)", "index-error", "length 2"),
    ("(substring \"abc\" 2 1)", "index-error", "range 2 to 1"), ("(sqrt -1)", "value-error", "no real number"), ("(log 0)", "value-error", "real"), ("(expt -8 1/3)", "value-error", "real"), ("(asin 2)", "value-error", "real"), ("(exact +nan.0)", "value-error", "nan"),
    ("(expt 10 (expt 10 10))", "limit-exceeded", "size"), ("(arithmetic-shift 1 1000000000000)", "limit-exceeded", "bits"), ("(make-vector 1000000000000)", "limit-exceeded", "items"), ('(string-repeat "ab" 1000000)', "limit-exceeded", "characters"), ("(range 100000000)", "limit-exceeded", "size"), ("(iota 100000000)", "limit-exceeded", "size"),
    ("(make-string -1)", "index-error", "at least 0"), ("(length '(1 . 2))", "type-error", "proper list"), ("(length '#0=(1 . #0#))", "type-error", "proper list"), ('(string-set! "abc" 0 #\\z)', "immutable", "immutable"), ("(hash-ref {:name 1} \"name\")", "key-error", 'no key "name"'), ("(hash-table 1)", "value-error", "in turn"),
    ('(json-read "[1,")', "json-error", "JSON 1:4: the text ends"), ('(json-read "{\\"a\\" 1}")', "json-error", "JSON 1:6: expected `:`"), ('(json-read "[1\\n 2]")', "json-error", "JSON 2:2"), ("(json-write +nan.0)", "json-error", "NaN|nan"), ("(json-write 1/3)", "json-error", "1/3"), ("(json-write '#0=#(#0#))", "json-error", "circular"), ("(json-write {1 2})", "json-error", "write 1"),
    ("(json-write {:a 1 \"a\" 2})", "json-error", "two keys"), ("(json-write 1 :indent)", "arity-error", "without a value"), ("(json-write 1 :foo 2)", "arity-error", "takes no :foo"), ("(json-write 1 2)", "type-error", "a keyword"), ("(read (open-input-string \"(a\"))", "unclosed", "never closed"), ('(read (open-input-string ")"))', "stray-bracket", "closes nothing"),
    ("(read-char (open-output-string))", "type-error", "textual input port"), ('(define p (open-input-string "x")) (close-port p) (read-char p)', "value-error", "closed"), ('(read-file "nope")', "file-error", "nope"), ('(read-file 5)', "type-error", "a string"), ('(write-file "f" "a,b\\n1\\n") (csv-read "f")', "csv-error", "f:2: 1 fields"), ('(csv-parse "a\\n\\"b")', "csv-error", "csv:2: a quoted"),
    ('(string-format "{}")', "value-error", "there is no argument"), ('(string-format "{0.real}" 1)', "value-error", "no placeholder"), ('(string-format "{:99999999}" 1)', "limit-exceeded", "size limit"), ("(utf8->string #u8(255))", "bad-encoding", "byte 0"), ("(bytevector 256)", "type-error", "byte"), ("(integer->char -1)", "value-error", "code point"), ('(string-join \'("a" 1))', "type-error", "strings"),
    ("(number->string 10 1)", "value-error", "radix"), ("(list->string '(1))", "type-error", "characters"), ("(cadr '(1))", "type-error", "cadr"), ("(caar 5)", "type-error", "caar"), ("(vector-copy! (vector 1) 0 #(1 2))", "index-error", "cannot put 2"), ("(last '())", "type-error", "a pair"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "pattern"), ERRORS)
def test_error(text: str, kind: str, pattern: str) -> None:
    with pytest.raises(
        OmegaError, match=pattern.replace("(", r"\(").replace("+", r"\+").replace("*", r"\*")
    ) as caught:
        written(text)
    assert caught.value.kind == kind


def test_a_missing_key_hints_at_its_neighbours() -> None:
    with pytest.raises(OmegaError) as caught:
        written('(hash-ref {:name 1 :age 2} "name")')
    assert caught.value.hint == "did you mean :name? its keys are :name, :age"


def test_output_beyond_the_limit_is_refused() -> None:
    rt = FakeRuntime(output_bytes=10)
    with pytest.raises(OmegaError, match="output limit exceeded: 12 bytes, 10 allowed"):
        written('(define p (open-output-file "f")) (display "λλλ" p) (display "λλλ" p)', rt)


def test_big_work_is_charged() -> None:
    for text in (
        "(make-vector 100000)",
        "(range 100000)",
        "(expt 2 100000)",
        '(string-repeat "a" 100000)',
        "(number->string (expt 2 100000))",
        "(reverse (range 100000))",
    ):
        rt = FakeRuntime()
        written(text, rt)
        assert rt.charged >= 1000, text


@pytest.mark.parametrize("text", ["#0=(1 . #0#)", "(#0=#(#0#))", "{:a #0=(#0#)}"])
def test_read_keeps_cycles(text: str) -> None:
    assert written(f'(read (open-input-string "{text}"))') == text


def test_deep_json_is_read_and_written() -> None:
    rt = FakeRuntime(alloc_items=10_000_000)
    n = 100_000
    text = "[" * n + "]" * n
    rt.files["f"] = text.encode()
    rt.chunk = 10**6
    assert written('(equal? (json-write (json-read (read-file "f"))) (read-file "f"))', rt) == "#t"
