"""Writes what documentation can be taken from the source.

    python docs/generate.py            writes docs/reference.md, the lists in docs/internals.md, the
                                       table in docs/conformance.md, the examples in docs/errors.md
                                       and its copy in the package
    python docs/generate.py --check    says whether they are current (exit code 1 when not)

Owns: how the reference is cut into sections; where the list of modules begins and ends. The words
are the docstrings', in omega/lisp/primitives, omega/lisp/control.py, omega/lisp/library/*.omega,
omega/bindings.py, and at the head of every module.
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference.md"

HEAD = """# The library, procedure by procedure

Written by `python docs/generate.py` from the documentation in the source; change it there.
`omega repl` shows the same with `,doc NAME`. The forms (`if`, `let`, `with-timeout` ...) are in
[language.md](language.md).

A shape such as `(string-split s [separator])` shows optional arguments in brackets and repeated
ones by dots; what follows the arrow is the value. Times are milliseconds.
"""

# Sections in order: the title, where its procedures are defined (a module of omega, a file of the
# library, or a function of omega/bindings that makes them), and the libraries that export them.
SECTIONS = (
    ("Equality, symbols, booleans", ("lisp.primitives.basics",), "omega symbol"),
    (
        "Conditions and restarts",
        ("lisp.primitives.conditions", "lisp.restarts", "restarts.omega"),
        "omega condition",
    ),
    (
        "Numbers",
        (
            "lisp.primitives.numbers",
            "lisp.primitives.integers",
            "lisp.primitives.reals",
            "lisp.primitives.complex",
        ),
        "omega number",
    ),
    ("Bits", ("lisp.primitives.bits", "srfi-151.omega"), "omega bit, srfi 60, srfi 151"),
    (
        "Pairs and lists",
        (
            *("lisp.primitives.lists", "lisp.primitives.searching", "lisp.primitives.support"),
            *("lists.omega", "srfi-1.omega"),
        ),
        "omega list",
    ),
    ("Sorting", ("sorting.omega", "srfi-132.omega"), "omega sort, srfi 132"),
    ("Characters", ("lisp.primitives.chars",), "omega char"),
    (
        "Strings",
        (
            *("lisp.primitives.strings", "lisp.primitives.substrings", "strings.omega"),
            "lisp.primitives.formatting",
        ),
        "omega string, srfi 13, srfi 130, srfi 152",
    ),
    (
        "Vectors and bytevectors",
        ("lisp.primitives.vectors", "vectors.omega", "srfi-133.omega"),
        "omega vector, srfi 43, srfi 133",
    ),
    (
        "Hash tables",
        ("lisp.primitives.tables", "tables.omega", "srfi-125.omega"),
        "omega table, srfi 69, srfi 125",
    ),
    ("Streams", ("streams.omega",), "omega stream"),
    (
        "Generators and accumulators",
        ("srfi-158.omega", "bindings.generators.generators"),
        "omega generator, srfi 121, srfi 158",
    ),
    ("Control", ("lisp.control", "lisp.records"), "omega control"),
    ("Evaluating", ("lisp.evaluation",), "omega eval"),
    (
        "Tasks",
        (
            *("bindings.tasks.tasks", "bindings.tasks._task_views", "bindings.tasks.groups"),
            "bindings.seeing.seeing",
        ),
        "omega task",
    ),
    ("Scopes and effects", ("bindings.waits.scopes",), "omega task"),
    (
        "Events and channels",
        ("bindings.waits.events", "bindings.waits._composed", "channels.omega"),
        "omega task",
    ),
    (
        "Mutexes, semaphores, serializers, barriers, ivars",
        ("bindings.locks.locks", "bindings.locks._meetings"),
        "omega task",
    ),
    ("Schedules", ("bindings.exploring.exploring",), "omega task"),
    ("Progress", ("bindings.progress.progress",), "omega task"),
    (
        "Models",
        (
            *("bindings.models.models", "bindings.tools.tools", "bindings.budgets.budgets"),
            "bindings.handled.handled",
        ),
        "omega llm",
    ),
    ("Clock, chance, the program's surroundings", ("bindings.world.world",), "omega world"),
    ("Ports: input and output", ("lisp.primitives.ports",), "omega port"),
    ("Files and CSV", ("lisp.primitives.files",), "omega file"),
    ("JSON", ("lisp.primitives.json",), "omega json"),
    ("Regular expressions", ("lisp.primitives.regex", "regex.omega"), "omega regex"),
    ("Words of MIT Scheme", ("mit-scheme.omega",), "omega mit"),
)
# The forms that a library of Omega's own exports beside procedures.
FORMS = {
    "omega symbol": "assert define-macro -> ->>",
    "omega condition": "define-condition-type restart-bind restart-case with-restarts",
    "omega control": """case-lambda cut cute match match-define match-lambda match-lambda*
        match-let match-let* match-letrec receive while and-let*""",
    "omega stream": """cons-stream define-stream stream-cons stream-lambda stream-let stream-of""",
    "omega mit": "fluid-let",
    "omega task": """atomic scope shield with-handler with-mutex with-semaphore with-timeout""",
    "omega test": "check check-error check-false check-true test-group",
}
# Procedures that belong elsewhere than where they are defined.
ELSEWHERE = {
    **{f"current-{way}-port": "lisp.primitives.ports" for way in ("input", "output", "error")},
}
LAST = "More"  # what no section claims


class Entry:
    """A procedure: the name and shape in its documentation, the text after the arrow, other names
    it goes by.
    """

    def __init__(self, name: str, shape: str, text: str, home: str) -> None:
        self.name, self.shape, self.text, self.home = name, shape, text, home
        self.aliases: list[str] = []


def entries() -> tuple[list[Entry], list[str]]:
    """(every documented procedure, the names of those without documentation)."""
    from omega import Interpreter

    found: dict[str, Entry] = {}
    undocumented: list[str] = []
    aliases: list[tuple[str, str]] = []
    homes = Homes()
    with Interpreter(use_cache=False) as interpreter:
        for name in sorted(interpreter.runtime.library):
            if name.startswith("%"):
                continue
            try:
                function = interpreter._evaluator.lookup(name)
            except KeyError:
                continue
            if not callable(function):
                continue  # a constant
            documented = documentation(name, function)
            shape, arrow, text = documented.partition(" -> ")
            if not arrow:  # "(raise obj) never returns" and the like
                shape, text = split_shape(documented)
            if not shape.startswith("(") or not text:
                undocumented.append(name)
                continue
            own = re.match(r"\(([^\s()]+)", shape)
            assert own is not None, shape
            if own[1] != name:
                aliases.append((name, own[1]))
                continue
            found[name] = Entry(name, shape, text, homes.of(name, function))
    for name, original in aliases:
        if original in found:
            found[original].aliases.append(name)
        else:
            undocumented.append(name)
    return list(found.values()), undocumented


def documentation(name: str, function: Any) -> str:
    """Its documentation on one line; of a Lisp procedure without the signature its text begins
    with.
    """
    text: str = getattr(function, "__doc__", None) or ""
    signature, _, written = text.partition("\n\n")
    if signature.startswith(f"({name}") and re.match(r"\([^\s()]", written):
        text = written
    return " ".join(text.split())


def split_shape(text: str) -> tuple[str, str]:
    """`(f (a b)) rest` as its two parts."""
    depth = 0
    for i, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return text[: i + 1], text[i + 1 :].strip(" :-")
    return text, ""


class Homes:
    """Where a procedure is defined, as SECTIONS calls it."""

    def __init__(self) -> None:
        self._library: dict[str, str] = {}
        for path in sorted((ROOT / "omega/lisp/library").glob("*.omega")):
            for name in re.findall(r"^\(define \(?([^\s()]+)", path.read_text("utf-8"), re.M):
                self._library[name] = path.name
        self._parts: dict[Path, list[tuple[int, int, str]]] = {}

    def of(self, name: str, function: Any) -> str:
        if name in ELSEWHERE:
            return ELSEWHERE[name]
        if name in self._library:
            return self._library[name]
        function = getattr(function, "__func__", function)
        code = function.__code__
        path = Path(code.co_filename)
        module = path.relative_to(ROOT / "omega").with_suffix("").as_posix().replace("/", ".")
        if not module.startswith("bindings."):
            return module
        if path not in self._parts:
            self._parts[path] = [
                (node.lineno, node.end_lineno or node.lineno, node.name)
                for node in ast.parse(path.read_text("utf-8")).body
                if isinstance(node, ast.FunctionDef)
            ]
        for first, last, part in self._parts[path]:
            if first <= code.co_firstlineno <= last:
                return f"{module}.{part}"
        return module


def page(documented: Iterable[Entry]) -> str:
    """The text of the page."""
    left = {entry.name: entry for entry in documented}
    parts = [HEAD]
    sections = [*SECTIONS, (LAST, tuple({entry.home for entry in left.values()}), "")]
    for title, homes, _ in sections:
        mine = sorted(
            (entry for entry in left.values() if entry.home in homes), key=lambda e: e.name
        )
        if not mine:
            continue
        parts.append(f"## {title}\n")
        for entry in mine:
            del left[entry.name]
            also = ", ".join(f"`{alias}`" for alias in sorted(entry.aliases))
            text = entry.text if entry.text.endswith((".", "!", "?")) else entry.text + "."
            parts.append(f"- `{entry.shape}` → {text}" + (f" Also: {also}." if also else ""))
        parts.append("")
    return "\n".join(parts)


# -- the list of modules ---------------------------------------------------------------------------

BEGIN, END = "<!-- modules: python docs/generate.py -->", "<!-- end of modules -->"


def first_line(path: Path) -> str:
    """What a file says it is: the first paragraph of its docstring, or sentence of its comment."""
    text = path.read_text("utf-8")
    if path.suffix == ".py":
        paragraph = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0]
        return " ".join(paragraph.split())
    head = " ".join(line.lstrip(";/ ") for line in text.splitlines()[:3])
    return head.split(". ")[0].rstrip(".") + "."


def with_modules(text: str) -> str:
    """The page's text with the list of modules in its place, a section per folder."""
    folders: dict[str, list[str]] = {}
    for path in sorted((ROOT / "omega").rglob("*")):
        if path.suffix in (".py", ".omega", ".lark") and path.read_text("utf-8").strip():
            name = path.relative_to(ROOT).as_posix()
            folders.setdefault(path.parent.relative_to(ROOT).as_posix(), []).append(
                f"- `{name}` {first_line(path)}"
            )
    parts = [f"### {folder}/\n\n" + "\n".join(folders[folder]) for folder in sorted(folders)]
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n" + "\n\n".join(parts) + f"\n\n{END}{after}"


