"""A short fine-tuning of the last stages: what frozen features cannot tell of the matrix's lower row."""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from automl_tl.data.decode import Preprocessing
from automl_tl.errors import sentence
from automl_tl.features.memo import remember
from automl_tl.lab.assessment import Assessment, tuning_speed
from automl_tl.lab.calibration import GainPrior, MetaFeatures, ShortRun
from automl_tl.lab.evidence import Candidate
from automl_tl.lab.expectations import expecting
from automl_tl.lab.lab import Lab
from automl_tl.lab.recommended import fine_tuning
from automl_tl.learning.callbacks import Deadline
from automl_tl.learning.callbacks import Progress as EachEpoch
from automl_tl.learning.classifiers import HEAD_L2, solve_classifier
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.estimate import paired_gain
from automl_tl.learning.pixels import load_pixels
from automl_tl.learning.recipe import epochs_for
from automl_tl.learning.trainer import TRAINER_VERSION, Material, Start, train
from automl_tl.monitor import Progress

LEAST_PER_CLASS, LEAST_SHARE = 2, 0.2
"""Fewer pictures of a class or a smaller share of the pictures are no evidence, nor are fewer than half of the epochs
of a whole training: nothing is trained."""
SHARE_OF_TIME = 0.8
"""Of the seconds allowed, for decoding, the variants' first runs and the epochs, as far as they can be foreseen."""
NO_TIME = (
    "No short fine-tuning was run: what is left of two minutes does not suffice; --try-training with a larger "
    "--budget, or fewer pictures (--max-images), make room."
)
VERSION = 2
"""Of what is kept: raised with every change after which the same pictures come to another result."""
MOST_SCORED = 300
MOST_FOLDS = 5
"""Parts of the pictures, each held out once while there is time."""


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
    n_available: int
    """Pictures that it could have learned from, had there been time."""
    n_scored: int
    epochs: int
    unfrozen: int
    seconds: float
    n_runs: int = 1
    """Folds, each held out once."""

    @property
    def shortness(self) -> float:
        """How many times as few pictures, and epochs, it learned from as there could have been, at least 1."""
        return self.n_available / self.n_trained * max(epochs_for(self.n_available) / self.epochs, 1.0)

    def gain(self, optimism: float) -> float:
        """Return what it gained, in accuracy, and what the frozen one owes to pictures that it was chosen by."""
        return self.tuned - self.frozen + max(optimism, 0.0)

    def update(self, prior: GainPrior, optimism: float, known: MetaFeatures, usual: ShortRun) -> GainPrior:
        """Return the gain that is expected after it, prior and measurement weighed by their certainty.

        Fewer pictures and epochs than there could be widen the measurement.

        Args:
            prior: before anything was trained.
            optimism: of the frozen candidate, see `Estimate`.
            known: of the data set, which says how far gains may lie apart.
            usual: what such a run says of a whole one.
        """
        of_run = usual.spread * known.room * math.sqrt(self.shortness)
        return prior.weighed_with(self.gain(optimism), math.hypot(self.stderr, of_run))

    def describe(self) -> str:
        """Return what was done and what it came to, as a sentence."""
        stages = "the last stage" if self.unfrozen == 1 else f"the last {self.unfrozen} stages"
        times = f", {self.n_runs} times" if self.n_runs > 1 else ""
        return (
            f"A short fine-tuning of {stages} ({self.epochs} epochs on {self.n_trained:,} pictures{times}, "
            f"{self.seconds:.0f} s) got {self.tuned:.1%} of {self.n_scored:,} held-out pictures right, the frozen "
            f"ConvNet {self.frozen:.1%}: {100 * (self.tuned - self.frozen):+z.1f} points (standard error "
            f"{100 * self.stderr:.1f})."
        )


def with_short_training(
    lab: Lab, found: Assessment, *, seconds: float, allowed: float, budget: float | None, progress: Progress
) -> tuple[Assessment, tuple[str, ...]]:
    """Return the assessment with a fine-tuning tried; as it was, with a note, where there is no time or it fails.

    How many pictures and folds there is time for follows from the clock, so what came out is kept: the same command on
    the same pictures has the same answer. That there was no time is not: a busy moment has not the last word.

    Args:
        lab: builds the backbones; its metric chooses the frozen candidate that fine-tuning is compared with.
        found: what is known so far.
        seconds: what it may take.
        allowed: what it may take at most, however long the rest has taken: another number, another result.
        budget: training time that will be spent afterwards, seconds, or None.
        progress: called with (done, total) percent.
    """
    late = found.evidence.late
    try:
        tried = remember(
            lab.networks.cache / "short_training",
            {**_depends_on(lab, found, late), "allowed": allowed},
            lambda: _as_json(try_fine_tuning(lab, found, late, seconds, progress)),
            lambda values: ShortTraining(**values),
        )
    except _NoTimeError:
        return found, (NO_TIME,)
    except Exception as error:  # whatever a plugin's code or the machine raises: the recommendation is there already
        return found, (f"No short fine-tuning could be run: {sentence(error)}",)
    base = found.expectations.estimates[late.strategy]
    known, constant = found.expectations.known, found.sample.constant
    gain = tried.update(found.priors["fine_tuning"], base.optimism, known, lab.calibration.short_run)
    front = tuple(
        replace(expecting(row, base, gain, constant), tried=True) if row.strategy == "fine_tuning" else row
        for row in found.expectations.front
    )
    expectations = replace(found.expectations, front=front)
    return replace(found, expectations=expectations, tried=tried.describe()).chosen_again(budget), ()


