"""A short fine-tuning inside a recommendation: what it measures, what follows from it, and when it is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_tl.recommender.front import GainPrior
from automl_tl.recommender.short_training import SHORT_RUN_SD, ShortTraining

TRIED = ShortTraining(0.8, 0.9, 0.02, n_trained=400, n_scored=100, epochs=10, unfrozen=3, seconds=30.0)


def test_prior_and_measurement_are_weighed_by_their_certainty() -> None:
    """Half of the errors disappear, and the prior says none: a prior as wide as the measurement meets it half way."""
    sd = float(np.hypot(0.02 / 0.2, SHORT_RUN_SD))
    expected = TRIED.update(GainPrior(0.0, sd))
    assert expected.mean == pytest.approx(0.25)
    assert expected.sd == pytest.approx(sd / np.sqrt(2))


@given(st.floats(-1, 1), st.floats(0.01, 1), st.floats(0.5, 0.99), st.floats(0.5, 1.0), st.floats(0.001, 0.2))
def test_what_is_expected_lies_between_prior_and_measurement_and_is_surer(
    mean: float, sd: float, frozen: float, tuned: float, stderr: float
) -> None:
    tried = replace(TRIED, frozen=frozen, tuned=tuned, stderr=stderr)
    expected = tried.update(GainPrior(mean, sd))
    measured = (tuned - frozen) / (1 - frozen)
    assert min(mean, measured) - 1e-9 <= expected.mean <= max(mean, measured) + 1e-9
    assert expected.sd < sd


def test_no_error_left_is_no_division_by_zero() -> None:
    assert np.isfinite(replace(TRIED, frozen=1.0, tuned=1.0).update(GainPrior(0.5, 0.2)).mean)


def test_the_sentence_has_every_number() -> None:
    assert TRIED.describe() == (
        "A short fine-tuning of the last 3 stages (10 epochs on 400 pictures, 30 s) got 90.0% of 100 held-out pictures "
        "right, the frozen ConvNet 80.0%: +10.0 points (standard error 2.0)."
    )
    assert "of the last stage (" in replace(TRIED, unfrozen=1).describe()
