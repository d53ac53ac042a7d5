"""One name for every kind of linear classifier, and the one that training begins with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import Tensor

from automl_tl.data.folds import make_folds
from automl_tl.learning.effort import solving
from automl_tl.learning.heads import LOSSES, solve_head
from automl_tl.learning.linear import LinearHead, as_matrix
from automl_tl.learning.problem import Problem
from automl_tl.learning.scores import best_temperature
from automl_tl.learning.screen import PENALTIES, ridge_path, solve_ridge
from automl_tl.learning.spectrum import Spectrum, decompose

SOLVED_KINDS: tuple[str, ...] = tuple(LOSSES)
"""The source document's classifiers, solved to the optimum; "ridge" is the screen's."""
HEAD_L2 = 0.1
"""Strength of a head that nothing is known of, as a multiple of columns over pictures."""


def solve_classifier(
    kind: str, X: np.ndarray | Tensor | Spectrum, y: np.ndarray, n_classes: int, penalty: float
) -> LinearHead:
    """Solve a classifier of any kind on features (n, d) at the penalty that its path chose.

    The penalties of the solved kinds are per picture: one chosen on m pictures is `penalty * m / n` on n.
    """
    if kind == "ridge":
        return solve_ridge(X, y, n_classes, penalty)
    return solve_head(kind, X, y, n_classes, penalty)


def starting_head(
    X: np.ndarray | Tensor, y: np.ndarray, n_classes: int, l2: float, *, balanced: bool = False,
    device: str | None = None, groups: np.ndarray | None = None,
) -> LinearHead:  # fmt: skip
    """The head that fine-tuning begins with: softmax, solved; beyond `effort.MOST` ridge, as logits.

    X: features (n, d). y: int (n,). l2: strength as a multiple of columns over pictures. balanced: as in `solve_head`;
    ridge is not. device: `linear.placed`. groups: int (n,), the same for pictures that belong together; None: each is
    on its own.
    """
    matrix = as_matrix(X)
    n, d = matrix.shape
    if not solving(n, d, n_classes).affordable:
        return _ridge_as_logits(matrix, y, n_classes, device, np.arange(n) if groups is None else groups)
    spectrum = decompose(matrix, device)
    return solve_head("softmax", spectrum, y, n_classes, l2 * spectrum.unit / n, balanced=balanced)


def _ridge_as_logits(X: Tensor, y: np.ndarray, n_classes: int, device: str | None, groups: np.ndarray) -> LinearHead:
    """Ridge regression at its best penalty of two folds, its scores over their best temperature."""
    halves = make_folds(y, groups, 2, seed=0) if len(np.unique(groups)) > 1 else np.arange(len(y)) % 2
    path = ridge_path(Problem(X, y, halves, n_classes), penalties=PENALTIES[::2], device=device)
    head, temperature = solve_ridge(X, y, n_classes, path.penalty, device=device), best_temperature(y, path.oof)
    return replace(head, weight=head.weight / np.float32(temperature), bias=head.bias / np.float32(temperature))
