"""Files, whole and line by line, and CSV; all of it through the effect door (see
omega/lisp/ports.py).

Owns: (scheme file) without procedures, read-file and friends, csv-read and csv-write.
Refuses: touching the file system, and Python's csv module (its field limit is process-wide).

CSV is RFC 4180 with the usual mercy: LF or CRLF, quoted fields may hold separators, quotes ("" for
one) and line ends, a byte order mark is dropped, blank lines between records are skipped.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

from omega.errors import LispError
from omega.lisp.data import Eof, Pair, to_list
from omega.lisp.ports import TextInput, open_input, open_output
from omega.lisp.primitives import check
from omega.lisp.primitives.check import wrong_type
from omega.lisp.primitives.registry import primitive
from omega.lisp.printer import display_string
from omega.lisp.table import HashTable


def _path(name: str, path: Any) -> str:
    text = check.string(name, 1, path)
    if not text or "\0" in text:
        raise check.invalid(name, "expected the name of a file", path)
    return text


@primitive("open-input-file")
def open_input_file(path: Any, *, rt: Any) -> Any:
    """(open-input-file path) -> input port: reads the file as UTF-8 text."""
    return open_input(rt, _path("open-input-file", path))


@primitive("open-binary-input-file")
def open_binary_input_file(path: Any, *, rt: Any) -> Any:
    """(open-binary-input-file path) -> input port: reads the file's bytes."""
    return open_input(rt, _path("open-binary-input-file", path), True)


@primitive("open-output-file")
def open_output_file(path: Any, *options: Any, rt: Any) -> Any:
    """(open-output-file path [:append #t]) -> output port: writes the file as UTF-8 text, anew
    unless it appends.
    """
    given = check.options("open-output-file", options, 2, ("append",))
    return open_output(rt, _path("open-output-file", path), given.get("append", False) is not False)


@primitive("open-binary-output-file")
def open_binary_output_file(path: Any, *options: Any, rt: Any) -> Any:
    """(open-binary-output-file path [:append #t]) -> output port: writes the file's bytes, anew
    unless it appends.
    """
    given = check.options("open-binary-output-file", options, 2, ("append",))
    append = given.get("append", False) is not False
    return open_output(rt, _path("open-binary-output-file", path), append, True)


@primitive("file-exists?", result="bool")
def file_exists(path: Any, *, rt: Any) -> bool:
    """(file-exists? path) -> boolean: whether there is such a file."""
    return bool(rt.perform("file.exists", _path("file-exists?", path)))


@primitive("delete-file")
def delete_file(path: Any, *, rt: Any) -> None:
    """(delete-file path) -> unspecified: deletes the file; a file-error if there is none."""
    rt.perform("file.delete", _path("delete-file", path))


def _contents(name: str, path: Any, rt: Any) -> str:
    port = open_input(rt, _path(name, path))
    assert isinstance(port, TextInput)
    try:
        text = port.read_rest(rt.limits.alloc_items)
    finally:
        port.close()
    check.spend(rt, len(text))
    return text


@primitive("read-file")
def read_file(path: Any, *options: Any, rt: Any) -> Any:
    """(read-file path [:binary #t]) -> string: all its text; with :binary, a bytevector of all its
    bytes.
    """
    given = check.options("read-file", options, 2, ("binary",))
    if given.get("binary", False) is False:
        return _contents("read-file", path, rt)
    port = open_input(rt, _path("read-file", path), True)
    try:
        data = port.read(rt.limits.alloc_items or 10**15)  # type: ignore[union-attr]
        if port.peek() is not Eof:  # type: ignore[union-attr]
            check.size(rt, rt.limits.alloc_items + 1, "bytes")
    finally:
        port.close()
    return bytearray() if data is Eof else data


@primitive("read-lines", result="list")
def read_lines(path: Any, *, rt: Any) -> Any:
    """(read-lines path) -> list: the lines of the file, without their ends."""
    lines = _contents("read-lines", path, rt).split("\n")
    if not lines[-1]:
        lines.pop()
    check.spend_each(rt, len(lines))
    return to_list([line[:-1] if line.endswith("\r") else line for line in lines])


