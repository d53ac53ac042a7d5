"""An ensemble of the best trained and the best frozen candidate, each with the share that the pictures give it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from automl_tl.learning.scores import UsualTemperature, best_temperature
from automl_tl.model.model import mix
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.outcome import Outcome

PRIOR_PICTURES = 10.0
"""What equal shares weigh before anything is measured, in pictures for each candidate. A validation part of a hundred
pictures cannot show what two candidates earn together; but on nine draws of five data sets these shares earned .013 of
accuracy, on average, over the candidate that was right more often on such a part, and -.001 on the worst of the draws
(`benchmarks/ensemble.py`). Equal ones earn nearly as much; the pictures are there for a partner that is much worse."""
LEAST_SHARE = 0.2
"""A candidate with less is left out: it would change little and cost as much as the others. Of two, the prior alone
keeps it from falling below on fewer than 30 pictures."""
USUAL_WHEN_SMOOTHED = UsualTemperature(0.8, 0.4)
"""Of networks that learned with label smoothing: on 16 draws of ten data sets at 5 and 10 pictures a class the best
temperature on test pictures was .46 to 1.86, the mean of the logarithms -.25, their deviation .38. The 4 to 20 pictures
that one is scored on had said .63 to 2.83; with what is usual the log loss of what was delivered fell by .016 on these
same draws, on which it was fitted."""
_ROUNDS, _CONVERGED = 500, 1e-6
_LEAST = 1e-12


def mixture_shares(task: Task, outcomes: Sequence[Outcome]) -> dict[int, float]:
    """Return the share of each of the candidates that are worth having, by position in `outcomes`; they sum to 1.

    The shares are the most probable weights of a mixture of the candidates' calibrated probabilities, given the
    pictures that all were scored on (stacking, Smyth and Wolpert 1999) and a Dirichlet prior that favours equal ones.
    They are found by expectation maximisation: every step gives a candidate its mean responsibility for a picture. For
    a metric that counts classes alike the pictures are weighed so that classes are.

    Args:
        task: the data.
        outcomes: the best one first, which is kept in any case.
    """
    rows = common_rows(outcomes)
    y = task.y[rows]
    likelihoods = np.stack(
        [calibrated_probabilities(task, outcome, rows)[np.arange(len(y)), y] for outcome in outcomes]
    )
    weights = task.metric.weights(y)
    shares = _most_probable(np.maximum(likelihoods, _LEAST), weights)
    kept = [i for i, share in enumerate(shares) if i == 0 or share >= LEAST_SHARE]
    total = shares[kept].sum()
    return {i: float(shares[i] / total) for i in kept}


def likeliest_partner(task: Task, best: Outcome, rivals: Sequence[Outcome]) -> Outcome | None:
    """Return the candidate with which equal shares make the labels likeliest, on the pictures that all were scored on.

    The likelihood tells candidates apart on fewer pictures than being right does (greedy selection as of Caruana et al.
    2004, of a single step). None where there is no candidate.
    """
    if len(rivals) < 2:
        return next(iter(rivals), None)
    rows = common_rows([best, *rivals])
    y = task.y[rows]
    weights = task.metric.weights(y)
    own = calibrated_probabilities(task, best, rows)

    def likelihood(rival: Outcome) -> float:
        mixed = (own + calibrated_probabilities(task, rival, rows)) / 2
        return float(weights @ np.log(np.maximum(mixed[np.arange(len(y)), y], _LEAST)))

    return max(rivals, key=likelihood)


def together(task: Task, outcomes: Sequence[Outcome], shares: Sequence[float]) -> Outcome:
    """Return what an ensemble of several candidates scores on the pictures that each was scored on.

    Its configuration is the first one's; its scores are the logarithms of the mixed probabilities.
    """
    rows = common_rows(outcomes)
    mixed = sum(share * calibrated_probabilities(task, one, rows) for one, share in zip(outcomes, shares, strict=True))
    return replace(outcomes[0], rows=rows, scores=np.log(np.maximum(mixed, _LEAST)).astype(np.float32))


def common_rows(outcomes: Sequence[Outcome]) -> np.ndarray:
    """Return the pictures that every candidate was scored on, int (m,), ascending."""
    rows: np.ndarray = reduce(np.intersect1d, [outcome.rows for outcome in outcomes])
    return rows


def own_temperature(task: Task, outcome: Outcome) -> float:
    """Return the temperature at which a candidate's scores, on all pictures that it was scored on, are calibrated."""
    smoothed = outcome.configuration.is_trained and outcome.configuration.tuned.label_smoothing > 0
    return best_temperature(task.y[outcome.rows], outcome.scores, USUAL_WHEN_SMOOTHED if smoothed else None)


def calibrated_probabilities(task: Task, outcome: Outcome, rows: np.ndarray) -> np.ndarray:
    """Return the calibrated probabilities of a candidate, float64 (m, C), of some of the rows it was scored on."""
    return mix([outcome.on(rows)], [1.0], own_temperature(task, outcome))


def _most_probable(likelihoods: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the shares, float64 (K,), of K candidates.

    Args:
        likelihoods: their probabilities of the labels, (K, m).
        weights: of the pictures, (m,), mean 1.
    """
    n_candidates, m = likelihoods.shape
    shares: np.ndarray = np.full(n_candidates, 1 / n_candidates)
    for _ in range(_ROUNDS):
        before = shares
        responsibilities = shares[:, None] * likelihoods
        responsibilities /= responsibilities.sum(axis=0)
        shares = (responsibilities @ weights + PRIOR_PICTURES) / (m + n_candidates * PRIOR_PICTURES)
        if np.abs(shares - before).max() < _CONVERGED:
            break
    return shares
