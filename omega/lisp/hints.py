"""What to do about a value of the wrong type: tables from what was wanted and what was given.

Owns: `hint_for`, `hint_for_call`.
Refuses: the fact itself (primitives/check.py says it), and looking into values: errors are caught
in loops, so a hint costs a few lookups.

The more a row knows, the sooner it is asked: procedure and what was given, both kinds, what was
given, what was wanted.
"""

from __future__ import annotations

from fractions import Fraction
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from omega.errors import OmegaError
from omega.lisp.data import Char, Eof, Keyword, Nil, Pair, Symbol, Values
from omega.lisp.table import HashTable

SHOWN_MAX = 30  # characters of a value that a hint repeats


def hint_for(name: str, wanted: str, value: Any, shown: str) -> str | None:
    """What to do when `name` was given `value`, in messages `shown`, and wanted something else.

    wanted: as a message says it, with its article: "an exact integer".
    """
    want, given = _kind_wanted(wanted), _kind_of(value)
    hint = (
        _CALLS.get((name, given))
        or _PAIRS.get((want, given))
        or _GIVEN.get(given)
        or _WANTED.get(want)
    )
    if hint is None or "VALUE" not in hint:
        return hint
    return hint.replace("VALUE", _as_code(given, value, shown))


def hint_for_call(given: str) -> str:
    """What to do when a value of the type `given` stands where a procedure is called."""
    return _CALLED.get(given) or "one pair of brackets too many? ((f)) calls what (f) gives"


def _kind_wanted(wanted: str) -> str:
    """The kind of thing a message names: its first telling word decides."""
    if wanted.endswith("without arguments"):
        return "thunk"
    if wanted.startswith("a list of "):
        return "list of"
    for word in wanted.split()[:6]:
        kind = _WORDS.get(word.strip("(,)"))
        if kind is not None:
            return kind
    return ""


def _kind_of(value: Any) -> str:
    kind = _TYPES.get(type(value))
    if kind is not None:
        return kind
    if value is False:
        return "#f"
    if value is Nil:
        return "empty list"
    if value is Eof:
        return "eof"
    if isinstance(value, Pair):  # also one that knows its place
        return "pair"
    if isinstance(value, OmegaError):
        return "condition"
    return type(value).__name__.lower()


def _as_code(given: str, value: Any, shown: str) -> str:
    """What stands in a program for the value; its kind, when it is long."""
    if given == "procedure":
        from omega.lisp.printer import procedure_name

        name = procedure_name(value)
        return name if name and name != "lambda" else "f"
    if len(shown) > SHOWN_MAX:
        return "list" if given == "pair" else given
    return "'" + shown if given in ("pair", "symbol") else shown


_WORDS = {
    "number": "number", "integer": "number", "index": "number", "milliseconds": "number",
    "capacity": "number", "byte": "number", "radix": "number", "code": "number",
    "string": "string", "name": "string", "symbol": "symbol", "keyword": "keyword",
    "character": "character", "boolean": "boolean", "bytevector": "bytevector",
    "list": "list", "pair": "pair", "vector": "vector", "hash": "table",
    "procedure": "procedure", "task": "task", "channel": "channel", "event": "event",
    "mutex": "mutex", "semaphore": "semaphore", "parameter": "parameter",
    "condition": "condition", "port": "port",
}  # fmt: skip

_TYPES: dict[type, str] = {
    int: "integer", float: "number", Fraction: "number", str: "string", Symbol: "symbol",
    Keyword: "keyword", Char: "character", list: "vector", bytearray: "bytevector",
    HashTable: "table", FunctionType: "procedure", MethodType: "procedure",
    BuiltinFunctionType: "procedure", type(None): "nothing", Values: "values",
}  # fmt: skip

_TO_LIST = "(vector->list VALUE) makes a list of a vector"
_THUNK = "write (lambda () ...) around the expression, so that it runs there and not before"

# (procedure, given)
_CALLS = {
    ("+", "string"): "`string-append` joins strings; (string->number VALUE) reads a number",
    ("+", "pair"): "(apply + VALUE) adds the elements of a list; `append` joins lists",
    ("*", "pair"): "(apply * VALUE) multiplies the elements of a list",
    ("max", "pair"): "(apply max VALUE) finds the largest element of a list",
    ("min", "pair"): "(apply min VALUE) finds the smallest element of a list",
    ("length", "string"): "(string-length VALUE) counts characters",
    ("length", "vector"): "(vector-length VALUE) counts elements",
    ("length", "table"): "(hash-count VALUE) counts entries",
    ("append", "string"): "`string-append` joins strings",
    ("append", "vector"): "`vector-append` joins vectors",
    ("reverse", "string"): "(list->string (reverse (string->list VALUE))) turns a string round",
    ("await", "pair"): "(await-all VALUE) awaits every task of a list",
    ("hash-ref", "pair"): "(assoc key VALUE) looks in a list of pairs; `alist->hash` makes a table",
}  # fmt: skip

