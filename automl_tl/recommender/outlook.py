"""What each strategy can be expected to reach on all training pictures, and what it will cost."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from automl_tl.features.extract import Features
from automl_tl.recommender.evidence import Candidate, Evidence
from automl_tl.recommender.front import FrontRow, gain_prior
from automl_tl.recommender.sample import Sample
from automl_tl.recommender.strategy import FROZEN, STRATEGIES, Size, Strategy
from automl_tl.recommender.timing import EPOCHS, TrainingSpeed
from automl_tl.training.curve import LearningCurve, learning_curve
from automl_tl.training.estimate import Estimate, combine_gain, expected_accuracy, paired_gain
from automl_tl.training.fit import fit_head
from automl_tl.training.scores import class_weights, correctness


@dataclass(frozen=True)
class Outlook:
    """The front, and what it rests on."""

    front: tuple[FrontRow, ...]
    candidates: Mapping[Strategy, Candidate]
    """The best frozen model of each frozen strategy."""
    estimates: Mapping[Strategy, Estimate]
    curve: LearningCurve

    def start(self, strategy: Strategy) -> Candidate:
        """Return the frozen model that `strategy` is, or starts from."""
        return self.candidates[strategy] if strategy in self.candidates else _best(self.candidates, self.estimates)


def look_ahead(
    evidence: Evidence,
    features: Features,
    sample: Sample,
    metric: str,
    size: Size,
    different: float,
    speed: TrainingSpeed,
    picture_seconds: float,
) -> Outlook:
    """Return what the four strategies are expected to reach and to cost.

    Args:
        evidence: of frozen features.
        features: of the chosen backbone.
        sample: the pictures that both rest on.
        metric: that candidates are chosen by; what is expected is always accuracy.
        size: how many pictures there are.
        different: probability that they are unlike the pretraining domain.
        speed: of a training step of the chosen backbone.
        picture_seconds: of one picture's features, decoding included.
    """
    found = {name: evidence.best(name, metric) for name in FROZEN}
    candidates = {name: candidate for name, candidate in found.items() if candidate is not None}
    top = max(candidates.values(), key=lambda c: c.accuracy)
    X = features.matrix(top.source.cuts, top.source.pooling)
    curve = _curve(X, top, evidence, sample)
    estimates = {name: _estimate(name, evidence, sample, metric, curve) for name in candidates}
    frozen_seconds = sample.n_training * picture_seconds + _fit_seconds(X, top, sample)
    rows = [_frozen_row(c, top, estimates[name], sample, frozen_seconds) for name, c in candidates.items()]
    base = estimates[top.strategy]
    trained = [name for name in STRATEGIES if name not in FROZEN]
    rows += [_trained_row(name, top, base, size, different, speed, sample.n_training) for name in trained]
    return Outlook(tuple(rows), candidates, estimates, curve)


def _estimate(name: Strategy, evidence: Evidence, sample: Sample, metric: str, curve: LearningCurve) -> Estimate:
    """Correct the best candidate's accuracy for having been chosen among all of its strategy."""
    paths = [c.path for c in evidence.finalists if c.strategy == name]
    table = correctness(sample.y, [predictions for path in paths for predictions in path.predictions])
    return expected_accuracy(
        table,
        clusters=sample.groups,
        folds=sample.folds,
        weights=None if metric == "accuracy" else class_weights(sample.y),
        curve_step=curve.step(float(curve.sizes[-1]), sample.n_training),
    )


def _curve(X: np.ndarray, top: Candidate, evidence: Evidence, sample: Sample) -> LearningCurve:
    """Return the learning curve of the best source with the screen's classifier, which is quick to refit."""
    penalty = evidence.screened(top).path.penalty
    return learning_curve(X, sample.y, sample.folds, len(sample.classes), penalty, groups=sample.groups)


def _fit_seconds(X: np.ndarray, top: Candidate, sample: Sample) -> float:
    start = time.perf_counter()
    fit_head(top.path.kind, X, sample.y, len(sample.classes), top.path.penalty)
    return (time.perf_counter() - start) * sample.n_training / sample.n


def _frozen_row(candidate: Candidate, top: Candidate, estimate: Estimate, sample: Sample, seconds: float) -> FrontRow:
    gain, stderr = paired_gain(_right(top, sample), _right(candidate, sample), sample.groups)
    return FrontRow(
        candidate.strategy, estimate.accuracy, estimate.interval, seconds, measured=True, gain=gain,
        gain_stderr=stderr, how=candidate.describe(),
    )  # fmt: skip


def _right(candidate: Candidate, sample: Sample) -> np.ndarray:
    right: np.ndarray = candidate.path.predictions[candidate.path.best] == sample.y
    return right


def _trained_row(
    strategy: Strategy,
    top: Candidate,
    base: Estimate,
    size: Size,
    different: float,
    speed: TrainingSpeed,
    n: int,
) -> FrontRow:
    prior = gain_prior(strategy, different, size.large)
    reached = combine_gain(base, prior.mean, prior.sd)
    whole = strategy == "pretrained_initialization"
    stages = top.n_stages if whole else speed.unfrozen
    start = (
        "everything from the pretrained weights" if whole else f"head, then the last {stages} of {top.n_stages} stages"
    )
    return FrontRow(
        strategy,
        reached.accuracy,
        reached.interval,
        seconds=EPOCHS * n * (speed.whole if whole else speed.suffix),
        measured=False,
        gain=reached.accuracy - base.accuracy,
        gain_stderr=(1 - base.accuracy) * prior.sd,
        how=f"{top.backbone}, {start}, {EPOCHS} epochs",
    )


def _best(candidates: Mapping[Strategy, Candidate], estimates: Mapping[Strategy, Estimate]) -> Candidate:
    return candidates[max(candidates, key=lambda name: estimates[name].accuracy)]
