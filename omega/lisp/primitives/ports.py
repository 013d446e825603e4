"""Input and output on ports: R7RS 6.13 but for what takes a procedure.

Owns: the procedures; what a port is, is omega/lisp/ports.py.
Refuses: call-with-port, with-output-to-string and the current ports (parameters): they are in the
Lisp library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from omega.lisp.data import Char, Eof
from omega.lisp.ports import BytesInput, BytesOutput, Port, TextInput, TextOutput
from omega.lisp.primitives import check
from omega.lisp.primitives.check import wrong_type
from omega.lisp.primitives.registry import primitive
from omega.lisp.printer import display_string, write_string

# -- ports themselves -----------------------------------------------------------------------------


def _kind(name: str, what: str, test: Callable[[Port], bool]) -> None:
    def is_one(x: Any) -> bool:
        return isinstance(x, Port) and test(x)

    is_one.__doc__ = f"({name} x) -> boolean: whether x is a port{what}."
    primitive(name, result="bool")(is_one)


_kind("port?", "", lambda port: True)
_kind("input-port?", " to read from", lambda port: port.is_input)
_kind("output-port?", " to write to", lambda port: not port.is_input)
_kind("textual-port?", " of characters", lambda port: port.is_textual)
_kind("binary-port?", " of bytes", lambda port: not port.is_textual)


def _port(name: str, position: int, x: Any, is_input: bool | None = None) -> Port:
    if not isinstance(x, Port) or (is_input is not None and x.is_input is not is_input):
        kind = {None: "a port", True: "an input port", False: "an output port"}[is_input]
        raise wrong_type(name, position, kind, x)
    return x


@primitive("close-port")
def close_port(port: Any) -> None:
    """(close-port port) -> unspecified: closes it; what was written is on its way. Closing twice
    does no harm.
    """
    _port("close-port", 1, port).close()


def _of_one_direction(direction: str, is_input: bool, used: str, closing: str) -> None:
    def is_open(port: Any) -> bool:
        return _port(f"{direction}-port-open?", 1, port, is_input).is_open

    def close(port: Any) -> None:
        _port(f"close-{direction}-port", 1, port, is_input).close()

    is_open.__doc__ = (
        f"({direction}-port-open? port) -> boolean: whether the {direction} port may still be "
        f"{used}."
    )
    close.__doc__ = (
        f"(close-{direction}-port port) -> unspecified: closes an {direction} port{closing}."
    )
    primitive(f"{direction}-port-open?", result="bool")(is_open)
    primitive(f"close-{direction}-port")(close)


_of_one_direction("input", True, "read", "")
_of_one_direction("output", False, "written", "; what was written is on its way")


@primitive("eof-object")
def eof_object() -> Any:
    """(eof-object) -> the object that reading answers at the end."""
    return Eof


@primitive("eof-object?", result="bool")
def is_eof(x: Any) -> bool:
    """(eof-object? x) -> boolean: whether x is the end-of-file object."""
    return x is Eof


# -- string and bytevector ports ------------------------------------------------------------------


@primitive("open-input-string")
def open_input_string(s: Any) -> TextInput:
    """(open-input-string s) -> input port: reads the characters of s."""
    return TextInput(check.string("open-input-string", 1, s))


@primitive("open-output-string")
def open_output_string() -> TextOutput:
    """(open-output-string) -> output port: gathers text for get-output-string."""
    return TextOutput()


@primitive("get-output-string", result="string")
def get_output_string(port: Any) -> str:
    """(get-output-string port) -> string: what was written to a port of open-output-string."""
    if not isinstance(port, TextOutput) or not port.is_string_port:
        raise wrong_type("get-output-string", 1, "an output string port", port)
    return port.text()


@primitive("open-input-bytevector")
def open_input_bytevector(b: Any, *, rt: Any) -> BytesInput:
    """(open-input-bytevector b) -> input port: reads the bytes of b."""
    if type(b) is not bytearray:
        raise wrong_type("open-input-bytevector", 1, "a bytevector", b)
    check.spend(rt, len(b))
    return BytesInput(bytes(b))


@primitive("open-output-bytevector")
def open_output_bytevector() -> BytesOutput:
    """(open-output-bytevector) -> output port: gathers bytes for get-output-bytevector."""
    return BytesOutput()


@primitive("get-output-bytevector")
def get_output_bytevector(port: Any, *, rt: Any) -> bytearray:
    """(get-output-bytevector port) -> bytevector: what was written to a port of
    open-output-bytevector.
    """
    if not isinstance(port, BytesOutput) or not port.is_string_port:
        raise wrong_type("get-output-bytevector", 1, "an output bytevector port", port)
    data = port.bytes()
    check.spend(rt, len(data))
    return data


# -- reading text ---------------------------------------------------------------------------------


P = TypeVar("P", bound=Port)


def _open(name: str, position: int, port: Any, current: Callable[[], Any], kind: type[P]) -> P:
    """A port of this kind that is open: the argument at `position`, or the current one."""
    at = current() if port is None else port
    if type(at) is kind and at.is_open:
        return at
    if not isinstance(at, kind):
        raise wrong_type(name, position, _KINDS[kind], at)
    at.check_open(name)
    return at


_KINDS: dict[type[Port], str] = {
    TextInput: "a textual input port",
    BytesInput: "a binary input port",
    TextOutput: "a textual output port",
    BytesOutput: "a binary output port",
}


def _text_input(name: str, position: int, port: Any, rt: Any) -> TextInput:
    return _open(name, position, port, rt.current_input, TextInput)


def _bytes_input(name: str, position: int, port: Any, rt: Any) -> BytesInput:
    return _open(name, position, port, rt.current_input, BytesInput)


def _as_char(x: Any) -> Any:
    return x if x is Eof else Char.of(x)


@primitive("read-char")
def read_char(port: Any = None, *, rt: Any) -> Any:
    """(read-char [port]) -> character or the eof object: the next character."""
    return _as_char(_text_input("read-char", 1, port, rt).read_char())


@primitive("peek-char")
def peek_char(port: Any = None, *, rt: Any) -> Any:
    """(peek-char [port]) -> character or the eof object: the next character, which stays to be
    read.
    """
    return _as_char(_text_input("peek-char", 1, port, rt).peek_char())


@primitive("char-ready?", result="bool")
def is_char_ready(port: Any = None, *, rt: Any) -> bool:
    """(char-ready? [port]) -> boolean: whether read-char would answer at once."""
    return _text_input("char-ready?", 1, port, rt).is_ready()


@primitive("read-line")
def read_line(port: Any = None, *, rt: Any) -> Any:
    """(read-line [port]) -> string or the eof object: the next line, without its end."""
    line = _text_input("read-line", 1, port, rt).read_line()
    if line is not Eof:
        check.spend(rt, len(line))
    return line


@primitive("read-string")
def read_string(k: Any, port: Any = None, *, rt: Any) -> Any:
    """(read-string k [port]) -> string or the eof object: the next k characters, or as many as
    there are.
    """
    if isinstance(k, Port) and type(port) is int:  # the older order of the arguments
        k, port = port, k
    count = check.natural("read-string", 1, k)
    source = _text_input("read-string", 2, port, rt)
    text = source.read_string(min(count, rt.limits.alloc_items or count))
    if text is not Eof:
        check.spend(rt, len(text))
    return text


@primitive("read-all", "port->string", result="string")
def read_all(port: Any = None, *, rt: Any) -> str:
    """(read-all [port]) -> string: everything that is left."""
    text = _text_input("read-all", 1, port, rt).read_rest(rt.limits.alloc_items)
    check.spend(rt, len(text))
    return text


@primitive("read")
def read(port: Any = None, *, rt: Any) -> Any:
    """(read [port]) -> the next datum, or the eof object. What is wrong with it is a read-error."""
    return _text_input("read", 1, port, rt).read_datum(rt.charge)


# -- reading bytes --------------------------------------------------------------------------------


@primitive("read-u8")
def read_u8(port: Any = None, *, rt: Any) -> Any:
    """(read-u8 [port]) -> byte or the eof object: the next byte."""
    return _bytes_input("read-u8", 1, port, rt).read_byte()


@primitive("peek-u8")
def peek_u8(port: Any = None, *, rt: Any) -> Any:
    """(peek-u8 [port]) -> byte or the eof object: the next byte, which stays to be read."""
    return _bytes_input("peek-u8", 1, port, rt).peek()


@primitive("u8-ready?", result="bool")
def is_u8_ready(port: Any = None, *, rt: Any) -> bool:
    """(u8-ready? [port]) -> boolean: whether read-u8 would answer at once."""
    return _bytes_input("u8-ready?", 1, port, rt).is_ready()


@primitive("read-bytevector")
def read_bytevector(k: Any, port: Any = None, *, rt: Any) -> Any:
    """(read-bytevector k [port]) -> bytevector or the eof object: the next k bytes, or as many as
    there are.
    """
    count = check.natural("read-bytevector", 1, k)
    source = _bytes_input("read-bytevector", 2, port, rt)
    data = source.read(min(count, rt.limits.alloc_items or count))
    if data is not Eof:
        check.spend(rt, len(data))
    return data


@primitive("read-bytevector!")
def read_bytevector_into(
    b: Any, port: Any = None, start: Any = None, end: Any = None, *, rt: Any
) -> Any:
    """(read-bytevector! b [port [start [end]]]) -> integer or the eof object: reads into b; how
    many bytes it read.
    """
    if type(b) is not bytearray:
        raise wrong_type("read-bytevector!", 1, "a bytevector", b)
    source = _bytes_input("read-bytevector!", 2, port, rt)
    first, last = check.span("read-bytevector!", 3, start, end, len(b), "bytevector")
    data = source.read(last - first)
    if data is Eof:
        return Eof
    check.spend(rt, len(data))
    b[first : first + len(data)] = data
    return len(data)


# -- writing --------------------------------------------------------------------------------------


def _text_output(name: str, position: int, port: Any, rt: Any) -> TextOutput:
    return _open(name, position, port, rt.current_output, TextOutput)


_SHORT_INTEGER = 10 ** (check.FREE_ITEMS - 1)  # nearer to 0, they are written for nothing


def _shown(x: Any, rt: Any, labels: str | None) -> str:
    """What `write` prints of x with these labels, or `display` if None, paid for."""
    most = rt.limits.alloc_items
    allowed: int = 10**12 if most is None else most
    if allowed >= check.FREE_ITEMS:
        if type(x) is int and -_SHORT_INTEGER < x < _SHORT_INTEGER:
            return str(x)
        if labels is None and type(x) is str and len(x) <= check.FREE_ITEMS:
            return x
    if labels is None:
        text = display_string(x, characters_max=allowed, charge=rt.charge)
    else:
        text = write_string(x, labels=labels, characters_max=allowed, charge=rt.charge)
    check.spend(rt, len(text))
    return text


def _printer(name: str, labels: str | None, what: str, end: str = "") -> None:
    def show(x: Any, port: Any = None, *, rt: Any) -> None:
        _text_output(name, 2, port, rt)
        text = _shown(x, rt, labels) + end
        _text_output(name, 2, port, rt).write(text, rt.limits)  # another task may have closed it

    show.__doc__ = f"({name} x [port]) -> unspecified: {what}."
    primitive(name)(show)


_printer("display", None, "prints x for people: strings and characters as they are")
_printer("displayln", None, "like display, and a line end", "\n")
_printer("write", "cycles", "prints x so that `read` gives it back; cycles with datum labels")
_printer("write-shared", "shared", "like write, with labels for everything that occurs twice")
_printer(
    "write-simple", "none", "like write, without labels; circular data runs into the size limit"
)


@primitive("newline")
def newline(port: Any = None, *, rt: Any) -> None:
    """(newline [port]) -> unspecified: ends the line."""
    _text_output("newline", 1, port, rt).write("\n", rt.limits)


@primitive("write-char")
def write_char(c: Any, port: Any = None, *, rt: Any) -> None:
    """(write-char c [port]) -> unspecified: writes the character."""
    if type(c) is not Char:
        raise wrong_type("write-char", 1, "a character", c)
    _text_output("write-char", 2, port, rt).write(c.value, rt.limits)


@primitive("write-string")
def write_string_(s: Any, port: Any = None, start: Any = None, end: Any = None, *, rt: Any) -> None:
    """(write-string s [port [start [end]]]) -> unspecified: writes the characters from start to
    before end.
    """
    text = check.string("write-string", 1, s)
    if start is None and len(text) <= check.FREE_ITEMS:
        _text_output("write-string", 2, port, rt).write(text, rt.limits)
        return
    target = _text_output("write-string", 2, port, rt)
    first, last = check.span("write-string", 3, start, end, len(text), "string")
    check.spend(rt, last - first)
    target.write(text[first:last], rt.limits)


@primitive("write-line")
def write_line(s: Any, port: Any = None, *, rt: Any) -> None:
    """(write-line s [port]) -> unspecified: writes the string and a line end."""
    text = check.string("write-line", 1, s)
    check.spend(rt, len(text))
    _text_output("write-line", 2, port, rt).write(text + "\n", rt.limits)


def _bytes_output(name: str, position: int, port: Any, rt: Any) -> BytesOutput:
    return _open(name, position, port, rt.current_output, BytesOutput)


@primitive("write-u8")
def write_u8(byte: Any, port: Any = None, *, rt: Any) -> None:
    """(write-u8 byte [port]) -> unspecified: writes the byte."""
    data = bytes([check.byte("write-u8", 1, byte)])
    _bytes_output("write-u8", 2, port, rt).write(data, rt.limits)


@primitive("write-bytevector")
def write_bytevector(
    b: Any, port: Any = None, start: Any = None, end: Any = None, *, rt: Any
) -> None:
    """(write-bytevector b [port [start [end]]]) -> unspecified: writes the bytes from start to
    before end.
    """
    if type(b) is not bytearray:
        raise wrong_type("write-bytevector", 1, "a bytevector", b)
    target = _bytes_output("write-bytevector", 2, port, rt)
    first, last = check.span("write-bytevector", 3, start, end, len(b), "bytevector")
    check.spend(rt, last - first)
    target.write(bytes(b[first:last]), rt.limits)


@primitive("flush-output-port", "flush-output")
def flush_output_port(port: Any = None, *, rt: Any) -> None:
    """(flush-output-port [port]) -> unspecified: sends on what was written."""
    at = rt.current_output() if port is None else port
    if isinstance(at, (TextOutput, BytesOutput)):
        at.check_open("flush-output-port")
        at.flush()
        return
    raise wrong_type("flush-output-port", 1, "an output port", at)


@primitive("write->string", "object->string", result="string")
def object_to_string(x: Any, *, rt: Any) -> str:
    """(write->string x) -> string: what `write` would print."""
    return _shown(x, rt, "cycles")


@primitive("display->string", "->string", result="string")
def display_to_string(x: Any, *, rt: Any) -> str:
    """(display->string x) -> string: what `display` would print."""
    return _shown(x, rt, None)
