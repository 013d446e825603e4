"""Work that grows with its arguments is paid for in steps, and none of it is long in one piece."""

from __future__ import annotations

import itertools
import math
import random
import re
import sys
from fractions import Fraction
from typing import Any

import pytest

from omega import Interpreter, Limits
from omega.codes import CODES
from omega.errors import LimitExceeded, LispError, LispTypeError, OmegaError, OwnCondition
from omega.lisp.data import Char, Keyword, Nil, Symbol, cons, to_list
from omega.lisp.evaluator import Evaluator
from omega.lisp.host import PlainHost
from omega.lisp.numbers import (
    RATIO_BITS_MAX,
    floored,
    format_number,
    integer_root,
    multiplied,
    parse_number,
    power,
)
from omega.lisp.ports import BytesInput, BytesOutput, TextInput, TextOutput
from omega.lisp.primitives.conditions import UNASKED
from omega.lisp.table import HashTable
from omega.regex import Regex
from tests.lisp.primitive_kit import PRIMITIVES, FakeRuntime, call

# -- rationals and long integers ------------------------------------------------------------------


def run(text: str, fuel: int = 1_000_000) -> Any:
    host = PlainHost(fuel=fuel)
    made = Evaluator(host, use_cache=False)
    host.start()
    made.load_library()
    thunk, _ = made.prepare(text)
    return made.runtime.call(thunk)


@pytest.mark.parametrize(
    "step", ["(* x x)", "(/ x (/ 1 x))", "(+ x (* x x))", "(- x (* x x))", "(square x)"]
)
def test_a_rational_that_grows_is_refused(step: str) -> None:
    with pytest.raises(LimitExceeded, match="bits of a rational number"):
        run(f"(let loop ((x 3/7) (i 0)) (if (< i 22) (loop {step} (+ i 1)) 1))")


def test_work_on_long_rationals_is_paid_for() -> None:
    x, y = Fraction(3**50_000, 7**30_000), Fraction(5**30_000, 11**20_000)
    for name in ("+", "-", "*", "/"):
        rt = FakeRuntime()
        call(name, x, y, rt=rt)
        assert rt.charged > 1_000, name
    for name in ("floor", "ceiling", "round", "truncate", "square"):
        rt = FakeRuntime()
        call(name, x, rt=rt)
        assert rt.charged > 1_000, name