STATES, END_OF_STATES = "<!-- states: python docs/generate.py -->", "<!-- end of states -->"


def with_states(text: str) -> str:
    """The page's text with the table of the states of a run in its place."""
    from omega.durable.states import table

    before, _, rest = text.partition(STATES)
    _, _, after = rest.partition(END_OF_STATES)
    return f"{before}{STATES}\n\n{table()}\n{END_OF_STATES}{after}"


# -- the index of the library's parts --------------------------------------------------------------

INDEX_HEAD = '''"""What the parts of the library define: written by `python docs/generate.py`.

Owns: PARTS, part -> (its procedures and variables, its macros), so that none needs to be read
before a program names something of it.
"""

PARTS: dict[str, tuple[str, str]] = {'''


def index() -> str:
    """The text of omega/lisp/library/index.py."""
    from omega.lisp.library import MACROS, PRELUDE, SYNTAX

    home = ROOT / "omega" / "lisp" / "library"
    files = {path.stem for path in home.glob("*.omega") if path.name not in PRELUDE + MACROS}
    parts = []
    for part in sorted({stem.removesuffix(SYNTAX) for stem in files}):
        procedures, syntax = (
            textwrap.indent(textwrap.fill(" ".join(names), 90, break_on_hyphens=False), " " * 8)
            for names in (defined_in(home / f"{part}{end}.omega") for end in ("", SYNTAX))
        )
        parts.append(f'    "{part}": (\n        """\n{procedures}\n        """,\n')
        parts.append(f'        """\n{syntax}\n        """,\n    ),\n')
    return INDEX_HEAD + ("\n" + "".join(parts) if parts else "") + "}\n"


