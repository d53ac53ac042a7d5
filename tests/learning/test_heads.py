"""The solved heads are the optimum: scikit-learn finds nothing better."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gaussians import mixture, stratified_folds
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from automl_tl.errors import OptionError
from automl_tl.learning import heads
from automl_tl.learning.heads import LOSSES, l2_grid, solve_head, solve_path
from automl_tl.learning.linear import LinearHead
from automl_tl.learning.problem import Problem
from automl_tl.learning.scores import class_weights

KINDS = sorted(LOSSES)


def pareto_scaled(X: np.ndarray) -> np.ndarray:
    X = X.astype(np.float64)
    std = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(std > 0, np.sqrt(std * std[std > 0].mean()), 1)


def objective(
    kind: str, Xs: np.ndarray, y: np.ndarray, W: np.ndarray, b: np.ndarray, l2: float, weights: np.ndarray | None = None
) -> float:
    """The documented objective, written down once more."""
    scores = Xs @ W.T + b
    sign = np.where(y[:, None] == np.arange(len(b)), 1.0, -1.0)
    losses = {
        "softmax": lambda: np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(y)), y],
        "ovr_logistic": lambda: np.logaddexp(0, -sign * scores).sum(axis=1),
        "linear_svm": lambda: (np.maximum(0, 1 - sign * scores) ** 2).sum(axis=1),
    }[kind]()
    return float(np.average(losses, weights=weights) + l2 / 2 * (W**2).sum())


def value_of(head: LinearHead, X: np.ndarray, y: np.ndarray, l2: float, weights: np.ndarray | None = None) -> float:
    return objective(head.kind, pareto_scaled(X), y, head.weight.astype(np.float64), head.bias, l2, weights)


def best_known(kind: str, Xs: np.ndarray, y: np.ndarray, classes: int, l2: float) -> float:
    """The objective at scikit-learn's optimum."""
    strength = 1 / (len(y) * l2)
    if kind == "softmax":
        model = LogisticRegression(C=strength, tol=1e-10, max_iter=5000).fit(Xs, y)
        return objective(kind, Xs, y, model.coef_, model.intercept_, l2)
    total = 0.0
    for label in range(classes):
        if kind == "ovr_logistic":
            model = LogisticRegression(C=strength, tol=1e-10, max_iter=5000)
        else:  # liblinear regularises the intercept too; a large constant feature makes that negligible
            model = LinearSVC(C=strength, dual=False, intercept_scaling=1e3, tol=1e-10, max_iter=50000)
        model.fit(Xs, y == label)
        margin = np.where(y == label, 1, -1) * (Xs @ model.coef_[0] + model.intercept_[0])
        losses = np.logaddexp(0, -margin) if kind == "ovr_logistic" else np.maximum(0, 1 - margin) ** 2
        total += losses.mean() + l2 / 2 * (model.coef_**2).sum()
    return float(total)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(90, 12), (40, 150)], ids=["tall", "wide"])
