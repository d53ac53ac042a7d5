"""Generated features with known classes: mixtures of Gaussians."""

from __future__ import annotations

import numpy as np


def mixture(n: int, d: int, classes: int, *, spread: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, d) float32 of uneven column scales and offsets, and labels int (n,), every class present."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % classes)
    means = spread * rng.standard_normal((classes, d))
    X = (means[y] + rng.standard_normal((n, d))) * rng.uniform(0.1, 10, d) + rng.uniform(-5, 5, d)
    return X.astype(np.float32), y


def stratified_folds(y: np.ndarray, n_folds: int, seed: int = 0) -> np.ndarray:
    """Fold of each picture, int (n,): a class's pictures are dealt out in random order."""
    rng = np.random.default_rng(seed)
    folds = np.empty(len(y), dtype=int)
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        folds[rows] = (np.arange(len(rows)) + rng.integers(n_folds)) % n_folds
    return folds
