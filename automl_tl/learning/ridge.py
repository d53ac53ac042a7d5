"""Ridge regression, and what it says about the pictures of each fold without having seen any of them.

No model is refitted. A fold of m pictures is solved for in the smaller of two systems: in its pictures (m x m) from
the smoother of all pictures, or, where the features have fewer than m columns, in these (r x r) from the normal
equations of all pictures less its own. Memory grows as that of the features, n r numbers, never as n^2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from automl_tl.learning.linear import Scaling
from automl_tl.learning.spectrum import Spectrum

# Bytes of rows, or of stacked systems, that are handled at once.
PIECE = 2**26


class Columns(Protocol):
    """Centred columns that ridge regression runs on: a `Spectrum`, or `Scaled` features as they are."""

    @property
    def scaling(self) -> Scaling:
        """The scaling that they have been through."""

    @property
    def n(self) -> int:
        """Number of pictures."""

    @property
    def rank(self) -> int:
        """Number r of columns."""

    @property
    def device(self) -> torch.device:
        """Where they are."""

    def rows(self, which: Tensor) -> Tensor:
        """Those of the pictures `which`, int (k,): float64 (k, r)."""


def one_against_rest(y: np.ndarray | Tensor, n_classes: int, device: torch.device) -> Tensor:
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


def out_of_fold(
    columns: Columns, y: np.ndarray, folds: np.ndarray, n_classes: int, strengths: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield the out-of-fold scores (n, C) float64 at one strength lambda after another.

    columns: a Spectrum, or anything where every fold has more pictures than there are columns. y: int (n,).
    folds: int (n,). strengths: (p,) positive, absolute.
    """
    stacks = _stack_folds(folds, columns.device)
    large = [rows for rows in stacks if rows.shape[1] > columns.rank]
    small = [rows for rows in stacks if rows.shape[1] <= columns.rank]
    solvers: list[_WithoutFold | _Smoother] = []
    if large:
        rest = torch.cat([rows.flatten() for rows in [*small, large[0][:0]]])
        solvers.append(_WithoutFold(columns, y, large, rest, n_classes))
    if small:
        assert isinstance(columns, Spectrum)
        solvers.append(_Smoother(columns, y, small, n_classes))
    for strength in strengths:
        oof = torch.empty(len(y), n_classes, dtype=torch.float64, device=columns.device)
        for solver in solvers:
            solver.fill(oof, float(strength))
        yield oof.cpu().numpy()


def solve_columns(columns: Columns, y: np.ndarray, n_classes: int, strength: float) -> Tensor:
    """Ridge regression on all pictures: the bias and the weights of the columns, (1 + r, C) float64."""
    everything = torch.arange(columns.n, device=columns.device)[None]
    return _normal_equations(columns, y, everything, n_classes).solve(strength)[0]


def _stack_folds(folds: np.ndarray, device: torch.device) -> list[Tensor]:
    """The positions of the pictures of all folds of one size m, int (B, m), for every size."""
    _, fold, counts = np.unique(folds, return_inverse=True, return_counts=True)
    order = np.argsort(fold, kind="stable")
    sizes = counts[fold[order]]
    stacks = (order[sizes == size].reshape(-1, int(size)) for size in np.unique(counts))
    return [torch.as_tensor(rows, device=device) for rows in stacks]


