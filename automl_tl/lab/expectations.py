"""What each strategy can be expected to reach on all training pictures, and what it will cost."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from automl_tl.domain.similarity import Domain
from automl_tl.features.extract import Features
from automl_tl.features.memo import remember
from automl_tl.foreign import number
from automl_tl.lab.calibration import GainPrior, MetaFeatures
from automl_tl.lab.decision import FrontRow
from automl_tl.lab.evidence import Candidate, Evidence
from automl_tl.lab.lab import Lab
from automl_tl.lab.sample import FOLDS_OF_TRAINED, Sample
from automl_tl.lab.timing import TrainingSpeed, machine
from automl_tl.learning.classifiers import solve_classifier
from automl_tl.learning.curve import LearningCurve, learning_curve
from automl_tl.learning.estimate import Estimate, add_gain, expected_accuracy, fewness, paired_gain
from automl_tl.learning.merit import merits, usual
from automl_tl.learning.recipe import epochs_for
from automl_tl.learning.scores import Metric, correctness
from automl_tl.learning.selection import OutOfFold
from automl_tl.learning.spectrum import Spectrum, decompose
from automl_tl.strategies import FROZEN, STRATEGIES, Strategy


@dataclass(frozen=True)
class Expectations:
    """The front, and what it rests on."""

    front: tuple[FrontRow, ...]
    candidates: Mapping[Strategy, Candidate]
    """The best frozen model of each frozen strategy."""
    estimates: Mapping[Strategy, Estimate]
    curve: LearningCurve
    known: MetaFeatures
    gains: Mapping[Strategy, GainPrior]
    """What the panel of other data sets lets expect of every strategy but the feature extractor."""
    usual: Mapping[Strategy, float]
    """How often each strategy was the best one of the panel."""

    def expected(self, strategy: Strategy) -> Estimate:
        """Return the estimate of a frozen strategy, with what the front says of it."""
        row = next(row for row in self.front if row.strategy == strategy)
        return replace(self.estimates[strategy], accuracy=row.accuracy, interval=row.interval)

    def start(self, strategy: Strategy) -> Candidate:
        """Return the frozen model that `strategy` is; what trains the ConvNet starts from its late features."""
        return self.candidates.get(strategy, self.candidates["feature_extractor"])


def expect(
    lab: Lab, evidence: Evidence, features: Features, sample: Sample, domain: Domain, speed: TrainingSpeed | None
) -> Expectations:
    """Return what the four strategies are expected to reach and to cost.

    Args:
        lab: knows the metric that candidates are chosen by; what is expected is always accuracy.
        evidence: of frozen features.
        features: of the chosen backbone.
        sample: the pictures that both rest on.
        domain: of the chosen backbone.
        speed: of a training step of the chosen backbone, or None where it cannot be trained.
    """
    metric = lab.metric
    found = {name: evidence.best(name) for name in FROZEN}
    candidates = {name: candidate for name, candidate in found.items() if candidate is not None}
    late = evidence.late
    start = time.perf_counter()
    X = decompose(features.matrix(late.source.cuts, late.source.pooling), lab.engine.device)
    solving = _solving_seconds(lab, late, X, sample, time.perf_counter() - start)
    curve = _curve(X, late, evidence, sample)
    step, doubt = _curve_step(curve, sample)
    steps = {name: (0.0, doubt) for name in candidates} | {late.strategy: (step, doubt)}  # no other has a curve
    estimates = {name: _estimate(c, evidence, sample, metric, steps[name]) for name, c in candidates.items()}
    known = _known(estimates[late.strategy], sample, domain)
    gains = lab.calibration.expect(known)
    extracting = lab.picture_seconds(evidence.backbone, sample.pictures)
    unknown = sample.n_training - sample.n  # the features of the others are kept
    frozen_seconds = unknown * extracting + sample.n_training / sample.n * solving
    base = estimates[late.strategy]
    rows = []
    for strategy in STRATEGIES:
        if strategy in candidates:
            row, gain = _frozen_row(candidates[strategy], base), gains.get(strategy)
            if gain is not None:
                gain = _with_measured(gain, candidates[strategy], late, estimates, sample)
        elif strategy not in FROZEN and speed is not None:
            row, gain = _trained_row(strategy, late, base, speed, sample), gains[strategy]
        else:
            continue
        row = replace(row, seconds=row.seconds + frozen_seconds)
        flawless = strategy in estimates and estimates[strategy].flawless
        rows.append(row if gain is None else expecting(row, base, gain, sample.constant, flawless=flawless))
    return Expectations(tuple(rows), candidates, estimates, curve, known, gains, lab.calibration.usual)


def _solving_seconds(lab: Lab, late: Candidate, X: Spectrum, sample: Sample, decomposing: float) -> float:
    """Return the seconds in which the head of the late frozen model is solved, from disk if known.

    decomposing: seconds of that which X took.
    """

    def measure() -> float:
        start = time.perf_counter()
        solve_classifier(late.path.kind, X, sample.y, len(sample.classes), late.path.penalty)
        return decomposing + time.perf_counter() - start

    shape = {"cuts": late.source.cuts, "pooling": late.source.pooling, "n": sample.n, "classes": len(sample.classes)}
    depends_on = {**machine(lab.networks.network(late.backbone), lab.engine), "what": late.path.kind, **shape}
    return remember(lab.networks.timing, depends_on, measure, number)


def _known(estimate: Estimate, sample: Sample, domain: Domain) -> MetaFeatures:
    """Return what is known of the data set as the panel describes it."""
    return MetaFeatures(
        n_training=sample.n_training,
        n_classes=len(sample.classes),
        different=0.5 if domain.different is None else domain.different,
        errors=1 - estimate.accuracy,
    )


def _estimate(
    chosen: Candidate, evidence: Evidence, sample: Sample, metric: Metric, step: tuple[float, float]
) -> Estimate:
    """Correct the chosen candidate's accuracy for having been chosen among all of its strategy.

    Where the screen saw the whole sample, that is all sources of all backbones; else the finalists.
    """
    rivals = list(evidence.finalists)
    if evidence.screened_all:
        rivals += [c for c in evidence.probe if c.backbone != evidence.backbone]
    y, same = sample.y, [chosen, *(c for c in rivals if c.strategy == chosen.strategy and c is not chosen)]
    right = [correctness(y, c.path.predictions) for c in same]
    worth = [
        merits(known, c.path.losses, y, metric, usual(c.source.cuts, c.source.pooling))
        for c, known in zip(same, right, strict=True)
    ]
    return expected_accuracy(
        OutOfFold(np.concatenate(right, axis=1), sample.groups, sample.folds, np.concatenate(worth, axis=1)),
        chosen=chosen.path.best,
        confidence=chosen.path.confidence,
        per_class=_per_class(sample),
        curve_step=step,
        guessing=sample.guessing,
    )


def _curve_step(curve: LearningCurve, sample: Sample) -> tuple[float, float]:
    """Return what training on everything gains over training without a fold, as a picture's own class sees it."""
    counts = np.bincount(sample.y)
    together = np.unique(np.stack([sample.y, sample.folds]), axis=1, return_inverse=True, return_counts=True)
    held_out = together[2][together[1].reshape(-1)]
    share = float((1 - held_out / counts[sample.y]).mean())
    trained = float(curve.sizes[-1])
    return curve.step(trained, trained / max(share, 0.1) * sample.n_training / sample.n)