def foreseen_error(lab: Lab, found: Assessment, seconds: float) -> float:
    """Return the standard error, in accuracy, that a gain measured in so many seconds is foreseen to have."""
    return lab.calibration.short_run.error(found.expectations.known, foreseen_scored(lab, found, seconds))


def foreseen_scored(lab: Lab, found: Assessment, seconds: float) -> int:
    """Return how many pictures there should be time to score in so many seconds; 0 where the fewest take longer.

    It follows from kept timings and from no clock: what is worth its time once is worth it the next time.
    """
    n = found.sample.n
    learned = n - n // MOST_FOLDS
    speed = tuning_speed(lab, found.evidence, found.unfreezing, found.sample)
    if speed is None:
        return 0
    fold = speed.tuning(learned, epochs_for(learned))
    if seconds < LEAST_SHARE * least_epochs(learned) / epochs_for(learned) * fold:
        return 0
    return scored_in(n, min(max(math.floor(seconds / max(fold, 1e-9)), 1), MOST_FOLDS))


def scored_in(n: int, folds: int) -> int:
    """Return how many of n pictures so many folds hold out, at most those that are scored.

    >>> [scored_in(n, 2) for n in (11, 100, 2000)]
    [5, 40, 300]
    """
    return min(math.ceil(n * folds / MOST_FOLDS), MOST_SCORED)


class _NoTimeError(Exception):
    """There was no time for anything that says something."""


def _as_json(tried: ShortTraining | None) -> dict[str, Any]:
    if tried is None:
        raise _NoTimeError
    return asdict(tried)


def _depends_on(lab: Lab, found: Assessment, late: Candidate) -> dict[str, Any]:
    """Return what the result of a short training depends on, the clock excepted."""
    sample, network = found.sample, lab.networks.network(late.backbone)
    return {
        "version": VERSION,
        "trainer": TRAINER_VERSION,
        "pictures": hashlib.sha256("".join(picture.sha256 for picture in sample.pictures).encode()).hexdigest(),
        "labels": sample.y.tolist(),
        "folds": sample.folds.tolist(),
        "groups": sample.groups.tolist(),
        "configuration": fine_tuning(found).to_dict(),
        "frozen": [late.describe(), float(late.path.penalty)],
        "weights": network.weights.identity,
        "input": [network.backbone.mean, network.backbone.std, asdict(_preprocessing(lab, late.backbone))],
        "engine": lab.engine.for_training.name,
        "seed": lab.seed,
    }


