"""Learning rates follow the steps, and the clock only where they fall behind."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_tl.learning.recipe import Recipe
from automl_tl.learning.schedule import PATIENCE, Schedule

EPOCHS, PER_EPOCH = 5, 4
STEPS = EPOCHS * PER_EPOCH
RECIPE = replace(Recipe(1, EPOCHS), warmup=0.2)


def at(step: int, spent: float) -> Schedule:
    schedule = Schedule(RECIPE, PER_EPOCH, lambda: spent)
    for _ in range(step):
        schedule.advance()
    return schedule


@given(st.integers(0, STEPS - 1), st.floats(0.0, 1.0))
def test_a_run_in_time_goes_by_its_steps_alone(step: int, share: float) -> None:
    schedule = at(step, share * (step / STEPS * (1 - PATIENCE) + PATIENCE))
    assert schedule.progress == pytest.approx(step / STEPS, abs=1e-12)
    assert schedule.factor == pytest.approx(at(step, 0.0).factor, abs=1e-9)
    assert not schedule.finished


@given(st.floats(PATIENCE, 1.0))
def test_a_run_that_cannot_keep_up_still_ends_in_time_with_small_rates(spent: float) -> None:
    """No step is done, yet the rates fall as the time goes."""
    schedule, later = at(0, spent), at(0, spent + 0.01)
    assert 0 <= schedule.progress < later.progress
    assert schedule.finished is (spent >= 1)


@pytest.mark.parametrize("step", range(STEPS))
def test_no_step_is_begun_after_the_time_is_over(step: int) -> None:
    assert at(step, 1.0).finished
    assert at(step, 1.0).factor < 1e-9


def test_a_phase_of_fewer_steps_than_its_warm_up_has_none() -> None:
    """Of a phase of one step nothing would be left."""
    short = replace(Recipe(1, 8), head_epochs=1, warmup=0.1)
    schedule = Schedule(short, 1)
    assert schedule.factor == 1
    schedule.advance()
    assert schedule.factor == 1
    assert Schedule(replace(short, epochs=20), 1).factor == 1
    assert Schedule(replace(short, epochs=20), 10).factor < 0.05


def test_dear_first_steps_change_nothing() -> None:
    """Of a run that is planned to fill its time, in which the first fifth of the steps takes half of it."""
    for step in range(STEPS):
        done = step / STEPS
        spent = 2.5 * done if done < 0.2 else 0.5 + (done - 0.2) * 0.5 / 0.8
        assert at(step, spent).progress == done
