"""Libraries in files: where they are found, who may read them, what the cache has of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omega.errors import LibraryError, LispSyntaxError, OmegaError, PermissionDenied
from omega.interpreter import Grants, Interpreter, Limits
from omega.lisp.compiler import Compiler
from omega.lisp.library.standard import STANDARD

Write = Callable[..., Path]

SHAPES = """
(define-library (shapes square)
  (export area loaded)
  (import (scheme base))
  (begin (define loaded (list 'once)) (define (area a) (* a a))))
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMEGA_CACHE_DIR", str(tmp_path / "cache"))


def reading(tmp_path: Path, **options: Any) -> Interpreter:
    return Interpreter(grants=Grants(read=[str(tmp_path)]), **options)


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the texts that are compiled, library aside."""
    found: list[str] = []
    finished = Compiler.finished

    def noted(self: Compiler, *arguments: Any) -> Any:
        if not self.text.source.name.startswith("<omega"):
            found.append(os.path.basename(self.text.source.name))
        return finished(self, *arguments)

    monkeypatch.setattr(Compiler, "finished", noted)
    return found


# -- finding ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".omega", ".sld", ".scm"])
def test_file_is_found_beside_its_importer(tmp_path: Path, write: Write, suffix: str) -> None:
    write(f"lib/shapes/square{suffix}", SHAPES)
    program = write("lib/main.omega", "(import (shapes square)) (area 3)")
    with reading(tmp_path) as interpreter:
        assert interpreter.load(str(program)) == 9


def test_library_is_looked_for_beside_the_library_that_imports_it(
    tmp_path: Path, write: Write
) -> None:
    write(
        "a/x.omega",
        "(define-library (x) (export x) (import (scheme base) (y)) (begin (define x y)))",
    )
    write(
        "a/y.omega", "(define-library (y) (export y) (import (scheme base)) (begin (define y 5)))"
    )
    with reading(tmp_path, load_path=[str(tmp_path / "a")]) as interpreter:
        assert interpreter.eval("(import (x)) x") == 5


def test_load_path_comes_after_the_importers_folder(tmp_path: Path, write: Write) -> None:
    for folder in ("here", "there"):
        write(
            f"{folder}/where.omega",
            "(define-library (where) (export where) (import (scheme base))"
            f" (begin (define where '{folder})))",
        )
    write(
        "there/only.omega",
        "(define-library (only) (export one) (import (scheme base)) (begin (define one 1)))",
    )
    program = write("here/main.omega", "(import (where) (only)) (list where one)")
    with reading(tmp_path, load_path=[str(tmp_path / "there")]) as interpreter:
        assert str(interpreter.eval("(string-upcase (symbol->string 'a))")) == "A"
        assert [str(item) for item in interpreter.load(str(program))] == ["here", "1"]


def test_two_libraries_of_one_name_are_refused(tmp_path: Path, write: Write) -> None:
    for folder in ("a", "b"):
        write(
            f"{folder}/u.omega",
            "(define-library (u) (export u) (import (scheme base)) (begin (define u 1)))",
        )
        write(f"{folder}/main.omega", "(import (u)) u")
    with reading(tmp_path) as interpreter:
        interpreter.load(str(tmp_path / "a/main.omega"))
        with pytest.raises(LibraryError, match="two libraries"):
            interpreter.load(str(tmp_path / "b/main.omega"))


@pytest.mark.parametrize(
    "name", ["(.. up)", "(a ..)", "(|a/b|)", "(|/etc/passwd|)", "(||)", "(|a\\x0;|)"]
)
def test_names_lead_to_no_other_folder(tmp_path: Path, write: Write, name: str) -> None:
    write(
        "up.omega",
        "(define-library (.. up) (export u) (import (scheme base)) (begin (define u 1)))",
    )
    program = write("in/main.omega", f"(import {name})")
    with reading(tmp_path) as interpreter, pytest.raises(LibraryError, match="there is no library"):
        interpreter.load(str(program))


def test_file_may_hold_several_libraries_and_nothing_else(tmp_path: Path, write: Write) -> None:
    write(
        "m.omega",
        "(define-library (o) (export o) (import (scheme base)) (begin (define o 1)))"
        "(define-library (m) (export m) (import (scheme base) (o)) (begin (define m (+ o 1))))",
    )
    write("n.omega", "(define-library (n) (export)) (display 1)")
    write("w.omega", "(define-library (other) (export))")
    program = write("main.omega", "(import (m)) m")
    with reading(tmp_path) as interpreter:
        assert interpreter.load(str(program)) == 2
        with pytest.raises(LibraryError, match="holds define-library forms, and nothing else"):
            interpreter.load(str(write("2.omega", "(import (n))")))
        with pytest.raises(LibraryError, match=r"w\.omega does not define the library \(w\)"):
            interpreter.load(str(write("3.omega", "(import (w))")))


def test_cycle_is_told_with_its_path(tmp_path: Path, write: Write) -> None:
    for name, needs in (("a", "b"), ("b", "c"), ("c", "a")):
        write(f"{name}.omega", f"(define-library ({name}) (export) (import ({needs})))")
    with reading(tmp_path) as interpreter, pytest.raises(LibraryError) as caught:
        interpreter.load(str(write("main.omega", "(import (a))")))
    assert "(a), which imports (b), which imports (c), which imports (a)" in caught.value.message
    assert caught.value.span is not None and caught.value.span.file.endswith("c.omega")


def test_mistake_in_a_library_is_told_at_its_place(tmp_path: Path, write: Write) -> None:
    write(
        "bad.omega",
        "(define-library (bad)\n  (export f)\n  (import (scheme base))\n"
        "  (begin (define (f x)\n           (let ((y)) y))))",
    )
    write(
        "late.omega",
        "(define-library (late)\n  (export f)\n  (import (scheme base))\n"
        "  (begin\n    (define (f x)\n      (vector-ref x 7))))",
    )
    with reading(tmp_path) as interpreter:
        with pytest.raises(LispSyntaxError) as caught:
            interpreter.load(str(write("main.omega", "(import (bad))")))
        assert "bad.omega:5:" in str(caught.value)
        with pytest.raises(OmegaError) as failed:
            interpreter.load(str(write("main2.omega", "(import (late))\n\n(+ 1 (f (vector 1)))")))
        report = str(failed.value)
        assert "late.omega:6:7" in report and "(vector-ref x 7)" in report
        assert "main2.omega" in report


def test_findings_of_a_library_come_with_the_program(tmp_path: Path, write: Write) -> None:
    write(
        "odd.omega",
        "(define-library (odd) (export f) (import (scheme base))"
        " (begin (define (f) (filter even? '()))))",
    )
    program = write("main.omega", "(import (odd)) 1")
    for _ in range(2):  # compiled, and from the cache
        with reading(tmp_path) as interpreter:
            interpreter.load(str(program))
            (finding,) = interpreter.findings
            assert "`filter` is not bound" in finding.message
            assert finding.hint is not None and "(srfi 1)" in finding.hint


def test_mistake_in_a_library_is_told_once() -> None:
    library = "(define-library (l) (export x m) (import (scheme base)) (begin (define x (if))))"
    text = f"{library} (import (prefix (l) l:)) (l:x) (if)"
    with Interpreter() as interpreter:
        assert [error.code for error in interpreter.check(text)] == ["E110", "E110"]
        with pytest.raises(LispSyntaxError) as caught:
            interpreter.eval(text)
        assert [error.code for error in caught.value.others] == ["E110"]
        with pytest.raises(LibraryError, match="there is no library"):
            interpreter.eval("(import (l))")


# -- rights ----------------------------------------------------------------------------------------


def test_nothing_is_read_that_was_not_granted(tmp_path: Path, write: Write) -> None:
    write("shapes/square.omega", SHAPES)
    write("inc.omega", "(define x 1)")
    program = str(write("main.omega", "(import (shapes square))"))
    including = str(write("including.omega", '(include "inc.omega")'))
    with Interpreter() as interpreter:
        with pytest.raises(LibraryError, match="there is no library"):
            interpreter.load(program)
        with pytest.raises(PermissionDenied):
            interpreter.load(including)
        assert interpreter.eval("(cond-expand ((library (shapes square)) 1) (else 2))") == 2
        with pytest.raises(PermissionDenied):
            interpreter.eval(f'(load "{tmp_path}/inc.omega")')
        with pytest.raises(PermissionDenied):
            interpreter.eval(f"""(eval '(include "{tmp_path}/inc.omega"))""")


def test_load_path_grants_programs_only(tmp_path: Path, write: Write) -> None:
    write("path/shapes/square.omega", SHAPES)
    write("path/inc.scm", "(define x 7)")
    write("path/secret.txt", "hidden")
    write("outside.omega", "(define x 8)")
    os.symlink(tmp_path / "outside.omega", tmp_path / "path" / "link.omega")
    with Interpreter(load_path=[str(tmp_path / "path")]) as interpreter:
        assert interpreter.eval("(import (shapes square)) (area 4)") == 16
        assert interpreter.eval(f'(include "{tmp_path}/path/inc.scm") x') == 7
        for name in (
            "path/secret.txt",
            "outside.omega",
            "path/../outside.omega",
            "path/link.omega",
        ):
            with pytest.raises(PermissionDenied):
                interpreter.eval(f'(include "{tmp_path}/{name}") x')
        with pytest.raises(PermissionDenied):
            interpreter.eval(f'(read-file "{tmp_path}/path/inc.scm")')


# -- running ---------------------------------------------------------------------------------------


def test_body_runs_once_for_all_who_import(tmp_path: Path, write: Write) -> None:
    write("shapes/square.omega", SHAPES)
    write(
        "p.omega",
        "(define-library (p) (export got) (import (scheme base) (shapes square))"
        " (begin (define got loaded)))",
    )
    program = write("main.omega", "(import (p) (shapes square)) (eq? got loaded)")
    with reading(tmp_path) as interpreter:
        assert interpreter.load(str(program)) is True
        assert interpreter.eval("(eq? loaded got)") is True
        assert interpreter.get("loaded") is not None
        assert interpreter.get("area")(5) == 25


def test_tasks_that_import_meanwhile_wait_for_the_body(tmp_path: Path, write: Write) -> None:
    write(
        "slow.omega",
        "(define-library (slow) (export value) (import (omega))"
        " (begin (define value 0) (sleep 50) (set! value (+ value 1))))",
    )
    with reading(tmp_path, virtual_time=True, load_path=[str(tmp_path)]) as interpreter:
        tasks = [interpreter.submit("(import (slow)) value") for _ in range(3)]
        assert [interpreter.scheduler.wait(task) for task in tasks] == [1, 1, 1]


def test_body_that_fails_is_run_again_by_the_next_import(tmp_path: Path, write: Write) -> None:
    write(
        "moody.omega",
        "(define-library (moody) (export value) (import (omega)) (begin (define value (lookup))))",
    )
    with reading(tmp_path, load_path=[str(tmp_path)]) as interpreter:
        with pytest.raises(LispSyntaxError):
            interpreter.eval("(import (moody) (moodier))")
        with pytest.raises(OmegaError, match="`lookup` is not bound"):
            interpreter.eval("(import (moody)) value")
        with pytest.raises(OmegaError, match="`lookup` is not bound"):
            interpreter.eval("(import (moody)) value")


def test_two_interpreters_share_nothing(tmp_path: Path, write: Write) -> None:
    write(
        "c.omega",
        "(define-library (c) (export next) (import (scheme base))"
        " (begin (define n 0) (define (next) (set! n (+ n 1)) n)))",
    )
    text = "(import (c)) (next)"
    with (
        reading(tmp_path, load_path=[str(tmp_path)]) as one,
        reading(tmp_path, load_path=[str(tmp_path)]) as two,
    ):
        assert [one.eval(text), one.eval(text), two.eval(text)] == [1, 2, 1]


def test_text_that_does_not_compile_has_declared_nothing() -> None:
    library = "(define-library (l) (export x) (import (scheme base)) (begin (define x 1)))"
    with Interpreter() as interpreter:
        with pytest.raises(LispSyntaxError):
            interpreter.eval(f"{library} (import (l)) (if)")
        with pytest.raises(LibraryError):
            interpreter.eval("(import (l))")
        assert interpreter.eval(f"{library} (import (l)) x") == 1
        with pytest.raises(LispSyntaxError):
            interpreter.eval("(import (prefix (l) y-)) (if)")
        with pytest.raises(OmegaError, match="not bound"):
            interpreter.eval("y-x")
        assert interpreter.eval("x") == 1


def test_text_that_is_checked_has_declared_nothing() -> None:
    library = "(define-library (l) (export x) (import (scheme base)) (begin (define x 1)))"
    with Interpreter() as interpreter:
        assert interpreter.check(f"{library} (import (l)) x") == []
        with pytest.raises(LibraryError, match="there is no library"):
            interpreter.eval("(import (l)) x")
        interpreter.eval(library)
        interpreter.check(library.replace("x 1", "x 2"))
        assert interpreter.eval("(import (l)) x") == 1


# -- the cache -------------------------------------------------------------------------------------


def test_warm_start_compiles_nothing(tmp_path: Path, write: Write, compilations: list[str]) -> None:
    write("shapes/square.omega", SHAPES)
    program = str(write("main.omega", "(import (shapes square)) (area 6)"))
    for _ in range(2):
        with reading(tmp_path) as interpreter:
            assert interpreter.load(program) == 36
    assert sorted(compilations) == ["main.omega", "square.omega", "square.omega"]


def test_change_of_a_library_is_noticed(tmp_path: Path, write: Write) -> None:
    program = str(write("main.omega", "(import (a)) (m)"))
    write("a.omega", "(define-library (a) (export m) (import (scheme base) (b)))")
    for value in (1, 2):
        write(
            "b.omega",
            "(define-library (b) (export m) (import (scheme base))"
            f" (begin (define-syntax m (syntax-rules () ((_) {value})))))",
        )
        for _ in range(2):
            with reading(tmp_path) as interpreter:
                interpreter.only_text()
                assert interpreter.load(program) == value


def test_change_of_an_included_file_is_noticed(tmp_path: Path, write: Write) -> None:
    program = str(write("main.omega", '(include "part.omega") (part)'))
    for value in (1, 2):
        write("part.omega", f"(define (part) {value})")
        for _ in range(2):
            with reading(tmp_path) as interpreter:
                assert interpreter.load(program) == value


def test_library_that_appears_is_noticed(tmp_path: Path, write: Write) -> None:
    program = str(write("main.omega", "(cond-expand ((library (late)) 1) (else 2))"))
    for expected in (2, 2, 1, 1):
        if expected == 1:
            write("late.omega", "(define-library (late) (export))")
        with reading(tmp_path) as interpreter:
            assert interpreter.load(program) == expected


def test_macros_of_a_cached_library_are_there_for_a_new_program(
    tmp_path: Path, write: Write
) -> None:
    write(
        "m.omega",
        "(define-library (m) (export swap! count) (import (scheme base)) (begin"
        " (define count 0) (define (note) (set! count (+ count 1)))"
        " (define-syntax swap! (syntax-rules () ((_ a b)"
        "   (let ((t a)) (note) (set! a b) (set! b t)))))))",
    )
    for number in range(3):
        text = f"(import (m)) (define x {number}) (define y 9) (swap! x y) (list x y count)"
        with reading(tmp_path) as interpreter:
            found = interpreter.load(str(write(f"main{number}.omega", text)))
            assert list(found) == [9, number, 1]
            assert list(interpreter.eval("(swap! x y) (list x y count)")) == [number, 9, 2]


def test_cached_library_that_exports_again_serves_a_new_program(
    tmp_path: Path, write: Write
) -> None:
    write(
        "inner.omega",
        "(define-library (inner) (export f) (import (scheme base)) (begin (define (f) 'inner)))",
    )
    write(
        "outer.omega",
        "(define-library (outer) (export f (rename f g) car (rename if wenn))"
        " (import (scheme base) (inner)))",
    )
    for number in range(3):
        text = (
            f"(import (prefix (outer) o-))(list {number} (o-f) (o-g) (o-car '(1)) (o-wenn #f 1 2))"
        )
        with reading(tmp_path) as interpreter:
            program = write(f"main{number}.omega", text)
            assert [str(each) for each in interpreter.load(str(program))] == [
                *(str(number), "inner", "inner", "1", "2")
            ]
            assert interpreter.get("o-g")() is not None
            assert interpreter.eval("(eq? o-f o-g)") is True


def test_macros_of_a_cached_text_are_there_for_the_next(tmp_path: Path) -> None:
    library = """(define-library (l) (export m) (import (scheme base))
      (begin (define-syntax m (syntax-rules () ((_ x) (+ x 1))))))"""
    for number in range(2):
        with Interpreter() as interpreter:
            interpreter.eval(library)
            assert interpreter.eval(f"(import (l)) (m {number})") == number + 1


def test_library_whose_body_waits_can_be_an_environment(tmp_path: Path, write: Write) -> None:
    write(
        "w.omega",
        "(define-library (w) (export v) (import (omega)) (begin (sleep 5) (define v 1)))",
    )
    with reading(tmp_path, load_path=[str(tmp_path)], virtual_time=True) as interpreter:
        assert interpreter.eval("(eval 'v (environment '(w)))") == 1


def test_cached_text_knows_its_own_libraries(tmp_path: Path, compilations: list[str]) -> None:
    text = """
    (define-library (own) (export f) (import (scheme base)) (begin (define (f x) (* x 'x))))
    (import (own))
    (define (g x) (f x))
    (guard (e (#t (condition-place e))) (g 5))"""
    places = set()
    for _ in range(2):
        with Interpreter() as interpreter:
            places.add(interpreter.eval(text, filename="t.omega"))
    assert places == {"t.omega:2:82"}
    assert compilations == ["t.omega", "t.omega"]


def test_steps_of_a_warm_start_are_those_of_a_cold_one(tmp_path: Path, write: Write) -> None:
    write(
        "m.omega",
        "(define-library (m) (export f) (import (omega)) (begin"
        " (define-macro (many) (cons 'list (iota 3000)))"
        " (define (f) (length (many)))))",
    )
    program = str(write("main.omega", "(import (m)) (f)"))
    steps = set()
    for _ in range(3):
        with reading(tmp_path, limits=Limits(fuel=10_000_000)) as interpreter:
            interpreter.only_text()
            assert interpreter.load(program) == 3000
            steps.add(interpreter.scheduler.steps_now())
    assert len(steps) == 1


# -- include ---------------------------------------------------------------------------------------


def test_places_in_included_files_are_theirs(tmp_path: Path, write: Write) -> None:
    write("sub/part.omega", "\n(define (part x)\n  (+ 1\n     (car x)))\n(define twice 2)")
    write("sub/top.omega", "\n\n  (vector-ref (vector) 3)")
    write("body.omega", "\n(define y (cdr x))\n(list y)")
    with reading(tmp_path) as interpreter:
        load = interpreter.load
        load(str(write("main.omega", '(include "sub/part.omega")\n(define (g x) (* 2 (part x)))')))
        for text, place, inside in (
            ("(g 'a)", "part.omega:4:6", "in part ("),
            (f'(include "{tmp_path}/sub/top.omega")', "top.omega:3:3", None),
            (
                f'(define (h x) (include "{tmp_path}/body.omega") 1) (h 7)',
                "body.omega:2:11",
                "in h (",
            ),
        ):
            with pytest.raises(OmegaError) as caught:
                interpreter.eval(text)
            report = str(caught.value)
            assert place in report.split("\n")[0]
            assert inside is None or inside in report
        with pytest.raises(OmegaError, match=r"part\.omega:2:"):
            interpreter.eval("(part)")  # the note says where it is defined


def test_include_ci_folds_case(tmp_path: Path, write: Write) -> None:
    write("loud.scm", '(DEFINE (Loud X) (LIST \'Abc x "Kept"))')
    with reading(tmp_path) as interpreter:
        interpreter.eval(f'(include-ci "{tmp_path}/loud.scm")')
        assert str(interpreter.eval("(write-string (string (loud 1)))") or "") == ""
        assert interpreter.eval('(equal? (loud 1) \'(abc 1 "Kept"))') is True
        with pytest.raises(OmegaError, match="DEFINE"):
            interpreter.eval(f'(include "{tmp_path}/loud.scm")')


@pytest.mark.parametrize("chain", [["a"], ["a", "b"], ["a", "b", "c"]])
def test_file_that_includes_itself_is_refused(
    tmp_path: Path, write: Write, chain: list[str]
) -> None:
    for name, following in zip(chain, [*chain[1:], chain[0]], strict=True):
        write(f"{name}.omega", f'(include "{following}.omega")')
    with reading(tmp_path) as interpreter, pytest.raises(LibraryError, match="includes itself"):
        interpreter.load(str(tmp_path / "a.omega"))


def test_library_takes_bodies_and_declarations_from_files(tmp_path: Path, write: Write) -> None:
    write("lib/parts/exports.scm", "(export area (rename perimeter round))")
    write("lib/parts/body.scm", "(define (area a) (* a a))\n(define (perimeter a) (* 4 a))")
    write(
        "lib/shape.omega",
        """(define-library (shape)
      (include-library-declarations "parts/exports.scm")
      (import (scheme base))
      (include "parts/body.scm"))""",
    )
    with reading(tmp_path, load_path=[str(tmp_path / "lib")]) as interpreter:
        assert interpreter.eval("(import (prefix (shape) s:)) (+ (s:area 3) (s:round 1))") == 13
        with pytest.raises(OmegaError, match=r"body\.scm:1:"):
            interpreter.eval("(s:area 'x)")


def test_missing_file_is_told_where_it_is_included(tmp_path: Path, write: Write) -> None:
    with reading(tmp_path) as interpreter:
        with pytest.raises(OmegaError, match="no such file") as caught:
            interpreter.load(str(write("main.omega", '\n(include "gone.omega")')))
        assert caught.value.span is not None and caught.value.span.line == 2


def test_repeated_include_is_paid_for(tmp_path: Path, write: Write) -> None:
    write("big.omega", "(list " + "1 " * 2000 + ")")
    text = f'(begin {f"""(include "{tmp_path}/big.omega") """ * 400})'
    limits = Limits(fuel=1_000_000)
    with reading(tmp_path, limits=limits) as omega, pytest.raises(OmegaError, match="fuel"):
        omega.eval(text)


# -- the standard libraries ------------------------------------------------------------------------


@pytest.mark.parametrize("library", sorted(STANDARD))
def test_standard_library_has_what_it_says(library: str) -> None:
    with Interpreter() as interpreter:
        interpreter.eval(f"(import (only {library} {' '.join(STANDARD[library])}))")


def test_omega_has_everything() -> None:
    with Interpreter() as interpreter:
        interpreter.eval(
            "(define-library (all) (export f) (import (omega)) (begin"
            "  (define (f) (-> 3 (iota) (sum-of))) (define (sum-of l) (fold + 0 l))))"
        )
        assert interpreter.eval("(import (all)) (f)") == 3
