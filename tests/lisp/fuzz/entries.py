"""Nonsense for every place where texts come in: each is read, or is an error of its kind.

Owns: ENTRIES: name -> a trial with a random number generator, which raises what went wrong and
answers the text it tried; `try_entry`.
Refuses: what the texts mean: the laws of the test files beside this folder say that.
"""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

from omega.errors import LimitExceeded, OmegaBug, OmegaError, ReadError, Source
from omega.interpreter import Interpreter
from omega.limits import Limits
from omega.lisp.equality import is_equal
from omega.lisp.printer import write_string
from omega.lisp.reader import read_all
from tests.lisp.fuzz.forms import written
from tests.lisp.fuzz.generator import Generator
from tests.lisp.reference.primitives import PRIMITIVES

SPECS = Path(__file__).parents[2] / "spec"
LISP = (
    "(", ")", "[", "]", "#(", "'", "`", ",", ",@", ".", " ", "\n", "#;", "#|", "|#", ";", "|", '"',
    "\\", "#\\", "#\\x41", "#t", "#u8(", "#0=", "#0#", "{", "}", ":k", "abc", "1", "-", "+", "1/2",
    "1e9", ".5", "#x", "#e", "nan", "+inf.0", "λ", "\x00", "\ud7ff", "\t", "...", "x", "é",
)  # fmt: skip
NUMBER = ("0", "1", "9", "12", "-", "+", ".", "e", "E", "/", "#x", "#b", "#e", "#i", "inf.0",
          "nan.0", "i", "_", "f", "a", " ", "٣", "1" * 30, "e400", "e-400")  # fmt: skip
JSON = ("{", "}", "[", "]", ",", ":", '"', "\\", "u00", "u1F60", "true", "null", "false", "1", "-",
        ".", "e", "E5", "0", " ", "\n", "a", "\t", "\x01", "NaN", "é")  # fmt: skip
REGEX = (*r"ab\()[]{}?*+|^$.-,:<>=!#P1xuUwd0 i", "(?:", "(?i)", "(?P<n>", "{2,}", r"\b")
FORMAT = (*"{}:0a.<8%x,w >^+-=", "{}", "{:", "{0}", "{:>8.2f}")


def _soup(chance: Random, tokens: tuple[str, ...], most: int) -> str:
    return "".join(chance.choice(tokens) for _ in range(chance.randrange(most)))


def _call(name: str, *arguments: Any) -> Any:
    return PRIMITIVES[name].function(*arguments)


def reader(chance: Random) -> str:
    """What can be read is written so that it is read again."""
    text = _soup(chance, LISP, 24)
    try:
        data = [datum for datum, _ in read_all(Source("<text>", text))]
    except (ReadError, LimitExceeded):
        return text
    for datum in data:
        again = write_string(datum)
        (back, _), *more = read_all(Source("<again>", again))
        assert not more, again
        assert write_string(back) == again
    return text


def numbers(chance: Random) -> str:
    text = _soup(chance, NUMBER, 8)
    radix = chance.choice((10, 10, 2, 16))
    try:
        value = _call("string->number", text, radix)
    except LimitExceeded:
        return text
    if value is not False and (radix == 10 or type(value) is not float):
        back = _call("string->number", _call("number->string", value, radix), radix)
        assert _call("eqv?", back, value) or value != value, (value, back)
    return text


def json(chance: Random) -> str:
    text = _soup(chance, JSON, 16)
    try:
        value = _call("json-read", text)
    except OmegaError as error:
        assert not isinstance(error, OmegaBug)
        return text
    again = _call("json-write", value)
    assert is_equal(_call("json-read", again), value)
    return text


def regex(chance: Random) -> str:
    pattern = _soup(chance, REGEX, 12)
    text = _soup(chance, tuple("ab1 xu\né"), 12)
    try:
        found = _call("regex-search", pattern, text)
        every = _call("regex-search-all", pattern, text) if "regex-search-all" in PRIMITIVES else ()
        assert found is not False or not list(every)
    except OmegaError as error:
        assert not isinstance(error, OmegaBug)
    return f"{pattern!r} on {text!r}"


def formats(chance: Random) -> str:
    template = _soup(chance, FORMAT, 10)
    items = [chance.choice((1, -7, 0.5, "text", True, 10**30)) for _ in range(chance.randrange(3))]
    try:
        assert type(_call("string-format", template, *items)) is str
    except OmegaError as error:
        assert not isinstance(error, OmegaBug)
    return template


def programs(chance: Random) -> str:
    """A program that was damaged: `check` has findings, and running it comes to an end."""
    text = _damaged(chance, _program(chance))
    limits = Limits(fuel=20_000, tasks=100)
    with Interpreter(virtual_time=True, limits=limits, output=StringIO()) as interpreter:
        interpreter.runtime.suggest = lambda name, here=(): None  # type: ignore[method-assign]
        for finding in interpreter.check(text):
            assert not isinstance(finding, OmegaBug), finding
        try:
            interpreter.eval(text)
        except OmegaError as error:
            assert not isinstance(error, OmegaBug), error
        interpreter.leaks()  # what was damaged may leave tasks behind; who asks is not warned
    return text


def _program(chance: Random) -> str:
    if chance.random() < 0.5:
        return "\n".join(written(form) for form in Generator(chance.random()).program())
    sections = chance.choice(sorted(SPECS.glob("*.omega"))).read_text().split("\n---\n")
    return chance.choice(sections)


def _damaged(chance: Random, text: str) -> str:
    for _ in range(1 + chance.randrange(4)):
        if not text:
            break
        at = chance.randrange(len(text))
        until = min(len(text), at + chance.choice((1, 1, 1, 3, 20)))
        match chance.randrange(4):
            case 0:
                text = text[:at] + text[until:]
            case 1:
                text = text[:at] + chance.choice(LISP) + text[at:]
            case 2:
                start = chance.randrange(len(text))
                text = text[:at] + text[start : start + 20] + text[until:]
            case _:
                text = text[:at] + chance.choice("() '\"0x.#") + text[at + 1 :]
    return text


ENTRIES: dict[str, Callable[[Random], str]] = {
    f.__name__: f for f in (reader, numbers, json, regex, formats, programs)
}
SHARE = {"programs": 20}  # of how many trials of the others one is made: they take longer


def try_entry(name: str, seed: str, trials: int) -> list[str]:
    """What went wrong, if anything did."""
    found = []
    for number in range(trials // SHARE.get(name, 1)):
        try:
            ENTRIES[name](Random(f"{seed}:{number}"))
        except Exception as error:  # whatever it is: nothing may come out but what the trial knows
            found.append(f"{name} {seed}:{number}: {type(error).__name__}: {error}")
    return found
