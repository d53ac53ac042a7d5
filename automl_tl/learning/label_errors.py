"""Which labels are likely wrong, by what classifiers say that have not learned from them."""

from __future__ import annotations

import numpy as np


def likely_errors(y: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the pictures whose labels are likely wrong, int (k,), the least believed label first.

    As many as `count_errors` counts, those whose own class is given the least probability ("self-confidence"), without
    those whose own class is the most probable. The order alone is that of cleanlab's `get_label_quality_scores`. Of 5%
    planted errors, these are more and purer than what the filters of cleanlab choose (`benchmarks/planted_labels.py`).

    Args:
        y: int (n,), the labels, positions of columns.
        probabilities: float (n, C), out of fold: of classifiers that did not learn from the picture.
    """
    own = probabilities[np.arange(len(y)), y]
    least = np.argsort(own, kind="stable")[: count_errors(y, probabilities)]
    chosen: np.ndarray = least[probabilities[least].argmax(axis=1) != y[least]]
    return chosen


def count_errors(y: np.ndarray, probabilities: np.ndarray) -> int:
    """Return how many labels are wrong, by the confident joint (Northcutt et al. 2021, arXiv 1911.00068, section 3.1).

    A picture counts for a class where it is at least as probable as it is on average among the pictures with that
    label; of several, for the most probable one. Those that count for another class than their label's are wrong.
    Arguments as in `likely_errors`.
    """
    confident = np.where(probabilities >= _thresholds(y, probabilities), probabilities, -1.0)
    counted = confident.max(axis=1) >= 0
    return int((counted & (confident.argmax(axis=1) != y)).sum())


def _thresholds(y: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the mean probability of each class among the pictures with its label, (C,); infinite where none has."""
    n_classes = probabilities.shape[1]
    counts = np.bincount(y, minlength=n_classes)
    sums = np.bincount(y, weights=probabilities[np.arange(len(y)), y], minlength=n_classes)
    means: np.ndarray = np.divide(sums, counts, out=np.full(n_classes, np.inf), where=counts > 0)
    return means
