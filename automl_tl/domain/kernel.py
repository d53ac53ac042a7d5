"""The squared maximum mean discrepancy between two sets of embeddings, exact and by random features.

Gaussian kernel k(x, y) = exp(-|x-y|^2 / (2 s^2)) on L2-normalised embeddings, unbiased at any sample size
(Gretton et al. 2012, JMLR 13, eq. 3; CMMD, arXiv 2401.09603, uses it for sets of pictures). A set that is not
at hand is stood for by the mean of its random Fourier features (Rahimi and Recht 2007).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

N_FREQUENCIES = 2048
_FREQUENCY_SEED = 20240117


def unit(embeddings: np.ndarray) -> np.ndarray:
    """Return the rows of (n, d) scaled to length 1, float64; a zero row stays zero."""
    rows = np.asarray(embeddings, np.float64)
    lengths: np.ndarray = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12))


def gaussian(x: np.ndarray, y: np.ndarray, bandwidth: float) -> np.ndarray:
    """Return the kernel matrix (n, m) of rows `x` (n, d) and `y` (m, d)."""
    squared = (x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2 * x @ y.T
    return np.asarray(np.exp(-np.maximum(squared, 0) / (2 * bandwidth**2)))


def self_similarity(kernel: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Return the unbiased mean of k(x, x') over pairs of two different rows of a kernel matrix (n, n).

    Args:
        kernel: float (n, n).
        groups: int (n,), rows of one group are not independent, so pairs of two groups alone count, if there are any.
    """
    n = len(kernel)
    if groups is not None:
        apart = groups[:, None] != groups
        if apart.any():
            return float(kernel[apart].mean())
    return float((kernel.sum() - np.trace(kernel)) / (n * (n - 1)))


def median_distance(rows: np.ndarray) -> float:
    """Return the median Euclidean distance between two different rows of (n, d)."""
    products = rows @ rows.T
    lengths = np.diag(products)
    squared = lengths[:, None] + lengths[None] - 2 * products
    return float(np.sqrt(np.median(np.maximum(squared[np.triu_indices(len(rows), 1)], 0))))


def random_features(rows: np.ndarray, bandwidth: float) -> np.ndarray:
    """Return random Fourier features of `rows` (n, d): float64 (n, 2 * N_FREQUENCIES).

    The product of two rows' features, divided by N_FREQUENCIES, estimates their kernel value.
    """
    phases = rows @ _frequencies(rows.shape[1]) / bandwidth
    return np.concatenate([np.cos(phases), np.sin(phases)], axis=1)


def mean_map(rows: np.ndarray, bandwidth: float) -> np.ndarray:
    """Return the mean random Fourier features of `rows` (n, d): float64 (2 * N_FREQUENCIES,)."""
    return np.asarray(random_features(rows, bandwidth).mean(0))


def similarity_to(rows: np.ndarray, mapped: np.ndarray, bandwidth: float) -> np.ndarray:
    """Return each row's estimated mean kernel value with the set whose mean map is `mapped`: (n,)."""
    return np.asarray(random_features(rows, bandwidth) @ mapped.astype(np.float64) / N_FREQUENCIES)


@lru_cache(maxsize=2)
def _frequencies(dim: int) -> np.ndarray:
    """Return (dim, N_FREQUENCIES) of unit bandwidth, from a generator whose stream never changes."""
    return np.random.RandomState(_FREQUENCY_SEED).standard_normal((dim, N_FREQUENCIES))
