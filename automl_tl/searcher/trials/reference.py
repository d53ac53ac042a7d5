"""The best frozen candidate: what trained ones are compared with, picture by picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.outcome import Outcome


@dataclass(frozen=True, eq=False)
class Reference:
    """The best frozen candidate: what trained ones are compared with, picture by picture."""

    outcome: Outcome
    l2: float
    """Multiple of columns over pictures by which the heads are solved that training starts from."""
    ahead: float = 0.0
    """Accuracy by which its strategy is expected to be ahead of the other frozen one; below 0 where only it may be."""
    optimism: float = 0.0
    """Accuracy by which its scores flatter it, since it was chosen by them, 0 or more; those of trained ones do not."""


def optimism_on(n: int, optimism: float, before: int) -> float:
    """Return the optimism of a choice on `n` pictures, from that on `before`: it falls as a standard error does."""
    return optimism * math.sqrt(before / n)


def estimated(task: Task, reference: Reference, rows: np.ndarray, scores: np.ndarray) -> float:
    """Return the metric that a candidate scored on the pictures `rows` alone would have on all of them.

    The reference's metric on all pictures plus the difference of the two on `rows` (a control variate): what makes
    these pictures easier or harder than the rest is in both, so candidates scored on other folds can be compared.
    """
    y, function = task.y, task.metric.function
    gain = function(y[rows], scores) - function(y[rows], reference.outcome.on(rows))
    return float(reference.outcome.value + gain)
