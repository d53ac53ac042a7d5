"""What strategies are expected to reach and to cost."""

from __future__ import annotations

import pytest

from automl_tl.lab.calibration import GainPrior
from automl_tl.lab.decision import FrontRow
from automl_tl.lab.expectations import expecting, trainings
from automl_tl.learning.estimate import Estimate

ROW = FrontRow("pretrained_initialization", 0.0, (0.0, 1.0), 1.0, False, 0.0, 0.0, "how")


def base(accuracy: float) -> Estimate:
    return Estimate(accuracy, (accuracy - 0.1, accuracy + 0.1), 0.0, 40, 40 * accuracy, 40 * (1 - accuracy))


@pytest.mark.parametrize(("accuracy", "constant", "least"), [(0.5, 0.5, 0.5), (0.52, 0.5, 0.5), (0.4, 0.5, 0.4)])
def test_nobody_is_expected_to_come_below_the_constant_answer_by_learning_more(
    accuracy: float, constant: float, least: float
) -> None:
    """Labels that frozen features know nothing of: -.22 of the errors would be eleven points below chance."""
    row = expecting(ROW, base(accuracy), GainPrior(-0.22, 0.2), 1 - accuracy, constant)
    assert row.gain == pytest.approx(least - accuracy)
    assert row.accuracy >= least - 0.03


def test_a_loss_above_the_constant_answer_is_expected_as_it_is() -> None:
    row = expecting(ROW, base(0.9), GainPrior(-0.5, 0.2), 0.1, 0.5)
    assert row.gain == pytest.approx(-0.05)


def test_train_learns_from_everything_and_once_without_a_fold() -> None:
    assert (trainings(5), trainings(2)) == (1.8, 1.5)
