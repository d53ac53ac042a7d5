"""The learning curve: nested stratified parts, and a power law with sane bounds."""

from __future__ import annotations

import numpy as np
import pytest
from gaussians import mixture, stratified_folds
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_tl.learning.curve import curve_through, learning_curve, nested_part, power_laws_through
from automl_tl.learning.problem import Problem
from automl_tl.learning.screen import ridge_path


def test_the_last_point_is_the_screens_accuracy():
    for d in (15, 200):
        X, y = mixture(100, d, 4, spread=0.3)
        folds = stratified_folds(y, 5)
        path = ridge_path(Problem(X, y, folds, 4))
        curve = learning_curve(Problem(X, y, folds, 4), path.penalty)
        assert curve.accuracy[-1] == pytest.approx(path.value)
        assert curve.sizes[-1] == pytest.approx(80)
        assert (np.diff(curve.sizes) > 0).all()


def test_more_pictures_help_where_they_do():
    X, y = mixture(300, 100, 5, spread=0.25)
    curve = learning_curve(Problem(X, y, stratified_folds(y, 5), 5), 1.0)
    assert curve.accuracy[0] < curve.accuracy[-1] - 0.05
    assert curve.step(300, 600)[0] > 0.01
    assert curve.step(300, 300)[0] == 0
    assert curve.at(300) < curve.at(600) <= 1


def test_a_flat_curve_promises_nothing():
    X, y = mixture(200, 10, 2, spread=5)
    curve = learning_curve(Problem(X, y, stratified_folds(y, 5), 2), 1.0)
    assert curve.at(200) == pytest.approx(1, abs=0.01)
    assert curve.step(200, 2000)[0] == pytest.approx(0, abs=0.01)


def test_parts_are_nested_stratified_and_within_the_training_part():
    y = np.repeat([0, 1, 2], [20, 8, 1])
    among = np.arange(29) % 4 != 0
    order = np.random.default_rng(0).permutation(29)
    parts = [set(nested_part(y, among, order, share)) for share in (0.1, 0.5, 1.0)]
    assert parts[0] < parts[1] < parts[2] == set(np.flatnonzero(among))
    assert set(y[list(parts[0])]) == set(y[among])
    assert np.bincount(y[list(parts[1])])[:2].tolist() == [8, 3]


def test_groups_are_taken_one_after_another():
    y, groups = np.zeros(40, int), np.repeat(np.arange(8), 5)
    order = np.random.default_rng(1).permutation(8)[groups]
    part = nested_part(y, np.ones(40, bool), order, 0.25)
    assert len(np.unique(groups[part])) == 2
    X, labels = mixture(40, 10, 2)
    curve = learning_curve(Problem(X, labels, groups % 4, 2), 1.0, groups=groups + 100)
    assert np.isfinite(curve.draws).all()


@pytest.mark.parametrize("b", [0.3, 0.5, 1.0])
def test_a_clean_power_law_is_found(b: float):
    sizes = np.array([20.0, 40, 80, 160, 320])
    errors = 0.05 + 1.5 * sizes**-b
    c, a, exponent = power_laws_through(sizes, errors[None], 1e-8, np.array([0.5]))[0]
    assert exponent == pytest.approx(b, rel=0.1)
    assert c + a * 1000**-exponent == pytest.approx(0.05 + 1.5 * 1000**-b, abs=0.01)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.integers(1, 10_000))
def test_laws_stay_sane(errors: list[float], n: int):
    sizes = np.array([10.0, 20, 40, 80])
    c, a, b = power_laws_through(sizes, np.array([errors]), 1e-3, np.array([0.5]))[0]
    assert 0 <= c <= 1
    assert a >= 0
    assert 0.15 - 1e-9 <= b <= 1.5 + 1e-9
    correct = np.zeros((4, 50), bool)
    for row, error in enumerate(errors):
        correct[row, : round(50 * (1 - error))] = True
    curve = curve_through(sizes, correct, np.arange(50))
    assert 0 <= curve.at(n) <= curve.at(2 * n) <= 1
    gain, deviation = curve.step(n, 2 * n)
    assert gain >= 0
    assert deviation >= 0


def test_one_size_is_a_flat_line():
    curve = curve_through(np.array([10.0]), np.arange(20)[None] < 15, np.arange(20))
    assert curve.at(1000) == pytest.approx(0.75)
    assert curve.step(8, 10) == pytest.approx((0, 0), abs=1e-9)


def test_longer_steps_are_less_sure():
    X, y = mixture(150, 60, 4, spread=0.3)
    curve = learning_curve(Problem(X, y, stratified_folds(y, 5), 4), 1.0)
    assert curve.step(120, 150)[1] < curve.step(120, 1500)[1]


def test_the_interval_holds_the_curve_and_widens_beyond_what_was_measured():
    X, y = mixture(150, 60, 4, spread=0.3)
    curve = learning_curve(Problem(X, y, stratified_folds(y, 5), 4), 1.0)
    near, far = curve.interval_at(120), curve.interval_at(12_000)
    assert near[0] <= curve.at(120) <= near[1]
    assert 0 <= far[0] <= far[1] <= 1
    assert far[1] - far[0] > near[1] - near[0]


def test_the_same_seed_gives_the_same_curve():
    X, y = mixture(60, 30, 3, spread=0.3)
    folds = stratified_folds(y, 4)
    one, two, three = (learning_curve(Problem(X, y, folds, 3), 1.0, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.draws, two.draws)
    assert not np.array_equal(one.draws, three.draws)
