"""One name for every kind of linear classifier."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from automl_tl.learning.heads import LOSSES, solve_head
from automl_tl.learning.linear import LinearHead
from automl_tl.learning.screen import fit_ridge
from automl_tl.learning.spectrum import Spectrum

SOLVED_KINDS: tuple[str, ...] = tuple(LOSSES)
"""The source document's classifiers, solved to the optimum; "ridge" is the screen's."""


def fit_head(kind: str, X: np.ndarray | Tensor | Spectrum, y: np.ndarray, n_classes: int, penalty: float) -> LinearHead:
    """Fit a classifier of any kind on features (n, d) at the penalty that its path chose.

    The penalties of the solved kinds are per picture: one chosen on m pictures is `penalty * m / n` on n.
    """
    if kind == "ridge":
        return fit_ridge(X, y, n_classes, penalty)
    return solve_head(kind, X, y, n_classes, penalty)
