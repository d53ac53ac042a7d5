"""A greedy ensemble of the best few candidates, where it helps on pictures that none of them learned from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from automl_tl.model.model import mix
from automl_tl.searcher.outcome import Outcome
from automl_tl.searcher.task import Task
from automl_tl.training.scores import fit_temperature

ROUNDS = 4
"""Choices that are made; one candidate may be chosen several times, so shares are quarters at the finest."""


def greedy_shares(task: Task, outcomes: Sequence[Outcome], rows: np.ndarray) -> dict[int, float]:
    """Return the shares, by position in `outcomes`, of a greedy ensemble (Caruana et al. 2004); they sum to 1.

    It starts with the first candidate, the best one, and adds what lowers the log loss most. The ensemble is taken
    only if its log loss on the pictures `rows` is lower than the best one's by more than a standard error of their
    paired difference, and no fewer pictures are right; else the first one stands alone.

    Args:
        task: the data.
        outcomes: the best first; each scored on `rows`.
        rows: int (m,).
    """
    y = task.y[rows]
    members = [_probabilities(outcome, rows, y) for outcome in outcomes]
    chosen = [0]
    for _ in range(ROUNDS - 1):
        sums = np.sum([members[i] for i in chosen], axis=0)
        losses = [_losses((sums + member) / (len(chosen) + 1), y).mean() for member in members]
        chosen.append(int(np.argmin(losses)))
    shares = {i: count / len(chosen) for i, count in sorted(Counter(chosen).items())}
    together = np.sum([share * members[i] for i, share in shares.items()], axis=0)
    return shares if _helps(together, members[0], y) else {0: 1.0}


def own_temperature(outcome: Outcome, rows: np.ndarray, y: np.ndarray) -> float:
    """Return the temperature at which a candidate's scores on `rows` are calibrated."""
    return fit_temperature(y, outcome.on(rows))


def _probabilities(outcome: Outcome, rows: np.ndarray, y: np.ndarray) -> np.ndarray:
    return mix([outcome.on(rows)], [1.0], own_temperature(outcome, rows, y))


def _losses(probabilities: np.ndarray, y: np.ndarray) -> np.ndarray:
    losses: np.ndarray = -np.log(np.maximum(probabilities[np.arange(len(y)), y], 1e-12))
    return losses


def _helps(together: np.ndarray, alone: np.ndarray, y: np.ndarray) -> bool:
    gains = _losses(alone, y) - _losses(together, y)
    stderr = gains.std() / np.sqrt(len(gains))
    right = (together.argmax(1) == y).sum() - (alone.argmax(1) == y).sum()
    return bool(gains.mean() > stderr and right >= 0 and gains.mean() > 0)
