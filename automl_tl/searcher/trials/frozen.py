"""Frozen candidates: a linear classifier, solved to its optimum on cached features."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from automl_tl.learning.classifiers import solve_classifier
from automl_tl.learning.configuration import Configuration, Frozen
from automl_tl.learning.effort import Effort, screening, solving
from automl_tl.learning.heads import solve_head, solve_path
from automl_tl.learning.linear import LinearHead
from automl_tl.learning.merit import merit, usual
from automl_tl.learning.problem import Problem
from automl_tl.learning.scores import calibrate
from automl_tl.learning.screen import is_tall, ridge_path, solve_ridge
from automl_tl.learning.spectrum import Spectrum, decompose
from automl_tl.memory import check_memory
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.outcome import Outcome

_STATISTICS = {"mean": 1, "mean+std": 2, "mean+patches": 2, "grid": 4}
"""Columns of each pooling per channel."""


def score_frozen(task: Task, configuration: Configuration, *, max_memory: int | None = None) -> Outcome:
    """Return the out-of-fold scores of a frozen candidate on every picture.

    A picture's views are in its own fold, so no classifier has seen another view of what it is asked about.

    Args:
        task: the data.
        configuration: a frozen one.
        max_memory: bytes that the process which solves it may hold, or None.

    Raises:
        AutomlTlError: it would take more memory than is allowed, or has.
    """
    started = time.perf_counter()
    check_memory(max_memory, _effort(task, configuration).bytes if max_memory is not None else 0.0)
    how, views = _parts(task, configuration)
    y, folds = (np.tile(part, 1 + len(views)) for part in (task.y, task.sample.folds))
    X = _stacked(task, configuration, views)
    problem = Problem(X, y, folds, task.n_classes)
    if how.classifier == "ridge":
        if not is_tall(X.shape, problem.smallest_fold):
            problem = replace(problem, X=kept_spectrum(task, configuration, X))
        penalties = np.array([how.penalty * (1 + len(views))])
        path = ridge_path(problem, penalties=penalties, device=task.networks.engine.device)
    else:
        spectrum = kept_spectrum(task, configuration, X)
        strengths = np.array([how.penalty * spectrum.unit / task.sample.n])
        path = solve_path(how.classifier, replace(problem, X=spectrum), strengths, balanced=configuration.balanced)
    scores = path.oof[: task.sample.n]
    value = task.metric.function(task.y, scores)
    scored = with_merit(task, Outcome(configuration, value, task.everything, scores, 0.0))
    check_memory(max_memory)
    return replace(scored, seconds=time.perf_counter() - started)


def with_merit(task: Task, outcome: Outcome) -> Outcome:
    """Return a frozen candidate with what it is worth in a choice among such, from its scores."""
    y, configuration = task.y[outcome.rows], outcome.configuration
    losses, ahead = calibrate(y, outcome.scores).losses, usual(configuration.cuts, configuration.pooling)
    return replace(outcome, merit=merit(outcome.value, losses, y, task.metric, ahead))


def solve_frozen(task: Task, configuration: Configuration) -> LinearHead:
    """Return the classifier of a frozen candidate, solved on all pictures of the task."""
    key = ("frozen head", configuration, task.y.tobytes())
    return task.computed.solved.get(key, lambda: _solve(task, configuration))


def _solve(task: Task, configuration: Configuration) -> LinearHead:
    how, views = _parts(task, configuration)
    X, y = _stacked(task, configuration, views), np.tile(task.y, 1 + len(views))
    if how.classifier == "ridge":
        known = X if is_tall(X.shape, len(y)) else kept_spectrum(task, configuration, X)
        penalty = how.penalty * (1 + len(views))
        return solve_ridge(known, y, task.n_classes, penalty, device=task.networks.engine.device)
    spectrum = kept_spectrum(task, configuration, X)
    strength = how.penalty * spectrum.unit / task.sample.n
    return solve_head(how.classifier, spectrum, y, task.n_classes, strength, balanced=configuration.balanced)


def kept_spectrum(task: Task, configuration: Configuration, X: np.ndarray) -> Spectrum:
    """Return the decomposition of X, the stacked features of all pictures in a candidate's views.

    It is kept for the next candidate of the same source, whatever its classifier.
    """
    key = ("spectrum", configuration.source, _parts(task, configuration)[1])
    return task.computed.solved.get(key, lambda: decompose(X, task.networks.engine.device))


def too_much(task: Task, configuration: Configuration) -> str | None:
    """Return why a frozen candidate may not be tried: what it takes, where that is more than `effort.MOST`; or None."""
    if not isinstance(configuration.how, Frozen):
        return None
    needed = _effort(task, configuration)
    if needed.affordable:
        return None
    return f"solving it takes {needed.operations:.1e} operations and {needed.bytes / 1e9:.1f} GB, too much for a trial"


def _effort(task: Task, configuration: Configuration) -> Effort:
    """Return what solving a frozen candidate takes."""
    how, views = _parts(task, configuration)
    n, n_folds = (1 + len(views)) * task.sample.n, len(np.unique(task.sample.folds))
    channels = task.networks.network(configuration.backbone).channels
    d = _STATISTICS[configuration.pooling] * sum(channels[cut - 1] for cut in configuration.cuts)
    if how.classifier == "ridge":
        return screening(n, d, task.n_classes, n_folds, n_penalties=1)
    return solving(n, d, task.n_classes, n_folds=n_folds)


def first_model(task: Task, backbone: str) -> tuple[Configuration, LinearHead]:
    """Return what is solved before anything is known: ridge regression on the last stage's means."""
    n_stages = task.features[backbone].n_stages
    configuration = Configuration("frozen", backbone, n_stages, (n_stages,), "mean", Frozen("ridge", 1.0))
    X = task.matrix(*configuration.source)
    return configuration, solve_classifier("ridge", X, task.y, task.n_classes, 1.0)


def _parts(task: Task, configuration: Configuration) -> tuple[Frozen, tuple[str, ...]]:
    return configuration.frozen, task.views(configuration.frozen.views)


def _stacked(task: Task, configuration: Configuration, views: tuple[str, ...]) -> np.ndarray:
    """Return the features of all pictures as they are, then in each further view: float32 ((1 + views) n, d)."""
    plain = task.matrix(*configuration.source)
    if not views:
        return plain
    stacked = np.empty((1 + len(views), *plain.shape), np.float32)
    stacked[0] = plain
    for place, view in zip(stacked[1:], views, strict=True):
        place[:] = task.matrix(*configuration.source, view)
    return stacked.reshape(-1, plain.shape[1])
