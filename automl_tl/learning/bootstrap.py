"""How sure the difference of two candidates' metrics is, by bootstrap, in time and memory that are bounded.

Every metric is a function of a few sums over pictures, so that no draw touches the scores: a draw is how often each
cluster of pictures is in it, and the sums of all draws are one sparse product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, hstack

from automl_tl.learning.scores import Metric, best_temperature, negative_log_likelihoods

# Draws: of many clusters so few that NUMBERS are drawn at random in all, about two seconds. With the least of them the
# standard error is known to a share 1 / sqrt(2 * 60), 9%, of itself.
DRAWS, LEAST_DRAWS, NUMBERS = 300, 60, 3e7
# Counts that are held at once.
PIECE = 2**24


@dataclass(frozen=True)
class Sums:
    """A metric as a function of sums over pictures.

    table: maps labels int (n,) and scores (n, C) to what each picture adds, (n, s).
    value: maps sums (B, s) to the metric (B,).
    """

    table: Callable[[np.ndarray, np.ndarray], csr_array]
    value: Callable[[np.ndarray], np.ndarray]


def stderr_of_difference(
    metric: Metric, y: np.ndarray, before: np.ndarray, after: np.ndarray, clusters: np.ndarray, seed: int = 0
) -> float:
    """Standard error of the metric of the scores `after` less that of `before`, (n, C) each, on the same pictures.

    y: int (n,). clusters: int (n,), pictures that are drawn together. A log loss keeps the temperature that is best
    for all pictures: at the best one the loss is flat in it, so to first order the error is the same.
    """
    sums, cluster = SUMS[metric.name], np.unique(clusters, return_inverse=True)[1]
    count = int(cluster.max()) + 1
    members = csr_array((np.ones(len(y)), (cluster, np.arange(len(y)))), shape=(count, len(y)))
    parts = [csr_array(members @ sums.table(y, scores)) for scores in (before, after)]
    both, width = csr_array(hstack(parts)), parts[0].shape[1]
    rng, draws = np.random.default_rng(seed), int(np.clip(NUMBERS / count, LEAST_DRAWS, DRAWS))
    at_once = max(1, PIECE // (count + 2 * width))
    drawn = []
    for start in range(0, draws, at_once):
        picks = [rng.integers(0, count, count) for _ in range(min(at_once, draws - start))]
        totals = (both.T @ np.stack([np.bincount(pick, minlength=count) for pick in picks], axis=1)).T
        drawn.append(sums.value(totals[:, width:]) - sums.value(totals[:, :width]))
    return float(np.std(np.concatenate(drawn)))


def _indicators(labels: np.ndarray, n_classes: int, counted: np.ndarray | None = None) -> csr_array:
    """Rows (n, C) with a one at the label, where `counted` (all by default)."""
    ones = np.ones(len(labels)) if counted is None else counted.astype(np.float64)
    return csr_array((ones, (np.arange(len(labels)), labels)), shape=(len(labels), n_classes))


def _hits(y: np.ndarray, scores: np.ndarray) -> csr_array:
    """By class: pictures that are right, that are of the class, that are said to be of it; (n, 3 C)."""
    said, n_classes = scores.argmax(axis=1), scores.shape[1]
    parts = [_indicators(y, n_classes, said == y), _indicators(y, n_classes), _indicators(said, n_classes)]
    return csr_array(hstack(parts))


def _losses(y: np.ndarray, scores: np.ndarray) -> csr_array:
    """The negative log-likelihood at the best temperature, and one; (n, 2)."""
    losses = negative_log_likelihoods(y, scores, best_temperature(y, scores))
    return csr_array(np.stack([losses, np.ones(len(y))], axis=1))


def _accuracy(sums: np.ndarray) -> np.ndarray:
    right, true, _ = np.split(sums, 3, axis=1)
    shares: np.ndarray = right.sum(axis=1) / true.sum(axis=1)
    return shares


def _balanced_accuracy(sums: np.ndarray) -> np.ndarray:
    right, true, _ = np.split(sums, 3, axis=1)
    return _mean(right, true)


def _macro_f1(sums: np.ndarray) -> np.ndarray:
    right, true, said = np.split(sums, 3, axis=1)
    return _mean(2 * right, true + said)


def _mean(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """The mean of part / whole over the classes (B, C) of which there is anything: (B,)."""
    shares = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    means: np.ndarray = shares.sum(axis=1) / (whole > 0).sum(axis=1)
    return means


def _log_loss(sums: np.ndarray) -> np.ndarray:
    means: np.ndarray = sums[:, 0] / sums[:, 1]
    return means


SUMS = {
    "accuracy": Sums(_hits, _accuracy),
    "balanced_accuracy": Sums(_hits, _balanced_accuracy),
    "macro_f1": Sums(_hits, _macro_f1),
    "log_loss": Sums(_losses, _log_loss),
}
