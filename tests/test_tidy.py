"""The house rules a machine can check, by reading the source and by importing it in fresh
processes.

Owns: layers, sizes, banned calls, module-level state, docstrings, leftovers.

Every exemption names its reason. The lists only shrink: an exemption nothing needs any more fails
its test, and a size may not grow beyond what is written here.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OMEGA = ROOT / "omega"

MODULE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70

# -- exemptions, each with its reason --------------------------------------------------------------

LONG_MODULES: dict[str, tuple[int, str]] = {}
LONG_FUNCTIONS: dict[str, tuple[int, str]] = {}

# Third-party packages a package may import, and whether only inside of functions.
THIRD_PARTY = {
    "lisp": {"lark": "in functions: the warm path never loads it"},
    "concurrency": {"greenlet": "anywhere"},
    "regex": {},
    "llm": {
        "openai": "in functions",
        "anthropic": "in functions",
        "tiktoken": "in functions: found by its name, if it is installed",
    },
    "testing": {},
    "bindings": {},
    "calls": {},
    "exploration": {},
    "tape": {},
    "runs": {},
    "": {},
    "cli": {},
    "durable": {},
    "workers": {},
}
# Modules of the standard library that are slow to load or belong to one owner: who may import them
# at the top.
LAZY = {
    "asyncio": {
        "omega.testing.loopback.connection": "the test server runs a loop of its own",
        "omega.testing.loopback.server": "the test server runs a loop of its own",
    },
    "sqlite3": {},
    "lark": {},
}

# Calls with a better way: pattern of the called name -> (what to use instead, {module: why it
# may}).
BANNED: dict[str, tuple[str, dict[str, str]]] = {
    r"threading\.(Thread|Lock|RLock|Condition|Event|Semaphore|Timer)|allocate_lock": (
        "scheduler.blocking, or post to the scheduler's inbox",
        {
            "omega.concurrency.threads": "owns the pool of threads and the inbox",
            "omega.concurrency.asyncio_driver": "one lock around its wake-up",
            "omega.cli.repl": "one thread waits for lines, one owns the interpreter: see there",
            "omega.concurrency.replaying": "threads of the host post, and are waited for",
            "omega.concurrency.depth": "the recursion limit belongs to the whole process",
            "omega.testing.loopback.server": "a real server needs a real thread",
            "omega.testing.loopback.record": "a real server's thread writes what others read",
        },
    ),
    r"time\.sleep": (
        "scheduler.sleep",
        {"omega.durable.waiting": "a file that others hold is waited for where no scheduler is"},
    ),
    r"time\.(time|monotonic|perf_counter)(_ns)?|monotonic(_ns)?|perf_counter": (
        "the driver's now()",
        {
            "omega.concurrency.clock": "owns the monotonic clock",
            "omega.effects": "the effect `now` is the wall clock's owner",
            "omega.durable.waiting": "leases are compared between processes",
            "omega.llm.vendor": "a Retry-After may be a date",
            "omega.testing.loopback.anthropic_wire": "its headers tell moments",
            "omega.testing.loopback.faults": "a Retry-After may be a date",
            "omega.testing.loopback.record": "a real server, in real time",
        },
    ),
    r"asyncio\.(run|new_event_loop|get_event_loop)": (
        "the asyncio driver",
        {"omega.testing.loopback.server": "the server's own thread and loop"},
    ),
    r"open|io\.open|os\.open": (
        "the effect door: rt.perform('file.open-read', ...)",
        {
            "omega.effects": "the door itself",
            "omega.durable.backups": "the folder of a backup, to have its name written",
            "omega.durable.waiting": "the folder of a store, to lock it while waiting to write",
            "omega.durable.doctor": "the system's list of what is mounted",
            "omega.runs.owners": "the system's word on which processes there are",
            "omega.programs": "reads the program's own text",
            "omega.lisp.cache": "owns the cache files",
            "omega.tape.files": "owns the files of tapes",
            "omega.lisp.library": "reads the library's own texts",
            "omega.lisp.report": "reads the source line an error points to",
            "omega.llm.rules": "reads the rules file the host named",
            "omega.llm.settings": "reads the host's own settings",
        },
    ),
    r"print|input|pprint": ("the program's output port; the command line's own writer", {}),
    r"random\.(?!Random$)\w+": ("a random.Random with a seed", {}),
    r"random\.Random|Random": (
        "the interpreter's one source, handed down",
        {
            "omega.interpreter": "owns the seeded source",
            "omega.durable.waiting": "processes that share a file must not pause in step",
            "omega.exploration.strategies": "chooses in the program's place, not for it",
        },
    ),
    r"eval|exec|__import__|compile|pickle\.\w+|marshal\.\w+": (
        "nothing: code comes only from the compiler",
        {
            "omega.lisp.compiler": "owns compiling",
            "omega.lisp.cache": "owns the compiled files",
            "omega.lisp.records": "makes the class of a record type",
            "omega.lisp.runtime": "makes the entries of every arity",
        },
    ),
    r"os\.(system|popen|exec\w*|spawn\w*|fork)|subprocess\.\w+": ("the effect door", {}),
    r"asyncio\.create_subprocess_\w+": (
        "the effect door",
        {"omega.cli.serve": "each run has a process: one that crashes hurts no other"},
    ),
}

# Module-level collections and globals that change after import.
STATE: dict[str, str] = {
    "omega.concurrency.depth._entered": "the recursion limit is the process's own; under its lock",
    "omega.concurrency.depth._host_limit": "as _entered",
    "omega.calls.providers._closing": "keeps tasks of hosts' loops alive until they end",
    "omega.lisp.cache._stamp": "computed once per process, the same for every interpreter",
    "omega.lisp.special.SPECIALS": "filled by its decorator while the module is imported",
    "omega.lisp.names._cache": "remembers a pure function; bounded",
    "omega.lisp.numbers._RATIONALS": "remembers a pure function; one entry per radix",
    "omega.lisp.primitives.registry.PRIMITIVES": "filled by its decorator at import",
    "omega.lisp.reader._parser": "the grammar, built at most once and never changed",
    "omega.runs.owners._disowned": "which of its names this process acts under no more",
    "omega.lisp.records._factories": "remembers a pure function of a template's text",
}


# -- reading the source ----------------------------------------------------------------------------


def modules() -> list[str]:
    names = []
    for path in sorted(OMEGA.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def path_of(module: str) -> Path:
    base = ROOT.joinpath(*module.split("."))
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(path_of(module).read_text("utf-8"))


def imports_of(module: str) -> Iterator[tuple[str, bool]]:
    """(module imported, whether while this one is imported) for every import in the text."""
    tree = tree_of(module)
    late: set[ast.AST] = set()
    for node in ast.walk(tree):
        is_typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if is_typing or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            late.update(ast.walk(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node not in late
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            assert node.module is not None
            yield node.module, node not in late
            for alias in node.names:  # `from omega.lisp import cache` imports a module
                if f"{node.module}.{alias.name}" in ALL:
                    yield f"{node.module}.{alias.name}", node not in late


ALL = modules()


# -- layers ----------------------------------------------------------------------------------------

L0 = ("codes", "errors", "regex")
L1 = ("lisp", "concurrency", "llm", "durable")
# The modules of L2, lowest first: each may import those before it.
L2 = ("limits", "host_stack", "programs", "left_behind", "progress", "calls", "effects",
      "made_with", "host_functions", "scheduler_host", "exploration", "tape", "bindings", "runs",
      "interpreter", "replays", "telemetry", "testing")  # fmt: skip


def part_of(module: str) -> str:
    """The package or module right below omega; "" for omega itself."""
    return module.split(".")[1] if "." in module else ""


def layer(module: str) -> tuple[int, int]:
    part = part_of(module)
    if part in L0:
        return (0, L0.index(part))
    if part in L1:
        return (1, 0)
    if part in L2:
        return (2, L2.index(part))
    if part == "workers":
        return (3, 0)
    if part in ("cli", "__main__"):
        return (4, int(part == "__main__"))
    pytest.fail(f"{module} is in no layer: architecture says which there are")


@pytest.mark.parametrize("module", [m for m in ALL if m != "omega"])
def test_module_imports_only_lower_layers(module: str) -> None:
    mine = layer(module)
    for imported, _ in imports_of(module):
        if not imported.startswith("omega."):
            continue
        theirs = layer(imported)
        if part_of(imported) == part_of(module):
            continue
        assert theirs < mine, f"{module} imports {imported}, which is no lower layer"
        assert theirs[0] != 1 or mine[0] != 1, f"{module} imports {imported}: L1 packages are apart"


def test_nothing_imports_the_command_line_or_the_test_kit() -> None:
    for module in ALL:
        for imported, _ in imports_of(module):
            for owner in ("cli", "testing"):
                if part_of(imported) == owner and part_of(module) not in (owner, "__main__"):
                    pytest.fail(f"{module} imports {imported}")


@pytest.mark.parametrize("module", ALL)
def test_third_party_and_slow_modules_are_imported_where_they_may_be(module: str) -> None:
    part = part_of(module)
    package = part if (OMEGA / part).is_dir() else ""
    allowed = THIRD_PARTY[package]
    for imported, at_import in imports_of(module):
        root = imported.split(".")[0]
        if root in LAZY and at_import:
            assert module in LAZY[root], f"{module} imports {root} at its top: import it where used"
        if root in sys.stdlib_module_names or root == "omega":
            continue
        assert root in allowed, f"{module} imports {root}, which {package or 'omega'} may not"
        if allowed[root].startswith("in functions"):
            assert not at_import, f"{module} imports {root} at its top: {allowed[root]}"


LOADS = [
    ("omega", "omega."),
    ("omega.errors", "asyncio greenlet lark sqlite3 omega.lisp omega.concurrency omega.llm"),
    ("omega.lisp", "asyncio greenlet sqlite3 lark omega.concurrency omega.llm"),
    ("omega.lisp.evaluator", "asyncio greenlet sqlite3 lark omega.concurrency omega.llm"),
    ("omega.lisp.compiler", "asyncio greenlet sqlite3 lark omega.concurrency omega.llm"),
    ("omega.concurrency", "asyncio lark sqlite3 omega.lisp omega.llm"),
    ("omega.llm", "asyncio greenlet lark sqlite3 openai anthropic omega.lisp omega.concurrency"),
    (
        "omega.durable.sqlite",
        "asyncio greenlet lark sqlite3 omega.lisp omega.concurrency omega.llm",
    ),
    ("omega.interpreter", "asyncio lark sqlite3 openai anthropic"),
]


@pytest.mark.parametrize(("module", "forbidden"), LOADS)
def test_importing_loads_no_more_than_it_needs(module: str, forbidden: str) -> None:
    script = (
        f"before = set(sys.modules); import {module}; print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {script}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()
    for name in forbidden.split():
        if name.endswith("."):
            hits = [m for m in loaded if m.startswith(name)]
        else:
            hits = [m for m in loaded if m == name or m.startswith(name + ".")]
        assert not hits, f"import {module} loads {', '.join(hits[:5])}"


# -- sizes -----------------------------------------------------------------------------------------


def test_modules_are_short() -> None:
    complaints = []
    for module in ALL:
        lines = len(path_of(module).read_text("utf-8").splitlines())
        most = LONG_MODULES.get(module, (MODULE_LINES_MAX, ""))[0]
        if lines > most:
            complaints.append(f"{module} has {lines} lines, {most} allowed")
        if module in LONG_MODULES and lines <= MODULE_LINES_MAX:
            complaints.append(f"{module} needs its exemption no more: remove it")
    assert not complaints, "\n".join(complaints)


def test_functions_are_short() -> None:
    complaints, needed = [], set()
    for module in ALL:
        for node in ast.walk(tree_of(module)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                name = f"{module}.{node.name}"
                if lines > FUNCTION_LINES_MAX and not holds_only_functions(node):
                    needed.add(name)
                    most = LONG_FUNCTIONS.get(name, (FUNCTION_LINES_MAX, ""))[0]
                    if lines > most:
                        complaints.append(f"{name} has {lines} lines, {most} allowed")
    complaints += [f"{n} needs its exemption no more" for n in LONG_FUNCTIONS if n not in needed]
    assert not complaints, "\n".join(complaints)


def holds_only_functions(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether it is a table of short functions over one set of names, and nothing else of
    length.
    """
    own = sum(
        (statement.end_lineno or statement.lineno) - statement.lineno + 1
        for statement in node.body
        if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    )
    return own <= 20


