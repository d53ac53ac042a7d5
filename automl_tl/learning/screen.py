"""The exact ridge screen: out-of-fold scores of a feature source at a whole path of penalties, without one refit."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from automl_tl.errors import OptionError
from automl_tl.learning.linear import LinearHead, Scaled, as_matrix, measure_scaling, placed
from automl_tl.learning.problem import Problem, check_labels
from automl_tl.learning.ridge import Columns, one_against_rest, out_of_fold, solve_columns
from automl_tl.learning.scores import PenaltyPath, follow_path, get_metric
from automl_tl.learning.spectrum import Spectrum, decompose
from automl_tl.learning.threads import threads_for

# Relative to the kernel's mean diagonal (`Scaling.unit`), two per decade.
PENALTIES = np.logspace(-3, 3, 13)


def ridge_path(
    problem: Problem,
    *,
    penalties: np.ndarray = PENALTIES,
    metric: str = "accuracy",
    device: str | None = None,
    deadline: float = math.inf,
) -> PenaltyPath:
    """Exact K-fold out-of-fold scores of ridge regression at every penalty, without one refit (`ridge.out_of_fold`).

    The targets are +-1, one against the rest; the intercept is free. The scaling alone is from all pictures.

    penalties: (p,) positive, lambda in units of `Scaling.unit`. metric: chooses the best penalty. device: where
    features that are large enough are solved (`linear.placed`). deadline: a time.monotonic() at which the path ends
    with the penalties that are done, one at least.
    Raises OptionError for penalties that make no sense.
    """
    _check_penalties(penalties)
    y, smallest = problem.y, problem.smallest_fold
    columns = _columns(problem.X, smallest, device)
    scores = out_of_fold(columns, y, problem.folds, problem.n_classes, penalties * columns.scaling.unit)
    with threads_for(columns.n * columns.rank * (columns.n if smallest <= columns.rank else columns.rank)):
        return follow_path("ridge", y, zip(penalties, scores, strict=True), get_metric(metric), deadline=deadline)


def solve_ridge(
    X: np.ndarray | Tensor | Spectrum, y: np.ndarray, n_classes: int, penalty: float, *, device: str | None = None
) -> LinearHead:
    """Ridge regression on all pictures at one penalty, as a head; arguments as in `Problem` and `ridge_path`."""
    check_labels(y, n_classes)
    _check_penalties(np.array([penalty]))
    columns = _columns(X, len(y), device)
    strength = penalty * columns.scaling.unit
    if isinstance(columns, Spectrum):
        targets = one_against_rest(y, n_classes, columns.device)
        bias = targets.mean(dim=0)
        weight = columns.directions() @ (columns.project(targets) / (columns.eigenvalues + strength)[:, None])
    else:
        with threads_for(columns.n * columns.rank**2):
            solved = solve_columns(columns, y, n_classes, strength)
        bias, weight = solved[0], solved[1:]
    return LinearHead.on_scaled("ridge", weight.T.cpu().numpy(), bias.cpu().numpy(), columns.scaling)


def is_tall(shape: tuple[int, ...], smallest: int) -> bool:
    """Whether the smallest part that is solved has more pictures than features (n, d) have columns."""
    return smallest > shape[1]


def _columns(X: np.ndarray | Tensor | Spectrum, smallest: int, device: str | None) -> Columns:
    """The features as they are where the smallest part has more pictures than columns, else their spectrum."""
    if isinstance(X, Spectrum):
        return X
    matrix = as_matrix(X)
    n, d = matrix.shape
    if not is_tall(matrix.shape, smallest):
        return decompose(matrix, device)
    matrix = placed(matrix, n * d**2, device)
    return Scaled(matrix, measure_scaling(matrix))


def _check_penalties(penalties: np.ndarray) -> None:
    if len(penalties) == 0 or not (np.min(penalties) > 0 and np.isfinite(penalties).all()):
        raise OptionError(f"penalties must be positive and finite, got {penalties}")
