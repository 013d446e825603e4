"""The keeping of a store: backups, pruning, the doctor."""

from __future__ import annotations

import shutil

from omega.durable.records import NewRun
from tests.cli.kit import parked


def test_a_backup_is_put_back(shell):
    parked(shell)
    shell.ok("runs", "backup", "kept.db")
    status, _, _ = shell.run("runs", "backup", "kept.db")
    assert status == 1  # overwrites nothing
    shell.ok("runs", "cancel", "r1")
    status, _, said = shell.run("runs", "restore", "kept.db")
    assert status == 2
    assert "--replace" in said
    assert shell.store().run("r1").state == "cancelled"
    shell.ok("runs", "restore", "kept.db", "--replace")
    assert shell.store().run("r1").state == "suspended"
    assert shell.ok("runs", "check") == "omega-runs.db is whole\n"
    assert shell.run("runs", "restore", "nothing.db", "--replace")[0] == 1
    assert shell.store().run("r1").state == "suspended"


def test_a_store_that_was_copied_over_in_use_is_put_back_by_restore(shell):
    """What came of it is neither one nor the other; that others have it open is no obstacle."""
    parked(shell)
    shell.ok("runs", "backup", "kept.db")
    store = shell.store()
    for number in range(400):
        store.create(NewRun(f"more{number}", "x" * 100, {}))
    store.file.read("PRAGMA wal_checkpoint(TRUNCATE)")
    store.create(NewRun("last", "x", {}))
    shutil.copyfile(shell.folder / "kept.db", shell.path)
    shell.ok("runs", "restore", "kept.db", "--replace")
    assert [record.id for record in store.runs()] == ["r1"]
    store.close()
    assert shell.ok("runs", "check") == "omega-runs.db is whole\n"
    assert [line["id"] for line in shell.lines("runs", "list")] == ["r1"]


def test_runs_that_have_ended_are_pruned(shell):
    parked(shell)
    assert shell.run("run", "--durable", "--run-id", "z", shell.write("1", "other.omega"))[0] == 0
    assert shell.ok("runs", "prune", "--older-than", "1") == "0 runs are deleted\n"
    assert shell.ok("runs", "prune", "--older-than", "0") == "1 run is deleted\n"
    assert [line["id"] for line in shell.lines("runs", "list")] == ["r1"]


def test_the_doctor_looks_at_the_place(shell):
    status, output, _ = shell.run("doctor")
    assert status == 0
    for part in ("Python", "SQLite", "greenlet", "lark", "file system", "no store yet"):
        assert part in output, part
    assert not shell.path.exists()
    parked(shell)
    assert "omega-runs.db is whole: 1 run" in shell.ok("doctor")
    assert {line["severity"] for line in shell.lines("doctor")} <= {"note", "warning"}
    status, output, _ = shell.run("doctor", "--store", "no/runs.db")
    assert status == 1
    assert "folder is not there" in output


def test_a_program_whose_name_is_no_text_is_kept_and_goes_on(shell):
    program = shell.write('(display (wait-signal "go"))', "\udcff.omega")
    shell.run("run", "--durable", "--run-id", "r1", "--park-after", "0", program)
    assert [line["name"] for line in shell.lines("runs", "list")] == ["?.omega"]
    shell.ok("signal", "r1", "go", "7")
    assert shell.ok("resume", "r1") == "7"