# -- banned calls ----------------------------------------------------------------------------------


def test_banned_calls_are_made_by_their_owners_only() -> None:
    complaints, used = [], set()
    for module in ALL:
        for node in ast.walk(tree_of(module)):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            for pattern, (instead, owners) in BANNED.items():
                if not re.fullmatch(pattern, called):
                    continue
                if module in owners or is_command_line(module, called):
                    used.add((pattern, module))
                else:
                    complaints.append(f"{module}:{node.lineno}: {called}(...): use {instead}")
    # `from time import monotonic_ns` under another name is a call, too.
    used.update((p, "omega.concurrency.clock") for p in BANNED if "monotonic" in p)
    for pattern, (_, owners) in BANNED.items():
        for module in owners:
            if (pattern, module) not in used:
                complaints.append(f"{module} needs its exemption for {pattern} no more")
    assert not complaints, "\n".join(complaints)


def is_command_line(module: str, called: str) -> bool:
    """The command line talks to people and reads their files."""
    return module.startswith("omega.cli") and called in ("open", "input")


# -- module-level state ----------------------------------------------------------------------------

MUTATORS = {
    *("append", "appendleft", "add", "insert", "extend", "update", "setdefault"),
    *("pop", "popleft", "popitem", "remove", "discard", "clear"),
}


