"""Small tasks, spaces and outcomes, for tests of what the search does with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import optuna
import pytest
from small_lab import CPU
from tiny_backbone import TinyBackbone

from automl_tl.backbones import registry
from automl_tl.backbones.plugins import Plugin
from automl_tl.features.picture import Picture
from automl_tl.lab.calibration import GainPrior
from automl_tl.lab.extraction import extract_all
from automl_tl.lab.lab import open_lab
from automl_tl.lab.networks import Networks
from automl_tl.lab.sample import Sample, draw_sample
from automl_tl.learning.configuration import Configuration, Frozen
from automl_tl.learning.merit import merit
from automl_tl.learning.recipe import Recipe
from automl_tl.learning.scores import calibrate, get_metric
from automl_tl.options import LabOptions
from automl_tl.searcher.space.search_space import Space
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.frozen import score_frozen
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.reference import Reference

STAGES = 3
RIDGE = Configuration("frozen", "tiny", STAGES, (3,), "mean", Frozen("ridge", 1.0))
SOFTMAX = Configuration("frozen", "tiny", STAGES, (2, 3), "mean+std", Frozen("softmax", 0.1))
TUNED = Configuration("fine_tuning", "tiny", STAGES, (3,), "mean", Recipe(2, 5, 1e-3, 10.0))
PRIORS: Mapping[Any, GainPrior] = {
    "fine_tuning": GainPrior(0.06, 0.06),
    "pretrained_initialization": GainPrior(-0.03, 0.06),
}


def install(monkeypatch: pytest.MonkeyPatch, **backbones: Any) -> None:
    """Let these backbones be the only plugins, each of a distribution of its own, built in this process."""
    plugins = {name: Plugin(name, f"{name}-plugin", "1.0", backbone=own) for name, own in backbones.items()}
    monkeypatch.setattr(registry, "load_plugins", lambda **_: plugins)
    monkeypatch.setenv("AUTOML_TL_PREFLIGHT_SECONDS", "0")


def real_task(folder: Path, scratch: Path, *, backbones: tuple[str, ...] = ("tiny",), **more: Any) -> Task:
    """Return a task with the features of the pictures in `folder`; the backbones must be installed."""
    lab = open_lab(folder, LabOptions(device="cpu", backbones=backbones, metric=more.pop("metric", "accuracy")))
    networks = Networks(CPU, lab.networks.cache)
    lab = replace(lab, networks=networks)
    sample = draw_sample(lab.dataset, len(lab.dataset.frame), 0, parts=("train", "val"), most_folds=3)
    features, _ = extract_all(lab, backbones, sample.pictures)
    return replace(Task(networks, sample, "squash", lab.metric, 0, scratch, features), **more)


def tiny_task(monkeypatch: pytest.MonkeyPatch, folder: Path, scratch: Path, **more: Any) -> Task:
    """Return a task of one small backbone."""
    install(monkeypatch, tiny=TinyBackbone())
    return real_task(folder, scratch, **more)


def bare_task(y: np.ndarray, *, n_folds: int = 4, metric: str = "accuracy", n_scored: int = 1) -> Task:
    """Return a task without pictures or backbones: labels, folds and a metric."""
    n, classes = len(y), tuple("abcdefgh"[: int(y.max()) + 1])
    pictures = tuple(Picture(f"{i}.png", f"{i:064x}") for i in range(n))
    sample = Sample(pictures, y, np.arange(n) % n_folds, np.arange(n), classes, n, n / len(classes))
    nothing = cast(Networks, None)
    return Task(nothing, sample, "squash", get_metric(metric), 0, Path(), {}, n_folds=n_scored)


def outcome(
    task: Task, right: float, *, configuration: Configuration = RIDGE, rows: np.ndarray | None = None,
    seed: int = 0, margin: float = 2.0, **more: Any,
) -> Outcome:  # fmt: skip
    """Return a candidate that is right on a share `right` of its rows, a different part for every seed."""
    rows = task.everything if rows is None else rows
    rng = np.random.default_rng(seed)
    y = task.y[rows]
    wrong = np.zeros(len(rows), bool)
    wrong[rng.permutation(len(rows))[: round((1 - right) * len(rows))]] = True
    said = np.where(wrong, (y + 1) % task.n_classes, y)
    scores = (margin * np.eye(task.n_classes)[said] + 0.01 * rng.random((len(rows), task.n_classes))).astype(np.float32)
    value = more.pop("value", task.metric.function(y, scores))
    if not configuration.is_trained:
        more.setdefault("merit", merit(value, calibrate(y, scores).losses, y, task.metric, 0.0))
    return Outcome(configuration, value, rows, scores, more.pop("seconds", 1.0), **more)


def reference(task: Task, right: float = 0.7, seed: int = 0) -> Reference:
    """Return a reference that is right on a share of the pictures."""
    return Reference(outcome(task, right, seed=seed), 0.1)


def best_frozen(task: Task, configuration: Configuration = RIDGE) -> Reference:
    """Return a reference that was solved."""
    return Reference(score_frozen(task, configuration), 0.1)


def space(backbones: Mapping[str, int] | None = None, **more: Any) -> Space:
    """Return a space of two small backbones; all cuts are maps, the last one is too small for quarters."""
    n_stages = dict(backbones or {"tiny": STAGES, "wide": 5})
    grids = {name: frozenset(range(1, n)) for name, n in n_stages.items()}
    maps = {name: frozenset(range(1, n + 1)) for name, n in n_stages.items()}
    return Space(n_stages, grids, maps, **more)


def rounded(configuration: Configuration) -> Configuration:
    """Return a configuration whose range of scales, which follows from one number, is rounded."""
    how = configuration.how
    if isinstance(how, Frozen):
        return configuration
    low, high = (round(end, 9) for end in how.policy.scale)
    return replace(configuration, how=replace(how, policy=replace(how.policy, scale=(low, high))))


def random_study(seed: int) -> optuna.Study:
    """Return a study that draws at random."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))


def retuned(configuration: Configuration, **changes: Any) -> Configuration:
    """Return a configuration that is trained in another way."""
    how = configuration.how
    assert isinstance(how, Recipe)
    return replace(configuration, how=replace(how, **changes))
