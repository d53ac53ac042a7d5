"""One short fine-tuning of the last stages: what frozen features cannot tell of the matrix's lower row."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from automl_tl.backbones.blame import blaming
from automl_tl.recommender.advice import HEAD_LR, LABEL_SMOOTHING, TUNED_POOLING, lr_ratio, tuned_cuts
from automl_tl.recommender.bench import Bench
from automl_tl.recommender.evidence import Candidate
from automl_tl.recommender.extraction import Progress
from automl_tl.recommender.front import GainPrior, gain_prior
from automl_tl.recommender.outlook import expecting
from automl_tl.recommender.survey import Survey, rechosen
from automl_tl.recommender.timing import training_speed
from automl_tl.training.activations import ActivationCache, columns
from automl_tl.training.estimate import paired_gain
from automl_tl.training.finetune import copy_network, finetune, score_rows
from automl_tl.training.fit import fit_head
from automl_tl.training.heads import solve_head
from automl_tl.training.network_head import NetworkHead
from automl_tl.training.pixels import load_pixels
from automl_tl.training.recipe import Recipe, batch_size_for
from automl_tl.training.spectrum import decompose

EPOCHS = 10
LEAST_EPOCHS, LEAST_PER_CLASS = 5, 2
"""Less is no evidence: then nothing is trained."""
SHARE_OF_TIME = 0.7
"""Of the seconds allowed, for the epochs; the rest is for decoding, the views' first runs, solving and scoring."""
MOST_SCORED = 500
HEAD_L2 = 0.1
"""Strength of the solved head, as a multiple of columns over pictures."""
SHORT_RUN_SD = 0.1
"""Spread of the share of errors that a short run removes around that of a whole one."""


@dataclass(frozen=True)
class ShortTraining:
    """What a short fine-tuning came to beside the frozen ConvNet, both having learned from the same pictures."""

    frozen: float
    """Accuracy of the best late frozen candidate on the pictures held out."""
    tuned: float
    """Accuracy after fine-tuning on the same pictures."""
    stderr: float
    """Of the difference, paired."""
    n_trained: int
    n_scored: int
    epochs: int
    unfrozen: int
    seconds: float

    def update(self, prior: GainPrior) -> GainPrior:
        """Return the expected share of errors removed, prior and measurement weighed by their certainty.

        The product of two normal densities: precisions add up.
        """
        errors = max(1 - self.frozen, 1 / self.n_scored)
        mean, sd = (self.tuned - self.frozen) / errors, float(np.hypot(self.stderr / errors, SHORT_RUN_SD))
        weight = prior.sd**2 / (prior.sd**2 + sd**2)
        return GainPrior(weight * mean + (1 - weight) * prior.mean, prior.sd * sd / float(np.hypot(prior.sd, sd)))

    def describe(self) -> str:
        """Return what was done and what it came to, as a sentence."""
        stages = "the last stage" if self.unfrozen == 1 else f"the last {self.unfrozen} stages"
        return (
            f"A short fine-tuning of {stages} ({self.epochs} epochs on {self.n_trained:,} pictures, {self.seconds:.0f} "
            f"s) got {self.tuned:.1%} of {self.n_scored:,} held-out pictures right, the frozen ConvNet "
            f"{self.frozen:.1%}: {100 * (self.tuned - self.frozen):+.1f} points (standard error "
            f"{100 * self.stderr:.1f})."
        )


def with_short_training(
    bench: Bench,
    found: Survey,
    fit: str,
    *,
    metric: str,
    seed: int,
    seconds: float,
    budget: float | None,
    progress: Progress,
) -> tuple[Survey, tuple[str, ...]]:
    """Return the survey with fine-tuning measured instead of guessed; as it was, with a note, where time is short.

    Args:
        bench: builds the backbones.
        found: what is known so far.
        fit: how pictures become square.
        metric: by which the frozen candidate is chosen that fine-tuning is compared with.
        seed: of the order, the views, and the pictures that are taken.
        seconds: what it may take.
        budget: training time that will be spent afterwards, seconds, or None.
        progress: called with (done, total) percent.

    Raises:
        BackboneError: the backbone cannot be trained.
        TrainingError: the loss is no longer finite, or memory does not suffice.
    """
    late = found.evidence.late(metric)
    rows = _rows(bench, found, late, seed, seconds)
    if len(rows) == 0:
        note = (
            f"No short fine-tuning was run: {max(seconds, 0):.0f} s do not suffice for {LEAST_EPOCHS} epochs; "
            "a larger --budget or fewer pictures (--max-images) make room."
        )
        return found, (note,)
    with blaming(late.backbone, "could not be trained"):
        tried = _train(bench, found, late, fit, rows, seed, seconds, progress)
    different = 0.5 if found.domain.different is None else found.domain.different
    expected = tried.update(gain_prior("fine_tuning", different, found.size.large))
    base = found.outlook.estimates[late.strategy]
    front = tuple(
        replace(expecting(row, base, expected), measured=True) if row.strategy == "fine_tuning" else row
        for row in found.outlook.front
    )
    outlook = replace(found.outlook, front=front)
    return rechosen(replace(found, outlook=outlook, tried=tried.describe()), budget), ()


