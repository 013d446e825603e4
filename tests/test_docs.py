"""The documentation is true: its programs run, and what is public is documented, both ways.

Fenced blocks of README.md and docs/, by the first word after the fence:

- `lisp`: evaluated in one interpreter per page (a page builds on what it defined), under virtual
  time. A line that ends with `;=> value` gives that value, as `write` shows it; with `;!! CODE` it
  fails with that code. Without a mark the block just has to run.
- `omega`: a whole program, in an interpreter of its own.
- `python`: a whole program, in a process of its own, in a copy of the repository's examples/.
- `sh`: each line that begins with `omega ` runs in that copy. Lines that begin with `#` are notes.
- `toml`: settings of models, read as `omega.toml` is, beside a table of prices.
- `output`, right after one of these: what it printed, to the letter.
- `console`, `text`, `json` and the like are not run, nor is what says `not-run` (sparingly: what
  needs a key, a network, or a minute).
"""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import omega
from omega.codes import CODES
from omega.errors import OmegaError
from omega.lisp.library import PARTS
from omega.llm import read_settings

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in DOCS.rglob("*.md"))]
RUN = ("lisp", "omega", "python", "sh", "toml")
NOT_RUN = ("", "text", "console", "json", "output", "diff")
TIMEOUT_S = 60


class Block:
    def __init__(self, page: str, line: int, words: list[str], text: str) -> None:
        self.page, self.line, self.text = page, line, text
        self.kind = words[0] if words else ""
        self.is_run = self.kind in RUN and "not-run" not in words
        self.output: str | None = None

    def __repr__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: str) -> list[Block]:
    found: list[Block] = []
    text = (ROOT / page).read_text("utf-8")
    for match in re.finditer(r"^```([^\n`]*)\n(.*?)^```$", text, re.M | re.S):
        line = text.count("\n", 0, match.start()) + 1
        block = Block(page, line, match[1].split(), match[2])
        if block.kind == "output":
            assert found and found[-1].is_run, f"{block} is the output of nothing"
            found[-1].output = block.text
        else:
            found.append(block)
    return found


def blocks(kind: str) -> list[Block]:
    return [b for page in PAGES for b in blocks_of(page) if b.kind == kind and b.is_run]


# -- blocks that run -------------------------------------------------------------------------------


def test_every_block_says_what_it_is() -> None:
    for page in PAGES:
        for block in blocks_of(page):
            assert block.kind in RUN + NOT_RUN, f"{block}: a block of {block.kind} is unknown"


def written(value: object) -> str:
    from omega.lisp.printer import write_string

    return write_string(value)


@pytest.mark.parametrize("page", [p for p in PAGES if any(b.kind == "lisp" for b in blocks_of(p))])
def test_lisp_blocks_give_what_they_say(page: str, tmp_path: Path) -> None:
    printed = io.StringIO()
    grants = omega.Grants(read=[str(tmp_path)], write=[str(tmp_path)])
    with omega.Interpreter(virtual_time=True, grants=grants, output=printed) as interpreter:
        interpreter.define("scratch", str(tmp_path / "scratch.txt"))
        for block in blocks_of(page):
            if block.kind != "lisp" or not block.is_run:
                continue
            printed.seek(0)
            printed.truncate()
            for part, mark, wanted in parts_of(block.text):
                got = outcome(interpreter, part, f"{block}")
                if mark == ";!!":
                    assert got.startswith(f"error[{wanted}]"), f"{block}: {part}gave {got}"
                else:
                    assert not got.startswith("error["), f"{block}: {part}{got}"
                if mark == ";=>":
                    assert got == wanted, f"{block}: {part}gave {got}"
            if block.output is not None:
                assert printed.getvalue() == block.output, f"{block}"


def parts_of(text: str) -> list[tuple[str, str, str]]:
    """(program, mark, what the mark says): the text cut after each marked line."""
    found: list[tuple[str, str, str]] = []
    pending = ""
    for line in text.splitlines(keepends=True):
        pending += line
        match = re.search(r"(;=>|;!!) *(.*?) *$", line)
        if match:
            found.append((pending, match[1], match[2]))
            pending = ""
    if pending.strip():
        found.append((pending, "", ""))
    return found


def outcome(interpreter: omega.Interpreter, text: str, name: str) -> str:
    try:
        return written(interpreter.eval(text, filename=f"<{name}>"))
    except OmegaError as error:
        return f"error[{error.code}]: {error}"


