"""What is counted before it is begun: it grows with what there is to do, and what is too much is not begun."""

from __future__ import annotations

import numpy as np
import pytest
from gaussians import mixture
from hypothesis import given
from hypothesis import strategies as st

from automl_tl.learning import classifiers, effort
from automl_tl.learning.classifiers import solve_classifier, starting_head
from automl_tl.learning.effort import Effort, screening, solving
from automl_tl.learning.heads import solve_head
from automl_tl.learning.linear import LinearHead
from automl_tl.learning.scores import log_loss, negative_log_likelihood

SIZES = st.integers(2, 10**5)


@given(n=SIZES, d=st.integers(1, 5000), classes=st.integers(2, 1000), folds=st.integers(2, 10), path=st.booleans())
def test_more_of_anything_is_more_work(n: int, d: int, classes: int, folds: int, path: bool):
    one = solving(n, d, classes, n_folds=folds, path=path)
    more = [
        solving(2 * n, d, classes, n_folds=folds, path=path),
        solving(n, d, 2 * classes, n_folds=folds, path=path),
        solving(n, d, classes, n_folds=folds + 1, path=path),
        solving(n, d, classes, n_folds=folds, path=True),
    ]
    assert all(other.operations >= one.operations and other.bytes >= one.bytes for other in more)


@given(n=SIZES, classes=st.integers(2, 1000), folds=st.integers(2, 10))
def test_what_used_to_be_solved_still_is(n: int, classes: int, folds: int):
    """Before operations were counted, the rule was pictures squared times classes up to 2e8."""
    if n**2 * classes <= 2e8:
        assert solving(n, n, classes, n_folds=folds, path=True).affordable


@pytest.mark.parametrize(("n", "d", "folds"), [(400, 1280, 5), (1500, 200, 3), (20_000, 1280, 5), (100_000, 2560, 5)])
def test_the_screens_memory_grows_as_the_features_and_not_with_their_square(n: int, d: int, folds: int):
    held = screening(n, d, 10, folds, n_penalties=13).bytes
    assert 4 * n * d < held < 12 * 8 * n * d


def test_a_thousand_classes_of_many_pictures_are_too_many_to_solve():
    assert not solving(8000, 1280, 1000).affordable
    assert solving(800, 1280, 1000).affordable
    assert not Effort(0.0, 1e12).affordable


def starting(n: int = 300) -> tuple[LinearHead, np.ndarray, np.ndarray]:
    X, y = mixture(n, 30, 4, spread=0.3)
    return starting_head(X, y, 4, 0.1), X, y


def test_training_begins_with_the_solved_head():
    head, X, y = starting()
    np.testing.assert_array_equal(head.weight, solve_head("softmax", X, y, 4, 0.1 * 30 / 300).weight)


def test_what_is_too_much_to_solve_begins_with_ridge_scaled_to_logits(monkeypatch: pytest.MonkeyPatch):
    solved, X, y = starting()
    monkeypatch.setattr(effort, "MOST", Effort(0.0, 0.0))
    monkeypatch.setattr(classifiers, "solve_head", None)
    head, _, _ = starting()
    losses = [
        negative_log_likelihood(y, one.scores(X)) for one in (solved, head, solve_classifier("ridge", X, y, 4, 1.0))
    ]
    assert losses[1] < 1.3 * losses[0]
    assert losses[1] < 0.8 * losses[2]  # its scores are no logits
    assert losses[1] == pytest.approx(log_loss(y, head.scores(X)), rel=0.1)
    assert (head.predict(X) == solved.predict(X)).mean() > 0.85
