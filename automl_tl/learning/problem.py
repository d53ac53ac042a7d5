"""What is cross-validated: labelled features of pictures, and their folds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from automl_tl.errors import OptionError
from automl_tl.learning.spectrum import Spectrum


@dataclass(frozen=True, eq=False)
class Problem:
    """Labelled features of n pictures, with the folds of their cross-validation.

    X: features (n, d), or their Spectrum if it is at hand. y: int (n,), classes from 0. folds: int (n,), at least two
    different. n_classes: C.

    Raises OptionError for labels or folds that make no sense.
    """

    X: np.ndarray | Tensor | Spectrum
    y: np.ndarray
    folds: np.ndarray
    n_classes: int

    def __post_init__(self) -> None:
        check_labels(self.y, self.n_classes)
        n, different = len(self.y), len(np.unique(self.folds))
        if len(self.folds) != n or different < 2:
            raise OptionError(
                f"{n} pictures need a fold each, at least 2 different, got {different} in {len(self.folds)}"
            )

    @property
    def smallest_fold(self) -> int:
        """Number of its pictures."""
        return int(np.unique(self.folds, return_counts=True)[1].min())


def check_labels(y: np.ndarray, n_classes: int) -> None:
    """Labels must be integers from 0 to n_classes - 1."""
    if len(y) and (y.min() < 0 or y.max() >= n_classes):
        raise OptionError(f"labels must lie in 0..{n_classes - 1}, got {int(y.min())}..{int(y.max())}")