def changed_globals(module: str) -> set[str]:
    """Names of module-level variables that a function of the module rebinds or changes."""
    tree = tree_of(module)
    names: set[str] = set()
    for statement in tree.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        names.update(target.id for target in targets if isinstance(target, ast.Name))
    changed: set[str] = set()
    for function in ast.walk(tree):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        local = {a.arg for a in [*function.args.args, *function.args.kwonlyargs]}
        declared: set[str] = set()
        for node in ast.walk(function):
            if isinstance(node, ast.Global):
                declared.update(node.names)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                local.add(node.id)
        changed |= declared
        for node in ast.walk(function):
            target: ast.expr | None = None
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, (ast.Store, ast.Del)):
                target = node.value
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in MUTATORS
            ):
                target = node.func.value
            if isinstance(target, ast.Name) and target.id in names - local:
                changed.add(target.id)
    return {f"{module}.{name}" for name in changed}


def test_no_module_keeps_state_it_changes() -> None:
    changed = {name for module in ALL for name in changed_globals(module)}
    assert changed - STATE.keys() == set(), "interpreters share nothing: keep it in an instance"
    assert STATE.keys() - changed == set(), "exemptions nothing needs any more"


# -- words -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ALL)
def test_module_says_what_it_owns(module: str) -> None:
    docstring = ast.get_docstring(tree_of(module))
    assert docstring, f"{module} has no docstring: say what it owns and what it refuses"
    lines = len(path_of(module).read_text("utf-8").splitlines())
    if lines > 100 and not module.endswith("__init__"):
        assert docstring.count("\n") >= 2, f"{module}: its docstring does not say what it owns"