# (wanted, given)
_PAIRS = {
    ("number", "string"): "(string->number VALUE) reads a number from a string, or gives #f",
    ("number", "integer"): "it is out of range: test it before, or bound it with `min` and `max`",
    ("number", "number"): "(exact (round VALUE)) makes an exact integer of a number",
    ("number", "character"): "(digit-value VALUE) is a digit's value, `char->integer` its code",
    ("string", "integer"): "(number->string VALUE) writes a number as a string",
    ("string", "number"): "(number->string VALUE) writes a number as a string",
    ("string", "symbol"): "(symbol->string VALUE) is its name; strings stand in double quotes",
    ("string", "keyword"): "(keyword->string VALUE) is its name",
    ("string", "character"): "(string VALUE) makes a string of a character",
    ("string", "pair"): "`string-join` joins a list of strings, `list->string` one of characters",
    ("string", "empty list"): "the string of no characters is \"\"",
    ("string", "vector"): "`string-join` joins strings, `vector->string` characters",
    ("string", "bytevector"): "(utf8->string VALUE) decodes bytes",
    ("symbol", "string"): "(string->symbol VALUE) makes a symbol of a string",
    ("symbol", "keyword"): "(string->symbol (keyword->string VALUE)) makes a symbol of a keyword",
    ("keyword", "symbol"): "a keyword is written with its colon in front and without a quote",
    ("keyword", "string"): "(string->keyword VALUE) makes a keyword of a string",
    ("character", "string"): "(string-ref VALUE 0) is its first character; #\\a is a character",
    ("character", "integer"): "(integer->char VALUE) is the character of that code",
    ("character", "symbol"): "a character is written #\\a",
    ("list", "vector"): _TO_LIST,
    ("pair", "vector"): "(vector-ref v k) reads a vector; " + _TO_LIST,
    ("list", "string"): "(string->list VALUE) makes a list of its characters",
    ("list", "table"): "(hash->alist VALUE) makes a list of (key . value) pairs",
    ("list", "pair"): "a proper list ends in (): it has no dot, and leads nowhere back to itself",
    ("list of", "vector"): _TO_LIST,
    ("list of", "pair"): "look at its elements: `map` converts every one",
    ("pair", "empty list"): "the list is empty here: test with `null?` before",
    ("pair", "table"): "(hash-ref table key) reads a table; (hash->alist VALUE) makes a list of it",
    ("vector", "pair"): "(list-ref list k) reads a list; (list->vector VALUE) makes a vector of it",
    ("vector", "empty list"): "the empty vector is written #()",
    ("vector", "string"): "(string->vector VALUE) makes a vector; (string-ref string k) reads one",
    ("vector", "table"): "(hash-ref table key) reads a table",
    ("table", "pair"): "(alist->hash VALUE) makes a table of a list of (key . value) pairs",
    ("table", "vector"): "(vector-ref v k) reads a vector",
    ("bytevector", "string"): "(string->utf8 VALUE) encodes a string",
    ("bytevector", "pair"): "(apply bytevector VALUE) makes a bytevector of a list of bytes",
    ("procedure", "symbol"): "leave out the quote: the name alone stands for the procedure",
    ("procedure", "task"): "(await task) gives a task's value",
    ("thunk", "symbol"): "leave out the quote: the name alone stands for the procedure",
    ("thunk", "task"): "this task runs already: (await task) gives its value",
    ("task", "procedure"): "(async VALUE) makes a task of a procedure",
    ("task", "symbol"): "leave out the quote: the name alone stands for the task",
    ("channel", "procedure"): "(make-channel) makes one: a call, in brackets",
    ("parameter", "symbol"): "leave out the quote: the name alone stands for the parameter",
}  # fmt: skip

# given, whatever was wanted
_GIVEN = {
    "procedure": "this is the procedure itself: to call it, write it in brackets, (VALUE ...)",
    "task": "(await task) gives a task's value",
    "#f": "#f is what a search gives that found nothing: test for it before",
    "nothing": "`define`, `set!`, `display`, `for-each`, and `if` without an else give no value",
    "eof": "the input has ended: test with `eof-object?` before",
    "symbol": "without its quote, a name stands for the value of the variable",
    "promise": "(force promise) computes its value",
    "values": "several values are taken apart by `receive` or `call-with-values`",
    "keyword": "keywords come last, with their values; only procedures that declare them take any",
    "condition": "(condition-message e) is its text, (condition-irritants e) its values",
}  # fmt: skip

# wanted, whatever was given
_WANTED = {
    "number": "`number?` tells numbers from other values",
    "string": "(string VALUE) writes any value as `display` shows it",
    "symbol": "a symbol is written 'name",
    "keyword": "a keyword is written :name",
    "character": "a character is written #\\a",
    "boolean": "the booleans are #t and #f",
    "bytevector": "(bytevector 1 2 3) makes one of bytes",
    "list of": "`list` makes lists",
    "list": "(list VALUE) makes a list of one element; `list?` tells lists from other values",
    "pair": "`cons` and `list` make pairs; `pair?` tells them from other values",
    "vector": "(vector VALUE) makes a vector of one element; `vector?` tells vectors",
    "table": "{:key value ...} and (make-hash-table) make tables",
    "procedure": "(lambda (x ...) body) makes a procedure",
    "thunk": _THUNK,
    "task": "(async (lambda () ...)) makes a task; (tasks) lists those that have not ended",
    "channel": "(make-channel) makes a channel",
    "event": "(recv-event channel), (timer-event ms) and the like make events",
    "mutex": "(make-mutex) makes a mutex",
    "semaphore": "(make-semaphore n) makes a semaphore",
    "parameter": "(make-parameter value) makes a parameter",
    "condition": "a condition is what `guard` and handlers get of a failure",
    "port": "`open-input-file`, `open-output-file`, `open-input-string` and the like make ports",
}  # fmt: skip

# called like a procedure; the names of types as messages have them
_CALLED = {
    "symbol": "leave out the quote: the name alone stands for the procedure",
    "pair": "a list of data is written '(a b) or (list a b); (list-ref list k) reads one",
    "vector": "(vector-ref v k) reads a vector",
    "string": "(string-ref s k) reads a string",
    "hash table": "(hash-ref table key) reads a table",
    "keyword": "(hash-ref table :key) reads a table",
    "unspecified": "what gives it ends in `define`, `set!` or the like, which give no value",
    "Task": "(await task) gives a task's value",
    "record type": "its constructor, which `define-record-type` names, makes a record of it",
}
