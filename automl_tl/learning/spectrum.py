"""One symmetric eigendecomposition of a feature matrix: what the screen, the heads and the learning curve share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from automl_tl.learning.linear import COLUMNS, Scaling, as_matrix, measure_scaling, placed
from automl_tl.learning.threads import threads_for

# Rows handled at once where a float64 copy is needed.
ROWS = 4096


# Numbers of U above which it is kept in float32: 400 MB would be twice as many.
LARGE = 5e7


@dataclass(frozen=True)
class Spectrum:
    """The scaled features Xs (n, d) as Xs = U diag(sqrt(l)) V^T, without the directions of zero length.

    Everything is float64 (but for very tall features, below): eigh of a 1,000 x 1,000 kernel takes .17 s in float64
    and .14 s in float32 on two cores, and small penalties need the digits.

    scaling: of its columns, from all n pictures.
    eigenvalues: (r,) l, descending, all positive; r <= min(n - 1, d), as the columns are centred.
    rotated: (n, r) U diag(sqrt(l)), Xs in its own row space: the same inner products and norms as Xs, with at most n
        columns. float32 above LARGE numbers, rounded as the features themselves are; float64 else.
    X: (n, d), the features as they came, which are scaled again where `directions` asks for them; None where
        there is a basis.
    basis: (d, r) V, or None where n <= d.
    """

    scaling: Scaling
    eigenvalues: Tensor
    rotated: Tensor
    X: Tensor | None
    basis: Tensor | None

    @property
    def n(self) -> int:
        """Number of pictures."""
        return self.rotated.shape[0]

    @property
    def rank(self) -> int:
        """Number r of directions kept."""
        return self.rotated.shape[1]

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.rotated.device

    @property
    def nbytes(self) -> int:
        """Bytes of the matrices that it holds."""
        return sum(matrix.nbytes for matrix in (self.rotated, self.X, self.basis) if matrix is not None)

    @property
    def unit(self) -> float:
        """`Scaling.unit`, of penalties."""
        return self.scaling.unit

    @property
    def left(self) -> Tensor:
        """U (n, r) float64, orthonormal columns."""
        return self.rotated / self.eigenvalues.sqrt()

    def rows(self, which: Tensor) -> Tensor:
        """Rotated features of the pictures `which`, int (k,): float64 (k, r)."""
        return self.rotated[which].double()

    def project(self, values: Tensor) -> Tensor:
        """rotated^T values: (n, c) float64 -> (r, c)."""
        starts = range(0, self.n, ROWS)
        parts = (self.rotated[at : at + ROWS].T.double() @ values[at : at + ROWS] for at in starts)
        return reduce(torch.add, parts)

    def directions(self) -> Tensor:
        """V (d, r): weights w on rotated features are V w on scaled ones."""
        if self.basis is not None:
            return self.basis
        assert self.X is not None
        inverse = self.rotated / self.eigenvalues
        starts = range(0, self.X.shape[1], COLUMNS)
        blocks = [self.scaling.apply(self.X, slice(start, start + COLUMNS)).T @ inverse for start in starts]
        return torch.cat(blocks)


def decompose(X: np.ndarray | Tensor, device: str | None = None) -> Spectrum:
    """Decompose features (n, d): the n x n kernel when n <= d, else the d x d covariance.

    Beyond X it holds one n x n or d x d matrix, U, and a block in float64. device: `linear.placed`.
    """
    matrix = as_matrix(X)
    n, d = matrix.shape
    matrix = placed(matrix, n * d * min(n, d), device)
    scaling = measure_scaling(matrix)
    with threads_for(min(n, d) ** 3):
        return _by_kernel(matrix, scaling) if n <= d else _by_covariance(matrix, scaling)


def as_spectrum(X: np.ndarray | Tensor | Spectrum) -> Spectrum:
    """The decomposition of features, where it is not at hand already."""
    return X if isinstance(X, Spectrum) else decompose(X)


def _by_kernel(X: Tensor, scaling: Scaling) -> Spectrum:
    n, d = X.shape
    kernel = torch.zeros(n, n, dtype=torch.float64, device=X.device)
    for start in range(0, d, COLUMNS):
        block = scaling.apply(X, slice(start, start + COLUMNS))
        kernel.addmm_(block, block.T)
    values, vectors = _largest(kernel, n, d)
    return Spectrum(scaling, values, vectors * values.sqrt(), X, None)


def _by_covariance(X: Tensor, scaling: Scaling) -> Spectrum:
    n, d = X.shape
    covariance = torch.zeros(d, d, dtype=torch.float64, device=X.device)
    for start in range(0, n, ROWS):
        block = scaling.apply(X[start : start + ROWS])
        covariance.addmm_(block.T, block)
    values, vectors = _largest(covariance, n, d)
    dtype = torch.float32 if n * len(values) > LARGE else torch.float64
    rotated = torch.empty(n, len(values), dtype=dtype, device=X.device)
    for start in range(0, n, ROWS):
        rotated[start : start + ROWS] = scaling.apply(X[start : start + ROWS]) @ vectors
    return Spectrum(scaling, values, rotated, None, vectors)


def _largest(matrix: Tensor, n: int, d: int) -> tuple[Tensor, Tensor]:
    """Eigenpairs above rounding, descending; n centred pictures span at most n - 1 directions."""
    values, vectors = torch.linalg.eigh(matrix)
    floor = values[-1].clamp(min=0) * max(n, d) * torch.finfo(torch.float64).eps
    rank = min(int((values > floor).sum()), n - 1)
    return values.flip(0)[:rank], vectors.flip(1)[:, :rank]
