"""Models on the command line: --config and omega.toml, --budget, what --stats and listings tell."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Omega

SETTINGS = """
[llm]
model = "fast"

[models.fast]
provider = "scripted:rules.json"
price = { input = 100, output = 200 }
requests-per-minute = 60
burst = 1

[models.slow]
provider = "scripted"
"""
RULES = """{"rules": [
  {"match": "^story", "reply": "STORY", "latency_ms": 10000},
  {"reply": "from the file", "latency_ms": 10, "usage": {"input_tokens": 10, "output_tokens": 5}}
]}""".replace("STORY", " ".join(f"word{n}" for n in range(100)))
ASK = '(displayln (llm.infer "x"))'
THREE = "(for-each (lambda (n) (displayln (llm.infer (number->string n) :max-tokens 5))) '(1 2 3))"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    (tmp_path / "rules.json").write_text(RULES)
    (tmp_path / "omega.toml").write_text(SETTINGS)
    return tmp_path / "omega.toml"


def test_the_file_beside_which_a_command_is_run_says_which_models_there_are(
    omega: Omega, settings: Path
) -> None:
    for words, shown in (
        ((), "from the file"),
        (("--llm", "slow"), "[scripted] x"),
        (("--llm", "scripted"), "[scripted] x"),
        (("--config", str(settings)), "from the file"),
    ):
        done = omega("eval", "--virtual-time", *words, ASK)
        assert (done.stdout, done.returncode) == (shown + "\n", 0), words
    done = omega("eval", "--virtual-time", '(llm.infer "x" :model "slow")')
    assert done.stdout == '"[scripted] x"\n'


def test_a_program_that_is_not_trusted_does_not_bring_its_own(omega: Omega, settings: Path) -> None:
    done = omega("eval", "--virtual-time", "--sandbox", ASK)
    assert done.stdout == "[scripted] x\n"
    done = omega("eval", "--virtual-time", "--sandbox", "--config", "omega.toml", ASK)
    assert done.stdout == "from the file\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[models.m]\nspeed = 3", "error[E706]: omega.toml: models.m.speed: unknown field"),
        ("x = [", "error[E706]: omega.toml is not TOML"),
        (
            "[models.m]\nprovider = 'nobody'",
            "error[E706]: omega.toml: models.m: unknown LLM provider `nobody`",
        ),
        (
            "[llm]\ncache = 'nowhere/answers.sqlite'",
            "error[E706]: omega.toml: llm.cache: nowhere/answers.sqlite: the cache cannot be used",
        ),
        (
            "[llm]\ncache = 'omega.toml'",
            "error[E706]: omega.toml: llm.cache: omega.toml: the cache is damaged, or no SQLite",
        ),
        (
            "[llm]\ncache = '.'",
            "error[E706]: omega.toml: llm.cache: .: the cache cannot be used",
        ),
        (
            "[models.m]\nprovider = 'openai'",
            "error[E706]: omega.toml: models.m: `openai` names no model",
        ),
    ],
)
def test_a_mistake_in_it_is_told_before_anything_runs(
    omega: Omega, tmp_path: Path, text: str, complaint: str
) -> None:
    (tmp_path / "omega.toml").write_text(text)
    done = omega("eval", '(displayln "ran")')
    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr.startswith(complaint)


def test_a_missing_key_stops_only_who_asks_that_model(omega: Omega, tmp_path: Path) -> None:
    (tmp_path / "omega.toml").write_text(
        "[models.m]\nprovider = 'openai:x'\nkey = 'NO_SUCH_KEY'\n"
        "[models.own]\nprovider = 'scripted'\n"
    )
    missing = "omega.toml: models.m: no API key: the environment variable NO_SUCH_KEY is not set"
    done = omega("eval", '(displayln "ran")')
    assert (done.stdout, done.returncode) == ("ran\n", 0)
    done = omega("eval", '(displayln (llm.infer "x" :model "own")) (llm.infer "x" :model "m")')
    assert (done.stdout, done.returncode) == ("[scripted] x\n", 1)
    assert missing in done.stderr and "hint: export NO_SUCH_KEY=" in done.stderr
    done = omega("eval", "--llm", "m", '(displayln "ran")')  # whoever names it means to use it
    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr.startswith(f"error[E706]: {missing}")
    # A recorded run is the same again where the key is there.
    program = """(displayln (guard (e (#t (condition-message e))) (llm.infer "x" :model "m")))"""
    (tmp_path / "p.omega").write_text(program)
    first = omega("run", "--record", "p.tape", "p.omega")
    assert missing in first.stdout
    again = omega("replay", "p.tape", env={"NO_SUCH_KEY": "sk-1"})
    assert (again.stdout, again.returncode) == (first.stdout, 0)


@pytest.mark.parametrize("key", ["sk-proj-0123456789abcdef", "AIzaSy0123456789abcdef", "sk 0123"])
def test_a_key_in_the_place_of_its_name_is_not_told_to_anybody(
    omega: Omega, tmp_path: Path, key: str
) -> None:
    (tmp_path / "omega.toml").write_text(
        f"[models.m]\nprovider = 'openai'\nmodel = 'x'\nkey = '{key}'"
    )
    done = omega("eval", "1")
    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr.startswith("error[E706]: omega.toml: models.m") and "hint: " in done.stderr
    assert "environment variable" in done.stderr
    assert "0123" not in done.stderr


def test_a_named_file_must_be_there(omega: Omega) -> None:
    done = omega("eval", "--config", "nowhere.toml", "1")
    assert done.returncode == 2
    assert done.stderr == "error[E501]: cannot read nowhere.toml: no such file or directory\n"


def test_a_budget_stops_paying_and_ends_the_program_as_a_limit_does(
    omega: Omega, settings: Path
) -> None:
    for amounts, answered in (("calls=2", 2), ("calls=0", 0), ("tokens=1000,calls=1", 1)):
        done = omega("eval", "--virtual-time", "--budget", amounts, THREE)
        assert done.stdout == "from the file\n" * answered, amounts
        assert done.returncode == 3
        assert "limit exceeded: " in done.stderr and "in the budget `--budget`" in done.stderr
    done = omega("eval", "--virtual-time", "--budget", "usd=0.02", THREE)
    assert done.stdout == "from the file\n" * 3 and done.returncode == 0
    done = omega("eval", "--virtual-time", "--budget", "usd=0.001", THREE)
    assert done.stdout == "" and done.returncode == 3


def test_money_needs_a_price(omega: Omega) -> None:
    done = omega("eval", "--virtual-time", "--budget", "usd=1", ASK)
    assert done.returncode == 1
    assert "error[E706]: no price is known for the model `scripted`" in done.stderr


@pytest.mark.parametrize(
    "amounts", ["", "calls", "calls=x", "calls=-1", "calls=1.5", "usd=nan", "usd=inf", "usd=-1",
                "usd=1e10", "money=1", "calls=1,calls=2", "calls=1;usd=2"]
)  # fmt: skip
def test_amounts_that_are_none_are_bad_usage(omega: Omega, amounts: str) -> None:
    done = omega("eval", f"--budget={amounts}", "1")
    assert done.returncode == 2
    assert "--budget takes amounts such as calls=50,tokens=100000,usd=0.50" in done.stderr


def test_a_name_that_a_program_gives_keeps_to_its_line(omega: Omega) -> None:
    done = omega("eval", "--virtual-time", "--stats", r'(llm.infer "x" :model "a\x1b;[31m\nb")')
    assert "\na\ufffd[31m\ufffdb  " in done.stderr and "\x1b" not in done.stderr


def test_stats_have_a_line_for_each_model_and_one_for_all(omega: Omega, settings: Path) -> None:
    program = f'{THREE} (llm.infer "x" :model "slow")'
    done = omega("eval", "--virtual-time", "--stats", program)
    table = done.stderr.split("\n\n")[1].splitlines()
    assert [line.split()[0] for line in table] == ["model", "fast", "slow", "all"]
    assert re.split(r"  +", table[0]) == [
        *("model", "calls", "retries", "failed", "queue", "first", "reply", "tokens", "USD")
    ]
    assert re.split(r"  +", table[1].strip()) == [
        *("fast", "3", "0", "0", "0.673 s", "-", "0.010 s", "30 + 15", "0.0060")
    ]
    assert re.split(r"  +", table[2].strip())[-1] == "-"
    assert "llm     4 calls, 0 retries, 0 failures, 1 at once at most" in done.stderr


def test_a_program_without_calls_has_no_such_table(omega: Omega) -> None:
    done = omega("eval", "--stats", "1")
    assert "model" not in done.stderr


def test_a_prompt_tells_of_calls_under_way(omega: Omega, settings: Path) -> None:
    lines = [
        '(define story (llm.stream "story"))',
        "(begin (for-each (lambda (i) (recv! story)) (iota 5)) 'read)",
        ",tasks",
        "(close! story)",
        '(llm.infer "x")',
        ",stats",
    ]
    done = omega("repl", "--virtual-time", stdin="\n".join(lines) + "\n")
    assert re.search(r"llm\.stream +an LLM call: about \d+ tokens, \d+/s", done.stdout), done.stdout
    stats = done.stdout + done.stderr
    assert re.search(r"^fast +2 +0 +0 ", stats, re.M), stats


def test_a_run_with_models_and_a_budget_is_replayed_without_their_files(
    omega: Omega, settings: Path, tmp_path: Path
) -> None:
    (tmp_path / "p.omega").write_text(f"(guard (e (#t (displayln 'spent))) {THREE})")
    first = omega("run", "--virtual-time", "--budget", "calls=2", "--record", "run.tape", "p.omega")
    assert first.stdout == "from the file\nfrom the file\nspent\n"
    settings.unlink()
    (tmp_path / "rules.json").unlink()
    again = omega("replay", "run.tape")
    assert (again.stdout, again.returncode) == (first.stdout, 0)


# -- programs that are run under many schedules ----------------------------------------------------

VENDORS = """
[llm]
model = "large"

[models.large]
provider = "openai"
model = "gpt-4o"
key = "NO_SUCH_KEY"
requests-per-minute = 60
fallback = ["other"]

[models.other]
provider = "anthropic:claude-sonnet-4-5"
price = { input = 1000, output = 1000 }

[models.mine]
provider = "scripted:rules.json"
"""
RACE = """
(define all '())
(define (ask model)
  (llm.infer "x" :model model)
  (let ((before all)) (for-each void '(1 2 3)) (set! all (cons model before))))
(par-map ask '("large" "other" "mine"))
(unless (= (length all) 3) (error "lost" all))
"""


def test_schedules_are_tried_with_the_models_that_a_run_has(omega: Omega, settings: Path) -> None:
    """Those of vendors need no key: the scripted provider answers in their place."""
    folder = settings.parent
    settings.write_text(VENDORS)
    path = folder / "p.omega"
    path.write_text("""
      (unless (equal? (llm.infer "x" :model "mine") "from the file") (error "mine"))
      (unless (equal? (llm.infer "x") "[scripted] x") (error "default"))
      (unless (equal? (llm.infer "x" :model "other") "[scripted] x") (error "other"))""")
    done = omega("check", "--schedules", "20", "p.omega")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    # One that is told by --llm answers in their place, with its own rules.
    path.write_text('(unless (equal? (llm.infer "x" :model "other") "from the file") (error "no"))')
    done = omega("check", "--schedules", "20", "--llm", "scripted:rules.json", "p.omega")
    assert done.returncode == 0, done.stderr
    done = omega("check", "--schedules", "20", "--llm", "mine", "p.omega")
    assert done.returncode == 1 and "no" in done.stderr


def test_a_schedule_that_fails_names_the_models_and_the_budget(
    omega: Omega, settings: Path
) -> None:
    settings.write_text(VENDORS)
    settings.rename(settings.parent / "other.toml")
    (settings.parent / "p.omega").write_text(RACE)
    options = ("--config", "other.toml", "--budget", "calls=9,tokens=90000")
    done = omega("check", "--schedules", "300", *options, "p.omega")
    assert done.returncode == 1
    again = re.search(r"again: omega (check .*) p\.omega", done.stderr)
    assert again and "--config other.toml --budget calls=9,tokens=90000" in again[1], done.stderr
    shown = omega(*shlex.split(again[1]), "p.omega")
    assert shown.returncode == 1 and "lost" in shown.stderr


def test_a_budget_holds_for_each_run_of_a_program(omega: Omega, settings: Path) -> None:
    (settings.parent / "p.omega").write_text(THREE)
    for amounts, status in (("calls=3", 0), ("calls=2", 3)):
        done = omega("check", "--schedules", "20", "--budget", amounts, "p.omega")
        assert done.returncode == status, done.stderr
    assert "in the budget `--budget`" in done.stderr


def test_a_vendor_cannot_answer_where_time_is_virtual(omega: Omega, tmp_path: Path) -> None:
    (tmp_path / "p.omega").write_text(ASK)
    words = ("check", "--schedules", "5", "--llm", "openai:gpt-4o", "p.omega")
    done = omega(*words, env={"OPENAI_API_KEY": "sk-0123456789"})
    assert done.returncode != 0 and "needs real time" in done.stderr