def defined_in(path: Path) -> list[str]:
    """The names that the top-level forms of a file of the library define."""
    from omega.errors import Source
    from omega.lisp.data import Pair, Symbol
    from omega.lisp.reader import read_all

    names: set[str] = set()
    for form, _ in read_all(Source(str(path), path.read_text("utf-8"))) if path.exists() else ():
        if form.car.name in ("define-record-type", "define-values"):
            work = [form.cdr if form.car.name == "define-record-type" else form.cdr.car]
            while work:
                match work.pop():
                    case Symbol(name=name):
                        names.add(name)
                    case Pair(car=first, cdr=rest):
                        work += [first, rest]
        elif form.car.name.startswith("define"):
            target = form.cdr.car
            while isinstance(target, Pair):
                target = target.car
            names.add(target.name)
    return sorted(names)


# -- Omega's own libraries -------------------------------------------------------------------------

OWN_HEAD = '''"""What Omega's own libraries export: written by `python docs/generate.py`.

Owns: OWN, for standard.py: a library for every section of docs/reference.md; SAME: SRFIs that are
about such a section -> its library. `(omega)` has everything, and is not listed.
"""

OWN: dict[str, str] = {
'''


def own(documented: Iterable[Entry]) -> str:
    """The text of omega/lisp/library/own.py."""
    names: dict[str, set[str]] = {name: set(forms.split()) for name, forms in FORMS.items()}
    for entry in documented:
        for _, homes, libraries in SECTIONS:
            if entry.home in homes:
                names.setdefault(libraries.split(", ")[0], set()).update(
                    [entry.name, *entry.aliases]
                )
    parts = []
    for library in sorted(names):
        text = textwrap.fill(" ".join(sorted(names[library])), 90, break_on_hyphens=False)
        parts.append(f'    "({library})": """\n{textwrap.indent(text, " " * 8)}\n        """,\n')
    same = [
        f'    "({other})": "({library})",\n'
        for _, _, libraries in SECTIONS
        for library, *others in [libraries.split(", ")]
        for other in others
    ]
    return OWN_HEAD + "".join(parts) + "}\n\nSAME: dict[str, str] = {\n" + "".join(same) + "}\n"


