"""Mistakes of sixteen kinds (planted.omega) are found in time and told with few deviations; without
the mistakes nothing is found.
"""

from __future__ import annotations

import pytest

from omega.errors import OmegaError
from tests.exploration.kit import (
    DEVIATIONS_MAX,
    MISTAKES,
    OPTIONS,
    PLANTED,
    loaded,
    schedule_of,
)


@pytest.fixture(scope="module")
def omega():
    with loaded(PLANTED) as interpreter:
        yield interpreter


def test_every_kind_of_mistake_has_its_test(omega):
    assert [str(name) for name in omega.eval("(map symbol->string names)")] == MISTAKES


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", MISTAKES)
def test_it_is_found_and_told_with_few_deviations(omega, name, seed):
    options = OPTIONS.get(name, "")
    omega.eval(f"({name})")  # in the usual order it does well
    with pytest.raises(OmegaError) as caught:
        omega.eval(f"(check-schedules {name} :runs 2000 :seed {seed} {options})")
    schedule = schedule_of(caught.value)
    assert 1 <= len(schedule.split()) <= DEVIATIONS_MAX, schedule
    with pytest.raises(type(caught.value)) as once_more:
        omega.eval(f'(check-schedules {name} :schedule "{schedule}" {options})')
    assert once_more.value.message == caught.value.message


@pytest.mark.parametrize("name", MISTAKES)
def test_without_the_mistake_nothing_is_found(omega, name):
    options = OPTIONS.get(name, "")
    assert omega.eval(f"(check-schedules {name}/mended :runs 300 {options})") >= 10
