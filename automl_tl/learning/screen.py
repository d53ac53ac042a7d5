"""The exact ridge screen: out-of-fold scores of a feature source at a whole path of penalties, without one refit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from automl_tl.errors import OptionError
from automl_tl.learning.linear import LinearHead
from automl_tl.learning.scores import PenaltyPath, follow_path, get_metric
from automl_tl.learning.spectrum import Spectrum, decompose
from automl_tl.learning.threads import threads_for

# Relative to the kernel's mean diagonal (`Spectrum.unit`), two per decade.
PENALTIES = np.logspace(-3, 3, 13)


@dataclass(frozen=True)
class Source:
    """Where features come from: backbones, the cuts joined (the same of each backbone), and the pooling."""

    backbones: tuple[str, ...]
    cuts: tuple[int, ...]
    pooling: str


def ridge_path(
    X: np.ndarray | Tensor | Spectrum,
    y: np.ndarray,
    folds: np.ndarray,
    n_classes: int,
    *,
    penalties: np.ndarray = PENALTIES,
    metric: str = "accuracy",
) -> PenaltyPath:
    """Exact K-fold out-of-fold scores of ridge regression at every penalty, from one eigendecomposition.

    Ridge regression on +-1 targets (one against the rest) with a free intercept smooths linearly: yhat = H y with
    H = 1 1^T / n + U diag(l / (l + lambda)) U^T. What the model would say about the pictures b of one fold without
    having seen any of them follows without a refit: e_b = (I - H_bb)^-1 (y_b - yhat_b), oof_b = y_b - e_b (Cook and
    Weisberg 1982; leave-one-out is the case of n folds). The standardisation alone is from all pictures.

    X: features (n, d), or their Spectrum if it is at hand. y: int (n,), classes from 0. folds: int (n,), at least
    two different. penalties: (p,) positive, lambda in units of `Spectrum.unit`. metric: chooses the best penalty.
    Raises OptionError for labels, folds or penalties that make no sense.
    """
    check_labels(y, n_classes)
    check_folds(folds, len(y))
    spectrum = X if isinstance(X, Spectrum) else decompose(X)
    _check_penalties(penalties)
    scores = _out_of_fold(spectrum, y, folds, n_classes, penalties)
    with threads_for(spectrum.n**2 * spectrum.rank):
        return follow_path("ridge", y, penalties, scores, get_metric(metric))


def fit_ridge(X: np.ndarray | Tensor | Spectrum, y: np.ndarray, n_classes: int, penalty: float) -> LinearHead:
    """Ridge regression on all pictures at one penalty, as a head; arguments as in `ridge_path`."""
    check_labels(y, n_classes)
    _check_penalties(np.array([penalty]))
    spectrum = X if isinstance(X, Spectrum) else decompose(X)
    targets = one_against_rest(y, n_classes, spectrum.left.device)
    length = spectrum.eigenvalues
    shrunk = (length.sqrt() / (length + penalty * spectrum.unit))[:, None] * (spectrum.left.T @ targets)
    weight = (spectrum.directions() @ shrunk).T.cpu().numpy()
    return LinearHead.standardised("ridge", weight, targets.mean(dim=0).cpu().numpy(), spectrum.scaling)


def one_against_rest(y: np.ndarray, n_classes: int, device: torch.device) -> Tensor:
    """Targets (n, C) float64: +1 for the picture's class, -1 for the others."""
    targets = torch.full((len(y), n_classes), -1.0, dtype=torch.float64, device=device)
    return targets.scatter_(1, torch.as_tensor(y, dtype=torch.int64, device=device)[:, None], 1.0)


def solve_positive(A: Tensor, B: Tensor) -> Tensor:
    """Solve A X = B for positive definite A (..., m, m) and B (..., m, c), singular up to rounding at worst.

    By Cholesky: torch.linalg.solve hangs on batches with several threads (pytorch issue 142815, seen with 2.14).
    """
    factor, failed = torch.linalg.cholesky_ex(A)
    if failed.any():
        lift = 1e-10 * A.diagonal(dim1=-2, dim2=-1).mean(dim=-1)[..., None, None]
        factor = torch.linalg.cholesky(A + lift * torch.eye(A.shape[-1], dtype=A.dtype, device=A.device))
    return torch.cholesky_solve(B, factor)


def check_labels(y: np.ndarray, n_classes: int) -> None:
    """Labels must be integers from 0 to n_classes - 1."""
    if len(y) and (y.min() < 0 or y.max() >= n_classes):
        raise OptionError(f"labels must lie in 0..{n_classes - 1}, got {int(y.min())}..{int(y.max())}")


def check_folds(folds: np.ndarray, n: int) -> None:
    """Folds must be one number per picture, and at least two different ones."""
    different = len(np.unique(folds))
    if len(folds) != n or different < 2:
        raise OptionError(f"{n} pictures need a fold each, at least 2 different, got {different} in {len(folds)}")


def _check_penalties(penalties: np.ndarray) -> None:
    if len(penalties) == 0 or not (np.min(penalties) > 0 and np.isfinite(penalties).all()):
        raise OptionError(f"penalties must be positive and finite, got {penalties}")


@dataclass(frozen=True)
class _Block:
    """All folds of one size m, stacked: what does not depend on the penalty.

    rows: (B * m,) positions. left: (B, m, r), rows of U. unexplained: (B, m, m), the diagonal blocks of the
    projector I - 1 1^T / n - U U^T on what no column explains.
    """

    rows: Tensor
    left: Tensor
    unexplained: Tensor


def _out_of_fold(
    spectrum: Spectrum, y: np.ndarray, folds: np.ndarray, n_classes: int, penalties: np.ndarray
) -> Iterator[np.ndarray]:
    left = spectrum.left
    targets = one_against_rest(y, n_classes, left.device)
    blocks = _stack_folds(spectrum, folds)
    projected = left.T @ targets
    beyond = targets - targets.mean(dim=0) - left @ projected
    for penalty in penalties:
        # I - H = unexplained + U diag(lambda / (l + lambda)) U^T: no digits are lost where H is close to I.
        strength = float(penalty) * spectrum.unit
        kept = strength / (spectrum.eigenvalues + strength)
        residual = beyond + left @ (kept[:, None] * projected)
        oof = torch.empty_like(targets)
        for block in blocks:
            hidden = torch.baddbmm(block.unexplained, block.left * kept, block.left.mT)
            error = solve_positive(hidden, residual[block.rows].reshape(*hidden.shape[:2], -1))
            oof[block.rows] = targets[block.rows] - error.flatten(0, 1)
        yield oof.cpu().numpy()


def _stack_folds(spectrum: Spectrum, folds: np.ndarray) -> list[_Block]:
    _, fold, counts = np.unique(folds, return_inverse=True, return_counts=True)
    order = np.argsort(fold, kind="stable")
    sizes = counts[fold[order]]
    return [_block(spectrum, order[sizes == size], int(size)) for size in np.unique(counts)]


def _block(spectrum: Spectrum, rows: np.ndarray, size: int) -> _Block:
    positions = torch.as_tensor(rows, device=spectrum.left.device)
    left = spectrum.left[positions].reshape(len(rows) // size, size, spectrum.rank)
    unexplained = torch.eye(size, dtype=left.dtype, device=left.device) - 1 / spectrum.n - left @ left.mT
    if spectrum.rank == spectrum.n - 1:
        unexplained.zero_()  # what is left is rounding
    return _Block(positions, left, unexplained)
