"""Trained candidates: learned without a fold and scored on it, fold by fold."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from torch import Tensor

from automl_tl.learning.activations import ActivationCache
from automl_tl.learning.callbacks import Callback, Deadline, Memory, Progress, Pruning, Validation
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.finetune import Trained, TrainingError
from automl_tl.learning.trainer import learned_state, make_cache, train
from automl_tl.monitor import Epoch
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.reference import Reference, estimated
from automl_tl.work import Executor

QUARTERS = 4
"""Parts of the first fold's schedule after which a trial reports; further folds report once."""
GO_ON_LR = 0.3
"""Share of the learning rates when training goes on with more pictures instead of beginning again."""
Report = Callable[[int, float], None]
Watch = Callable[[Epoch], None]


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
    task: Task,
    configuration: Configuration,
    reference: Reference,
    executor: Executor,
    *,
    limit: float | None = None,
    max_memory: int | None = None,
    report: Report | None = None,
    watch: Watch | None = None,
    parts: int = QUARTERS,
) -> Outcome:
    """Train a candidate once per fold that it is scored on, and return its out-of-fold scores.

    Args:
        task: the data.
        configuration: a trained one.
        reference: of the estimate, and of the heads' regularisation.
        executor: where folds are trained.
        limit: seconds for all folds together, or None.
        max_memory: bytes that the process which trains may hold, or None.
        report: called with (step, estimated metric) after each of the parts of the first fold's schedule but the
            last, then after every fold; what it raises ends the trial.
        watch: told of every epoch.
        parts: of the first fold's schedule.

    Raises:
        TrainingError: the loss is no longer finite, or there was no time for an epoch.
        ShortageError: one picture at a time does not fit into memory.
    """
    started = time.perf_counter()
    folds: list[FoldScores] = []
    try:
        for fold in range(task.n_folds):
            left = None if limit is None else (limit - (time.perf_counter() - started)) / (task.n_folds - fold)
            told = _told(report if fold == 0 else None, watch, parts)
            scored = executor.submit(
                score_fold, task, configuration, reference, fold, limit=left, max_memory=max_memory,
                parts=parts if fold == 0 and told is not None else 0, report=told,
            ).result()  # fmt: skip
            folds.append(scored)
            seen, scores = (np.concatenate(some) for some in zip(*((f.rows, f.scores) for f in folds), strict=True))
            value = estimated(task, reference, seen, scores)
            if report is not None:
                report(parts + fold, value)
    finally:
        task.computed.activations = None
    epochs = sum(one.learned.trained.epochs for one in folds)
    seconds = time.perf_counter() - started
    first = folds[0].learned
    return Outcome(
        configuration, value, seen, scores, seconds, epochs, task.n_folds, first.state, history=first.trained.history
    )  # fmt: skip


def _told(report: Report | None, watch: Watch | None, parts: int) -> Watch | None:
    """Return what is called here with every epoch, wherever it was trained, or None where nobody wants to know."""
    here: list[Callback] = [] if watch is None else [Progress(watch)]
    here += [] if report is None else [Pruning(report, parts)]

    def tell(epoch: Epoch) -> None:
        for callback in here:
            callback.on_epoch_end(epoch)

    return tell if here else None


def score_fold(
    task: Task,
    configuration: Configuration,
    reference: Reference,
    fold: int,
    *,
    limit: float | None,
    max_memory: int | None = None,
    parts: int = 0,
    report: Watch | None = None,
) -> FoldScores:
    """Train a candidate without a fold and score it there: work for an executor.

    Args:
        task, configuration, reference: as for `score_trained`.
        fold: that is left out.
        limit: seconds, or None.
        max_memory: bytes, or None.
        parts: of the schedule; the fold is scored after each of them but the last as well; 0 for at the end alone.
        report: called with every epoch.
    """

    rows = task.held_out(fold)
    value_of = partial(estimated, task, reference, rows)
    validation = [Validation(lambda tunable: value_of(tunable.scores(rows)), parts)] if parts else []
    callbacks = [*_limits(limit, max_memory), *validation, *([] if report is None else [Progress(report)])]
    material, cache = task.material(configuration), _shared_cache(task, configuration)
    learned_from = np.flatnonzero(task.sample.folds != fold)
    tunable, trained = train(material, configuration, learned_from, reference.l2, cache=cache, callbacks=callbacks)
    if trained.epochs == 0:
        raise TrainingError("there was no time left for an epoch")
    scores = tunable.scores(rows)
    last = replace(trained.history[-1], score=value_of(scores))
    trained = replace(trained, history=(*trained.history[:-1], last))
    state = learned_state(configuration, tunable) if fold == 0 else {}  # one fold's is kept
    return FoldScores(rows, scores, Learned(state, trained))


def learn(
    task: Task,
    configuration: Configuration,
    l2: float,
    *,
    limit: float | None,
    start: Mapping[str, Tensor] | None = None,
    epochs: int | None = None,
    report: Watch | None = None,
) -> Learned:
    """Train a candidate on every picture of the task: work for an executor.

    Args:
        task: the data; it may hold more pictures than the trials saw.
        configuration: a trained one.
        l2: multiple of columns over pictures for the solved head.
        limit: seconds, or None.
        start: what a trial left, to go on from, at a smaller rate and in the candidate's own variants.
        epochs: for so many epochs then.
        report: called with every epoch.
    """
    callbacks = [*_limits(limit, None), *([] if report is None else [Progress(report)])]
    material = task.material(configuration)
    cache = make_cache(material, configuration)
    if epochs is not None:
        how = configuration.tuned
        how = replace(how, epochs=epochs, head_epochs=0, head_lr=GO_ON_LR * how.head_lr)
        configuration = replace(configuration, how=how)
    tunable, trained = train(
        material, configuration, task.everything, l2, cache=cache, start=start, callbacks=callbacks
    )  # fmt: skip
    return Learned(learned_state(configuration, tunable), trained)


def _limits(limit: float | None, max_memory: int | None) -> Iterator[Callback]:
    if limit is not None:
        yield Deadline(limit)
    if max_memory is not None:
        yield Memory(max_memory)


def _shared_cache(task: Task, configuration: Configuration) -> ActivationCache:
    """Return the activations of a candidate's frozen stages, which its folds share; another candidate's are dropped."""
    known = task.computed.activations
    if known is None or known[0] != configuration:
        task.computed.activations = None  # its memory is free before the next one takes any
        task.computed.activations = known = (configuration, make_cache(task.material(configuration), configuration))
    return known[1]
