"""Which classes are taken for one another, and which need pictures most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

N_SHOWN = 3


@dataclass(frozen=True)
class ConfusedPair:
    """Pictures of one class that were taken for another."""

    true: str
    predicted: str
    count: int
    share: float
    """Of the pictures of the true class."""


@dataclass(frozen=True)
class WeakClass:
    """A class that is recognised worse than the others."""

    label: str
    recall: float
    count: int


@dataclass(frozen=True, eq=False)
class Confusion:
    """What goes wrong, from out-of-fold answers."""

    pairs: tuple[ConfusedPair, ...]
    """The most frequent first."""
    weakest: tuple[WeakClass, ...]
    """The classes that need pictures most: those with the most errors per picture, above the average."""
    classes: tuple[str, ...]
    counts: np.ndarray
    """int (C, C), pictures by true class (rows) and predicted class (columns)."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "pairs": [{**vars(p), "share": round(p.share, 4)} for p in self.pairs],
            "needs_pictures": [{**vars(w), "recall": round(w.recall, 4)} for w in self.weakest],
        }


def confusion(y: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> Confusion:
    """Return what goes wrong.

    Args:
        y: int (n,), true positions in `classes`.
        predicted: int (n,), out-of-fold answers.
        classes: labels.
    """
    counts = np.bincount(y, minlength=len(classes))
    wrong = y != predicted
    pairs, frequency = np.unique(np.stack([y[wrong], predicted[wrong]]), axis=1, return_counts=True)
    order = np.argsort(-frequency, kind="stable")[:N_SHOWN]
    errors = np.bincount(y[wrong], minlength=len(classes))
    rate = errors / np.maximum(counts, 1)
    weakest = [i for i in np.argsort(-rate, kind="stable")[:N_SHOWN] if rate[i] > wrong.sum() / max(len(y), 1)]
    return Confusion(
        tuple(
            ConfusedPair(classes[a], classes[b], int(n), float(n / counts[a]))
            for (a, b), n in zip(pairs.T[order], frequency[order], strict=True)
        ),
        tuple(WeakClass(classes[i], float(1 - rate[i]), int(counts[i])) for i in weakest),
        tuple(classes),
        np.bincount(y * len(classes) + predicted, minlength=len(classes) ** 2).reshape(len(classes), len(classes)),
    )
