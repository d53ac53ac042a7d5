"""A linear classifier over pooled features, and the scaling that it carries with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor

from automl_tl.devices import free_memory, to_device
from automl_tl.errors import OptionError
from automl_tl.learning.threads import SMALL

# A column whose spread is below this share of its root mean square is constant up to float32 rounding (1.2e-7).
CONSTANT = 1e-6
# Columns, and numbers, handled at once at most where a float64 copy is needed: 2^24 are 128 MB.
COLUMNS, NUMBERS = 2048, 2**24


@dataclass(frozen=True)
class Scaling:
    """Pareto scaling of feature columns (van den Berg et al. 2006): (X - center) / scale.

    The scale is the root of the standard deviation, so a column keeps half of its weight, on a logarithmic scale. Equal
    weights (the standard deviation itself) raise the many columns of a ConvNet that hardly vary, which is noise where
    pictures are few, and far out where one of them does vary. Of joined cuts the one of larger activations weighs more,
    by the root as well. `benchmarks/scaling.py` measures it.

    It is computed from all pictures at hand, test folds included. That is deliberate: it looks at no label, and
    one common scaling is what makes exact out-of-fold predictions from a single decomposition possible.

    center: (d,) float64, the column means.
    scale: (d,) float64, the roots of the standard deviations (1/n) times their mean; 1 for a constant column.
    varies: (d,) bool, False for constant columns, which become 0.
    """

    center: np.ndarray
    scale: np.ndarray
    varies: np.ndarray

    @property
    def unit(self) -> float:
        """The mean diagonal of the kernel Xs Xs^T (its mean eigenvalue over pictures): the unit of penalties.

        It equals the number of columns that vary, whatever n is and whatever unit all of X has (the mean in `scale`
        sees to it), so one penalty means the same at every size:
        in the Bayesian reading of ridge regression it is the noise variance in units of the signal's.
        """
        return float(max(int(self.varies.sum()), 1))

    def apply(self, X: Tensor, columns: slice = slice(None)) -> Tensor:
        """Scale columns of a tensor, (n, d) -> (n, len(columns)) float64; constant columns become 0."""
        center, factor = (
            to_device(torch.as_tensor(part[columns]), X.device)
            for part in (self.center, np.where(self.varies, 1 / self.scale, 0.0))
        )
        return (X[:, columns].double() - center) * factor


@dataclass(frozen=True)
class Scaled:
    """Features X (n, d) as they came; their rows are scaled when they are asked for."""

    X: Tensor
    scaling: Scaling

    @property
    def n(self) -> int:
        """Number of pictures."""
        return self.X.shape[0]

    @property
    def rank(self) -> int:
        """Number d of columns."""
        return self.X.shape[1]

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.X.device

    def rows(self, which: Tensor) -> Tensor:
        """Those of the pictures `which`, int (k,): float64 (k, d)."""
        return self.scaling.apply(self.X[which])


def as_matrix(X: np.ndarray | Tensor) -> Tensor:
    """A feature matrix (n, d) as a tensor where it is; Apple's GPUs have no float64, so from there it moves to the CPU.

    Raises OptionError if it is not a matrix with two rows and a column, or holds a value that is not finite.
    """
    matrix = torch.as_tensor(X)
    if matrix.ndim != 2 or matrix.shape[0] < 2 or matrix.shape[1] < 1:
        raise OptionError(
            f"features must be a matrix of 2 or more rows and 1 or more columns, got {tuple(matrix.shape)}"
        )
    if not all(bool(torch.isfinite(end)) for end in torch.aminmax(matrix)):  # isfinite() of all would copy them twice
        row = int((~torch.isfinite(matrix)).any(dim=1).nonzero()[0])
        raise OptionError(f"features must be finite, but row {row} holds NaN or infinity; leave that picture out")
    return matrix.cpu() if matrix.device.type == "mps" else matrix


def placed(matrix: Tensor, multiplications: float, device: str | None) -> Tensor:
    """The matrix on the device that is to solve it: "cpu", "cuda", "cuda:1"; None leaves it where it is.

    Small problems stay on the CPU, whose eigendecompositions are faster there than a GPU's, and so do those that do not
    fit into a GPU's free memory. So does everything where the device is Apple's ("mps"): it has no float64, and small
    penalties need the digits.
    """
    if device is None:
        return matrix
    away = device not in ("cpu", "mps") and multiplications >= SMALL and _held(matrix) < free_memory(device)
    return matrix.to(device if away else "cpu")


def _held(matrix: Tensor) -> float:
    """Bytes that solving (n, d) takes at most: itself, rotated, and four square matrices of its smaller side."""
    n, d = matrix.shape
    return 4 * n * d + 8 * (n + 4 * min(n, d)) * min(n, d)


def measure_scaling(X: Tensor) -> Scaling:
    """Measure the scaling of the columns of X (n, d), in float64, a block of columns at a time."""
    width = max(1, min(COLUMNS, NUMBERS // len(X)))
    parts = [_moments(X[:, start : start + width].double()) for start in range(0, X.shape[1], width)]
    mean, std, rms = torch.cat(parts, dim=1).cpu().numpy()
    varies = std > CONSTANT * rms
    usual = std[varies].mean() if varies.any() else 1.0
    return Scaling(mean, np.where(varies, np.sqrt(std * usual), 1.0), varies)


def _moments(block: Tensor) -> Tensor:
    """Mean, standard deviation and root mean square of the columns (n, d), as rows (3, d)."""
    std, mean = torch.std_mean(block, dim=0, correction=0)
    return torch.stack([mean, std, torch.sqrt(mean**2 + std**2)])


@dataclass(frozen=True)
class LinearHead:
    """A linear classifier: scores = (X - center) / scale @ weight.T + bias.

    kind: "ridge", "softmax", "ovr_logistic" or "linear_svm".
    weight: (C, d) float32, on scaled features; 0 for constant columns.
    bias: (C,) float32.
    center, scale: (d,) float32, the scaling.
    """

    kind: str
    weight: np.ndarray
    bias: np.ndarray
    center: np.ndarray
    scale: np.ndarray

    @classmethod
    def on_scaled(cls, kind: str, weight: np.ndarray, bias: np.ndarray, scaling: Scaling) -> LinearHead:
        """The head of float64 weights (C, d) and bias (C,) on columns that `scaling` was applied to."""
        weight = np.where(scaling.varies, weight, 0.0)
        center, scale = scaling.center.astype(np.float32), scaling.scale.astype(np.float32)
        # Rounding the means to float32 shifts every score by a constant: the bias takes it back.
        shift = weight @ ((center.astype(np.float64) - scaling.center) / scaling.scale)
        return cls(kind, weight.astype(np.float32), (bias + shift).astype(np.float32), center, scale)

    @property
    def n_classes(self) -> int:
        """Number of classes C."""
        return len(self.bias)

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return sum(part.nbytes for part in (self.weight, self.bias, self.center, self.scale))

    def scores(self, X: np.ndarray) -> np.ndarray:
        """Scores (n, C) float32 of features (n, d); logits for the logistic kinds, margins for the others."""
        if X.ndim != 2 or X.shape[1] != len(self.center):
            raise OptionError(f"this head takes features of {len(self.center)} columns, got the shape {X.shape}")
        scores: np.ndarray = ((X.astype(np.float32) - self.center) / self.scale) @ self.weight.T + self.bias
        return scores

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The class with the highest score, int (n,)."""
        best: np.ndarray = self.scores(X).argmax(axis=1)
        return best

    def probabilities(self, X: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        """softmax(scores / temperature), (n, C) float32.

        Every kind is made into probabilities in this one way: with the temperature that `scores.best_temperature`
        finds on out-of-fold scores they are calibrated, whatever loss the head was trained with.
        """
        shares: np.ndarray = softmax(self.scores(X) / temperature, axis=1)
        return shares