@pytest.mark.parametrize("l2", [3.0, 0.03, 0.003])
def test_the_objective_is_scikit_learns(kind: str, shape: tuple[int, int], l2: float):
    X, y = mixture(*shape, 3, spread=0.3)
    ours = value_of(solve_head(kind, X, y, 3, l2), X, y, l2)
    assert ours <= best_known(kind, pareto_scaled(X), y, 3, l2) * (1 + 1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_features_find_the_same_optimum(kind: str, monkeypatch: pytest.MonkeyPatch):
    X, y = mixture(120, 60, 4, spread=0.3)
    double = value_of(solve_head(kind, X, y, 4, 0.01), X, y, 0.01)
    monkeypatch.setattr(heads, "SINGLE_PRECISION", 0)
    assert value_of(solve_head(kind, X, y, 4, 0.01), X, y, 0.01) == pytest.approx(double, rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_the_losses(kind: str):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(6, 4, dtype=torch.float64, generator=generator)
    y = torch.tensor([0, 1, 2, 3, 3, 0])
    loss = LOSSES[kind].function
    _, slope = loss(scores.clone(), y)
    step = 1e-6
    for row, column in np.ndindex(6, 4):
        ahead, behind = scores.clone(), scores.clone()
        ahead[row, column] += step
        behind[row, column] -= step
        finite = (loss(ahead, y)[0].sum() - loss(behind, y)[0].sum()) / (2 * step)
        assert float(slope[row, column]) == pytest.approx(float(finite), abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_gradient_is_finite_differences(kind: str):
    X, y = mixture(15, 4, 3)
    loss = heads._objective(kind, torch.from_numpy(pareto_scaled(X)), y, balanced=True)
    generator = torch.Generator().manual_seed(1)
    W, b = torch.randn(4, 3, dtype=torch.float64, generator=generator), torch.zeros(3, dtype=torch.float64)
    _, slope, bias_slope = loss.at(W, b, 0.2)
    step = 1e-6
    for index in np.ndindex(4, 3):
        change = torch.zeros_like(W)
        change[index] = step
        finite = float(loss.at(W + change, b, 0.2)[0] - loss.at(W - change, b, 0.2)[0]) / (2 * step)
        assert float(slope[index]) == pytest.approx(finite, abs=1e-6)
    for label in range(3):
        change = torch.zeros_like(b)
        change[label] = step
        finite = float(loss.at(W, b + change, 0.2)[0] - loss.at(W, b - change, 0.2)[0]) / (2 * step)
        assert float(bias_slope[label]) == pytest.approx(finite, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_separable_data_at_a_weak_strength(kind: str):
    X, y = mixture(30, 50, 3, spread=5)
    head = solve_head(kind, X, y, 3, 1e-6)
    assert (head.predict(X) == y).all()
    assert np.isfinite(head.weight).all()


@pytest.mark.parametrize("kind", KINDS)
def test_balanced_weights_are_the_documented_ones(kind: str):
    X, y = mixture(60, 5, 2, spread=0.3)
    keep = np.flatnonzero((y == 0) | (np.arange(60) % 4 == 0))
    X, y = X[keep], y[keep]
    weights = class_weights(y)
    plain, balanced = (solve_head(kind, X, y, 2, 0.1, balanced=flag) for flag in (False, True))
    assert value_of(balanced, X, y, 0.1, weights) < value_of(plain, X, y, 0.1, weights)
    assert value_of(plain, X, y, 0.1) < value_of(balanced, X, y, 0.1)
    assert weights.mean() == pytest.approx(1)


@pytest.mark.parametrize("kind", KINDS)
def test_one_picture_classes_identical_rows_and_constant_columns(kind: str):
    X, y = mixture(20, 8, 2)
    X = np.concatenate([X, X[:3], X[:1] + 50])
    y = np.concatenate([y, y[:3], [2]])
    X[:, 2] = 7.0
    head = solve_head(kind, X, y, 3, 0.01)
    assert head.predict(X)[-1] == 2
    assert (head.weight[:, 2] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_without_pictures_is_never_predicted(kind: str):
    X, y = mixture(30, 10, 2)
    head = solve_head(kind, X, 2 * y, 4, 0.01)
    assert set(head.predict(X)) == {0, 2}
    assert (head.weight[[1, 3]] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_class_is_always_predicted(kind: str):
    X, _ = mixture(10, 4, 2)
    assert set(solve_head(kind, X, np.ones(10, int), 3, 0.01).predict(X)) == {1}


@pytest.mark.parametrize("kind", KINDS)
def test_features_without_variation_give_the_class_shares(kind: str):
    y = np.array([0, 1, 1, 1])
    head = solve_head(kind, np.ones((4, 3), np.float32), y, 2, 0.1)
    assert (head.predict(np.ones((4, 3), np.float32)) == 1).all()
    if kind == "softmax":
        assert head.probabilities(np.ones((1, 3), np.float32))[0] == pytest.approx([0.25, 0.75], abs=1e-3)


def test_a_path_scores_what_it_has_not_seen():
    X, y = mixture(60, 90, 3, spread=0.3)
    folds = stratified_folds(y, 4)
    l2s = l2_grid(60, 90, 5)
    path = solve_path("softmax", Problem(X, y, folds, 3), l2s)
    assert path.value == pytest.approx((path.predictions[path.best] == y).mean())
    Xs, seen = pareto_scaled(X), folds != 2
    model = LogisticRegression(C=1 / (seen.sum() * path.penalty), tol=1e-10, max_iter=5000).fit(Xs[seen], y[seen])
    np.testing.assert_allclose(softmax(path.oof[~seen], axis=1), model.predict_proba(Xs[~seen]), atol=0.02)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "macro_f1", "log_loss"])
def test_a_path_chooses_by_the_metric(kind: str, metric: str):
    X, y = mixture(60, 30, 3, spread=0.3)
    path = solve_path(kind, Problem(X, y, stratified_folds(y, 4), 3), l2_grid(60, 30), metric=metric)
    assert (path.kind, path.oof.shape) == (kind, (60, 3))
    assert path.value == (min if metric == "log_loss" else max)(path.values)


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_ends_when_nothing_gets_better(kind: str):
    X, y = mixture(60, 30, 3, spread=2.0)
    path = solve_path(kind, Problem(X, y, stratified_folds(y, 4), 3), l2_grid(60, 30, count=13))
    assert len(path.penalties) == len(path.values) == len(path.predictions) < 13
    assert path.values.min() > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_missing_from_a_fold_is_not_guessed(kind: str):
    X, y = mixture(30, 10, 3)
    folds = np.where(y == 2, 0, 1 + np.arange(30) % 2)
    path = solve_path(kind, Problem(X, y, folds, 3), np.array([0.1, 0.01]))
    assert not (path.predictions[:, y == 2] == 2).any()
    assert np.isfinite(path.oof).all()


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_classes_do_not_matter(kind: str):
    X, y = mixture(50, 80, 4, spread=0.3)
    names = np.array([2, 0, 3, 1])
    folds = stratified_folds(y, 4)
    plain, turned = (solve_path(kind, Problem(X, labels, folds, 4), l2_grid(50, 80, 3)) for labels in (y, names[y]))
    agree = (turned.predictions == names[plain.predictions]).mean()
    assert agree > 0.97  # up to the solver's tolerance


def test_what_makes_no_sense_is_said():
    X, y = mixture(10, 3, 2)
    with pytest.raises(OptionError, match='unknown head "mlp"; known are linear_svm, ovr_logistic, softmax'):
        solve_head("mlp", X, y, 2, 0.1)
    with pytest.raises(OptionError, match="must be positive and finite, got 0"):
        solve_head("softmax", X, y, 2, 0.0)
    with pytest.raises(OptionError, match="at least 2 different"):
        solve_path("softmax", Problem(X, y, np.zeros(10, int), 2), np.array([0.1]))
