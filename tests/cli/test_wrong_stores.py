"""Stores of durable runs that are elsewhere, foreign, damaged or out of reach."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.kit import parked


@pytest.mark.parametrize(
    "words",
    [
        ("resume", "r1"),
        ("runs", "list"),
        ("runs", "check"),
        ("runs", "backup", "b"),
        ("signal", "r1", "go"),
        ("serve-runs", "--once"),
    ],
)
def test_a_store_that_is_not_there_is_told_and_not_made(shell, words):
    status, output, said = shell.run(*words)
    assert (status, output) == (2, "")
    assert "there is no store of runs at omega-runs.db" in said
    assert not shell.path.exists()
    assert sorted(path.name for path in shell.folder.iterdir()) == ["rules.json"]


def test_the_store_is_named_by_the_environment_or_an_option(shell):
    parked(shell)
    elsewhere = shell.folder / "there.db"
    shell.path.rename(elsewhere)
    assert shell.run("runs", "list")[0] == 2
    assert "r1" in shell.ok("runs", "list", "--store", "there.db")
    shell.environment["OMEGA_STORE"] = str(elsewhere)
    assert "r1" in shell.ok("runs", "list")


@pytest.mark.parametrize(
    "words",
    [("resume", "r1"), ("runs", "list"), ("runs", "check"), ("serve-runs", "--once"), ("doctor",)],
)
def test_a_file_that_is_no_store_is_told_and_left_alone(shell, words):
    shell.path.write_bytes(b"no store " * 1000)
    status, _, said = shell.run(*words)
    assert status == 1
    if words != ("doctor",):
        assert "error[E910]" in said
    assert shell.path.read_bytes() == b"no store " * 1000


def test_a_damaged_store_is_told(shell):
    parked(shell)
    with shell.path.open("r+b") as file:  # the log is gone with the last process
        size = file.seek(0, os.SEEK_END)
        file.seek(size // 2)
        file.write(b"\xff" * (size // 2))
    status, output, said = shell.run("runs", "check")
    assert status == 1
    assert output or "E910" in said
    status, output, _ = shell.run("doctor")
    assert status == 1
    assert "error" in output


def test_a_folder_that_cannot_be_written(shell):
    """Nobody makes files in /proc, not even root."""
    file = shell.write("(display 1)")
    folder = "/proc" if os.geteuid() == 0 else str(shell.folder / "sealed")
    if folder != "/proc":
        Path(folder).mkdir(mode=0o500)
    status, output, said = shell.run("run", "--durable", "--store", f"{folder}/runs.db", file)
    assert (status, output) == (1, "")
    assert "error[E910]" in said
    assert "make others beside it" in said


def test_a_folder_that_is_not_there(shell):
    file = shell.write("(display 1)")
    status, output, said = shell.run("run", "--durable", "--store", "no/runs.db", file)
    assert (status, output) == (1, "")
    assert "there is no folder" in said