# -- what errors look like -------------------------------------------------------------------------

EXAMPLE, END_OF_EXAMPLE = "<!-- example -->", "<!-- end of example -->"
FENCES = {".omega": "omega not-run", ".py": "python not-run", ".json": "json", ".latin1": "text"}


def with_examples(text: str) -> str:
    """The page of errors with a program for every code and what is printed about it: those of
    tests/golden.
    """
    from tests.golden.kit import FOLDER, files_of

    def example(code: str) -> str:
        parts = []
        for path in files_of(code):
            data = path.read_bytes()
            try:
                program = data.decode("utf-8")
            except UnicodeDecodeError:  # what E105 is about
                program = data.decode("latin-1")
            parts.append(f"`{path.name}`:\n\n```{FENCES[path.suffix]}\n{program}```\n")
        told = (FOLDER / f"{code}.txt").read_text("utf-8")
        return "\n".join([*parts, f"```text\n{told}```\n"])

    sections = re.split(r"(?m)^(?=## [EW]\d{3} )", text)
    for at, section in enumerate(sections):
        before, mark, rest = section.partition(EXAMPLE)
        if mark:
            _, end, after = rest.partition(END_OF_EXAMPLE)
            sections[at] = f"{before}{mark}\n\n{example(section[3:7])}\n{end}{after}"
    return "".join(sections)


