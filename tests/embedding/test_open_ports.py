"""What a program has written to a port is in the file when it ends, whether or not it closed the
port.
"""

from __future__ import annotations

import gc
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omega import Grants, Interpreter, replay
from omega.errors import LispFileError
from omega.lisp.ports import CHUNK, UNFLUSHED_MAX

# Ports that hold nothing back are left to the collector, which says so.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

OPENED = '(define (opened name) (open-output-file name)) (define out (opened "out.txt"))'


@pytest.fixture(autouse=True)
def _collected():
    """Within the test: elsewhere the collector's word would be another test's failure."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(text: str, **settings: object) -> None:
    with Interpreter(grants=Grants(write=True, read=True), **settings) as interpreter:  # type: ignore[arg-type]
        interpreter.eval(text)


def test_a_port_that_was_never_closed_is_written(folder):
    run(OPENED + '(display "hello" out)')
    assert (folder / "out.txt").read_text() == "hello"


def test_a_binary_port_too(folder):
    run('(define out (open-binary-output-file "b")) (write-u8 65 out)')
    assert (folder / "b").read_bytes() == b"A"


def test_one_that_the_program_has_forgotten(folder):
    run('(define (leave text) (display text (open-output-file text))) (leave "a") (leave "b")')
    assert ((folder / "a").read_text(), (folder / "b").read_text()) == ("a", "b")


def test_what_cleanup_writes_is_written(folder):
    """Tasks that are left are cancelled first."""
    text = """
    (define (slow) (dynamic-wind list (lambda () (sleep 3600000)) (lambda () (display "end" out))))
    (async slow)
    (sleep 1)
    """
    with pytest.warns(ResourceWarning):
        run(OPENED + text, virtual_time=False)
    assert (folder / "out.txt").read_text() == "end"


def test_a_program_that_forgets_many_ports_keeps_few_files_open(folder):
    count = UNFLUSHED_MAX * 3
    text = f"""
    (define (leave n) (let ((port (open-output-file (number->string n)))) (display n port)))
    (for-each leave (iota {count}))
    """
    with Interpreter(grants=Grants(write=True)) as interpreter:
        interpreter.eval(text)
        gc.collect()
        open_ones = [path for path in Path("/proc/self/fd").iterdir() if leads_to(path, folder)]
        assert len(open_ones) <= UNFLUSHED_MAX
    for number in range(count):
        assert (folder / str(number)).read_text() == str(number)


def leads_to(path: Path, folder: Path) -> bool:
    try:
        return path.readlink().parent == folder
    except OSError:
        return False


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.one_of(st.just("flush"), st.just("close"), st.integers(0, CHUNK + 10)),
        ),
        max_size=25,
    )
)
def test_every_file_holds_all_that_was_written_in_order(tmp_path_factory, steps):
    """Whatever is written, flushed and closed, in any order."""
    folder = tmp_path_factory.mktemp("ports")
    closed: set[int] = set()
    wanted = dict.fromkeys(range(4), "")
    forms = [f'(define p{n} (open-output-file "{folder / str(n)}"))' for n in wanted]
    for at, (port, what) in enumerate(steps):
        if port in closed:
            continue
        if what == "flush":
            forms.append(f"(flush-output-port p{port})")
        elif what == "close":
            forms.append(f"(close-port p{port})")
            closed.add(port)
        else:
            letter = chr(97 + at)
            wanted[port] += letter * what
            forms.append(f"(write-string (make-string {what} #\\{letter}) p{port})")
    run("\n".join(forms))
    assert {n: (folder / str(n)).read_text() for n in wanted} == wanted


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_what_cannot_be_written_is_an_error_and_the_others_are_written(folder):
    text = '(define full (open-output-file "/dev/full" :append #t)) (display "lost" full)'
    interpreter = Interpreter(grants=Grants(write=True))
    interpreter.eval(text + OPENED + '(display "kept" out)')
    with pytest.raises(LispFileError):
        interpreter.close()
    interpreter.close()  # it is closed
    assert (folder / "out.txt").read_text() == "kept"


def test_a_recorded_run_is_replayed_with_what_was_written_at_its_end(folder):
    text = OPENED + '(display "hello" out)'
    run(text, record="run.tape")
    (folder / "out.txt").unlink()
    with replay("run.tape") as again:
        again.eval(text)
    assert not (folder / "out.txt").exists()
