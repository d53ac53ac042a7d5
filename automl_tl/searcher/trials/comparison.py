"""The final choice: a paired comparison of the best few, the strategy's prior and the measured difference together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from automl_tl.lab.calibration import GainPrior
from automl_tl.learning.bootstrap import stderr_of_difference
from automl_tl.learning.estimate import paired_gain
from automl_tl.learning.merit import DIFFERING, PER_NAT
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.reference import Reference
from automl_tl.strategies import Strategy

FROZEN_PRIOR_SD = 0.01
"""Spread of what another frozen candidate gains over the best of the sweep, before it is measured."""
DRAWN_MEAN, DRAWN_SPREAD = -0.14, 0.14
"""What training as the sampler draws it gains over training as recommended, before it is measured, in units of
sqrt(p (1 - p)) at the accuracy p: on test pictures of five data sets, ten a class, nine of ten draws lie so around a
mean, and the tenth far below (`benchmarks/drawn.py`). Else the best of many draws is the luckiest, by one of eighty
pictures."""

Priors = Mapping[Strategy, GainPrior]


@dataclass(frozen=True)
class Comparison:
    """A candidate against the best frozen one, on the same pictures."""

    outcome: Outcome
    gain: float
    """Measured, in units of the metric; positive is better."""
    stderr: float
    n: int
    """Pictures that were compared."""
    expected: float
    """Gain to be expected: the prior and the measurement, each by its certainty."""


def compare(task: Task, reference: Reference, outcome: Outcome, priors: Priors) -> Comparison:
    """Return a candidate's standing against the reference.

    The reference was chosen by its scores, which flatter it by its optimism; a recommended training's do not, so where
    both are measured in accuracy or a kind of it the candidate is that much better. Frozen ones were chosen alike, and
    among them what counts is their merit, by the same weight for all.
    """
    theirs, rows = reference.outcome.on(outcome.rows), outcome.rows
    gain, stderr = paired_difference(task, rows, theirs, outcome.scores)
    if outcome.configuration.is_trained and task.metric.greater_is_better:
        gain += reference.optimism
    seen, noise = gain, stderr
    if not outcome.configuration.is_trained:
        unit = 1.0 if task.metric.greater_is_better else PER_NAT  # merits are in accuracy
        seen, noise = (outcome.merit - reference.outcome.merit) / unit, math.sqrt(DIFFERING / len(rows)) / unit
    expected = _prior(task, reference, outcome, priors).weighed_with(seen, noise)
    return Comparison(outcome, gain, stderr, len(rows), expected.mean)


def compare_drawn(task: Task, reference: Reference, recommended: Comparison, drawn: Comparison) -> Comparison:
    """Return the standing of what the sampler has drawn, beside the recommended training of the same strategy.

    Whatever training gains on this data set both gain, so they are compared with one another, on the pictures that both
    were scored on: by how much worse draws usually are, and by what is measured. Losses in nats are taken as measured.
    """
    if task.metric.name == "log_loss":
        return drawn
    rows = np.intersect1d(recommended.outcome.rows, drawn.outcome.rows)
    own, other = (one.outcome.on(rows) for one in (drawn, recommended))
    gain, stderr = paired_difference(task, rows, other, own)
    return replace(drawn, expected=recommended.expected + _drawn(task, reference).weighed_with(gain, stderr).mean)


def accuracy_gain(
    task: Task, reference: Reference, outcome: Outcome, priors: Priors, trained: float | None = None
) -> tuple[float, float]:
    """Return the expected accuracy of a candidate less the reference's, and its standard deviation.

    Args:
        task: the data.
        reference: of whose measured accuracy its optimism is taken off.
        outcome: of the candidate, or of an ensemble.
        priors: what trained strategies gain.
        trained: share of an ensemble that was trained, 0 to 1, whose scores no choice has flattered; default: all or
            nothing, by the candidate's strategy.
    """
    if outcome is reference.outcome:
        return 0.0, 0.0
    y, rows = task.y[outcome.rows], outcome.rows
    right = reference.outcome.on(rows).argmax(1) == y
    gain, stderr = paired_gain(right, outcome.predictions == y, task.sample.groups[rows])
    gain += (outcome.configuration.is_trained if trained is None else trained) * reference.optimism
    expected = _expected(task, reference, outcome, priors).weighed_with(gain, stderr)
    return expected.mean, expected.sd


def best_first(task: Task, reference: Reference, compared: Sequence[Comparison]) -> list[Comparison]:
    """Return the candidates' comparisons, the best first; the reference itself stands at zero among them."""
    own = Comparison(reference.outcome, 0.0, 0.0, task.sample.n, 0.0)
    return sorted([own, *compared], key=lambda comparison: -comparison.expected)


def paired_difference(task: Task, rows: np.ndarray, before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """Return the metric of the scores `after` less that of `before` on the pictures `rows`, and its standard error.

    Args:
        task: the data.
        rows: int (m,).
        before, after: float (m, C). Positive is better, also for a loss.
    """
    y, clusters = task.y[rows], task.sample.groups[rows]
    if task.metric.name == "accuracy":
        return paired_gain(before.argmax(1) == y, after.argmax(1) == y, clusters)
    value, sign = task.metric.function, task.metric.sign
    difference = sign * (value(y, after) - value(y, before))
    stderr = stderr_of_difference(task.metric, y, before, after, clusters, task.seed)
    return difference, float(np.hypot(stderr, 1 / len(rows)))


def _prior(task: Task, reference: Reference, outcome: Outcome, priors: Priors) -> GainPrior:
    """Return the gain that is expected before it is measured, in units of the metric."""
    if task.metric.name == "log_loss":
        return GainPrior(0.0, 1.0 if outcome.configuration.is_trained else FROZEN_PRIOR_SD)
    return _expected(task, reference, outcome, priors)


def _expected(task: Task, reference: Reference, outcome: Outcome, priors: Priors) -> GainPrior:
    """Return the same in accuracy.

    Priors speak of gains over the feature extractor: what an early cut is ahead of it is no gain any more.
    """
    strategy, leading = outcome.configuration.strategy, reference.outcome.configuration.strategy
    if outcome.configuration.is_trained:
        prior, ahead = priors[strategy], reference.ahead if leading == "early_feature_extractor" else 0.0
        further = _drawn(task, reference) if outcome.drawn else GainPrior(0.0, 0.0)
        sd = math.hypot(max(prior.sd, FROZEN_PRIOR_SD), further.sd)
        return GainPrior(prior.mean - ahead + further.mean, sd)
    return GainPrior(0.0 if strategy == leading else -reference.ahead, FROZEN_PRIOR_SD)


def _drawn(task: Task, reference: Reference) -> GainPrior:
    """Return what a draw gains over what is recommended, in accuracy."""
    right = float((reference.outcome.predictions == task.y[reference.outcome.rows]).mean())
    share = min(max(right, 0.5 / task.sample.n), 1 - 0.5 / task.sample.n)
    scale = math.sqrt(share * (1 - share))
    return GainPrior(scale * DRAWN_MEAN, scale * DRAWN_SPREAD)
