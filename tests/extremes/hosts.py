"""Deep and long data between a host and its programs, and texts on every way in."""

from __future__ import annotations

from collections.abc import Callable

from tests.extremes.kit import Case
from tests.extremes.sizes import DEEP, KINDS, MADE

INTERPRETER = """from omega import Interpreter, Limits
made = Interpreter(virtual_time=True, limits=Limits(source_bytes=10**9))
def nested(n, level, inside):
    for _ in range(n):
        inside = level(inside)
    return inside
"""

# Python with N in place of the size; `made` is the interpreter
HOSTS = {
    "a list to Lisp and back": "made.define('x', nested(N, lambda x: [x], 1))\nmade.get('x')",
    "a tuple to Lisp": "made.define('x', nested(N, lambda x: (x,), 1))\nmade.get('x')",
    "a dict to Lisp": "made.define('x', nested(N, lambda x: {'a': x}, 1))\nmade.get('x')",
    "lists and dicts as an argument":
        "made.eval('(lambda (x) 1)')(nested(N, lambda x: {'a': [x]}, 1))",
    "a Lisp list to the host": f"made.eval('''{MADE.replace('WRAP', '(list s)')} s''')",
    "a host function is given it":
        "made.define('f', lambda x: 1)\n"
        f"made.eval('''{MADE.replace('WRAP', '(vector s)')} (f s)''')",
    "a host function gives it":
        "made.define('f', lambda: nested(N, lambda x: [x], 1))\nmade.eval('(f)')",
    "repr of a Lisp list": f"repr(made.eval('''{MADE.replace('WRAP', '(list s)')} s'''))",
    "repr of a table": f"repr(made.eval('''{MADE.replace('WRAP', '(hash-table 1 s)')} s'''))",
    "a procedure in it": "made.eval('(lambda (x) x)')(nested(N, lambda x: [x], len))",
    "values of values": f"made.eval('''{MADE.replace('WRAP', '(values s 1)')} s''')",
    "an error about it":
        f"try: made.eval('''{MADE.replace('WRAP', '(list s)')} (car (vector s))''')\n"
        "except Exception as error: str(error), repr(error)",
    "a raised one":
        f"try: made.eval('''{MADE.replace('WRAP', '(list s)')} (raise s)''')\n"
        "except Exception as error: str(error), repr(error)",
    "errors caused by errors":
        "def f(n):\n    raise nested(N, chained, ValueError('x'))\n"
        "def chained(e):\n    n = ValueError('y')\n    n.__cause__ = e\n    return n\n"
        "made.define('f', f)\n"
        "try: made.eval('(f 1)')\nexcept Exception as error: str(error)",
    "a long list":
        "made.define('x', list(range(N)))\nmade.eval('(vector-length x)')",
    "arguments of a procedure": "made.eval('(lambda r (length r))')(*range(N))",
    "keywords of a procedure":
        "made.eval('(lambda r (length r))')(**{f'k{i}': i for i in range(N // 100)})",
    "arguments of a host function":
        "made.define('f', lambda *r: len(r))\nmade.eval('(apply f (iota N))')",
    "a long text": "made.eval('\"' + 'x' * N + '\"')",
    "a text of a host": "made.define('s', 'x' * N)\nmade.eval('(string-length s)')",
    "interpreters within each other":
        "def f(n):\n    return made.eval(f'(g {n - 1})') if n else 0\n"
        "made.define('g', f)\n"
        "try: made.eval('(g 1000)')\n"
        "except omega.OmegaError: pass",
    "procedures that call the host that calls them":
        "made.define('call', lambda f, n: f(n))\n"
        "made.eval('(define (down n) (if (= n 0) 0 (+ 1 (call down (- n 1)))))')\n"
        "try: made.eval('(down 1000)')\n"
        "except omega.LimitExceeded: pass",
    "dropped without close": f"made.eval('''{MADE.replace('WRAP', '(list s)')}''')\ndel made",
}  # fmt: skip

# texts that go every way; {n} is the depth
TEXTS: dict[str, Callable[[int], str]] = {
    "deep data": lambda n: f"(define x '{'(' * n}{')' * n}) (display 1)",
    "deep vectors": lambda n: f"(define x '{'#(' * n}{')' * n}) (display 1)",
    "deep calls": lambda n: f"(define (f x) x) (display {'(f ' * n}1{')' * n})",
    "deep lambdas": lambda n: f"{'(lambda () ' * n}1{')' * n} (display 1)",
    "deep quotes": lambda n: "'" * n + "1 (display 1)",
    "a printed value": lambda n: f"'{'(' * n}{')' * n}",
    "brackets that are not closed": lambda n: "(" * n,
    "brackets that were not opened": lambda n: ")" * n,
    "comments in comments": lambda n: "#|" * n + "|#" * n + "(display 1)",
    "an error in the depth": lambda n: f"(define (f x) x) {'(f ' * n}(car 5){')' * n}",
    "a line": lambda n: f'(display (string-length "{"x" * n}"))',
    "lines": lambda n: "(define x 1)\n" * (n // 100) + "(display x)",
}
WAYS = ("run", "check", "repl", "untrusted")
ERRORS = {  # text -> the code it must end with; by the way, if only one finds it
    "brackets that are not closed": "E102",
    "brackets that were not opened": "E103",
    "run: an error in the depth": "E301",
    "repl: an error in the depth": "E301",
    "untrusted: an error in the depth": "E301",
    "check: lines": "W202",
}


def host_cases() -> list[Case]:
    import re

    made = [
        Case(
            f"host: {name}",
            lambda n, text=text: (
                INTERPRETER  # type: ignore[misc]
                + re.sub(r"\bN\b", str(n), text)
                + "\nanswer = 'done'"
            ),
            DEEP,
            "done",
            way="python",
        )
        for name, text in HOSTS.items()
    ]
    for name, text in TEXTS.items():
        for way in WAYS:
            for depth in (300, 100_000):
                made.append(
                    Case(
                        f"{way}: {name} {depth:,}",
                        lambda n, t=text, d=depth: t(d),
                        0,  # type: ignore[misc]
                        None,
                        limited=True,
                        way=way,
                        error=ERRORS.get(name) or ERRORS.get(f"{way}: {name}", ""),
                    )
                )
    for kind, wrap in {**KINDS, "lists of the same": "(list s s)"}.items():
        text = MADE.replace("WRAP", wrap)
        made.append(
            Case(
                f"repl: {kind} as a value",
                lambda n, t=text: (
                    re.sub(r"\bN\b", str(n), t)  # type: ignore[misc]
                    + "s"
                ),
                DEEP,
                None,
                limited=True,
                way="repl",
            )
        )
    return made
