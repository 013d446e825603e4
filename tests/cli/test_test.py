"""`omega test`: what is found and run, what is told of failures, exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from omega.cli import dispatch

GOOD = '(test-group "good" (check (+ 1 1) => 2) (check (begin (sleep 100000) 1) => 1))\n'
BAD = """(define (square x) (+ x x))
(test-group "squares"
  (check (square 2) => 4)
  (check (square 3) => 9)
  (test-group "errors"
    (check-error type-error (square "a"))
    (check-error (index-error "range") (vector-ref #(1) 5))
    (check-error type-error (square 1)))
  (test-group "broken" (error "no more:" 5))
  (check (car 5) => 1))
"""


def test_failures_are_told_with_place_expression_expected_and_got(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad-test.omega").write_text(BAD)
    (tmp_path / "test-good.omega").write_text(GOOD)
    (tmp_path / "other.omega").write_text("(car 5)")
    assert dispatch.run(["test", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "bad-test.omega:4:10: failed: squares\n" in out
    assert "   4 |   (check (square 3) => 9)\n" in out
    assert "  expression: (square 3)\n  expected:   9\n  got:        6\n" in out
    assert "failed: squares > errors" in out
    assert "  expected:   error type-error\n  got:        2\n" in out
    assert "the group squares > broken ended with an error:\n" in out
    assert "error[E401]: no more: 5" in out
    assert "got:        error[E301] type-error: `car` expected a pair" in out
    assert out.endswith("5 checks passed, 3 failed, 1 error in 2 files\n")


def test_all_passed_is_exit_code_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "good-test.omega").write_text(GOOD)
    assert dispatch.run(["test", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "2 checks passed, 0 failed in 1 file\n"


def test_only_runs_the_groups_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x-test.omega"
    path.write_text(
        """(test-group "a" (check 1 => 2) (test-group "b" (check 1 => 1)))
           (test-group "c" (check (error "not evaluated") => 1))"""
    )
    assert dispatch.run(["test", "-k", "a > b", str(path)]) == 0
    assert capsys.readouterr().out == "1 check passed, 0 failed in 1 file\n"


def test_error_outside_of_groups_and_failed_tasks_are_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a-test.omega").write_text("(check 1 => 1)\n(car 5)\n")
    (tmp_path / "b-test.omega").write_text("(async-detached (lambda () (cdr 5)))")
    assert dispatch.run(["test", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "`car` expected a pair" in out and "`cdr` expected a pair" in out
    assert out.endswith("1 check passed, 0 failed, 2 errors in 2 files\n")


def test_folder_without_tests_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dispatch.run(["test", str(tmp_path)]) == 2
    assert "there are no tests in" in capsys.readouterr().err


def test_run_of_failing_tests_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x-test.omega"
    path.write_text(BAD)
    assert dispatch.run(["run", str(path)]) == 1
    err = capsys.readouterr().err
    assert "failed: squares" in err and "4 checks or groups failed" in err