def try_fine_tuning(
    lab: Lab, found: Assessment, late: Candidate, seconds: float, progress: Progress
) -> ShortTraining | None:
    """Return what fine-tuning came to, fold after fold while there is time, or None where it had too little."""
    started = time.perf_counter()
    parts: list[_Part] = []
    folds = found.sample.folds % MOST_FOLDS
    for number, fold in enumerate(np.unique(folds)):
        spent = time.perf_counter() - started
        if spent + spent / max(number, 1) > seconds or sum(len(part.held_out) for part in parts) >= MOST_SCORED:
            break
        part = _try_fold(lab, found, late, folds == fold, seconds - spent, progress)
        if part is None:
            break
        parts.append(part)
    if not parts:
        return None
    names = ("frozen", "tuned", "held_out")
    frozen, tuned, scored = (np.concatenate([getattr(part, name) for part in parts]) for name in names)
    _, stderr = paired_gain(frozen, tuned, found.sample.groups[scored])
    return ShortTraining(
        float(frozen.mean()), float(tuned.mean()), stderr, min(p.n_trained for p in parts), parts[0].n_available,
        len(scored), min(p.epochs for p in parts), found.unfreezing.count, time.perf_counter() - started, len(parts),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Part:
    """One fold: which of the pictures held out are right, bool (m,), by the frozen ConvNet and the trained one."""

    held_out: np.ndarray
    frozen: np.ndarray
    tuned: np.ndarray
    n_trained: int
    n_available: int
    epochs: int


def _try_fold(
    lab: Lab, found: Assessment, late: Candidate, aside: np.ndarray, seconds: float, progress: Progress
) -> _Part | None:
    """Return what fine-tuning comes to on the pictures `aside`, bool (n,), or None where there is no time for it."""
    started, sample = time.perf_counter(), found.sample
    if seconds <= 0:
        return None
    held_out = np.flatnonzero(aside)
    held_out = held_out[sample.take(held_out).subset(MOST_SCORED, lab.seed)][:MOST_SCORED]
    each = lab.picture_seconds(late.backbone, sample.pictures)
    scoring = each * len(held_out)
    rest = np.flatnonzero(~aside)
    rows = _rows(lab, found, rest, SHARE_OF_TIME * seconds - 2 * scoring, each)
    if len(rows) == 0:
        return None
    frozen = _frozen_right(found, late, rows, held_out)
    trained = _train(lab, found, rows, held_out, started + seconds - scoring, progress)
    if trained is None:
        return None
    return _Part(held_out, frozen, trained[0], len(rows), len(rest), trained[1])


def least_epochs(n: int) -> int:
    """Return the epochs on `n` pictures that are evidence of a whole training."""
    return math.ceil(epochs_for(n) / 2)


def _rows(lab: Lab, found: Assessment, rest: np.ndarray, seconds: float, each: float) -> np.ndarray:
    """Return those of the rows `rest` that there is time for; none where that is too few of them."""
    speed = tuning_speed(lab, found.evidence, found.unfreezing, found.sample)
    if speed is None:
        return rest[:0]
    epochs = least_epochs(len(rest))
    most = int(max(seconds, 0.0) / max(epochs * speed.suffix + 3 * each, 1e-9))  # decoded, then two variants
    if len(rest) <= most:
        return rest if len(rest) > 1 else rest[:0]
    if most < max(LEAST_PER_CLASS * len(found.sample.classes), LEAST_SHARE * len(rest)):
        return rest[:0]
    some: np.ndarray = rest[found.sample.take(rest).subset(most, lab.seed)]
    return some


def _train(
    lab: Lab, found: Assessment, rows: np.ndarray, held_out: np.ndarray, ends: float, progress: Progress
) -> tuple[np.ndarray, int] | None:
    """Return which of the pictures held out are right after training, and the epochs; None where those are too few.

    Training ends when `time.perf_counter()` is `ends` at the latest.
    """
    whole = fine_tuning(found)
    configuration = replace(whole, how=replace(whole.tuned, epochs=epochs_for(len(rows))))
    learned, scored = np.arange(len(rows)), np.arange(len(rows), len(rows) + len(held_out))
    with TemporaryDirectory(prefix="short_", dir=lab.networks.cache) as folder:
        deadline = Deadline(ends - time.perf_counter())
        material = _material(lab, found, configuration, np.concatenate([rows, held_out]), Path(folder))
        watching = [deadline, EachEpoch(lambda epoch: progress(round(100 * epoch.progress), 100))]
        tunable, trained = train(material, configuration, learned, Start(HEAD_L2), callbacks=watching)
        done = trained.epochs - trained.shortened  # the last epoch of a shortened run is a part of one
        if done < least_epochs(len(rows)):
            return None
        scores = tunable.scores(scored)
    return scores.argmax(1) == material.y[scored], trained.epochs


def _material(lab: Lab, found: Assessment, configuration: Configuration, rows: np.ndarray, scratch: Path) -> Material:
    """Return the pictures `rows` as the configuration learns from them."""
    name, sample, engine = configuration.backbone, found.sample, lab.engine.for_training
    how = _preprocessing(lab, name)
    return Material(
        network=lab.networks.network(name),
        pixels=load_pixels([sample.pictures[row] for row in rows], how, scratch, store=lab.networks.pixels),
        features=found.features[name].matrix(configuration.cuts, configuration.pooling)[rows],
        y=sample.y[rows],
        n_classes=len(sample.classes),
        engine=engine,
        seed=lab.seed,
        scratch=scratch,
    )


def _preprocessing(lab: Lab, name: str) -> Preprocessing:
    return lab.networks.preprocessing(name, lab.report.fit)


def _frozen_right(found: Assessment, late: Candidate, rows: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Return, for the pictures held out, whether the frozen candidate is right that has learned from `rows`."""
    X = found.features[late.backbone].matrix(late.source.cuts, late.source.pooling)
    sample, path = found.sample, late.path
    scale = 1.0
    if path.kind != "ridge":  # penalties are per picture: this one was chosen on the folds' training parts
        scale = len(late.rows) * float((sample.folds[late.rows] != 0).mean()) / len(rows)
    head = solve_classifier(path.kind, X[rows], sample.y[rows], len(sample.classes), path.penalty * scale)
    right: np.ndarray = head.predict(X[held_out]) == sample.y[held_out]
    return right