def _in_pieces(stacks: Sequence[Tensor], bytes_each: int) -> list[Tensor]:
    """Stacks of so few folds that they take PIECE bytes, or of one fold."""
    count = max(1, PIECE // max(bytes_each, 1))
    return [piece for rows in stacks for piece in torch.split(rows, count)]


@dataclass(frozen=True)
class _NormalEquations:
    """What the pictures of B sets say of the columns Z and an intercept: sums over each set.

    gram: (B, 1 + r, 1 + r) of [1, Z]^T [1, Z]. moments: (B, 1 + r, C) of [1, Z]^T targets.
    """

    gram: Tensor
    moments: Tensor

    def sum(self) -> _NormalEquations:
        """All sets as one."""
        return _NormalEquations(self.gram.sum(0, keepdim=True), self.moments.sum(0, keepdim=True))

    def __add__(self, other: _NormalEquations) -> _NormalEquations:
        return _NormalEquations(self.gram + other.gram, self.moments + other.moments)

    def without(self, whole: _NormalEquations) -> _NormalEquations:
        """Each set's complement in `whole`, in the place of the set itself."""
        self.gram.neg_().add_(whole.gram)
        self.moments.neg_().add_(whole.moments)
        return self

    def solve(self, strength: float) -> Tensor:
        """Bias and weights (B, 1 + r, C): (gram + strength) w = moments, the bias free.

        Rows and columns are scaled to a unit diagonal, which is within a factor r of the best scaling for the
        condition (van der Sluis 1969).
        """
        A = self.gram.clone()
        diagonal = A.diagonal(dim1=1, dim2=2)
        diagonal[:, 1:] += strength
        scale = diagonal.rsqrt()[:, :, None]
        A.mul_(scale).mul_(scale.mT)
        return solve_positive(A, self.moments * scale).mul_(scale)


def _normal_equations(columns: Columns, y: np.ndarray, rows: Tensor, n_classes: int) -> _NormalEquations:
    """Of the pictures of each set of `rows`, int (B, m)."""
    labels, (count, _), width = torch.as_tensor(y, device=columns.device), rows.shape, columns.rank + 1
    gram = torch.zeros(count, width, width, dtype=torch.float64, device=columns.device)
    moments = torch.zeros(count, width, n_classes, dtype=torch.float64, device=columns.device)
    for part in _parts(rows, width):
        which = part.flatten()
        Z = pad(columns.rows(which), (1, 0), value=1.0).view(count, -1, width)
        gram.baddbmm_(Z.mT, Z)
        moments.baddbmm_(Z.mT, one_against_rest(labels[which], n_classes, columns.device).view(count, -1, n_classes))
    return _NormalEquations(gram, moments)


def _parts(rows: Tensor, width: int) -> tuple[Tensor, ...]:
    """Stacked positions (B, m), so many of each fold at once as take PIECE bytes in `width` float64 columns."""
    return torch.split(rows, max(1, PIECE // (8 * width * len(rows))), dim=1)


class _WithoutFold:
    """Folds of more pictures than columns: regression on the pictures b' outside a fold b.

    The bias and weights w solve (Z_b'^T Z_b' + lambda) w = Z_b'^T y_b', where Z_b'^T Z_b' = Z^T Z - Z_b^T Z_b, the
    intercept being a column of Z that is not penalised; oof_b = Z_b w. By the identity of Woodbury this is what
    `_Smoother` solves, with a system of 1 + r rows in place of m. K systems of all columns take less than the features.
    """

    def __init__(self, columns: Columns, y: np.ndarray, stacks: Sequence[Tensor], rest: Tensor, n_classes: int):
        """`rest` (k,): the pictures of other folds."""
        self.columns = columns
        self.pieces = _in_pieces(stacks, 8 * (columns.rank + 1) ** 2)
        seen = [_normal_equations(columns, y, rows, n_classes) for rows in self.pieces]
        whole = _normal_equations(columns, y, rest[None], n_classes)
        for some in seen:
            whole = whole + some.sum()
        self.unseen = [some.without(whole) for some in seen]

    def fill(self, oof: Tensor, strength: float) -> None:
        """Write the scores of these folds into `oof` (n, C)."""
        for rows, equations in zip(self.pieces, self.unseen, strict=True):
            solved = equations.solve(strength)
            bias, weight = solved[:, :1], solved[:, 1:]
            for part in _parts(rows, self.columns.rank + 1):
                Z = self.columns.rows(part.flatten()).view(*part.shape, -1)
                oof[part] = torch.baddbmm(bias, Z, weight)


@dataclass(frozen=True)
class _Block:
    """Folds of one size: what does not depend on the penalty.

    rows: (B, m) positions. left: (B, m, r), rows of U. targets: (B, m, C). beyond: (B, m, C), what no column explains
    of them. unexplained: (B, m, m), the diagonal blocks of the projector I - 1 1^T / n - U U^T that does so.
    """

    rows: Tensor
    left: Tensor
    targets: Tensor
    beyond: Tensor
    unexplained: Tensor


class _Smoother:
    """Folds of no more pictures than directions: what the regression on all pictures says, less the fold's own pull.

    Ridge regression smooths linearly: yhat = H y with H = 1 1^T / n + U diag(l / (l + lambda)) U^T. For the pictures
    b of a fold e_b = (I - H_bb)^-1 (y_b - yhat_b) and oof_b = y_b - e_b (Cook and Weisberg 1982; leave-one-out is the
    case of n folds). I - H = (I - 1 1^T / n - U U^T) + U diag(lambda / (l + lambda)) U^T: no digits are lost where H
    is close to I. The first part does not depend on lambda, and is kept: m numbers a picture, where U has r.
    """

    def __init__(self, spectrum: Spectrum, y: np.ndarray, stacks: Sequence[Tensor], n_classes: int):
        self.spectrum, self.root = spectrum, spectrum.eigenvalues.sqrt()
        targets = one_against_rest(y, n_classes, spectrum.device)
        self.mean, self.projected = targets.mean(dim=0), spectrum.project(targets) / self.root[:, None]
        size = max(rows.shape[1] for rows in stacks)
        pieces = _in_pieces(stacks, 8 * size * (size + spectrum.rank))
        self.blocks = [self._block(rows, targets[rows]) for rows in pieces]

    def _block(self, rows: Tensor, targets: Tensor) -> _Block:
        left = self.spectrum.rotated[rows] / self.root
        beyond = targets - self.mean - left @ self.projected
        unexplained = torch.eye(rows.shape[1], dtype=left.dtype, device=left.device) - 1 / self.spectrum.n
        unexplained = unexplained - left @ left.mT
        if self.spectrum.rank == self.spectrum.n - 1:
            unexplained.zero_()  # what is left is rounding
        return _Block(rows, left, targets, beyond, unexplained)

    def fill(self, oof: Tensor, strength: float) -> None:
        """Write the scores of these folds into `oof` (n, C)."""
        kept = strength / (self.spectrum.eigenvalues + strength)
        shrunk = kept[:, None] * self.projected
        for block in self.blocks:
            hidden = torch.baddbmm(block.unexplained, block.left * kept, block.left.mT)
            oof[block.rows] = block.targets - solve_positive(hidden, block.beyond + block.left @ shrunk)
