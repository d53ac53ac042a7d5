"""By what frozen candidates are chosen: while pictures are few, how likely they make the labels, and what is usual.

Of a hundred pictures most candidates get the same ones right: which of thirty is right most often is luck, and ties are
many. How likely the labels are is told apart by every picture, and what joins several stages is usually ahead. On eight
draws of ten data sets (EfficientNet-Lite0, `benchmarks/source_choice.py`) late cuts that are chosen so reach more, on
pictures that nothing has seen, than those that are right most often: 1.3 +- .6 points at 3 pictures a class, 2.3 +- .7
at 5, 2.2 +- .7 at 10, 1.2 +- .3 at 25 and .5 +- .3 at 50; early cuts 2.1 +- .7, 2.3 +- .6, 1.3 +- .5, .3
+- .3 and .5 +- .2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from automl_tl.learning.scores import Metric

PER_NAT = 0.3
"""Accuracy by which a candidate is ahead of another for each nat of log loss; anything from .2 to .45 does as well."""
SPREAD = 0.02
"""Standard deviation of the accuracy about what log loss and usage say of it; anything from .01 to .03 does as well."""
DIFFERING = 0.1
"""Share of pictures that one of two candidates has right and the other has not: over n, the variance of the difference
of their accuracies."""
DEVIATIONS, JOINED = 0.01, 0.025
"""Accuracy by which means with deviations of a stage, and those of several stages, are usually ahead of one's means."""


def usual(cuts: Sequence[int], pooling: str) -> float:
    """Return the accuracy by which features are usually ahead of the means of a single stage.

    >>> usual([9], "mean"), usual([9], "mean+std"), usual([8, 9], "mean+std")
    (0.0, 0.01, 0.025)
    """
    if len(cuts) > 1:
        return JOINED
    return DEVIATIONS if pooling == "mean+std" else 0.0


def certainty(n: int) -> float:
    """Return what the metric weighs, 0 to 1, that was measured on `n` pictures.

    >>> round(certainty(40), 2), round(certainty(400), 2), round(certainty(10_000), 2)
    (0.14, 0.62, 0.98)
    """
    return SPREAD**2 / (SPREAD**2 + DIFFERING / n)


def merit(value: float, losses: np.ndarray, y: np.ndarray, metric: Metric, ahead: float) -> float:
    """Return what a candidate is worth in a choice, in units of accuracy: the greater, the better.

    Args:
        value: its metric out of fold.
        losses: its calibrated negative log-likelihoods, float (n,), nats.
        y: labels of the same pictures, int (n,).
        metric: what is to be good.
        ahead: by how much its features are `usual` to be.
    """
    weight = certainty(len(y))
    measured = value if metric.greater_is_better else -PER_NAT * value
    likely = ahead - PER_NAT * float((metric.weights(y) * losses).mean())
    return weight * measured + (1 - weight) * likely


def merits(right: np.ndarray, losses: np.ndarray, y: np.ndarray, metric: Metric, ahead: float) -> np.ndarray:
    """Return what each picture adds to the merit of candidates on one kind of features, float32 (n, p).

    Args:
        right: whether each of them is right on each picture, bool (n, p).
        losses, y, metric, ahead: as for `merit`. For a log loss being right stands for the metric.
    """
    weight, counts = certainty(len(y)), metric.weights(y)
    likely = ahead - PER_NAT * counts * losses
    found: np.ndarray = weight * counts[:, None] * right + (1 - weight) * likely[:, None]
    return found.astype(np.float32)
