"""A short fine-tuning inside a recommendation: what it measures, what follows from it, and when it is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_tl.lab.calibration import GainPrior, MetaFeatures, ShortRun
from automl_tl.learning.estimate import Estimate
from automl_tl.learning.recipe import EPOCHS
from automl_tl.recommender.short_training import ShortTraining

TRIED = ShortTraining(0.8, 0.9, 0.02, 400, 400, n_scored=100, epochs=EPOCHS, unfrozen=3, seconds=30.0)
BASE = Estimate(accuracy=0.8, interval=(0.7, 0.9), optimism=0.0, n=500, a=80.0, b=20.0)
KNOWN = MetaFeatures(n_training=500, n_classes=5, different=0.1, errors=0.2)
USUAL = ShortRun(spread=0.05, disagreement=1.0)


def updated(tried: ShortTraining, prior: GainPrior, base: Estimate = BASE) -> GainPrior:
    return tried.update(prior, base.optimism, replace(KNOWN, errors=1 - base.accuracy), USUAL)


def test_prior_and_measurement_are_weighed_by_their_certainty() -> None:
    """Ten points are gained, and the prior says none: a prior as wide as the measurement meets it half way."""
    sd = float(np.hypot(0.02, 0.05 * 0.16**0.75))
    expected = updated(TRIED, GainPrior(0.0, sd))
    assert expected.mean == pytest.approx(0.05)
    assert expected.sd == pytest.approx(sd / np.sqrt(2))


@given(st.floats(-1, 1), st.floats(0.01, 1), st.floats(0.5, 0.99), st.floats(0.5, 1.0), st.floats(0.001, 0.2))
def test_what_is_expected_lies_between_prior_and_measurement_and_is_surer(
    mean: float, sd: float, frozen: float, tuned: float, stderr: float
) -> None:
    tried = replace(TRIED, frozen=frozen, tuned=tuned, stderr=stderr)
    expected = updated(tried, GainPrior(mean, sd))
    measured = tuned - frozen
    assert min(mean, measured) - 1e-9 <= expected.mean <= max(mean, measured) + 1e-9
    assert expected.sd < sd


def test_without_an_error_left_a_measurement_is_as_sure_as_its_standard_error() -> None:
    lucky = replace(TRIED, frozen=1.0, tuned=0.95, stderr=0.07, n_scored=20)
    expected = updated(lucky, GainPrior(0.0, 0.07), replace(BASE, accuracy=1.0))
    assert expected.mean == pytest.approx(-0.025, abs=1e-4)


def test_fewer_pictures_and_epochs_say_less() -> None:
    prior = GainPrior(0.0, 0.04)
    whole = updated(TRIED, prior)
    for less in (replace(TRIED, n_trained=100), replace(TRIED, epochs=5)):
        assert updated(less, prior).sd > whole.sd
        assert updated(less, prior).mean < whole.mean


def test_the_frozen_one_s_optimism_is_the_tuned_one_s_gain() -> None:
    prior = GainPrior(0.0, 0.04)
    assert updated(TRIED, prior, replace(BASE, optimism=0.05)).mean > updated(TRIED, prior).mean
    assert updated(TRIED, prior, replace(BASE, optimism=-0.05)) == updated(TRIED, prior)


def test_the_sentence_has_every_number() -> None:
    assert TRIED.describe() == (
        "A short fine-tuning of the last 3 stages (10 epochs on 400 pictures, 30 s) got 90.0% of 100 held-out pictures "
        "right, the frozen ConvNet 80.0%: +10.0 points (standard error 2.0)."
    )
    assert "of the last stage (" in replace(TRIED, unfrozen=1).describe()
