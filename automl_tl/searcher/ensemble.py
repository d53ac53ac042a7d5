"""An ensemble of the best trained and the best frozen candidate, each with the share that the pictures give it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from automl_tl.model.model import mix
from automl_tl.searcher.outcome import Outcome
from automl_tl.searcher.task import Task
from automl_tl.training.scores import fit_temperature

PRIOR_PICTURES = 10.0
"""What equal shares weigh before anything is measured, in pictures for each candidate. A validation part of a hundred
pictures cannot show what two candidates earn together; but on nine draws of five data sets these shares earned .012 of
accuracy over the candidate that was better on such a part, at worst -.005 (`benchmarks/ensemble.py`)."""
LEAST_SHARE = 0.2
"""A candidate with less is left out: it would change little and cost as much as the others."""
_ROUNDS, _CONVERGED = 500, 1e-6
_LEAST = 1e-12


def mixture_shares(task: Task, outcomes: Sequence[Outcome]) -> dict[int, float]:
    """Return the share of each of the candidates that are worth having, by position in `outcomes`; they sum to 1.

    The shares are the most probable weights of a mixture of the candidates' calibrated probabilities, given the
    pictures that all were scored on (stacking, Smyth and Wolpert 1999) and a Dirichlet prior that favours equal ones.
    They are found by expectation maximisation: every step gives a candidate its mean responsibility for a picture.

    Args:
        task: the data.
        outcomes: the best one first, which is kept in any case.
    """
    rows = common_rows(outcomes)
    y = task.y[rows]
    likelihoods = np.stack([_probabilities(outcome, rows, y)[np.arange(len(y)), y] for outcome in outcomes])
    shares = _most_probable(np.maximum(likelihoods, _LEAST))
    kept = [i for i, share in enumerate(shares) if i == 0 or share >= LEAST_SHARE]
    total = shares[kept].sum()
    return {i: float(shares[i] / total) for i in kept}


def together(task: Task, outcomes: Sequence[Outcome], shares: Sequence[float]) -> Outcome:
    """Return what an ensemble of several candidates scores on the pictures that each was scored on.

    Its configuration is the first one's; its scores are the logarithms of the mixed probabilities.
    """
    rows = common_rows(outcomes)
    mixed = sum(
        share * _probabilities(outcome, rows, task.y[rows]) for outcome, share in zip(outcomes, shares, strict=True)
    )
    return replace(outcomes[0], rows=rows, scores=np.log(np.maximum(mixed, _LEAST)).astype(np.float32))


def common_rows(outcomes: Sequence[Outcome]) -> np.ndarray:
    """Return the pictures that every candidate was scored on, int (m,), ascending."""
    rows: np.ndarray = reduce(np.intersect1d, [outcome.rows for outcome in outcomes])
    return rows


def own_temperature(outcome: Outcome, rows: np.ndarray, y: np.ndarray) -> float:
    """Return the temperature at which a candidate's scores on `rows` are calibrated."""
    return fit_temperature(y, outcome.on(rows))


def _probabilities(outcome: Outcome, rows: np.ndarray, y: np.ndarray) -> np.ndarray:
    return mix([outcome.on(rows)], [1.0], own_temperature(outcome, rows, y))


def _most_probable(likelihoods: np.ndarray) -> np.ndarray:
    """Return the shares, float64 (K,), of K candidates whose probabilities of the labels are (K, m)."""
    n_candidates, m = likelihoods.shape
    shares: np.ndarray = np.full(n_candidates, 1 / n_candidates)
    for _ in range(_ROUNDS):
        before = shares
        responsibilities = shares[:, None] * likelihoods
        responsibilities /= responsibilities.sum(axis=0)
        shares = (responsibilities.sum(axis=1) + PRIOR_PICTURES) / (m + n_candidates * PRIOR_PICTURES)
        if np.abs(shares - before).max() < _CONVERGED:
            break
    return shares
