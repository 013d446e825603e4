"""What a model is told of a procedure: its parameters, their types and what they are for.

Owns: `Parameter`, `described`: from a Lisp definition (its shape, its literal defaults, its
documentation), or from a Python function's own signature, annotations and docstring.
Refuses: to guess: a type that nobody has told is none, and the model may give anything.

In a documentation, a line such as `limit (integer): at most so many` is about a parameter; Google's
`Args:` and Sphinx's `:param limit: at most so many` are understood as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, Union, get_args, get_origin

from omega.lisp.data import Keyword, Pair, Symbol, list_items
from omega.lisp.procedure import Procedure

TYPES = ("string", "integer", "number", "boolean", "array", "object")

# Compiled when first used: most programs have no tools.
_LINE = r"^\s*:?(\S+?)(?:\s+\(([^)]*)\))?\s*:\s+(.*)$"
_SPHINX = r"^\s*:param\s+(?:[^\s:]+\s+)?(\w+)\s*:\s*(.*)$"
_SECTION = r"^\s*(Args|Arguments|Parameters|Returns|Raises|Yields|Examples?|Notes?):\s*$"
_WORDS: dict[str, dict[str, Any]] = {
    "list": {"type": "array"},
    "strings": {"type": "array", "items": {"type": "string"}},
    "integers": {"type": "array", "items": {"type": "integer"}},
    "numbers": {"type": "array", "items": {"type": "number"}},
}
_PYTHON: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "array",
    tuple: "array",
    set: "array",
    frozenset: "array",
    dict: "object",
}


class Parameter:
    """One parameter of a tool. name: as the model calls it. keyword: that it is passed by, or None.
    is_rest: it takes the elements of an array. schema: of its value.
    """

    __slots__ = ("is_required", "is_rest", "keyword", "name", "schema")

    def __init__(
        self,
        name: str,
        schema: dict[str, Any],
        *,
        is_required: bool = False,
        keyword: Keyword | None = None,
        is_rest: bool = False,
    ) -> None:
        self.name, self.schema, self.keyword = name, schema, keyword
        self.is_required, self.is_rest = is_required, is_rest


class Described:
    """A procedure. is_open: whether it takes keywords that it does not name. characters: that were
    read for it.
    """

    __slots__ = ("characters", "description", "is_open", "name", "parameters")

    def __init__(self, name: str, parameters: list[Parameter], is_open: bool, text: str) -> None:
        self.name, self.parameters, self.is_open = name, parameters, is_open
        self.characters = len(text) + sum(len(p.name) for p in parameters)
        self.description, told = _told(text, {p.name for p in parameters})
        for parameter in parameters:
            for word, value in told.get(parameter.name, {}).items():
                parameter.schema[word] = value

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of its arguments."""
        return {
            "type": "object",
            "properties": {p.name: p.schema for p in self.parameters},
            "required": [p.name for p in self.parameters if p.is_required],
            "additionalProperties": self.is_open,
        }


def described(rt: Any, procedure: Any) -> Described:
    """What is known of a procedure of the program, or of the host."""
    original = getattr(procedure, "host_original", None)
    if isinstance(original, Procedure):  # of another interpreter
        return _of_lisp(original.signature, original.doc or "")
    if original is not None:
        return _of_python(original, rt.signature(procedure))
    return _of_lisp(rt.signature(procedure), _documentation(procedure))


# -- of Lisp ---------------------------------------------------------------------------------------


def _of_lisp(signature: str, text: str) -> Described:
    """From a shape such as `(f a (b 2) :key k . rest)`."""
    from omega.errors import Source
    from omega.lisp.reader import read_all

    forms = read_all(Source("<signature>", signature))
    found: list[Parameter] = []
    at: Any = forms[0][0]
    name = at.car.name if isinstance(at.car, Symbol) else "tool"
    at = at.cdr
    keyword: Keyword | None = None
    is_open = False
    while isinstance(at, Pair):
        item, at = at.car, at.cdr
        if isinstance(item, Keyword):
            keyword, is_open = item, item.name == "*"
        elif isinstance(item, Symbol) and item.name == "...":
            break
        elif not is_open:
            _add(found, item, keyword)
    if isinstance(at, Symbol):
        found.append(Parameter(at.name, {"type": "array"}, is_rest=True))
    return Described(name, found, is_open, text)


def _add(found: list[Parameter], item: Any, keyword: Keyword | None) -> None:
    """A parameter: `name`, or `(name default)`, whose literal tells the type."""
    parts = list_items(item) if isinstance(item, Pair) else [item]
    if not parts or not isinstance(parts[0], Symbol):
        return
    name = parts[0].name if keyword is None else keyword.name
    schema: dict[str, Any] = {}
    if len(parts) > 1 and isinstance(parts[1], (bool, int, float, str)):
        schema = {"type": _PYTHON[type(parts[1])], "default": parts[1]}
    found.append(Parameter(name, schema, is_required=item is parts[0], keyword=keyword))


def _documentation(procedure: Any) -> str:
    from omega.lisp.docstring import documentation_of

    text = documentation_of(getattr(procedure, "__func__", procedure))
    if not text.startswith("("):
        return text
    head, _, shown = text.partition("\n\n")
    return shown or (head if " -> " in head else "")  # all that is told of a primitive


