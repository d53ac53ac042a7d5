"""Learning rates follow the steps, and the clock only where it is ahead of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_tl.learning.recipe import Recipe
from automl_tl.learning.schedule import Schedule

EPOCHS, PER_EPOCH = 5, 4
STEPS = EPOCHS * PER_EPOCH
RECIPE = replace(Recipe(1, EPOCHS), warmup=0.2)


def at(step: int, spent: float) -> Schedule:
    schedule = Schedule(RECIPE, PER_EPOCH, lambda: spent)
    for _ in range(step):
        schedule.advance()
    return schedule


@given(st.integers(0, STEPS - 1), st.floats(0.0, 0.999))
def test_a_run_in_time_goes_by_its_steps_alone(step: int, share: float) -> None:
    schedule = at(step, share * (step + 1) / STEPS)
    assert schedule.progress == at(step, 0.0).progress == step / STEPS
    assert schedule.factor == at(step, 0.0).factor
    assert not schedule.finished


@given(st.integers(0, STEPS - 1), st.floats(1.0, 3.0))
def test_a_late_run_goes_by_the_clock(step: int, share: float) -> None:
    spent = share * (step + 1) / STEPS
    schedule = at(step, spent)
    assert schedule.progress == spent
    assert schedule.finished is (spent >= 1)


@pytest.mark.parametrize("step", range(STEPS))
def test_no_step_is_begun_after_the_time_is_over(step: int) -> None:
    assert at(step, 1.0).finished
    assert at(step, 1.0).factor < 1e-9
