"""Trained candidates: learned without a fold and scored on it, fold by fold."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from automl_tl.learning.activations import ActivationCache
from automl_tl.learning.callbacks import Progress, Validation
from automl_tl.learning.checkpoint import Checkpoint
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.finetune import Trained, TrainingError
from automl_tl.learning.trainer import TRAINER_VERSION, Start, learned_state, make_cache, train
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.allowance import UNBOUNDED, Allowance
from automl_tl.searcher.trials.foresight import check_room
from automl_tl.searcher.trials.observer import NOBODY, Observer, Watch
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.reference import Reference, estimated
from automl_tl.wording import plural
from automl_tl.work import Executor

SCORED_EPOCHS = 2
"""After fewer a trial that its time has cut short says nothing of its configuration, and is no model to deliver."""
GO_ON_LR = 0.3
"""Share of the learning rates when training goes on for a few epochs with more pictures, instead of its schedule."""


@dataclass(frozen=True, eq=False)
class Learned:
    """What a training run left: everything that differs from the pretrained network, and how it went."""

    state: Mapping[str, Tensor]
    """Of `learned_state`."""
    trained: Trained


@dataclass(frozen=True, eq=False)
class FoldScores:
    """What a candidate scores on a fold that it did not learn from."""

    rows: np.ndarray
    """int (m,)."""
    scores: np.ndarray
    """float32 (m, C)."""
    learned: Learned


def score_trained(
    task: Task, configuration: Configuration, reference: Reference, executor: Executor, *,
    allowance: Allowance = UNBOUNDED, observer: Observer = NOBODY,
) -> Outcome:  # fmt: skip
    """Train a candidate once per fold that it is scored on, and return its out-of-fold scores.

    Args:
        task: the data.
        configuration: a trained one.
        reference: of the estimate, and of the heads' regularisation.
        executor: where folds are trained.
        allowance: for all folds together.
        observer: who follows.

    Raises:
        TrainingError: the loss is no longer finite, or there was no time for an epoch.
        ShortageError: one picture at a time does not fit into memory, or it is foreseen that training would not.
    """
    started = time.perf_counter()
    folds: list[FoldScores] = []
    try:
        for fold in range(task.n_folds):
            share = allowance.share(time.perf_counter() - started, task.n_folds - fold)
            told = observer.of_fold(fold)
            work = executor.submit(
                score_fold, task, configuration, reference, fold, allowance=share,
                parts=observer.parts if fold == 0 and told is not None else 0, report=told,
            )  # fmt: skip
            folds.append(work.result())
            seen, scores = (np.concatenate(some) for some in zip(*((f.rows, f.scores) for f in folds), strict=True))
            value = estimated(task, reference, seen, scores)
            if observer.report is not None:
                observer.report(observer.parts + fold, value)
    finally:
        task.computed.activations = None
    epochs, first = sum(one.learned.trained.epochs for one in folds), folds[0].learned
    return Outcome(
        configuration, value, seen, scores, time.perf_counter() - started, epochs, task.n_folds, first.state,
        history=first.trained.history,
    )  # fmt: skip


def score_fold(
    task: Task,
    configuration: Configuration,
    reference: Reference,
    fold: int,
    *,
    allowance: Allowance = UNBOUNDED,
    parts: int = 0,
    report: Watch | None = None,
) -> FoldScores:
    """Train a candidate without a fold and score it there: work for an executor.

    Args:
        task, configuration, reference: as for `score_trained`.
        fold: that is left out.
        allowance: for this fold.
        parts: of the schedule; the fold is scored after each of them but the last as well; 0 for at the end alone.
        report: called with every epoch.
    """
    check_room(task, configuration, allowance)
    rows = task.held_out(fold)
    value_of = partial(estimated, task, reference, rows)
    validation = [Validation(lambda tunable: value_of(tunable.scores(rows)), parts)] if parts else []
    callbacks = [*allowance.callbacks(), *validation, *([] if report is None else [Progress(report)])]
    material, cache = task.material(configuration), _shared_cache(task, configuration)
    learned_from = np.flatnonzero(task.sample.folds != fold)
    start = Start(reference.l2)
    tunable, trained = train(material, configuration, learned_from, start, cache=cache, callbacks=callbacks)
    if trained.shortened and trained.epochs < min(SCORED_EPOCHS, configuration.tuned.epochs):
        raise TrainingError(f"its time sufficed for {plural(trained.epochs, 'epoch')} of {configuration.tuned.epochs}")
    scores = tunable.scores(rows)
    if not np.isfinite(scores).all():
        raise TrainingError("its scores of pictures that it did not learn from are not finite")
    last = replace(trained.history[-1], score=value_of(scores))
    trained = replace(trained, history=(*trained.history[:-1], last))
    state = learned_state(configuration, tunable) if fold == 0 else {}  # one fold's is kept
    return FoldScores(rows, scores, Learned(state, trained))


def learn(
    task: Task,
    configuration: Configuration,
    start: Start,
    *,
    allowance: Allowance = UNBOUNDED,
    report: Watch | None = None,
    checkpoints: Path | None = None,
) -> Learned:
    """Train a candidate on every picture of the task: work for an executor.

    Args:
        task: the data; it may hold more pictures than the trials saw.
        configuration: a trained one.
        start: where it begins; what a trial left goes on in the candidate's own variants, its head as it learned.
        allowance: where it has epochs, it goes on for so many at a smaller rate.
        report: called with every epoch.
        checkpoints: folder in which it is kept after every epoch, and from which it goes on; None keeps nothing.

    Raises:
        ShortageError: it is foreseen that training would not fit into memory.
    """
    task.computed.activations = None  # of a trial, where it was the last work of this process
    check_room(task, configuration, allowance)
    callbacks = [*allowance.callbacks(), *([] if report is None else [Progress(report)])]
    if checkpoints is not None:
        callbacks.insert(0, Checkpoint(checkpoints / f"{identity(task, configuration, start)}.safetensors"))
    material = task.material(configuration)
    cache = make_cache(material, configuration)
    if start.state is not None:
        configuration = replace(configuration, how=replace(configuration.tuned, head_epochs=0))
    if allowance.epochs is not None:
        how = configuration.tuned
        how = replace(how, epochs=allowance.epochs, head_lr=GO_ON_LR * how.head_lr)
        configuration = replace(configuration, how=how)
    tunable, trained = train(material, configuration, task.everything, start, cache=cache, callbacks=callbacks)
    return Learned(learned_state(configuration, tunable), trained)


def identity(task: Task, configuration: Configuration, start: Start) -> str:
    """Return a name for what comes out of `learn`: another one for other pictures, another seed, another start."""
    way = task.networks.preprocessing(configuration.backbone, task.fit)
    weights = task.networks.network(configuration.backbone).weights.identity
    facts = [task.digest, configuration.to_dict(), start.l2, asdict(way), weights, task.seed, TRAINER_VERSION]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    carried = None if task.carried is None else task.carried.state
    for state in (start.state, carried):
        for name, value in sorted((state or {}).items()):
            digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _shared_cache(task: Task, configuration: Configuration) -> ActivationCache:
    """Return the activations of a candidate's frozen stages, which its folds share; another candidate's are dropped."""
    known = task.computed.activations
    if known is None or known[0] != configuration:
        task.computed.activations = None  # its memory is free before the next one takes any
        task.computed.activations = known = (configuration, make_cache(task.material(configuration), configuration))
    return known[1]
