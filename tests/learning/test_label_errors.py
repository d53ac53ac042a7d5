"""The confident joint against numbers that were worked out by hand, and what must hold for any probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_tl.learning.label_errors import count_errors, likely_errors

Y = np.array([0, 0, 0, 1, 1, 1])
P = np.array(
    [
        [0.9, 0.1],  # the mean of class 0 among its pictures is .6, of class 1 .6: for 0
        [0.8, 0.2],  # for 0
        [0.1, 0.9],  # for 1: wrong
        [0.3, 0.7],  # for 1
        [0.4, 0.6],  # for 1
        [0.5, 0.5],  # for neither
    ]
)


def test_the_count_is_the_one_worked_out_by_hand() -> None:
    assert count_errors(Y, P) == 1
    assert likely_errors(Y, P).tolist() == [2]


def test_the_order_is_by_the_probability_of_the_label() -> None:
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.2, 0.8], [0.05, 0.95], [0.1, 0.9], [0.9, 0.1]])
    y = np.array([0, 0, 0, 0, 1, 1])
    assert count_errors(y, probabilities) == 3  # thresholds .5375 and .5
    assert likely_errors(y, probabilities).tolist() == [3, 5, 2]


def test_a_label_that_is_the_most_probable_is_never_doubted() -> None:
    probabilities = np.array([[0.34, 0.33, 0.33], [0.2, 0.79, 0.01], [0.2, 0.01, 0.79], [0.4, 0.3, 0.3]])
    doubted = likely_errors(np.array([0, 1, 2, 1]), probabilities)
    assert set(doubted) <= {3}


def test_a_class_without_pictures_doubts_nothing() -> None:
    probabilities = np.array([[0.2, 0.1, 0.7], [0.2, 0.3, 0.5]])
    assert count_errors(np.array([0, 1]), probabilities) == 0


@st.composite
def judged(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n, n_classes = draw(st.integers(1, 30)), draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    return rng.integers(0, n_classes, n), rng.dirichlet(np.full(n_classes, draw(st.sampled_from((0.2, 1.0)))), n)


@given(judged())
def test_doubted_labels_are_different_pictures_in_order(case: tuple[np.ndarray, np.ndarray]) -> None:
    y, probabilities = case
    rows = likely_errors(y, probabilities)
    own = probabilities[rows, y[rows]]
    assert len(set(rows.tolist())) == len(rows) <= count_errors(y, probabilities)
    assert (np.diff(own) >= 0).all()
    assert (probabilities[rows].argmax(axis=1) != y[rows]).all()


@given(judged(), st.randoms())
def test_neither_the_order_of_pictures_nor_of_classes_matters(
    case: tuple[np.ndarray, np.ndarray], random: object
) -> None:
    y, probabilities = case
    rng = np.random.default_rng(random.getrandbits(16))  # type: ignore[attr-defined]
    pictures, classes = rng.permutation(len(y)), rng.permutation(probabilities.shape[1])
    moved = likely_errors(np.argsort(classes)[y[pictures]], probabilities[pictures][:, classes])
    assert pictures[moved].tolist() == likely_errors(y, probabilities).tolist()


@pytest.mark.parametrize("n_classes", [2, 4])
def test_certainty_that_is_right_doubts_nothing(n_classes: int) -> None:
    y = np.repeat(np.arange(n_classes), 3)
    assert likely_errors(y, np.eye(n_classes)[y]).tolist() == []