def _curve(X: Spectrum, late: Candidate, evidence: Evidence, sample: Sample) -> LearningCurve:
    """Return the learning curve of the late source with the screen's classifier, which is quick to refit."""
    penalty = evidence.screened(late).path.penalty
    return learning_curve(sample.problem(X), penalty, groups=sample.groups)


def _frozen_row(candidate: Candidate, base: Estimate) -> FrontRow:
    return FrontRow(
        candidate.strategy, base.accuracy, base.interval, 0.0, measured=True, gain=0.0, gain_stderr=0.0,
        how=candidate.describe(),
    )  # fmt: skip


def _with_measured(
    gain: GainPrior, candidate: Candidate, late: Candidate, estimates: Mapping[Strategy, Estimate], sample: Sample
) -> GainPrior:
    """Return what a frozen strategy gains over the feature extractor: measured, and weighed with what is usual."""
    _, stderr = counted_gain(candidate, late, sample)
    return gain.with_measured(estimates[candidate.strategy].accuracy - estimates[late.strategy].accuracy, stderr)


def counted_gain(candidate: Candidate, late: Candidate, sample: Sample) -> tuple[float, float]:
    """Return the accuracy out of fold that a candidate gains over the feature extractor's, and its standard error.

    As that of an accuracy, the error is the larger, the fewer pictures of a class there are.

    Args:
        candidate: scored on the whole sample.
        late: the feature extractor, scored on the same.
        sample: the pictures.
    """
    right = [one.path.predictions[one.path.best] == sample.y for one in (late, candidate)]
    gain, stderr = paired_gain(right[0], right[1], sample.groups)
    return gain, stderr * math.sqrt(fewness(_per_class(sample)))


def _per_class(sample: Sample) -> float:
    """Return how many pictures of the middle class are in the sample."""
    return float(np.median(np.bincount(sample.y)))


def trainings(n_folds: int) -> float:
    """Return how often `train` learns from all pictures: without a fold, to be scored on it, then from everything."""
    return 2 - 1 / n_folds


def _trained_row(strategy: Strategy, late: Candidate, base: Estimate, speed: TrainingSpeed, sample: Sample) -> FrontRow:
    whole, n = strategy == "pretrained_initialization", sample.n_training
    epochs = epochs_for(n)
    once = n * epochs * speed.whole if whole else speed.tuning(n, epochs)
    some = f"head, then stages {late.n_stages - speed.unfrozen + 1} to {late.n_stages}"
    return FrontRow(
        strategy,
        base.accuracy,
        base.interval,
        seconds=trainings(min(len(np.unique(sample.folds)), FOLDS_OF_TRAINED)) * once,
        measured=False,
        gain=0.0,
        gain_stderr=0.0,
        how=f"{late.backbone}, {'everything from the pretrained weights' if whole else some}, {epochs} epochs",
    )


def expecting(row: FrontRow, base: Estimate, gain: GainPrior, constant: float, *, flawless: bool = False) -> FrontRow:
    """Return a row of the front with what a strategy is expected to gain over the frozen estimate `base`.

    Args:
        row: of the strategy, `measured` where it is frozen.
        base: of the feature extractor.
        gain: over it.
        constant: accuracy of always answering with the largest class, below which nobody comes by training the ConvNet;
            what was measured of a frozen one stands.
        flawless: whether what was measured of a frozen one has no picture wrong.
    """
    mean = gain.mean if row.measured else max(gain.mean, min(0.0, constant - base.accuracy))
    reached = add_gain(base, mean, gain.sd, flawless=flawless)
    return replace(row, accuracy=reached.accuracy, interval=reached.interval, gain=mean, gain_stderr=gain.sd)