LEFTOVERS = re.compile(
    r"\bTO" r"DO\b|\bFIX" r"ME\b|\bXX" r"X\b|helper ses" r"sion|as an A" r"I\b|/work/(main|shared)"
)


def texts() -> Iterator[Path]:
    for folder in ("omega", "tests", "docs", "examples"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".md", ".omega", ".lark", ".json", ".toml"):
                yield path
    yield from (ROOT / name for name in ("README.md", "Makefile", "pyproject.toml"))


def test_no_leftovers() -> None:
    complaints = []
    for path in texts():
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if found := LEFTOVERS.search(line):
                complaints.append(f"{path.relative_to(ROOT)}:{number}: {found[0]}")
    assert not complaints, "\n".join(complaints)


def test_names_of_modules_say_something() -> None:
    vague = {"utils", "util", "common", "types", "helpers", "misc"}
    assert [m for m in ALL if m.rsplit(".", 1)[-1] in vague] == []


# What stands at the top of the repository; a program or a test that leaves a file there is wrong.
AT_TOP = {
    *("omega", "tests", "docs", "examples", "README.md", "Makefile", "pyproject.toml"),
    *(".ci", ".git", ".gitignore"),
}


def test_nothing_stray_is_at_the_top() -> None:
    made = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text("utf-8").split()]
    stray = [
        path.name
        for path in sorted(ROOT.iterdir())
        if path.name not in AT_TOP and not any(fnmatch(path.name, each) for each in made)
    ]
    assert stray == [], "which test made these? it is to use tmp_path"
