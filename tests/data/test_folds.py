"""Folds and samples: properties that hold for any data."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_tl.data.folds import in_order, make_folds, stratified_sample

LABELS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=80).map(np.array)


@st.composite
def labels_and_groups(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    labels = draw(LABELS)
    groups = draw(st.lists(st.integers(0, 25), min_size=len(labels), max_size=len(labels)))
    return labels, np.array(groups)


@given(labels_and_groups(), st.integers(1, 8), st.integers(0, 5))
def test_a_group_never_straddles(data: tuple[np.ndarray, np.ndarray], n_folds: int, seed: int) -> None:
    labels, groups = data
    folds = make_folds(labels, groups, n_folds, seed)
    assert folds.shape == labels.shape
    assert np.issubdtype(folds.dtype, np.integer)
    assert set(folds) <= set(range(n_folds))
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups))


@given(LABELS, st.integers(1, 8), st.integers(0, 5))
def test_single_pictures_are_balanced_within_one(labels: np.ndarray, n_folds: int, seed: int) -> None:
    folds = make_folds(labels, np.arange(len(labels)), n_folds, seed)
    for label in set(labels):
        counts = np.bincount(folds[labels == label], minlength=n_folds)
        assert counts.max() - counts.min() <= 1
    totals = np.bincount(folds, minlength=n_folds)
    assert totals.max() - totals.min() <= len(set(labels))


@given(LABELS, st.integers(2, 6), st.integers(1, 5), st.integers(0, 5))
def test_a_class_is_in_as_many_folds_as_it_has_groups(
    labels: np.ndarray, n_folds: int, per_group: int, seed: int
) -> None:
    groups = np.zeros(len(labels), int)
    for k, label in enumerate("abcd"):
        mine = np.flatnonzero(labels == label)
        groups[mine] = 1000 * k + np.arange(len(mine)) // per_group
    folds = make_folds(labels, groups, n_folds, seed)
    for label in set(labels):
        mine = labels == label
        assert len(set(folds[mine])) == min(n_folds, len(set(groups[mine])))


@given(labels_and_groups(), st.integers(1, 6), st.integers(0, 5))
def test_the_same_every_time_whatever_the_names_of_the_groups(
    data: tuple[np.ndarray, np.ndarray], n_folds: int, seed: int
) -> None:
    labels, groups = data
    folds = make_folds(labels, groups, n_folds, seed)
    np.testing.assert_array_equal(folds, make_folds(labels.copy(), groups.copy(), n_folds, seed))
    np.testing.assert_array_equal(folds, make_folds(labels, in_order(groups) * 7 + 3, n_folds, seed))


def test_the_seed_matters() -> None:
    labels = np.repeat(["a", "b"], 50)
    folds = [tuple(make_folds(labels, np.arange(100), 5, seed)) for seed in range(3)]
    assert len(set(folds)) == 3


def test_labels_may_be_numbers_or_objects() -> None:
    names = np.array(["x", "y"] * 10, object)
    codes = np.array([0, 1] * 10)
    np.testing.assert_array_equal(make_folds(names, np.arange(20), 4, 1), make_folds(codes, np.arange(20), 4, 1))


def test_groups_of_different_size_are_spread_evenly() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), rng.integers(1, 30, 60))
    labels = (groups % 3).astype(str)
    folds = make_folds(labels, groups, 5, 0)
    for label in "012":
        counts = np.bincount(folds[labels == label])
        assert counts.max() <= 1.25 * counts.min()


def test_no_pictures() -> None:
    assert len(make_folds(np.array([], str), np.array([], int), 3, 0)) == 0


def test_no_folds() -> None:
    with pytest.raises(ValueError, match="n_folds must be at least 1, but got 0"):
        make_folds(np.array(["a"]), np.array([0]), 0, 0)


def test_a_hundred_thousand_pictures_take_seconds() -> None:
    labels = np.arange(100_000) % 1000
    start = time.perf_counter()
    make_folds(labels, np.arange(100_000), 5, 0)
    assert time.perf_counter() - start < 10


# --- samples ----------------------------------------------------------------------------------------


@given(LABELS, st.integers(0, 90), st.integers(0, 5))
def test_samples_are_proportional_and_of_every_class(labels: np.ndarray, n: int, seed: int) -> None:
    chosen = stratified_sample(labels, n, seed)
    assert list(chosen) == sorted(set(chosen))
    there, taken = Counter(labels), Counter(labels[chosen])
    least = {label: min(2, count) for label, count in there.items()}
    assert all(taken[label] >= least[label] for label in there)
    assert len(chosen) == min(len(labels), max(n, sum(least.values())))
    for label, count in there.items():
        assert taken[label] <= max(least[label], np.ceil(n * count / len(labels)))


@settings(deadline=None)
@given(LABELS, st.integers(0, 5))
def test_samples_are_the_same_every_time(labels: np.ndarray, seed: int) -> None:
    np.testing.assert_array_equal(stratified_sample(labels, 20, seed), stratified_sample(labels, 20, seed))


def test_all_of_them() -> None:
    assert stratified_sample(np.array(["a", "b", "a"]), 3, 0).tolist() == [0, 1, 2]
    assert stratified_sample(np.array(["a", "b", "a"]), 99, 0).tolist() == [0, 1, 2]
    assert stratified_sample(np.array([], str), 5, 0).tolist() == []


def test_a_smaller_sample_lies_within_a_larger_one() -> None:
    labels = np.repeat(["a", "b", "c"], [100, 200, 300])
    small, large = (set(stratified_sample(labels, n, 1)) for n in (60, 300))
    assert small < large


def test_the_sample_depends_on_the_seed() -> None:
    labels = np.repeat(["a", "b"], 100)
    assert set(stratified_sample(labels, 20, 0)) != set(stratified_sample(labels, 20, 1))