# -- conformance -----------------------------------------------------------------------------------

SPECS = ROOT / "tests" / "spec" / "r7rs"
CHECKS, END_OF_CHECKS = "<!-- checks: python docs/generate.py -->", "<!-- end of checks -->"


class SectionOfReport:
    """A file of the specs: its title, and how many checks are in it, pass, and hold a refusal."""

    def __init__(self, path: Path) -> None:
        from tests.spec.kit import sections_of

        self.name = path.name
        sections = sections_of(path)
        self.number, _, self.title = sections[0].title.partition(" ")
        self.checks = self.passing = self.refused = 0
        for section in sections:
            count = sum(expression.is_checked for expression in section.expressions)
            if "refused" in section.options:
                self.refused += count
            else:
                self.checks += count
            if any(section.modes) and "refused" not in section.options:
                self.passing += count

    @property
    def order(self) -> tuple[list[int], str]:
        return [int(n) for n in re.findall(r"\d+", self.number)], self.title


def sections_of_report() -> list[SectionOfReport]:
    found = [SectionOfReport(path) for path in SPECS.glob("*.omega")]
    return sorted(found, key=lambda section: section.order)


def with_checks(text: str) -> str:
    """The page of conformance with the table of the specs in its place."""
    sections = sections_of_report()
    total = sum(section.checks for section in sections)
    passing = sum(section.passing for section in sections)
    refused = sum(section.refused for section in sections)
    rows = [
        f"| {s.number} | [{s.title}](../tests/spec/r7rs/{s.name}) | {s.checks} | {s.passing} "
        f"| {s.refused or ''} |"
        for s in sections
    ]
    share = 100 * passing // total
    rows.append(f"| | **all** | **{total}** | **{passing}** ({share} %) | **{refused}** |")
    head = "| section | subject | checks | pass | refused |\n|---|---|---|---|---|\n"
    before, _, rest = text.partition(CHECKS)
    _, _, after = rest.partition(END_OF_CHECKS)
    return f"{before}{CHECKS}\n\n{head}" + "\n".join(rows) + f"\n\n{END_OF_CHECKS}{after}"


def main() -> int:
    sys.path.insert(0, str(ROOT))
    library = ROOT / "omega" / "lisp" / "library" / "index.py"
    if "--check" not in sys.argv and library.read_text("utf-8") != index():
        library.write_text(index(), encoding="utf-8")
        del sys.modules["omega.lisp.library.index"], sys.modules["omega.lisp.library"]
    documented, undocumented = entries()
    internals, errors = ROOT / "docs" / "internals.md", ROOT / "docs" / "errors.md"
    report = ROOT / "docs" / "conformance.md"
    told = with_examples(errors.read_text("utf-8"))
    pages = {
        library: index(),
        library.with_name("own.py"): own(documented),
        PAGE: page(documented),
        report: with_checks(report.read_text("utf-8")),
        internals: with_states(with_modules(internals.read_text("utf-8"))),
        errors: told,
        ROOT / "omega" / "cli" / "errors.md": told,  # for `omega explain`, wherever it is installed
    }
    if undocumented:
        print("without documentation: " + " ".join(undocumented), file=sys.stderr)
    stale = [p for p, text in pages.items() if not p.exists() or p.read_text("utf-8") != text]
    if "--check" in sys.argv:
        for path in stale:
            name = path.relative_to(ROOT)
            print(f"{name} is not current: run python docs/generate.py", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.write_text(pages[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
