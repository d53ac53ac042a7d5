"""Frozen candidates: a linear classifier, solved to its optimum on cached features."""

from __future__ import annotations

import time

import numpy as np

from automl_tl.learning.fit import fit_head
from automl_tl.learning.heads import solve_head, solve_path
from automl_tl.learning.linear import LinearHead
from automl_tl.learning.screen import fit_ridge, ridge_path
from automl_tl.learning.spectrum import Spectrum, decompose
from automl_tl.searcher.space.configuration import Configuration, Frozen
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.outcome import Outcome


def score_frozen(task: Task, configuration: Configuration) -> Outcome:
    """Return the out-of-fold scores of a frozen candidate on every picture.

    A picture's views are in its own fold, so no classifier has seen another view of what it is asked about.
    """
    started = time.perf_counter()
    how, views = _parts(task, configuration)
    spectrum = decompose(_stacked(task, configuration, views))
    y, folds = (np.tile(part, 1 + len(views)) for part in (task.y, task.sample.folds))
    strength = np.array([_strength(how, spectrum, task.sample.n, len(views))])
    if how.classifier == "ridge":
        path = ridge_path(spectrum, y, folds, task.n_classes, penalties=strength)
    else:
        path = solve_path(
            how.classifier, spectrum, y, folds, task.n_classes, strength, balanced=configuration.balanced
        )  # fmt: skip
    scores = path.oof[: task.sample.n]
    value = task.metric.function(task.y, scores)
    return Outcome(configuration, value, task.everything, scores, time.perf_counter() - started)


def fit_frozen(task: Task, configuration: Configuration, rows: np.ndarray | None = None) -> LinearHead:
    """Return the classifier of a frozen candidate, fitted on the pictures `rows`, int (m,), or on all."""
    how, views = _parts(task, configuration)
    kept = task.everything if rows is None else rows
    X = _stacked(task, configuration, views).reshape(1 + len(views), task.sample.n, -1)[:, kept]
    spectrum, y = decompose(X.reshape(-1, X.shape[2])), np.tile(task.y[kept], 1 + len(views))
    strength = _strength(how, spectrum, len(kept), len(views))
    if how.classifier == "ridge":
        return fit_ridge(spectrum, y, task.n_classes, strength)
    return solve_head(how.classifier, spectrum, y, task.n_classes, strength, balanced=configuration.balanced)


def first_model(task: Task, backbone: str) -> tuple[Configuration, LinearHead]:
    """Return what is fitted before anything is known: ridge regression on the last stage's means."""
    n_stages = task.features[backbone].n_stages
    configuration = Configuration("frozen", backbone, n_stages, (n_stages,), "mean", Frozen("ridge", 1.0))
    return configuration, fit_head("ridge", task.matrix(backbone, (n_stages,), "mean"), task.y, task.n_classes, 1.0)


def _parts(task: Task, configuration: Configuration) -> tuple[Frozen, tuple[str, ...]]:
    return configuration.frozen, task.views(configuration.frozen.views)


def _stacked(task: Task, configuration: Configuration, views: tuple[str, ...]) -> np.ndarray:
    """Return the features of all pictures as they are, then in each further view: float32 ((1 + views) n, d)."""
    source = (configuration.backbone, configuration.cuts, configuration.pooling)
    return np.concatenate([task.matrix(*source, view) for view in ("plain", *views)])


def _strength(how: Frozen, spectrum: Spectrum, n: int, n_views: int) -> float:
    """Return the classifier's own penalty; ridge sums over rows, so it grows with the views, the others average."""
    return how.penalty * (1 + n_views) if how.classifier == "ridge" else how.penalty * spectrum.unit / n
