"""The screen's out-of-fold scores are what refitting on every fold's training part would give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gaussians import mixture, stratified_folds
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from automl_tl.errors import OptionError
from automl_tl.learning.linear import Scaled
from automl_tl.learning.problem import Problem
from automl_tl.learning.ridge import out_of_fold, solve_positive
from automl_tl.learning.screen import PENALTIES, ridge_path, solve_ridge
from automl_tl.learning.spectrum import decompose
from automl_tl.learning.threads import threads_for


def brute_force(X: np.ndarray, y: np.ndarray, folds: np.ndarray, classes: int, penalty: float) -> np.ndarray:
    """Refit ridge regression without each fold: normal equations with a free intercept, float64."""
    X = X.astype(np.float64)
    std = X.std(axis=0)
    varies = std > 1e-6 * np.sqrt((X**2).mean(axis=0))
    Xs = (X[:, varies] - X[:, varies].mean(axis=0)) / np.sqrt(std[varies] * std[varies].mean())
    Y = np.where(y[:, None] == np.arange(classes), 1.0, -1.0)
    oof = np.empty_like(Y)
    for fold in np.unique(folds):
        A, T = Xs[folds != fold], Xs[folds == fold]
        center, mean = A.mean(axis=0), Y[folds != fold].mean(axis=0)
        gram = (A - center).T @ (A - center) + penalty * varies.sum() * np.eye(varies.sum())
        oof[folds == fold] = (T - center) @ np.linalg.solve(gram, (A - center).T @ (Y[folds != fold] - mean)) + mean
    return oof


def exact(X: np.ndarray, y: np.ndarray, folds: np.ndarray, classes: int, penalties: np.ndarray) -> list[np.ndarray]:
    """The screen's scores: from the spectrum, and the same from the features as they are where they are few."""
    spectrum = decompose(X)
    scores = list(out_of_fold(spectrum, y, folds, classes, penalties * spectrum.unit))
    if min(np.bincount(folds)[np.unique(folds)]) > X.shape[1]:
        plain = Scaled(torch.from_numpy(X), spectrum.scaling)
        for one, other in zip(out_of_fold(plain, y, folds, classes, penalties * spectrum.unit), scores, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)
    return scores