@pytest.mark.parametrize("block", blocks("omega"), ids=repr)
def test_programs_print_what_they_say(block: Block) -> None:
    printed = io.StringIO()
    with omega.Interpreter(virtual_time=True, output=printed) as interpreter:
        interpreter.eval(block.text, filename=f"<{block}>")
        interpreter.run()
    if block.output is not None:
        assert printed.getvalue() == block.output


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for name, text in re.findall(
        r"^`([\w.-]+)` holds:\n\n```\w+[^\n]*\n(.*?)^```$",
        "\n".join((ROOT / page).read_text("utf-8") for page in PAGES),
        re.M | re.S,
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def process(arguments: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
    )


@pytest.mark.parametrize("block", blocks("python"), ids=repr)
def test_python_blocks_run(block: Block, checkout: Path) -> None:
    (checkout / "block.py").write_text(block.text, encoding="utf-8")
    done = process(["block.py"], checkout)
    assert done.returncode == 0, f"{block}:\n{done.stdout}"
    if block.output is not None:
        assert done.stdout == block.output


@pytest.mark.parametrize("block", blocks("sh"), ids=repr)
def test_commands_do_what_they_say(block: Block, checkout: Path) -> None:
    """A comment `# exit code N` at the end of a line says how it ends, when not with 0."""
    printed = ""
    for line in block.text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        assert line.startswith("omega "), f"{block}: not a command of ours: {line}"
        code = re.search(r"# exit code (\d+)$", line)
        done = process(["-m", *shlex.split(line, comments=True)], checkout)
        assert done.returncode == int(code[1] if code else 0), f"{block}: {line}\n{done.stdout}"
        printed += done.stdout
    if block.output is not None:
        assert printed == block.output


@pytest.mark.parametrize("block", blocks("toml"), ids=repr)
def test_settings_are_read(block: Block, tmp_path: Path) -> None:
    table = '{"models": {"mine": {"input": 1, "output": 2}}}'
    (tmp_path / "prices.json").write_text(table, encoding="utf-8")
    (tmp_path / "omega.toml").write_text(block.text, encoding="utf-8")
    settings = read_settings(str(tmp_path / "omega.toml"))
    assert settings.models, f"{block}: no models"


# -- links -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (ROOT / page).parent.joinpath(target).exists(), f"{page} links to {target}"


# -- both directions -------------------------------------------------------------------------------


def headed(page: str) -> dict[str, str]:
    """Heading -> what stands below it, for the headings of second and third rank."""
    parts = re.split(r"^#{2,3} +(.+)$", (ROOT / page).read_text("utf-8"), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_reference_is_current() -> None:
    done = process(["docs/generate.py", "--check"], ROOT)
    assert done.returncode == 0, done.stdout
    assert "without documentation" not in done.stdout, done.stdout


def forms() -> set[str]:
    """The names of all syntax: the expander's, and the library's own macros."""
    with omega.Interpreter(use_cache=False) as interpreter:
        compiler = interpreter._evaluator.compiler
        interpreter.eval("(begin)")
        names = set(compiler.program.syntax)
    names.update(name for _, syntax in PARTS.values() for name in syntax.split())
    return {name for name in names if not name.startswith("%")}


def test_every_form_is_documented_and_every_documented_form_exists() -> None:
    text = (DOCS / "language.md").read_text("utf-8")
    table = re.findall(r"^\| `(?:\()?([^\s`()]+)[^|]*\|", text, re.M)
    assert sorted(forms() - set(table)) == [], "forms docs/language.md does not list"
    assert sorted(set(table) - forms()) == [], "docs/language.md lists what does not exist"
    assert len(table) == len(set(table)), "a form is listed twice"


PUBLIC = (
    *("omega", "omega.calls", "omega.concurrency", "omega.llm", "omega.telemetry"),
    "omega.testing",
)


def test_every_public_name_is_documented_and_every_documented_name_is_public() -> None:
    fields = re.compile("`(SchedulerConfig|Limits|Grants)`")  # their tables list fields: see below
    text = "".join(
        f"\n## {title}\n{'' if fields.fullmatch(title) else body}"
        for title, body in headed("docs/embedding.md").items()
    )
    documented = set(re.findall(r"^(?:\| |#+ )`([A-Za-z_][\w.]*)", text, re.M))
    public = {name for module in PUBLIC for name in import_module(module).__all__}
    assert sorted(public - documented) == [], "public names docs/embedding.md leaves out"
    tops = {name for name in documented if "." not in name}
    assert sorted(tops - public) == [], "docs/embedding.md names what is not public"
    for name in documented - tops:  # Interpreter.eval
        owner, _, attribute = name.partition(".")
        assert owner in public, name
        home = next(m for m in map(import_module, PUBLIC) if owner in m.__all__)
        assert hasattr(getattr(home, owner), attribute), f"{name} does not exist"


@pytest.mark.parametrize(
    "name", ["Interpreter", "ConcurrencyManager", "Task", "CancellationToken", "Procedure"]
)
def test_every_public_method_is_documented(name: str) -> None:
    text = (DOCS / "embedding.md").read_text("utf-8")
    documented = set(re.findall(rf"^\| `{name}\.(\w+)", text, re.M))
    of = getattr(omega, name)
    inside = {"Task": {"cancelled_error", "next_effect", "is_ready"}}
    parts = [each for each in of.__mro__ if each.__module__.startswith("omega.")]
    own = {m for part in parts for m in vars(part) if not m.startswith("_")}
    own -= inside.get(name, set())
    if name == "Task":  # slots are the scheduler's; properties and these are the host's
        own = {m for m in own if isinstance(vars(of)[m], property)} | {"name", "state", "priority"}
        own |= {"steps"}
    if name == "Procedure":
        own -= {"function"}
    assert sorted(own - documented) == []
    assert sorted(documented - own) == []


def test_every_configuration_field_is_documented() -> None:
    from dataclasses import fields
    from inspect import signature

    sections = headed("docs/embedding.md")
    for owner, names in (
        ("SchedulerConfig", [f.name for f in fields(omega.SchedulerConfig)]),
        ("Limits", list(signature(omega.Limits.__init__).parameters)[1:]),
        ("Grants", list(signature(omega.Grants.__init__).parameters)[1:]),
    ):
        section = next(text for title, text in sections.items() if title.startswith(f"`{owner}"))
        documented = re.findall(r"^\| `(\w+)`", section, re.M)
        assert sorted(documented) == sorted(names), owner


def test_every_module_has_its_line_and_every_line_its_module() -> None:
    text = (DOCS / "internals.md").read_text("utf-8")
    listed = re.findall(r"^- `(omega/[\w/.-]+)`", text, re.M)
    existing = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "omega").rglob("*")
        if path.suffix in (".py", ".omega", ".lark") and path.read_text("utf-8").strip()
    ]
    assert sorted(set(existing) - set(listed)) == [], "modules docs/internals.md leaves out"
    assert sorted(set(listed) - set(existing)) == [], "docs/internals.md lists what is not there"
    assert len(listed) == len(set(listed))