def _save(name: str, path: Any, data: Any, append: bool, rt: Any) -> None:
    where = _path(name, path)
    binary = type(data) is bytearray
    if not binary and type(data) is not str:
        raise wrong_type(name, 2, "a string or a bytevector", data)
    check.spend(rt, len(data))
    port = open_output(rt, where, append, binary)
    try:
        port.write(data, rt.limits)
    finally:
        port.close()


@primitive("write-file")
def write_file(path: Any, data: Any, *, rt: Any) -> None:
    """(write-file path data) -> unspecified: makes a file of a string or bytevector, in place of
    any that was there.
    """
    _save("write-file", path, data, False, rt)


@primitive("append-file")
def append_file(path: Any, data: Any, *, rt: Any) -> None:
    """(append-file path data) -> unspecified: adds a string or bytevector at the end of the
    file.
    """
    _save("append-file", path, data, True, rt)


_FIELD_ITEMS = 16  # looks at single items that reading or writing a field of CSV is worth

# -- CSV ------------------------------------------------------------------------------------------


def _csv_error(message: str, hint: str | None = None) -> NoReturn:
    raise LispError(message, kind="csv-error", hint=hint)


def _separator(name: str, given: dict[str, Any]) -> str:
    separator = given.get("separator", ",")
    if type(separator) is not str or len(separator) != 1 or separator in '"\r\n':
        raise wrong_type(name, 2, "a :separator of one character", separator)
    return separator


def _records(text: str, separator: str, where: str, rt: Any) -> list[tuple[int, list[str]]]:
    """(line the record begins on, fields) of every record."""
    bar = re.escape(separator)
    plain = re.compile(f'[^"{bar}\r\n][^{bar}\r\n]*|')
    quoted = re.compile(r'[^"]*(?:""[^"]*)*')
    records: list[tuple[int, list[str]]] = []
    fields: list[str] = []
    at, line, began, size, unpaid = 0, 1, 1, len(text), 0
    if text.startswith("\ufeff"):
        at = 1
    while at < size:
        if text[at] == '"':
            found = quoted.match(text, at + 1)
            assert found is not None
            if found.end() >= size:
                _csv_error(f"{where}:{line}: a quoted field is never closed")
            field = found.group().replace('""', '"')
            line += field.count("\n")
            at = found.end() + 1
            if at < size and text[at] not in (separator, "\r", "\n"):
                _csv_error(f"{where}:{line}: text follows a closing quote", 'a quote inside is ""')
        else:
            found = plain.match(text, at)
            assert found is not None
            field = found.group()
            at = found.end()
        fields.append(field)
        if at < size and text[at] == separator:
            at += 1
            if at == size:
                fields.append("")
            elif text[at] in "\r\n":
                continue
            else:
                continue
        at += 2 if text.startswith("\r\n", at) else 1
        line += 1
        if fields != [""]:
            records.append((began, fields))
            unpaid += len(fields)
            if unpaid >= check.WALK_ITEMS:
                check.spend_each(rt, _FIELD_ITEMS * unpaid)
                unpaid = 0
        fields, began = [], line
    if fields:
        records.append((began, fields))
    return records


@primitive("csv-read", result="list")
def csv_read(path: Any, *options: Any, rt: Any) -> Any:
    """(csv-read path [:header #f] [:separator ","]) -> list: a hash table per record, by the names
    of the first line; with :header #f, a list of strings per record. Values are strings. Records
    of unequal length are a csv-error.
    """
    given = check.options("csv-read", options, 2, ("header", "separator"))
    separator = _separator("csv-read", given)
    text = _contents("csv-read", path, rt)
    return csv_records(text, given.get("header", True) is not False, separator, path, rt)


