"""Calls of host functions that do not fit: told apart from failures inside of them.

Owns: `refused`, `host_signature`, `split_keywords`, `is_coroutine`.
Refuses: the way of a call that succeeds: a signature is read only after Python has refused one.
"""

from __future__ import annotations

from typing import Any

from omega.errors import ArityError
from omega.lisp.data import Keyword
from omega.lisp.docstring import documentation_of
from omega.lisp.names import demangle

CO_COROUTINE = 0x80  # inspect.CO_COROUTINE


def is_coroutine_function(function: Any) -> bool:
    """Whether a function is `async def`, as far as can be seen without `inspect`."""
    function = getattr(function, "func", function)  # of a partial
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return code is not None and bool(code.co_flags & CO_COROUTINE)


def is_coroutine(value: Any) -> bool:
    """Whether a host function was asynchronous: asked without importing what knows."""
    return type(value).__name__ == "coroutine" and hasattr(value, "send")


def split_keywords(name: str, arguments: list[Any]) -> tuple[list[Any], dict[str, Any]]:
    """Trailing `:key value` pairs as Python keywords."""
    at = next((i for i, a in enumerate(arguments) if type(a) is Keyword), len(arguments))
    pairs = arguments[at:]
    keywords: dict[str, Any] = {}
    for i in range(0, len(pairs), 2):
        keyword = pairs[i]
        if type(keyword) is not Keyword:
            raise ArityError(
                f"`{name}` is given an argument behind its keywords",
                hint="keywords come last, each with its value",
            )
        if i + 1 == len(pairs):
            raise ArityError(
                f"`{name}`: keyword :{keyword.name} has no value",
                hint=f"write :{keyword.name} value",
            )
        spelled = keyword.name.replace("-", "_")
        if spelled in keywords:
            raise ArityError(
                f"`{name}`: keyword :{keyword.name} is given twice", hint="leave one of them out"
            )
        keywords[spelled] = pairs[i + 1]
    return arguments[:at], keywords


def refused(
    function: Any, name: str, given: list[Any], keywords: dict[str, Any], error: TypeError
) -> ArityError | None:
    """The error for a call that `function` could not take; None when `error` came from within it.

    name: as the program calls it.
    """
    from inspect import signature

    if _was_entered(function, error):
        return None
    try:
        taken = signature(function)
    except (TypeError, ValueError):
        return None  # some functions of C tell nothing
    try:
        taken.bind(*given, **keywords)
    except TypeError as misfit:
        fact = str(misfit)
    else:
        return None
    shape = host_signature(function, name)
    return ArityError(
        f"`{name}` is called as {shape}, but {_fact(fact, given, keywords)}",
        hint=_hint(fact, taken, given),
    )


def host_signature(function: Any, name: str) -> str:
    """How a program calls a host function: Python's parameters as Lisp's."""
    from inspect import Parameter, signature

    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError):
        return f"({name} ...)"
    words = [name]
    tail: list[str] = []
    for parameter in parameters:
        lisp = parameter.name.replace("_", "-")
        optional = parameter.default is not Parameter.empty
        if parameter.kind is Parameter.VAR_POSITIONAL:
            tail = [".", lisp]
        elif parameter.kind is Parameter.VAR_KEYWORD:
            words.append(f":* {lisp}")
        elif parameter.kind is Parameter.KEYWORD_ONLY:
            words.append(f"[:{lisp} {lisp}]" if optional else f":{lisp} {lisp}")
        else:
            words.append(f"[{lisp}]" if optional else lisp)
    return f"({' '.join(words + tail)})"


def _was_entered(function: Any, error: TypeError) -> bool:
    """Whether the function's own code ran: then the error is its own."""
    from inspect import unwrap

    innermost = unwrap(function) if hasattr(function, "__wrapped__") else function
    if not hasattr(innermost, "__code__"):
        innermost = type(innermost).__call__
    code = getattr(getattr(innermost, "__func__", innermost), "__code__", None)
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code is code:
            return True
        traceback = traceback.tb_next
    return False


def _fact(fact: str, given: list[Any], keywords: dict[str, Any]) -> str:
    """What `bind` says, in our words."""
    named = _named(fact)
    if fact.startswith("missing"):
        return f"nothing is given for `{named}`" if named else f"it is given {_count(given)}"
    if "unexpected keyword" in fact:
        return f"it has no keyword :{named}"
    if "multiple values" in fact:
        return f"it is given :{named} although an argument before it stands for that"
    return f"it is given {_count(given)}" + (" before the keywords" if keywords else "")


def _hint(fact: str, taken: Any, given: list[Any]) -> str:
    named = _named(fact)
    if fact.startswith("missing"):
        parameter = taken.parameters.get(named.replace("-", "_"))
        if parameter is not None and parameter.kind is parameter.KEYWORD_ONLY:
            return f"write :{named} value"
        return f"give `{named}` as well" if named else "give the others as well"
    if "unexpected keyword" in fact:
        from omega.lisp.spelling import near

        known = [name.replace("_", "-") for name in taken.parameters]
        found = near(named, known, 1, sure_letters_min=0)
        return f"did you mean :{found[0]}?" if found else f"leave :{named} out"
    if "multiple values" in fact:
        return "leave one of the two out"
    extra = len(given) - sum(
        parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        for parameter in taken.parameters.values()
    )
    return "leave out the last one" if extra == 1 else f"leave out the last {extra}"


def _named(fact: str) -> str:
    """The name Python's words quote, spelled as in Lisp; "" when they quote none."""
    _, quote, rest = fact.partition("'")
    return rest.partition("'")[0].replace("_", "-") if quote else ""


def _count(given: list[Any]) -> str:
    return f"{len(given)} argument" + ("" if len(given) == 1 else "s")


def documentation(function: Any, name: str) -> str:
    """The signature and documentation of a procedure, the program's or the host's."""
    original = getattr(function, "host_original", None)
    if original is not None:
        text = getattr(original, "__doc__", None) or ""
        return f"{host_signature(original, name)}\n\n{text}".rstrip()
    shown = getattr(function, "__name__", name)
    return documentation_of(function) or f"({demangle(shown)} ...)"