def test_every_error_code_has_its_paragraph_and_example() -> None:
    sections = headed("docs/errors.md")
    titles = {title: body for title, body in sections.items() if re.match(r"[EW]\d{3}", title)}
    assert sorted(titles) == sorted(f"{code} {kind}" for kind, (code, _) in CODES.items())
    for title, body in titles.items():
        assert "```" in body or "No example" in body, f"{title} has no example"
        assert body.strip().split("\n")[0].strip(), f"{title} has no paragraph"


def help_text(*words: str) -> str:
    done = process(["-m", "omega", *words, "--help"], ROOT)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_every_command_and_option_is_documented_and_the_other_way_round() -> None:
    sections = headed("docs/cli.md")
    commands = re.findall(
        r"^  ([a-z-]+)\b", help_text().split("commands:")[1].split("\n\n")[0], re.M
    )
    titles = {m[1]: body for t, body in sections.items() if (m := re.match(r"`omega ([a-z-]+)", t))}
    assert sorted(titles) == sorted(commands)
    shared = re.findall(r"^\| `(--[^`]+)`", sections["Options of a program"], re.M)
    for command in commands:
        helped = help_text(command).split("options:")[1]
        options = re.findall(r"^  (--\S+(?: [A-Z]+)?)", helped, re.M)
        own = re.findall(r"^\| `(--[^`]+)`", titles[command], re.M)
        documented = own + (shared if "Options of a program" in titles[command] else [])
        assert sorted(documented) == sorted(o for o in options if o != "--help"), command


def test_every_exit_code_is_documented() -> None:
    stated = re.search(r"exit codes: (.+)\Z", help_text(), re.S)
    assert stated
    codes = re.findall(r"\b(\d+) (?=[a-z])", stated[1])
    documented = re.findall(r"^\| `(\d+)`", headed("docs/cli.md")["Exit codes"], re.M)
    assert sorted(documented) == sorted(codes)


def test_decision_records_are_numbered_and_complete() -> None:
    names = sorted(path.name for path in (DOCS / "decisions").glob("*.md"))
    assert [name[:4] for name in names] == [f"{i:04}" for i in range(1, len(names) + 1)]
    for name in names:
        text = (DOCS / "decisions" / name).read_text("utf-8")
        for part in ("## Context", "## Decision", "## Consequences"):
            assert part in text, f"{name} lacks {part}"


def test_every_example_is_listed_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    for path in (ROOT / "examples").iterdir():
        if path.suffix in (".omega", ".py"):
            assert f"examples/{path.name}" in text, path.name
