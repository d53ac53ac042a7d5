"""How many pictures are looked at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_tl.lab.sample import LARGEST_SAMPLE, LOOKED_AT_IN_ANY_CASE, Sample, sample_size

COSTS = st.floats(1e-6, 1e3)
"""Seconds of a picture, as a fast GPU and a very busy CPU have it."""


@given(st.integers(2, LOOKED_AT_IN_ANY_CASE), st.integers(2, 20), COSTS)
def test_few_pictures_are_all_looked_at_whatever_was_timed(n: int, n_classes: int, cost: float) -> None:
    assert sample_size(n, n_classes, cost, 75.0) == n


@given(st.integers(2, 100_000), st.integers(2, 300), COSTS, COSTS)
def test_more_are_looked_at_where_a_picture_takes_less(n: int, n_classes: int, one: float, other: float) -> None:
    fast, slow = (sample_size(n, n_classes, cost, 75.0) for cost in sorted([one, other]))
    assert min(n, LOOKED_AT_IN_ANY_CASE) <= slow <= fast <= min(n, LARGEST_SAMPLE)


def test_of_many_as_many_as_there_is_time_for() -> None:
    assert sample_size(10_000, 10, 0.1, 75.0) == 600  # 750, in steps
    assert sample_size(10_000, 1_000, 1.0, 75.0) == 3_000  # three of every class, whatever it costs


def test_guessing_is_as_good_as_the_classes_are_unequal() -> None:
    def sample(*counts: int) -> Sample:
        y = np.repeat(np.arange(len(counts)), counts)
        return Sample((), y, y, y, tuple(map(str, range(len(counts)))), len(y), 1.0)

    assert sample(5, 5, 5, 5).guessing == pytest.approx(0.25)
    assert sample(8, 2).guessing == pytest.approx(0.68)
    assert sample(8, 2).constant == 0.8