@primitive("csv-parse", result="list")
def csv_parse(s: Any, *options: Any, rt: Any) -> Any:
    """(csv-parse s [:header #f] [:separator ","]) -> list: what csv-read would make of a file with
    the text s.
    """
    given = check.options("csv-parse", options, 2, ("header", "separator"))
    separator = _separator("csv-parse", given)
    text = check.string("csv-parse", 1, s)
    check.spend(rt, len(text))
    return csv_records(text, given.get("header", True) is not False, separator, "csv", rt)


def csv_records(text: str, header: bool, separator: str, where: str, rt: Any) -> Any:
    """The records of a CSV text as a Lisp list."""
    records = _records(text, separator, where, rt)
    width = len(records[0][1]) if records else 0
    for line, fields in records:
        if len(fields) != width:
            _csv_error(
                f"{where}:{line}: {len(fields)} fields, but the first line has {width}",
                "a field with a separator inside needs quotes",
            )
    if not header:
        return to_list([to_list(fields) for _, fields in records])
    names = records[0][1] if records else []
    if len(set(names)) < len(names):
        _csv_error(f"{where}:1: two columns have the same name", "read it with :header #f")
    return to_list([HashTable(zip(names, fields, strict=True)) for _, fields in records[1:]])


def _field(x: Any, separator: str, rt: Any) -> str:
    if x is None:
        return ""
    text = x if type(x) is str else display_string(x, charge=rt.charge)
    if any(c in text for c in (separator, '"', "\n", "\r")) or text != text.strip():
        return '"' + text.replace('"', '""') + '"'
    return str(text)


def _row(row: Any, columns: list[Any] | None, rt: Any) -> list[Any]:
    if isinstance(row, HashTable):
        assert columns is not None
        return [row.get(column) for column in columns]
    if type(row) is list:
        return row
    return check.proper_list("csv-write", 2, row, rt)


def csv_text(rows: list[Any], columns: list[Any] | None, separator: str, rt: Any) -> str:
    """The text of a CSV file of rows (tables, lists or vectors); columns: the header, and which
    keys tables give.
    """
    if columns is None and rows and isinstance(rows[0], HashTable):
        columns = rows[0].keys()
    lines: list[str] = []
    width = len(columns) if columns is not None else None
    for row in ([columns] if columns is not None else []) + rows:
        if isinstance(row, HashTable) and columns is None:
            raise check.invalid("csv-write", "got both hash tables and lists as rows")
        cells = _row(row, columns, rt)
        check.spend_each(rt, _FIELD_ITEMS * len(cells))
        width = len(cells) if width is None else width
        if len(cells) != width:
            _csv_error(f"`csv-write` row {len(lines) + 1} has {len(cells)} fields, not {width}")
        text = separator.join([_field(cell, separator, rt) for cell in cells])
        lines.append(text or '""')
        check.spend(rt, len(text))
    return "".join([line + "\r\n" for line in lines])


@primitive("csv-write")
def csv_write(path: Any, rows: Any, *options: Any, rt: Any) -> None:
    """(csv-write path rows [:columns list] [:separator ","]) -> unspecified: makes a CSV file of a
    list of hash tables (with a header line; columns by default the keys of the first), or of lists
    or vectors (a header if columns are given).
    """
    where = _path("csv-write", path)
    given = check.options("csv-write", options, 3, ("columns", "separator"))
    separator = _separator("csv-write", given)
    items = rows if type(rows) is list else check.proper_list("csv-write", 2, rows, rt)
    for row in items:
        if not isinstance(row, (HashTable, Pair)) and type(row) is not list:
            raise wrong_type("csv-write", 2, "a list of hash tables, lists or vectors", rows)
    columns = given.get("columns")
    names: list[Any] | None = None
    if columns is not None and columns is not False:
        names = columns if type(columns) is list else check.proper_list("csv-write", 4, columns, rt)
    text = csv_text(list(items), names, separator, rt)
    port = open_output(rt, where)
    try:
        port.write(text, rt.limits)  # type: ignore[arg-type]
    finally:
        port.close()
