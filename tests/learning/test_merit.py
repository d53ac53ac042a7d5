"""By what frozen candidates are chosen: few pictures by how likely they make the labels, many by the metric."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from automl_tl.learning.merit import JOINED, PER_NAT, certainty, merit, merits, usual
from automl_tl.learning.scores import METRICS, MOST_CALIBRATED, calibrate, negative_log_likelihoods

ACCURACY, LOSS = METRICS["accuracy"], METRICS["log_loss"]


def labels(n: int) -> np.ndarray:
    return np.arange(n) % 2


def test_of_few_pictures_the_likelier_labels_win_and_of_many_the_better_metric() -> None:
    """One is right on two of a hundred pictures more, the other makes the labels likelier by a seventh of a nat."""
    for n, likelier_wins in ((50, True), (5000, False)):
        right_more = merit(0.72, np.full(n, 0.74), labels(n), ACCURACY, 0.0)
        likelier = merit(0.70, np.full(n, 0.60), labels(n), ACCURACY, 0.0)
        assert (likelier > right_more) == likelier_wins


def test_what_is_usual_decides_between_equals_and_fades_as_pictures_grow() -> None:
    def ahead(n: int) -> float:
        joined, single = (merit(0.8, np.full(n, 0.5), labels(n), ACCURACY, usual(c, "mean+std")) for c in ([8, 9], [9]))
        return joined - single

    assert JOINED > ahead(20) > ahead(200) > ahead(20_000) > 0


def test_a_smaller_log_loss_is_better_whatever_is_to_be_good() -> None:
    y = labels(40)
    for metric, value in ((ACCURACY, 0.8), (LOSS, 0.5)):
        assert merit(value, np.full(40, 0.4), y, metric, 0.0) > merit(value, np.full(40, 0.5), y, metric, 0.0)
    assert merit(0.5, np.full(40, 0.5), y, LOSS, 0.0) == pytest.approx(-PER_NAT * 0.5)


@given(st.integers(2, 60), st.integers(0, 2**32 - 1), st.sampled_from(["accuracy", "balanced_accuracy"]))
def test_what_pictures_add_is_the_merit(n: int, seed: int, name: str) -> None:
    rng, metric = np.random.default_rng(seed), METRICS[name]
    y, right, losses = rng.integers(0, 3, n), rng.random((n, 2)) < 0.7, rng.exponential(size=n)
    added = merits(right, losses, y, metric, 0.02)
    assert added.shape == (n, 2)
    for column in (0, 1):
        value = float(np.average(right[:, column], weights=metric.weights(y)))
        assert added[:, column].mean() == pytest.approx(merit(value, losses, y, metric, 0.02), abs=1e-5)


def test_the_metric_weighs_more_the_more_pictures_there_are() -> None:
    weights = [certainty(n) for n in (1, 10, 100, 1000, 10**6)]
    assert weights == sorted(weights)
    assert 0 < weights[0] < 0.01
    assert 0.99 < weights[-1] < 1


def test_losses_are_those_at_the_best_temperature_that_a_part_of_many_pictures_says() -> None:
    rng = np.random.default_rng(0)
    n = 3 * MOST_CALIBRATED
    y = rng.integers(0, 3, n)
    scores = 8.0 * (y[:, None] == np.arange(3)) + 6.0 * rng.standard_normal((n, 3))
    losses = calibrate(y, scores).losses
    assert losses.shape == (n,)
    assert losses.mean() < negative_log_likelihoods(y, scores).mean()
    assert losses.mean() == pytest.approx(calibrate(y[:MOST_CALIBRATED], scores[:MOST_CALIBRATED]).losses.mean(), 0.1)


def test_confidence_is_the_accuracy_where_scores_are_honest_and_chance_where_they_know_nothing() -> None:
    rng = np.random.default_rng(0)
    logits = 2 * rng.standard_normal((4000, 5))
    y = np.array([rng.choice(5, p=p) for p in softmax(logits, axis=1)])
    for scale in (0.2, 1.0, 5.0):
        assert calibrate(y, scale * logits).confidence == pytest.approx((logits.argmax(axis=1) == y).mean(), abs=0.02)
    assert calibrate(rng.permutation(y), logits).confidence == pytest.approx(0.2, abs=0.02)