# -- of Python -------------------------------------------------------------------------------------


def _of_python(function: Callable[..., Any], shape: str) -> Described:
    from inspect import Parameter as Kind

    name = shape[1:].split()[0].rstrip(")")
    text = _docstring(function)
    try:
        taken = list(_signature(function).parameters.values())
    except (TypeError, ValueError):  # written in C, and nothing is known of it
        return Described(name, [], True, text)
    # Behind *args come no keywords for what stands before it.
    by_place = any(each.kind is Kind.VAR_POSITIONAL for each in taken)
    found: list[Parameter] = []
    is_open = False
    for each in taken:
        schema = _schema_of(each.annotation)
        if each.kind is Kind.VAR_KEYWORD:
            is_open = True
            continue
        if each.kind is Kind.VAR_POSITIONAL:
            items = {"items": schema} if schema else {}
            found.append(Parameter(each.name, {"type": "array", **items}, is_rest=True))
            continue
        if each.default is not each.empty and isinstance(each.default, (bool, int, float, str)):
            schema = {"type": _PYTHON.get(type(each.default), "string"), **schema}
            schema["default"] = each.default
        is_placed = each.kind is Kind.POSITIONAL_ONLY or (
            by_place and each.kind is Kind.POSITIONAL_OR_KEYWORD
        )
        keyword = None if is_placed else Keyword.of(each.name.replace("_", "-"))
        is_required = each.default is each.empty
        found.append(Parameter(each.name, schema, is_required=is_required, keyword=keyword))
    return Described(name, found, is_open, text)


def _signature(function: Callable[..., Any]) -> Any:
    """Its signature, annotations as they are meant; as texts, when one cannot be resolved."""
    from inspect import signature

    try:
        return signature(function, eval_str=True)
    except (TypeError, ValueError):  # written in C, and nothing is known of it
        raise
    except Exception:  # whatever its annotations do when they are evaluated
        return signature(function)


def _docstring(function: Any) -> str:
    """What its author wrote of the call: not of the class of an object that can be called."""
    from functools import partial
    from inspect import cleandoc

    while isinstance(function, partial):
        function = function.func
    if not hasattr(function, "__name__"):
        function = type(function).__call__
    return cleandoc(getattr(function, "__doc__", None) or "")


def _schema_of(hint: Any) -> dict[str, Any]:
    """The schema of an annotation; {} for what says nothing here."""
    from types import NoneType, UnionType

    origin, given = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        parts = [each for each in given if each is not NoneType]
        return _schema_of(parts[0]) if len(parts) == 1 else {}
    if origin is Literal:
        kinds = {_PYTHON.get(type(each)) for each in given}
        kind = kinds.pop() if len(kinds) == 1 else None
        return {**({"type": kind} if kind else {}), "enum": list(given)}
    kind = _PYTHON.get(origin or hint) if isinstance(origin or hint, type) else None
    if kind is None:
        kind = _abstract(origin or hint)
    if kind == "array" and given:
        items = _schema_of(given[0])
        return {"type": kind, "items": items} if items else {"type": kind}
    return {} if kind is None else {"type": kind}


def _abstract(hint: Any) -> str | None:
    from collections.abc import Iterable, Mapping, Sequence

    if hint is Mapping:
        return "object"
    return "array" if hint in (Sequence, Iterable) else None


# -- documentation ---------------------------------------------------------------------------------


def _told(text: str, names: set[str]) -> tuple[str, dict[str, dict[str, Any]]]:
    """(what a documentation says of the procedure, name -> what it says of a parameter)."""
    lines: list[str] = []
    told: dict[str, dict[str, Any]] = {}
    latest: dict[str, Any] | None = None
    in_section = False
    for line in text.splitlines():
        section = re.match(_SECTION, line)
        in_section = in_section or section is not None
        sphinx = re.match(_SPHINX, line)
        found = re.match(_LINE, line)
        if sphinx is not None and sphinx[1] in names:
            latest = told[sphinx[1]] = {"description": sphinx[2].strip()}
        elif found is not None and found[1] in names:
            latest = told[found[1]] = {**_type(found[2]), "description": found[3].strip()}
        elif latest is not None and line[:1] == " " and line.strip() and section is None:
            latest["description"] += " " + line.strip()  # it goes on
        else:
            latest = None
            if not in_section and not line.startswith(":"):
                lines.append(line)
    return "\n".join(lines).strip(), told


def _type(word: str | None) -> dict[str, Any]:
    """The schema of a type's word: `integer`, `list`, `strings`, `one of a, b, c`; Python's too."""
    word = (word or "").strip()
    if word in TYPES:
        return {"type": word}
    if word.startswith("one of "):
        return {"type": "string", "enum": [each.strip() for each in word[7:].split(",")]}
    names = {kind.__name__: name for kind, name in _PYTHON.items()}
    if word not in _WORDS and word.removesuffix(", optional") in names:
        return {"type": names[word.removesuffix(", optional")]}
    return {**_WORDS.get(word, {})}
