"""What strategies are expected to reach and to cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from automl_tl.features.picture import Picture
from automl_tl.lab.calibration import GainPrior
from automl_tl.lab.decision import FrontRow
from automl_tl.lab.evidence import Candidate
from automl_tl.lab.expectations import counted_gain, expecting, trainings
from automl_tl.lab.feature_sources import FeatureSource
from automl_tl.lab.sample import Sample
from automl_tl.learning.estimate import Estimate, paired_gain
from automl_tl.learning.scores import PenaltyPath

ROW = FrontRow("pretrained_initialization", 0.0, (0.0, 1.0), 1.0, False, 0.0, 0.0, "how")


def base(accuracy: float) -> Estimate:
    return Estimate(accuracy, (accuracy - 0.1, accuracy + 0.1), 0.0, 40, 40 * accuracy, 40 * (1 - accuracy))


@pytest.mark.parametrize(("accuracy", "constant", "least"), [(0.5, 0.5, 0.5), (0.52, 0.5, 0.5), (0.4, 0.5, 0.4)])
def test_nobody_is_expected_to_come_below_the_constant_answer_by_learning_more(
    accuracy: float, constant: float, least: float
) -> None:
    """Labels that frozen features know nothing of: a loss of eleven points would be as many below chance."""
    row = expecting(ROW, base(accuracy), GainPrior(-0.11, 0.1), constant)
    assert row.gain == pytest.approx(least - accuracy)
    assert row.accuracy >= least - 0.03


def test_a_loss_above_the_constant_answer_is_expected_as_it_is() -> None:
    row = expecting(ROW, base(0.9), GainPrior(-0.05, 0.02), 0.5)
    assert row.gain == pytest.approx(-0.05)


def test_what_was_measured_of_an_early_cut_stands_below_the_constant_answer() -> None:
    row = expecting(replace(ROW, measured=True), base(0.88), GainPrior(-0.115, 0.035), 0.9)
    assert row.gain == pytest.approx(-0.115)


def test_train_learns_from_everything_and_once_without_a_fold() -> None:
    assert (trainings(5), trainings(2)) == (1.8, 1.5)


def candidate(right: np.ndarray, y: np.ndarray) -> Candidate:
    """Return a candidate of one penalty that has these pictures right."""
    predictions = np.where(right, y, y + 1)[None]
    path = PenaltyPath("ridge", np.ones(1), predictions, np.zeros(1), 0, np.empty((0, 0)), np.zeros(len(y)), 0.9)
    return Candidate(FeatureSource(("a",), (1,), "mean"), 4, path, np.arange(len(y)), float(right.mean()), 0.0)


@pytest.mark.parametrize(("per_class", "times"), [(3, 2**0.5), (30, 1.1**0.5)])
def test_the_fewer_pictures_a_class_the_less_sure_is_what_an_early_cut_gains(per_class: int, times: float) -> None:
    y = np.repeat(np.arange(4), per_class)
    n = len(y)
    pictures = tuple(Picture(f"{i}.png", f"{i:064x}") for i in range(n))
    sample = Sample(pictures, y, np.arange(n) % 3, np.arange(n), ("a", "b", "c", "d"), n, per_class)
    early, late = (np.arange(n) % k > 0 for k in (4, 3))
    gain, stderr = counted_gain(candidate(early, y), candidate(late, y), sample)
    assert gain == pytest.approx(early.mean() - late.mean())
    assert stderr == pytest.approx(times * paired_gain(late, early)[1])
