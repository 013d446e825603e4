"""Every example runs as its header says and prints what NAME.expected holds, byte for byte.

The command is the first `omega run ...` line of the header (`python ...` for Python); Lisp ones run
under virtual
time, so that an hour of waiting costs nothing and equal runs are equal. OMEGA_UPDATE_EXPECTED=1
writes the files.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
NAMES = sorted(path.name for path in EXAMPLES.iterdir() if path.suffix in (".omega", ".py"))
TIMEOUT_S = 60


def run(
    *arguments: str, cwd: Path = ROOT, code: int = 0, stdin: str | None = None
) -> tuple[str, str]:
    """(standard output, standard error) of this Python with `arguments`, which must end with
    `code`.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    shown = f"{' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == code, f"exit code {done.returncode}, not {code}: {shown}"
    return done.stdout, done.stderr


def omega(*arguments: str, cwd: Path = ROOT, code: int = 0) -> tuple[str, str]:
    return run("-m", "omega", *arguments, cwd=cwd, code=code)


def command_of(name: str) -> list[str]:
    """The command an example's header names, as arguments of Python."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    if name.endswith(".py"):
        found = re.search(r"^ +python (.+)$", text, re.M)
        assert found, f"{name} does not say how it is run"
        return found[1].split()
    found = re.search(r"^; +omega run (.+)$", text, re.M)
    assert found, f"{name} does not say how it is run"
    return ["-m", "omega", "run", "--no-progress", "--virtual-time", *found[1].split()]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of examples/ to run in: what an example writes stays out of the repository. With the
    documentation, which some read.
    """
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_example_prints_what_is_expected(name: str, checkout: Path) -> None:
    output, complaints = run(*command_of(name), cwd=checkout)
    assert complaints == ""
    expected = EXAMPLES / (name.rsplit(".", 1)[0] + ".expected")
    if os.environ.get("OMEGA_UPDATE_EXPECTED"):
        expected.write_text(output, encoding="utf-8")
    assert output == expected.read_text(encoding="utf-8")


def test_every_expected_output_belongs_to_an_example() -> None:
    stems = {name.rsplit(".", 1)[0] for name in NAMES}
    assert {path.stem for path in EXAMPLES.glob("*.expected")} == stems


# -- triage on other files than its own ------------------------------------------------------------


def triage(checkout: Path, *arguments: str, code: int = 0) -> tuple[str, str]:
    rules = "--llm=scripted:examples/triage-rules.json"
    return omega(
        "run",
        "--virtual-time",
        rules,
        "examples/triage.omega",
        *arguments,
        cwd=checkout,
        code=code,
    )


def test_triage_writes_every_row_with_its_verdict_and_the_failed_one_with_its_reason(
    checkout: Path,
) -> None:
    triage(checkout, "examples/tickets.csv", "out.csv")
    with open(checkout / "out.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with open(EXAMPLES / "tickets.csv", newline="", encoding="utf-8") as file:
        tickets = list(csv.DictReader(file))
    assert [row["body"] for row in rows] == [row["body"] for row in tickets]
    assert len(rows) == 40
    failed = [row for row in rows if row["triage_category"] == "failed"]
    assert [row["id"] for row in failed] == ["T-1029"]
    assert "413" in failed[0]["triage_error"]
    assert "?" not in {row["triage_category"] for row in rows}


def test_triage_finds_the_columns_of_a_foreign_file(checkout: Path) -> None:
    (checkout / "my.csv").write_text(
        "\ufeffNumber;Title;Description\r\n7;Refund;please; \r\n".replace(
            "please; ", '"please; now"'
        ),
        encoding="utf-8",
    )
    output, _ = triage(checkout, "my.csv")
    assert re.search(r"^7 +billing +normal +Refund$", output, re.M)
    assert (checkout / "triaged.csv").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n", "has no column I could ask about: it has a, b"),
        (b"subject\n", "holds no rows below its header"),
        (b"", "holds no rows below its header"),
        (b'subject,body\nx,"never closed\n', "a quoted field is never closed"),
        (b"subject,body\nx\n", "1 fields, but the first line has 2"),
        (b"subject,body\nx,caf\xe9\n", "UTF-8"),
    ],
)
def test_triage_says_what_is_wrong_with_a_file(
    content: bytes, message: str, checkout: Path
) -> None:
    (checkout / "my.csv").write_bytes(content)
    _, complaints = triage(checkout, "my.csv", code=2)
    assert complaints.startswith("triage: ") and message in complaints


def test_triage_of_a_missing_file_names_it(checkout: Path) -> None:
    _, complaints = triage(checkout, "nowhere.csv", code=2)
    assert complaints == "triage: cannot open nowhere.csv: no such file or directory\n"


def test_triage_with_the_default_model_says_how_to_get_categories(checkout: Path) -> None:
    output, _ = omega("run", "--virtual-time", "examples/triage.omega", cwd=checkout)
    assert "--llm scripted:examples/triage-rules.json" in output
