"""Metrics agree with scikit-learn; the temperature calibrates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn import metrics as sk

from automl_tl.errors import OptionError
from automl_tl.learning.scores import (
    METRICS,
    UsualTemperature,
    best_temperature,
    class_weights,
    correctness,
    follow_path,
    get_metric,
    negative_log_likelihood,
)


def drawn(seed: int, n: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, classes, n), rng.standard_normal((n, classes)).astype(np.float32)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(2, 60), classes=st.integers(2, 8))
def test_metrics_are_scikit_learns(seed: int, n: int, classes: int):
    y, scores = drawn(seed, n, classes)
    predicted = scores.argmax(axis=1)
    assert METRICS["accuracy"].function(y, scores) == pytest.approx(sk.accuracy_score(y, predicted))
    assert METRICS["balanced_accuracy"].function(y, scores) == pytest.approx(sk.balanced_accuracy_score(y, predicted))
    assert METRICS["macro_f1"].function(y, scores) == pytest.approx(sk.f1_score(y, predicted, average="macro"))
    probabilities = softmax(scores.astype(np.float64) / 2, axis=1)
    expected = sk.log_loss(y, probabilities, labels=range(classes))
    assert negative_log_likelihood(y, scores, 2.0) == pytest.approx(expected, rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(5, 60), classes=st.integers(2, 6))
def test_order_of_pictures_and_classes_does_not_matter(seed: int, n: int, classes: int):
    y, scores = drawn(seed, n, classes)
    rng = np.random.default_rng(seed)
    order, names = rng.permutation(n), rng.permutation(classes)
    turned = np.empty_like(scores)
    turned[:, names] = scores[order]
    for metric in METRICS.values():
        assert metric.function(names[y[order]], turned) == pytest.approx(metric.function(y, scores), rel=1e-4)


def test_only_the_loss_is_better_when_smaller():
    assert [name for name, metric in METRICS.items() if metric.sign < 0] == ["log_loss"]


def test_an_unknown_metric_lists_the_known_ones():
    with pytest.raises(OptionError, match="known are accuracy, balanced_accuracy, log_loss, macro_f1"):
        get_metric("auc")


def test_a_metric_says_whether_pictures_or_classes_count_alike():
    y = np.array([0, 0, 0, 1])
    for name in ("accuracy", "log_loss"):
        np.testing.assert_array_equal(get_metric(name).weights(y), np.ones(4))
    for name in ("balanced_accuracy", "macro_f1"):
        np.testing.assert_array_equal(get_metric(name).weights(y), class_weights(y))


def test_class_weights_give_every_class_the_same_total():
    y = np.array([0, 0, 0, 2])
    weights = class_weights(y)
    assert weights[:3].sum() == pytest.approx(weights[3])
    assert weights.mean() == pytest.approx(1)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 5.0])
def test_the_true_temperature_is_found(temperature: float):
    rng = np.random.default_rng(0)
    logits = 2 * rng.standard_normal((4000, 5))
    y = np.array([rng.choice(5, p=p) for p in softmax(logits, axis=1)])
    assert best_temperature(y, logits * temperature) == pytest.approx(temperature, rel=0.1)


def test_twenty_right_pictures_are_not_certainty():
    y = np.arange(20) % 4
    scores = np.where(y[:, None] == np.arange(4), 1.0, -1.0)
    confidence = softmax(scores / best_temperature(y, scores), axis=1).max()
    assert 0.9 < confidence < 0.97


def test_few_pictures_have_about_the_usual_temperature_and_many_their_own():
    """All of a few are right, which alone would mean certainty; of many a fifth is not, and the logits are too sure."""
    usual = UsualTemperature(0.8, 0.4)
    for n, wrong, low, high in ((4, 0, 0.4, 0.8), (4000, 5, 4.0, 8.0)):
        y = np.arange(n) % 4
        said = np.where(np.arange(n) % wrong == 0, (y + 1) % 4, y) if wrong else y
        scores = 12.0 * (said[:, None] == np.arange(4))
        assert low < best_temperature(y, scores, usual) < high
    y = np.arange(2000) % 3
    scores = np.random.default_rng(0).standard_normal((2000, 3)) + 2.0 * (y[:, None] == np.arange(3))
    assert best_temperature(y, scores, usual) == pytest.approx(best_temperature(y, scores), rel=0.05)


def test_a_shift_of_the_scores_does_not_matter():
    y, scores = drawn(0, 40, 3)
    shifted = scores + np.linspace(-50, 50, 40)[:, None]
    assert best_temperature(y, shifted) == pytest.approx(best_temperature(y, scores), rel=1e-2)


def test_correctness_is_pictures_by_candidates():
    table = correctness(np.array([0, 1, 1]), [np.array([0, 1, 0]), np.array([1, 1, 1])])
    assert table.tolist() == [[True, False], [True, True], [False, True]]


def test_a_path_takes_the_calmer_of_equals_and_may_end_early():
    y = np.array([0, 1, 1])
    right = np.where(y[:, None] == np.arange(2), 1.0, -1.0)
    unsure = right * np.array([[1.0], [0.01], [3.0]])
    wrong = -right
    penalties = np.array([1.0, 2.0, 3.0, 4.0])
    path = follow_path("ridge", y, zip(penalties, [unsure, right, wrong, right], strict=True), METRICS["accuracy"])
    assert (path.best, path.value, path.penalty) == (1, 1.0, 2.0)
    assert path.values.tolist() == [1.0, 1.0, 0.0, 1.0]
    short = follow_path(
        "ridge", y, zip(penalties, [right, wrong, wrong, right], strict=True), METRICS["accuracy"], patience=2
    )
    assert short.values.tolist() == [1.0, 0.0, 0.0]
    assert short.penalties.tolist() == [1.0, 2.0, 3.0]


def test_the_least_loss_wins():
    y = np.array([0, 1, 1])
    right = np.where(y[:, None] == np.arange(2), 1.0, -1.0)
    path = follow_path("ridge", y, [(1.0, -right), (2.0, right)], METRICS["log_loss"])
    assert path.best == 1