def test_the_limit_of_rationals_holds_for_what_is_asked_before_it_is_worked_out() -> None:
    for name, arguments in {
        "expt": [(Fraction(3, 7), 1_000_000), (3, -1_000_000)],
        "/": [(3**400_000, 7**400_000)],
        "gcd": [(3**400_000, 7**400_000)],
        "lcm": [(3**400_000, 7**400_000)],
        "rationalize": [(Fraction(1, 3**400_000), Fraction(1, 7**400_000))],
    }.items():
        for given in arguments:
            with pytest.raises(LimitExceeded, match="200,000 allowed"):
                call(name, *given, rt=FakeRuntime(alloc_items=5_000_000))
    digits = "1" * (RATIO_BITS_MAX // 3)
    with pytest.raises(LimitExceeded, match="rational"):
        parse_number(f"{digits}/{digits}3")
    with pytest.raises(LimitExceeded, match="20,000 allowed"):
        call(
            "*", Fraction(1, 3**10_000), Fraction(1, 7**10_000), rt=FakeRuntime(alloc_items=20_000)
        )


def test_long_integers_divide_into_integers_whatever_their_size() -> None:
    x, y = 3**300_000, 3**299_000
    assert call("/", x, y) == 3**1_000
    assert call("gcd", x, y) == y


def test_a_product_by_the_procedure_is_limited_as_one_in_compiled_code() -> None:
    with pytest.raises(LimitExceeded, match="bits of a product"):
        call("*", 2**600_000, 2**600_000, rt=FakeRuntime())
    with pytest.raises(LimitExceeded, match="bits of a power"):
        call("expt", 2, 10**9)


def test_long_division_and_roots_agree_with_python() -> None:
    chance = random.Random(1)
    charged: list[int] = []
    for _ in range(200):
        x = chance.getrandbits(chance.choice([10, 5_000, 20_000, 90_000]) + chance.randrange(50))
        y = chance.getrandbits(chance.choice([3, 4_000, 4_100, 9_000, 33_000])) or 1
        y = chance.choice([y, (1 << y.bit_length()) - 1])
        x = chance.choice([x, x * y, x * y - 1])
        for a, b in ((x, y), (-x, y), (x, -y), (-x, -y)):
            assert floored(a, b, charged.append) == divmod(a, b)
            q, r = call("truncate/", a, b).items
            assert q * b + r == a
            assert abs(r) < abs(b)
            assert r == 0 or (r < 0) is (a < 0)
        for n in (abs(x), x * x, x * x + 2 * abs(x), x * x + 1):
            root, rest = integer_root(n, charged.append)
            assert (root, rest) == (math.isqrt(n), n - math.isqrt(n) ** 2)
    assert max(charged) < 2_000  # every piece is a short one: half a microsecond a step


@pytest.mark.parametrize(
    "name",
    ["quotient", "remainder", "modulo", "floor-quotient", "floor/", "truncate/", "gcd", "lcm"],
)
def test_work_on_long_integers_is_paid_for(name: str) -> None:
    rt = FakeRuntime()
    call(name, 10**50_000 + 1, 7**30_000, rt=rt)
    assert rt.charged > 100


def test_the_simplest_rational_is_the_one_of_least_denominator() -> None:
    chance = random.Random(2)
    for _ in range(500):
        x = Fraction(chance.randrange(-400, 400), chance.randrange(1, 200))
        y = Fraction(chance.randrange(30), chance.randrange(1, 2_000))
        found = Fraction(call("rationalize", x, y))
        assert abs(found - x) <= y
        below = next(d for d in range(1, 400_000) if math.ceil((x - y) * d) <= (x + y) * d)
        assert found.denominator == below


def test_long_products_and_powers_agree_with_python() -> None:
    chance = random.Random(3)
    for bits in (900_000, 2_000_000):
        x, y = chance.getrandbits(bits), chance.getrandbits(bits - chance.randrange(bits // 3))
        charged: list[int] = []
        for a, b in ((x, y), (-x, y), (x, x), (-x, -x), (x, y >> bits // 2), (-3, x)):
            assert multiplied(a, b, charged.append) == a * b
        assert max(charged) < 80_000  # every piece is a short one, of some 20 ms
    for base, exponent in ((3, 200_000), (-12, 99_999), (2, 10**6), (7, 1), (5, 0), (0, 5000)):
        assert power(base, exponent, lambda steps: None) == base**exponent


@pytest.mark.parametrize("radix", [2, 3, 10, 16, 36])
def test_long_numbers_are_read_as_they_are_written(radix: int) -> None:
    number = -(7**50_000)
    charged: list[int] = []
    text = format_number(number, radix, charged.append)
    assert parse_number(text, radix, charged.append) == number
    assert sum(charged) > 500
    assert max(charged) < 20_000


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("(let loop ((x 3/7)) (loop (* x x)))", "this limit is fixed"),
        ("(let loop ((x 3)) (loop (* x x)))", "this limit is fixed"),
        ("(arithmetic-shift 1 20000000)", "this limit is fixed"),
        ("(string->number (make-string 6000000 #\\7))", "this limit is fixed"),
        ("(make-vector 60000000)", r"Limits\(alloc_items=...\) allows more"),
    ],
)
def test_only_a_limit_that_can_be_raised_is_said_to(text: str, hint: str) -> None:
    with Interpreter() as interpreter, pytest.raises(LimitExceeded) as raised:
        interpreter.eval(text)
    assert re.search(hint, raised.value.hint or "")
    assert ("alloc_items" in hint) is ("alloc_items" in (raised.value.hint or ""))


BIG = "(define big (make-vector 500000 '(1))) (define other (make-vector 500000 (list 1)))"


@pytest.mark.parametrize(
    "text",
    [
        f"{BIG} (hash-ref (make-hash-table) big 0)",
        f"{BIG} (hash-set! (make-hash-table) (vector->list big) 1)",
        f"{BIG} (equal? big other)",
        f"{BIG} (equal? (vector->list big) (vector->list other))",
        f"{BIG} (delete-duplicates (list big other))",
        f"{BIG} (member big (list other other))",
        "(member (iota 500) (make-list 2000 (iota 501)))",
        "(read (open-input-string (make-string 500000 #\\()))",
        "(read (open-input-string (make-string 900000 #\\7)))",
        "(string->number (make-string 300000 #\\7))",
        "(define x (expt 7 100000)) (let loop () (* x x) (loop))",
    ],
)
def test_big_work_of_an_untrusted_program_is_stopped(text: str) -> None:
    limits = Limits(fuel=80_000, alloc_items=1_000_000)
    with Interpreter(limits=limits) as interpreter, pytest.raises(LimitExceeded, match="fuel"):
        interpreter.eval(text)


# -- lists and strings ----------------------------------------------------------------------------

SIZE = 100_000
LIST = to_list(list(range(SIZE)))
PAIRS = to_list([cons(at, at) for at in range(SIZE)])
VECTOR = list(range(SIZE))
CHARS = [Char.of("a")] * SIZE
RATIO = Fraction(3**99_000, 7**40_000)
BYTES = bytearray(SIZE)
TEXT = "ab c\n" * (SIZE // 5)
LAST = SIZE - 1
KEYS = to_list(list(range(-SIZE, 0)))

ON_A_LIST = (
    "list? circular-list? dotted-list? length length+ last last-pair reverse list-copy "
    "list->vector flatten delete-duplicates"
)
ON_A_TEXT = (
    "string-upcase string-downcase string-foldcase string-titlecase string-reverse string-trim "
    "string-trim-left string-trim-right string->list string-lines string-split"
)
ON_TEXTS = "string=? string<? string>? string<=? string>=?"
ON_MANY = (
    "+ * - / = < max min gcd lcm list vector bytevector bitwise-and bitwise-or bitwise-xor "
    "hash-table"
)
ON_CHARS = "string char=? char<? char>? char<=? char>=? " + " ".join(
    f"char-ci{sign}?" for sign in ("=", "<", ">", "<=", ">=")
)
TO_TEXT = "display displayln write write-shared write-simple write->string display->string"
NESTED = to_list([[at, "text"] for at in range(SIZE // 4)])
TABLE = HashTable([(at, at) for at in range(SIZE)])
CSV = "a,b\n" * (SIZE // 4)
MATCH = Regex("(?<all>[^x]*)").full_match(TEXT)
OWN = Symbol.of("own")
FIELDS = [f"field-{at}" for at in range(SIZE)]
KINDS = ("own", *[f"kind-{at}" for at in range(SIZE)])
DATA = "(" + "(1 x) " * (SIZE // 6) + ")"


def text_output(text: str = "") -> TextOutput:
    port = TextOutput()
    port.write(text, FakeRuntime().limits)
    return port


def bytes_output(data: bytes) -> BytesOutput:
    port = BytesOutput()
    port.write(data, FakeRuntime().limits)
    return port


# Calls that take a while: the arguments of each.
LONG: dict[str, list[Any]] = {
    "append-reverse": [LIST, Nil], "append": [LIST, Nil], "concatenate": [LIST],
    "list-tail": [LIST, LAST], "list-ref": [LIST, LAST], "list-set!": [LIST, LAST, LAST],
    "take": [LIST, LAST], "take-right": [LIST, LAST], "drop-right": [LIST, 1],
    "split-at": [LIST, LAST], "sublist": [LIST, 0, LAST], "alist-copy": [PAIRS],
    "memq": [-1, LIST], "memv": [-1, LIST], "member": [-1, LIST], "delete": [-1, LIST],
    "assq": [-1, PAIRS], "assv": [-1, PAIRS], "assoc": [-1, PAIRS], "assoc-ref": [PAIRS, -1],
    "hash-select": [HashTable(), KEYS], "alist->hash": [PAIRS],
    "list->string": [to_list(CHARS)], "vector->string": [CHARS],
    "vector-reverse!": [list(VECTOR)], "reverse-vector": [VECTOR], "vector-fill!": [[0] * SIZE, 1],
    "vector->list": [VECTOR], "vector-copy": [VECTOR], "vector-append": [VECTOR, VECTOR],
    "vector-copy!": [[0] * SIZE, 0, VECTOR], "make-vector": [SIZE], "make-list": [SIZE],
    "iota": [SIZE], "range": [SIZE], "reverse!": [to_list(VECTOR)],
    "equal?": [LIST, to_list(VECTOR)], "string-copy": [TEXT], "string->vector": [TEXT],
    "%sort-runs!": [list(VECTOR), PRIMITIVES["<"].function],
    "cons*": [*[1] * SIZE, Nil], "symbol-append": [Symbol.of("a")] * SIZE,
    "symbol=?": [Symbol.of("a")] * SIZE, "boolean=?": [True] * SIZE,
    "string->symbol": [TEXT], "string->keyword": [TEXT],
    # hash tables: a big one, and a big key
    "hash-copy": [TABLE], "hash-keys": [TABLE], "hash-values": [TABLE], "hash->alist": [TABLE],
    "hash-merge": [TABLE], "hash-merge!": [HashTable(), TABLE], "hash-clear!": [TABLE.copy()],
    "hash-ref": [TABLE, LIST, 0], "hash-table-ref/default": [TABLE, NESTED, 0],
    "hash-set!": [HashTable(), VECTOR, 1], "hash-has-key?": [TABLE, LIST],
    "hash-delete!": [TABLE, LIST],
    # texts
    "string-join": [to_list(["a"] * SIZE)], "string-concatenate": [to_list(["a"] * SIZE)],
    "string-contains": [TEXT, "zz"], "string-index": [TEXT, Char.of("z")],
    "string-rindex": [TEXT, Char.of("z")], "string-ci=?": [TEXT, TEXT.upper()],
    "string-append": [TEXT, TEXT], "make-string": [SIZE], "string-repeat": ["a", SIZE],
    "string-pad-left": ["a", SIZE], "string-pad-right": ["a", SIZE], "substring": [TEXT, 0],
    "string-replace": [TEXT, "a", "b"], "string-prefix?": [TEXT, TEXT],
    "string-suffix?": [TEXT, TEXT],
    "string-format": [TEXT], "string->number": ["7" * SIZE], "number->string": [7**40_000],
    "json-read": [f"[{'1,' * SIZE}1]"], "json-write": [VECTOR], "csv-parse": [CSV],
    "%given-characters": ["f", to_list(CHARS), False], "%string-keep": [TEXT, "a", True],
    "%string-scan": [TEXT, "xyz", True, 0, SIZE], "%string-part": ["f", 1, TEXT, 2, 0, LAST],
    "%string-scan-right": [TEXT, "xyz", True, 0, SIZE], "reverse-list->string": [to_list(CHARS)],
    "string-concatenate-reverse": [to_list(["a"] * SIZE)], "string-contains-right": [TEXT, "zz"],
    "string-take": [TEXT, LAST], "string-drop": [TEXT, 1], "string-take-right": [TEXT, LAST],
    "string-drop-right": [TEXT, 1], "string-segment": [TEXT, 1],
    "string-prefix-length": [TEXT, TEXT], "string-suffix-length": [TEXT, TEXT],
    # bits
    "bits": [True] * SIZE, "bits->list": [-1, SIZE], "bits->vector": [-1, SIZE],
    "list->bits": [to_list([True] * SIZE)], "vector->bits": [[True] * SIZE],
    "bit-field-reverse": [1, 0, SIZE],
    # conditions
    "error-object-irritants": [LispError("x", irritants=VECTOR)],
    "condition->string": [LispError("x", irritants=VECTOR)],
    "condition/report-string": [LispError("x", irritants=VECTOR)],
    "make-condition": [OWN, "x", *itertools.chain(*[(Keyword.of(f), 1) for f in FIELDS])],
    "%define-condition-kind": [Symbol.of("x"), OWN, to_list([Symbol.of(f) for f in FIELDS])],
    "condition-is?": [OwnCondition("x", "error", KINDS, {}), OWN],
    "%condition-field": [OWN, OwnCondition("x", "error", KINDS, {}), OWN, OWN],
    # walks over several lists or vectors
    "%step!": ["map", 2, [to_list([1])] * SIZE, Nil], "%row": [[[1]] * SIZE, 0],
    "%step-pairs!": ["map", 2, [to_list([1])] * SIZE, Nil],
    "%shortest": ["vector-map", 2, [[1]] * SIZE], "%ends": ["map", 2, LIST],
    # patterns and regular expressions
    "%pairs": [LIST], "regex-quote": [TEXT],
    "regex-match": ["[^x]*", TEXT], "regex-search": ["x", TEXT], "regex-search-all": ["a", TEXT],
    "regex-extract": ["x", TEXT], "regex-extract-all": ["a", TEXT], "regex-split": [" ", TEXT],
    "%regex-replace": ["f", "a", TEXT, "b", False], "%regex-matches": ["f", "a", TEXT, False],
    "regex-match-group": [MATCH], "regex-match-groups": [MATCH], "regex-match-table": [MATCH],
    # bytes
    "make-bytevector": [SIZE], "bytevector-copy": [BYTES], "bytevector-append": [BYTES],
    "bytevector-copy!": [bytearray(SIZE), 0, BYTES], "bytevector-fill!": [bytearray(SIZE), 1],
    "utf8->string": [BYTES], "string->utf8": [TEXT],
    # ports
    "open-input-bytevector": [BYTES], "get-output-bytevector": [bytes_output(BYTES)],
    "read": [TextInput(DATA)], "read-line": [TextInput("a" * SIZE)],
    "read-string": [SIZE, TextInput(TEXT)], "read-all": [TextInput(TEXT)],
    "read-bytevector": [SIZE, BytesInput(bytes(SIZE))],
    "read-bytevector!": [bytearray(SIZE), BytesInput(bytes(SIZE))],
    "write-string": [TEXT], "write-line": [TEXT], "write-bytevector": [BYTES, BytesOutput()],
    "read-file": ["csv"], "read-lines": ["csv"], "csv-read": ["csv"], "write-file": ["new", TEXT],
    "append-file": ["new", TEXT], "csv-write": ["new", NESTED],
    # long numbers
    "square": [3**99_000], "expt": [3, 99_000], "sqrt": [3**99_000],
    "exact-integer-sqrt": [3**99_000],
    "rationalize": [RATIO, 0], "arithmetic-shift": [1, 100 * SIZE],
}  # fmt: skip
LONG |= {name: [LIST] for name in ON_A_LIST.split()}
LONG |= {name: [TEXT] for name in ON_A_TEXT.split()}
LONG |= {name: [TEXT, TEXT + ""] for name in ON_TEXTS.split()}
LONG |= {name.replace("string", "string-ci"): [TEXT, TEXT] for name in ON_TEXTS.split()}
LONG |= {name: [1] * SIZE for name in ON_MANY.split()}
LONG |= {name: [Char.of("a")] * SIZE for name in ON_CHARS.split()}
LONG |= {name: [NESTED] for name in TO_TEXT.split()}
LONG |= {name: [RATIO, -RATIO] for name in ("<=", ">", ">=")}
LONG |= {name: [RATIO] for name in ("floor", "ceiling", "round", "truncate")}
LONG |= {
    name: [3**99_000, 7**20_000]
    for name in ("quotient", "remainder", "modulo", "floor-quotient", "floor/", "truncate/")
}
LONG["concatenate"] = [to_list([to_list([1])] * SIZE)]

# What takes about as long whatever the size of its arguments; or, of numbers, as long as it takes
# to copy them, which is never long: INTEGER_BITS_MAX; of a pattern, which is never long either, as
# long as it takes to read it, which is paid for all the same.
AT_ONCE = """
-1+ 1+ log angle imag-part make-polar make-rectangular real-part
%wrong-type abs acos asin atan bit-count bitwise-not cos denominator even? exact
exact-integer? exact-nonnegative-integer? exact-rational? exact? exp finite? inexact inexact?
infinite? integer-length integer? nan? negative? number? numerator odd? positive? rational? sin
tan zero?
boolean? condition-code condition-hint condition-kind condition? cons
eof-object eof-object? eq? eqv? error-object-message error-object? file-error? gensym
keyword->string keyword->symbol keyword? not null? pair? procedure? read-error? rest
set-car! set-cdr! string->uninterned-symbol symbol->keyword symbol->string symbol?
unspecified? values void
char->integer char-alphabetic? char-downcase char-foldcase char-lower-case? char-numeric?
char-upcase char-upper-case? char-whitespace? char? digit-value integer->char
string-copy! string-fill! string-length string-null? string-ref string-set! string?
first second third fourth fifth sixth seventh eighth ninth tenth
hash-count hash-empty? hash-table? make-hash-table %missing-key
bytevector-length bytevector-u8-ref bytevector-u8-set! bytevector? vector-first vector-last
vector-length vector-pop! vector-push! vector-ref vector-set! vector-swap! vector?
binary-port? char-ready? close-input-port close-output-port close-port delete-file file-exists?
flush-output-port get-output-string input-port-open? input-port? newline
open-binary-input-file open-binary-output-file open-input-file open-input-string
open-output-bytevector open-output-file open-output-string output-port-open? output-port?
peek-char peek-u8 port? read-char read-u8 textual-port? u8-ready? write-char write-u8
%index %natural %string-end %vector-end %wanted-characters
any-bit-set? bit-field bit-field-any? bit-field-clear bit-field-every? bit-field-replace
bit-field-replace-same bit-field-rotate bit-field-set bit-set? bit-swap bitwise-andc1
bitwise-andc2 bitwise-eqv bitwise-if bitwise-nand bitwise-nor bitwise-orc1 bitwise-orc2 copy-bit
every-bit-set? first-set-bit hash-table-pop!
%match-failed %record-field %record-of-type? condition-backtrace condition-place
regex regex-match-end regex-match-start regex-match? regex?
"""
ACCESSORS = [letters for n in (1, 2, 3, 4) for letters in itertools.product("ad", repeat=n)]
SHORT = set(AT_ONCE.split()) | {f"c{''.join(letters)}r" for letters in ACCESSORS}
SHORT |= {f"{kind}?" for kind in CODES if kind not in UNASKED}
OWN_NAMES = {primitive.function.__name__ for primitive in PRIMITIVES.values()}


def test_every_primitive_is_known_to_take_long_or_not() -> None:
    assert set(LONG) | SHORT == OWN_NAMES
    assert not set(LONG) & SHORT


@pytest.mark.parametrize("name", sorted(SHORT))
def test_what_is_taken_for_short_is_short(name: str) -> None:
    """Python's own loops are counted by the lines run: those of C are not seen."""
    makers: list[Any] = [
        lambda: cons(1, LIST), lambda: VECTOR[:], lambda: TEXT, lambda: bytearray(BYTES),
        lambda: TABLE,
        lambda: 3**99_000, lambda: RATIO, lambda: TextInput(TEXT), lambda: BytesInput(bytes(SIZE)),
        lambda: text_output(TEXT), lambda: bytes_output(BYTES), lambda: Symbol(TEXT),
        lambda: LispError("x" * SIZE, irritants=VECTOR), lambda: Char.of("a"), lambda: 1,
    ]  # fmt: skip
    primitive = PRIMITIVES[name]
    most = 2 if primitive.high is None else min(2, primitive.high)
    for count in range(primitive.low, most + 1):
        for made in itertools.product(makers, repeat=count):
            assert lines_run(name, [make() for make in made]) < SIZE // 20


def lines_run(name: str, arguments: list[Any]) -> int:
    lines = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call(name, *arguments)
    except OmegaError:
        pass
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize("name", sorted(LONG))
def test_what_takes_long_is_paid_for(name: str) -> None:
    rt = FakeRuntime(alloc_items=20_000_000)
    rt.files, rt.chunk = {"csv": CSV.encode()}, SIZE
    rt.condition_kinds["own"] = ("error", tuple(FIELDS), KINDS)
    call(name, *LONG[name], rt=rt)
    assert rt.charged >= SIZE // 64


@pytest.mark.parametrize("name", ["list-ref", "memq", "length", "list?"])
def test_a_walk_is_paid_for_while_it_lasts(name: str) -> None:
    class Enough(Exception):
        pass

    class Sliced(FakeRuntime):
        def charge(self, steps: int) -> None:
            assert steps <= 64
            super().charge(steps)
            if self.charged > 500:
                raise Enough

    with pytest.raises(Enough):
        call(name, *LONG[name], rt=Sliced())


@pytest.mark.parametrize("size", [1, 2, 3, 4095, 4096, 4097, 9_000, 50_000])
@pytest.mark.parametrize("lead", [0, 1, 4096, 5_000])
def test_lists_without_end_are_noticed(size: int, lead: int) -> None:
    ring = to_list(list(range(size)))
    end = ring
    while end.cdr is not Nil:
        end = end.cdr
    end.cdr = ring
    whole = to_list([0] * lead, ring)
    assert call("list?", whole) is False
    assert call("circular-list?", whole) is True
    assert call("dotted-list?", whole) is False
    assert call("length+", whole) is False
    assert call("list-ref", whole, lead + 10**12) == 10**12 % size
    for name, arguments in {"memq": [-1, whole], "length": [whole], "last": [whole]}.items():
        with pytest.raises(LispTypeError):
            call(name, *arguments)
