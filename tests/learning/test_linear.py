"""A head carries its scaling with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gaussians import mixture, stratified_folds

from automl_tl.errors import OptionError
from automl_tl.learning.heads import l2_grid, solve_head, solve_path
from automl_tl.learning.linear import LinearHead, measure_scaling, placed
from automl_tl.learning.problem import Problem
from automl_tl.learning.screen import ridge_path, solve_ridge
from automl_tl.learning.spectrum import decompose


def test_constant_columns_become_zero():
    X = torch.tensor([[1.0, 0.1, 1e-9], [3.0, 0.1, 2e-9], [5.0, 0.1, 6e-9]])
    scaling = measure_scaling(X)
    assert scaling.varies.tolist() == [True, False, True]
    scaled = scaling.apply(X)
    assert scaled[:, 1].tolist() == [0, 0, 0]
    assert (scaled[:, [0, 2]].std(dim=0, correction=0) > 0).all()


@pytest.mark.parametrize("unit", [1.0, 1e-3, 1e4])
def test_a_column_keeps_the_root_of_its_weight_whatever_the_unit(unit: float):
    X, _ = mixture(50, 6, 2)
    X = unit * X * np.array([1, 1, 4, 4, 100, 1e-4], dtype=np.float32)
    scaling = measure_scaling(torch.from_numpy(X))
    std = X.std(axis=0, dtype=np.float64)
    variances = scaling.apply(torch.from_numpy(X)).var(dim=0, correction=0)
    np.testing.assert_allclose(variances, std / std.mean(), rtol=1e-4)
    assert float(variances.sum()) == pytest.approx(scaling.unit, rel=1e-6)


def test_blocks_of_columns_are_put_together(monkeypatch: pytest.MonkeyPatch):
    X, _ = mixture(20, 50, 2)
    whole = decompose(X)
    for module in ("linear", "spectrum"):
        monkeypatch.setattr(f"automl_tl.learning.{module}.COLUMNS", 7)
    monkeypatch.setattr("automl_tl.learning.spectrum.ROWS", 6)
    parts = decompose(X)
    np.testing.assert_allclose(parts.eigenvalues, whole.eigenvalues)
    np.testing.assert_allclose(abs(parts.directions()), abs(whole.directions()), atol=1e-8)
    tall, again = decompose(X.T), decompose(X.T.copy())
    np.testing.assert_allclose(tall.eigenvalues, again.eigenvalues)


@pytest.mark.parametrize(
    ("device", "multiplications", "expected"),
    [(None, 1e12, "cpu"), ("cpu", 1e12, "cpu"), ("mps", 1e12, "cpu"), ("meta", 1e6, "cpu"), ("meta", 1e12, "meta")],
)
def test_only_what_is_worth_it_is_moved_to_a_device_that_has_float64(
    device: str | None, multiplications: float, expected: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("automl_tl.learning.linear.free_memory", lambda device: 10**9)
    assert placed(torch.ones(3, 2), multiplications, device).device.type == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here")
@pytest.mark.parametrize("shape", [(300, 20), (60, 80)])
def test_a_gpu_gives_what_the_cpu_gives(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]):
    X, y = mixture(*shape, 3)
    folds = stratified_folds(y, 4)
    monkeypatch.setattr("automl_tl.learning.linear.SMALL", 0)
    here, there = ([ridge_path(Problem(X, y, folds, 3), device=d).oof, solve_ridge(X, y, 3, 0.1, device=d).weight,
                    solve_head("softmax", decompose(X, d), y, 3, 0.1).weight,
                    solve_path("softmax", Problem(decompose(X, d), y, folds, 3), l2_grid(*shape)).oof]
                   for d in ("cpu", "cuda"))  # fmt: skip
    for ours, theirs in zip(here, there, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize("shape", [(30, 80), (80, 30), (40, 40)])
def test_a_spectrum_is_a_singular_value_decomposition(shape: tuple[int, int]):
    X, _ = mixture(*shape, 2)
    spectrum = decompose(X)
    scaled = spectrum.scaling.apply(torch.from_numpy(X))
    assert spectrum.rank == min(shape[0] - 1, shape[1])
    np.testing.assert_allclose(spectrum.rotated @ spectrum.directions().T, scaled, atol=1e-9)
    np.testing.assert_allclose(spectrum.left.T @ spectrum.left, np.eye(spectrum.rank), atol=1e-9)
    assert float(spectrum.eigenvalues.sum()) / spectrum.n == pytest.approx(spectrum.unit)


def test_large_offsets_cost_no_accuracy():
    X, y = mixture(60, 20, 4)
    X = (X + 1000 * X.std(axis=0)).astype(np.float32)
    exact = X.astype(np.float64) - X.mean(axis=0, dtype=np.float64)
    head = solve_ridge(X, y, 4, 0.1)
    reference = solve_ridge(exact, y, 4, 0.1)
    np.testing.assert_allclose(head.scores(X), reference.scores(exact), atol=1e-3)


def test_probabilities_sum_to_one_and_soften_with_temperature():
    X, y = mixture(30, 10, 3)
    head = solve_ridge(X, y, 3, 0.1)
    sharp, soft = head.probabilities(X, 0.1), head.probabilities(X, 10)
    np.testing.assert_allclose(sharp.sum(axis=1), 1, rtol=1e-5)
    assert (sharp.max(axis=1) >= soft.max(axis=1)).all()
    np.testing.assert_array_equal(head.predict(X), sharp.argmax(axis=1))


def test_wrong_number_of_columns_is_said():
    head = LinearHead("ridge", np.zeros((2, 3)), np.zeros(2), np.zeros(3), np.ones(3))
    assert head.n_classes == 2
    with pytest.raises(OptionError, match=r"takes features of 3 columns, got the shape \(5, 4\)"):
        head.scores(np.zeros((5, 4)))