FOLDS = {
    "five folds": lambda y: stratified_folds(y, 5),
    "leave one out": lambda y: np.arange(len(y)),
    "a fold holds all of a class": lambda y: np.where(y == 2, 7, np.arange(len(y)) % 3),
    "uneven folds": lambda y: np.minimum(np.arange(len(y)) // 2, 4),
    "two folds": lambda y: np.arange(len(y)) % 2,
}


@pytest.mark.parametrize("d", [7, 40, 90], ids=["tall", "square", "wide"])
@pytest.mark.parametrize("name", FOLDS)
def test_out_of_fold_scores_equal_refits(name: str, d: int):
    X, y = mixture(40, d, 4)
    folds = FOLDS[name](y)
    for penalty, oof in zip(PENALTIES[::4], exact(X, y, folds, 4, PENALTIES[::4]), strict=True):
        np.testing.assert_allclose(oof, brute_force(X, y, folds, 4, penalty), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 999), n=st.integers(8, 60), d=st.integers(1, 30), n_folds=st.integers(2, 6),
    piece=st.sampled_from([1, 4000, 2**26]),
)  # fmt: skip
def test_any_folds_in_any_pieces_equal_refits(seed: int, n: int, d: int, n_folds: int, piece: int):
    """Folds of any sizes, solved in their pictures or in the columns, one by one or together."""
    X, y = mixture(n, d, 3, seed=seed)
    folds = np.random.default_rng(seed).integers(0, n_folds, n) ** 2
    folds[:2] = 0, 1
    penalties = np.array([0.01, 1.0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("automl_tl.learning.ridge.PIECE", piece)
        scores = exact(X, y, folds, 3, penalties)
    for penalty, oof in zip(penalties, scores, strict=True):
        np.testing.assert_allclose(oof, brute_force(X, y, folds, 3, penalty), atol=1e-6)


def test_features_that_are_kept_in_single_precision_give_the_same(monkeypatch: pytest.MonkeyPatch):
    X, y = mixture(400, 30, 5)
    folds = stratified_folds(y, 5)
    before = decompose(X)
    monkeypatch.setattr("automl_tl.learning.spectrum.LARGE", 0)
    after = decompose(X)
    assert after.rotated.dtype == torch.float32
    for part in (folds, np.arange(400)):
        for one, other in zip(
            *(out_of_fold(s, y, part, 5, PENALTIES[::4] * s.unit) for s in (before, after)), strict=True
        ):
            np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_allclose(
        solve_ridge(after, y, 5, 0.1).scores(X), solve_ridge(before, y, 5, 0.1).scores(X), atol=1e-5
    )


class Largest(TorchDispatchMode):
    """The most numbers in any tensor that is computed."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result


@pytest.mark.parametrize("solved", [decompose, lambda X: X], ids=["spectrum", "features"])
def test_where_there_are_few_columns_nothing_grows_with_the_square_of_the_pictures(solved: Any):
    X, y = mixture(3000, 12, 5)
    with Largest() as largest:
        path = ridge_path(Problem(solved(X), y, np.arange(3000) % 2, 5))
    assert path.value > 0.5
    assert largest.numbers <= 3000 * 13


def test_the_path_ends_at_the_deadline_with_what_is_done():
    X, y = mixture(60, 10, 3)
    folds = stratified_folds(y, 5)
    whole, first = (ridge_path(Problem(X, y, folds, 3), deadline=deadline) for deadline in (np.inf, 0.0))
    assert len(whole.penalties) == len(PENALTIES)
    assert first.penalties == PENALTIES[:1]
    np.testing.assert_array_equal(first.predictions, whole.predictions[:1])


@pytest.mark.parametrize("d", [10, 100])
def test_tiny_penalties_stay_exact(d: int):
    X, y = mixture(60, d, 3)
    folds = stratified_folds(y, 5)
    for penalty, oof in zip([1e-6, 1e-5], exact(X, y, folds, 3, np.array([1e-6, 1e-5])), strict=True):
        np.testing.assert_allclose(oof, brute_force(X, y, folds, 3, penalty), atol=1e-5)


@pytest.mark.parametrize("d", [6, 90])
def test_duplicates_and_constant_columns(d: int):
    X, y = mixture(30, d, 3)
    X, y = np.concatenate([X, X]), np.concatenate([y, y])
    X[:, 1], X[:, 2], X[:, 3] = 0.0, 0.1, X[:, 4]
    folds = stratified_folds(y, 4)
    for penalty, oof in zip(PENALTIES[::4], exact(X, y, folds, 3, PENALTIES[::4]), strict=True):
        np.testing.assert_allclose(oof, brute_force(X, y, folds, 3, penalty), atol=1e-6)


@pytest.mark.parametrize("d", [5, 30, 90])
def test_no_penalty_is_too_small(d: int):
    X, y = mixture(30, d, 3)
    X = np.concatenate([X, X])
    y = np.concatenate([y, y])
    path = ridge_path(Problem(X, y, stratified_folds(y, 3), 3), penalties=np.array([1e-15, 1e-12, 1e12]))
    assert np.isfinite(path.values).all()
    assert np.isfinite(path.oof).all()


def test_batches_are_solved_on_several_threads():
    """torch.linalg.solve hangs here."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        A, B = 2 * torch.eye(200).double().repeat(5, 1, 1), torch.ones(5, 200, 3).double()
        np.testing.assert_allclose(solve_positive(A, B), 0.5)
    finally:
        torch.set_num_threads(before)


def test_a_singular_system_is_lifted():
    A = torch.ones(1, 3, 3, dtype=torch.float64)
    assert torch.isfinite(solve_positive(A, torch.ones(1, 3, 1, dtype=torch.float64))).all()


def test_small_work_runs_on_one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threads_for(1e6):
            assert torch.get_num_threads() == 1
        with threads_for(1e12):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_features_without_any_variation_give_the_class_shares():
    X, y = np.ones((8, 3), np.float32), np.array([0, 0, 0, 0, 0, 0, 1, 1])
    path = ridge_path(Problem(X, y, np.arange(8) % 3, 2))
    assert (path.predictions == 0).all()
    assert solve_ridge(X, y, 2, 1.0).bias == pytest.approx([0.5, -0.5])


def test_the_path_keeps_the_best_penalty():
    X, y = mixture(80, 30, 4, spread=0.3)
    folds = stratified_folds(y, 5)
    path = ridge_path(Problem(X, y, folds, 4))
    accuracies = [(oof.argmax(axis=1) == y).mean() for oof in exact(X, y, folds, 4, PENALTIES)]
    assert path.values == pytest.approx(accuracies)
    assert path.value == max(accuracies)
    assert path.oof.dtype == np.float32
    np.testing.assert_array_equal(path.oof.argmax(axis=1), path.predictions[path.best])
    np.testing.assert_allclose(path.oof, brute_force(X, y, folds, 4, path.penalty), atol=1e-4)


@pytest.mark.parametrize("d", [8, 120])
def test_the_solved_head_solves_the_normal_equations(d: int):
    X, y = mixture(50, d, 3)
    head = solve_ridge(X, y, 3, 0.5)
    both = np.concatenate([X, X])
    held_out = brute_force(both, np.concatenate([y, y]), np.repeat([0, 1], 50), 3, 0.5)[50:]
    np.testing.assert_allclose(head.scores(X), held_out, atol=1e-4)


def test_numpy_torch_and_spectrum_give_the_same():
    X, y = mixture(40, 60, 3)
    folds = stratified_folds(y, 5)
    paths = [ridge_path(Problem(features, y, folds, 3)) for features in (X, torch.from_numpy(X), decompose(X))]
    assert all(np.array_equal(path.oof, paths[0].oof) for path in paths)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(12, 40), d=st.integers(1, 60))
def test_order_of_pictures_and_of_classes_and_the_unit_of_features_do_not_matter(seed: int, n: int, d: int):
    X, y = mixture(n, d, 3, seed=seed)
    rng = np.random.default_rng(seed)
    folds, order, names = stratified_folds(y, 4, seed), rng.permutation(n), rng.permutation(3)
    unit = np.float32(2.0 ** rng.integers(-8, 8))
    plain = exact(X, y, folds, 3, PENALTIES[::6])
    turned = exact((X * unit)[order], names[y[order]], folds[order], 3, PENALTIES[::6])
    for before, after in zip(plain, turned, strict=True):
        np.testing.assert_allclose(after[:, names], before[order], atol=1e-6)


def test_a_thousand_classes():
    X, y = mixture(2000, 60, 1000)
    path = ridge_path(Problem(X, y, np.arange(2000) % 2, 1000), penalties=PENALTIES[::6])
    assert path.predictions.shape == (3, 2000)
    assert path.oof.shape == (2000, 1000)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"y": np.array([0, 1, 2, 3])}, "labels must lie in 0..2"),
        ({"folds": np.zeros(4, int)}, "at least 2 different, got 1"),
        ({"folds": np.arange(3)}, "4 pictures need a fold each"),
        ({"penalties": np.array([0.0, 1.0])}, "penalties must be positive"),
        ({"X": np.ones(4)}, "must be a matrix"),
        ({"X": np.full((4, 2), np.nan)}, "row 0 holds NaN"),
        ({"metric": "auc"}, 'unknown metric "auc"; known are accuracy, balanced_accuracy, log_loss, macro_f1'),
    ],
)
def test_what_makes_no_sense_is_said(change: dict, sentence: str):
    arguments = {"X": np.eye(4), "y": np.array([0, 1, 2, 0]), "folds": np.arange(4), "n_classes": 3} | change
    with pytest.raises(OptionError, match=sentence):
        ridge_path(Problem(*(arguments.pop(name) for name in ("X", "y", "folds", "n_classes"))), **arguments)
