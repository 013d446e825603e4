"""A file that is open twice: what one opening remembers, and the other has written since."""

from __future__ import annotations

from pathlib import Path

import pytest

from omega.durable.records import NewRun
from omega.errors import Fenced, OmegaBug
from tests.durable.kit import TTL, done, fact, intent, opened


def test_an_owner_writes_through_either_opening(tmp_path: Path) -> None:
    one, other = opened(tmp_path / "runs.db"), opened(tmp_path / "runs.db")
    one.create(NewRun("r1", "job", {}))
    lease = one.acquire("r1", "w", TTL)
    one.append(lease, fact("begins"))  # from here on it remembers where the journal stands
    other.append(lease, fact("1", intents=[intent(1)]))
    one.append(lease, fact("2", results=[done(1, tokens=3)]))
    other.append(lease, fact("3", intents=[intent(2), intent(3)]))
    one.append(lease, fact("4", intents=[intent(5), intent(4)], results=[done(2, tokens=4)]))
    lease = other.renew(lease, TTL)
    one.append(lease, fact("5", results=[done(4), done(3), done(5)]))

    assert one.run("r1").totals.tokens == 7 and one.run("r1").seq == 6
    assert other.effects("r1", open_only=True) == []
    assert other.check() == []


def test_who_comes_late_is_fenced_also_where_what_it_remembers_does_not_fit(tmp_path: Path) -> None:
    one, other = opened(tmp_path / "runs.db"), opened(tmp_path / "runs.db")
    one.create(NewRun("r1", "job", {}))
    lease = one.acquire("r1", "w", TTL)
    one.append(lease, fact("begins"))
    other.append(lease, fact("1", intents=[intent(1)]))
    other.acquire("r1", "another", TTL, dead="w")
    with pytest.raises(Fenced):
        one.append(lease, fact("2", results=[done(1)]))
    assert [told["refused"] for told in one.history("r1") if "refused" in told] == ["append"]
    assert one.run("r1").seq == 2


def test_an_effect_that_nobody_has_begun_does_not_end(tmp_path: Path) -> None:
    one = opened(tmp_path / "runs.db")
    one.create(NewRun("r1", "job", {}))
    lease = one.acquire("r1", "w", TTL)
    one.append(lease, fact("begins"))
    with pytest.raises(OmegaBug, match="no open effect 1"):
        one.append(lease, fact("1", results=[done(1)]))
    assert one.append(lease, fact("2", intents=[intent(1)])) == 2
    assert one.check() == []