def _rows(bench: Bench, found: Survey, late: Candidate, seed: int, seconds: float) -> np.ndarray:
    """Return the pictures to learn from: all but fold 0, or as many as there is time for; none if that is too few."""
    network, engine = bench.network(late.backbone), bench.engine.for_training
    cut, unfrozen = max(tuned_cuts(late, late.n_stages)), found.unfreezing.count
    speed = training_speed(network, engine, cut, min(unfrozen, cut), bench.cache / "timing")
    most = int(SHARE_OF_TIME * seconds / max(LEAST_EPOCHS * speed.suffix, 1e-9))
    rest: np.ndarray = np.flatnonzero(found.sample.folds != 0)
    if len(rest) <= most:
        return rest
    if most < LEAST_PER_CLASS * len(found.sample.classes):
        return rest[:0]
    some: np.ndarray = rest[found.sample.take(rest).subset(most, seed)]
    return some


def _train(
    bench: Bench,
    found: Survey,
    late: Candidate,
    fit: str,
    rows: np.ndarray,
    seed: int,
    seconds: float,
    progress: Progress,
) -> ShortTraining:
    started = time.perf_counter()
    sample, features, network = found.sample, found.features[late.backbone], bench.network(late.backbone)
    held_out = np.flatnonzero(sample.folds == 0)
    held_out = held_out[sample.take(held_out).subset(MOST_SCORED, seed)]
    cuts, n_classes, engine = tuned_cuts(late, late.n_stages), len(sample.classes), bench.engine.for_training
    unfrozen = min(found.unfreezing.count, max(cuts))
    used = np.concatenate([rows, held_out])
    learned, scored = np.arange(len(rows)), np.arange(len(rows), len(used))
    y = sample.y[used]
    frozen = _frozen_right(late, features.matrix(late.source.cuts, late.source.pooling)[used], y, learned, n_classes)
    copy = copy_network(network)
    spectrum = decompose(features.matrix(cuts, TUNED_POOLING)[rows])
    solved = solve_head("softmax", spectrum, y[learned], n_classes, HEAD_L2 * spectrum.unit / len(rows))
    head = NetworkHead.from_linear(solved).to(engine.device)
    recipe = Recipe(
        unfrozen, EPOCHS, head_lr=HEAD_LR, lr_ratio=lr_ratio(found.domain), label_smoothing=LABEL_SMOOTHING,
        batch_size=batch_size_for(len(rows)),
    )  # fmt: skip
    with TemporaryDirectory(prefix="short_", dir=bench.cache) as folder:
        how, scratch = bench.preprocessing(late.backbone, fit), Path(folder)
        pixels = load_pixels([sample.pictures[row] for row in used], how, scratch, threads=bench.engine.threads)
        cache = ActivationCache(
            network, pixels, max(cuts) - unfrozen, cuts, columns(TUNED_POOLING), found.advice.augmentation, engine,
            seed, scratch,
        )  # fmt: skip
        trained = finetune(
            copy, head, cache, y, learned, recipe, engine, seed=seed,
            limit=seconds - (time.perf_counter() - started),
            observe=lambda step: progress(round(100 * min(step.progress, 1.0)), 100),
        )  # fmt: skip
        tuned = score_rows(copy, head, cache, scored, engine).argmax(1) == y[scored]
    _, stderr = paired_gain(frozen[scored], tuned, sample.groups[held_out])
    return ShortTraining(
        float(frozen[scored].mean()), float(tuned.mean()), stderr, len(rows), len(held_out), trained.epochs, unfrozen,
        time.perf_counter() - started,
    )  # fmt: skip


def _frozen_right(late: Candidate, X: np.ndarray, y: np.ndarray, learned: np.ndarray, n_classes: int) -> np.ndarray:
    """Return, for all rows of `X`, whether the frozen candidate is right that has learned from the rows `learned`."""
    path = late.path
    fewer = 1.0 if path.kind == "ridge" else len(late.rows) * 0.8 / max(len(learned), 1)
    head = fit_head(path.kind, X[learned], y[learned], n_classes, path.penalty * fewer)
    right: np.ndarray = head.predict(X) == y
    return right
