"""Trained candidates: the two phases on cached activations, scored on folds that they did not learn from."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from automl_tl.augment.mixing import Mixing
from automl_tl.backbones.stages import Network
from automl_tl.learning.activations import ActivationCache
from automl_tl.learning.finetune import Step, Trained, TrainingError, Tunable, copy_network, finetune
from automl_tl.learning.fit import starting_head
from automl_tl.learning.linear import LinearHead, as_matrix, measure_scaling
from automl_tl.learning.network_head import NetworkHead
from automl_tl.learning.recipe import Recipe, batch_size_for
from automl_tl.learning.scores import class_weights
from automl_tl.searcher.space.configuration import Configuration
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.reference import Reference, estimated
from automl_tl.work import Executor

HIDDEN = 256
"""Units of the fully connected layers."""
MOST_VARIANTS, EPOCHS_PER_VARIANT = 4, 3
"""Varied copies of every picture whose activations are kept, and how often training goes round each of them."""
QUARTERS = 4
"""Parts of the first fold's schedule after which a trial reports; further folds report once."""
GO_ON_LR = 0.3
"""Share of the learning rates when training goes on with more pictures instead of beginning again."""
Report = Callable[[int, float], None]


def n_variants(epochs: int) -> int:
    """Return how many variants of every picture a schedule of so many epochs goes round.

    >>> [n_variants(epochs) for epochs in (1, 4, 10, 30)]
    [1, 2, 4, 4]
    """
    return min(MOST_VARIANTS, max(1, -(-epochs // EPOCHS_PER_VARIANT)))


@dataclass(frozen=True, eq=False)
class Learned:
    """What a training run left: everything that differs from the pretrained network."""

    state: Mapping[str, Tensor]
    """Of `learned_state`."""
    losses: tuple[float, ...]
    """Mean loss of each epoch."""
    shortened: bool
    """Whether the time limit ended the schedule early."""

    @property
    def epochs(self) -> int:
        """Epochs, the last one perhaps not whole."""
        return len(self.losses)


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
    report: Report | None = None,
) -> Outcome:
    """Train a candidate once per fold that it is scored on, and return its out-of-fold scores.

    Args:
        task: the data.
        configuration: a trained one.
        reference: of the estimate, and of the heads' regularisation.
        executor: where folds are trained.
        limit: seconds for all folds together, or None.
        report: called with (step, estimated metric) along the way; what it raises ends the trial.

    Raises:
        TrainingError: the loss is no longer finite, or memory does not suffice.
    """
    started = time.perf_counter()
    try:
        folds = _scored_folds(task, configuration, reference, executor, limit, report)
    finally:
        task.computed.activations = None
    scores = np.concatenate([one.scores for one in folds])
    rows = np.concatenate([one.rows for one in folds])
    epochs, state = sum(one.learned.epochs for one in folds), folds[0].learned.state
    value, seconds = estimated(task, reference, rows, scores), time.perf_counter() - started
    return Outcome(configuration, value, rows, scores, seconds, epochs, task.n_folds, state)


def _scored_folds(
    task: Task,
    configuration: Configuration,
    reference: Reference,
    executor: Executor,
    limit: float | None,
    report: Report | None,
) -> list[FoldScores]:
    """Return what every fold came to, one after the other; after each of them the estimate so far is reported."""
    started = time.perf_counter()
    folds: list[FoldScores] = []
    for fold in range(task.n_folds):
        left = None if limit is None else (limit - (time.perf_counter() - started)) / (task.n_folds - fold)
        first = report if fold == 0 else None
        scored = executor.submit(score_fold, task, configuration, reference, fold, limit=left, report=first).result()
        folds.append(scored)
        if report is not None:
            seen, scores = (np.concatenate(parts) for parts in zip(*((f.rows, f.scores) for f in folds), strict=True))
            report(QUARTERS + fold, estimated(task, reference, seen, scores))
    return folds


def score_fold(
    task: Task,
    configuration: Configuration,
    reference: Reference,
    fold: int,
    *,
    limit: float | None,
    report: Report | None = None,
) -> FoldScores:
    """Train a candidate without a fold and score it there: work for an executor.

    Args:
        task, configuration, reference: as for `score_trained`.
        fold: that is left out.
        limit: seconds, or None.
        report: called with (step, estimated metric) after each quarter of the schedule but the last.
    """
    begun, rows = time.perf_counter(), task.held_out(fold)
    cache, learned_from = _shared_cache(task, configuration), np.flatnonzero(task.sample.folds != fold)
    left = None if limit is None else limit - (time.perf_counter() - begun)
    watch = _watcher(task, reference, rows, report)
    tunable, trained = train(task, configuration, cache, learned_from, reference.l2, limit=left, watch=watch)
    if trained.epochs == 0:
        raise TrainingError("there was no time left for an epoch")
    state = learned_state(configuration, tunable) if fold == 0 else {}  # one fold's is kept
    return FoldScores(rows, tunable.scores(rows), Learned(state, trained.losses, trained.shortened))


def learn(
    task: Task,
    configuration: Configuration,
    l2: float,
    *,
    limit: float | None,
    start: Mapping[str, Tensor] | None = None,
    epochs: int | None = None,
) -> Learned:
    """Train a candidate on every picture of the task: work for an executor.

    Args:
        task: the data; it may hold more pictures than the trials saw.
        configuration: a trained one.
        l2: multiple of columns over pictures for the solved head.
        limit: seconds, or None.
        start: what a trial left, to go on from, at a smaller rate and in the candidate's own variants.
        epochs: for so many epochs then.
    """
    begun = time.perf_counter()
    cache = make_cache(task, configuration)
    left = None if limit is None else limit - (time.perf_counter() - begun)
    if epochs is not None:
        how = configuration.tuned
        how = replace(how, epochs=epochs, head_epochs=0, head_lr=GO_ON_LR * how.head_lr)
        configuration = replace(configuration, how=how)
    tunable, trained = train(task, configuration, cache, task.everything, l2, limit=left, start=start)
    return Learned(learned_state(configuration, tunable), trained.losses, trained.shortened)


def train(
    task: Task,
    configuration: Configuration,
    cache: ActivationCache,
    rows: np.ndarray,
    l2: float,
    *,
    limit: float | None = None,
    watch: Callable[[Tunable, Step], None] | None = None,
    start: Mapping[str, Tensor] | None = None,
) -> tuple[Tunable, Trained]:
    """Train a candidate on the pictures `rows`; return it and how it went.

    Args:
        task: the data.
        configuration: a trained one.
        cache: `make_cache` of the same configuration.
        rows: int (m,), the pictures to learn from.
        l2: multiple of columns over pictures for the solved head.
        limit: seconds, or None.
        watch: called after every epoch.
        start: what was learned before, to go on from; None starts from the pretrained stages and a solved head.
    """
    how, begun = configuration.tuned, time.perf_counter()
    network = copy_network(task.networks.network(configuration.backbone))
    head = empty_head(task, configuration) if start is not None else _starting_head(task, configuration, rows, l2)
    tunable = Tunable(network, head.to(task.networks.engine.device), cache)
    if start is not None:
        restore(configuration, network, head, start)
    if limit is not None:
        limit -= time.perf_counter() - begun
    recipe = Recipe(
        how.unfrozen, how.epochs, how.head_epochs, how.head_lr, how.lr_ratio, how.weight_decay, how.batchnorm,
        how.warmup, how.label_smoothing, Mixing(how.mixup, how.cutmix), _weights(task, configuration, rows),
        batch_size_for(len(rows)),
    )  # fmt: skip
    observe = None if watch is None else partial(watch, tunable)
    return tunable, finetune(tunable, task.y, rows, recipe, limit=limit, observe=observe)


def make_cache(task: Task, configuration: Configuration) -> ActivationCache:
    """Return the activations of a candidate's frozen stages, empty as yet; folds share them."""
    how, networks = configuration.tuned, task.networks
    return ActivationCache(
        networks.network(configuration.backbone),
        task.pixels(configuration.backbone),
        max(configuration.cuts) - how.unfrozen,
        configuration.cuts,
        configuration.pooling,
        how.policy,
        networks.engine.for_training,
        task.seed,
        task.scratch,
        n_variants=n_variants(how.epochs + how.head_epochs),
        max_bytes=task.max_bytes,
    )


def _shared_cache(task: Task, configuration: Configuration) -> ActivationCache:
    """Return the activations of a candidate's frozen stages, which its folds share; another candidate's are dropped."""
    known = task.computed.activations
    if known is None or known[0] != configuration:
        task.computed.activations = None  # its memory is free before the next one takes any
        task.computed.activations = known = (configuration, make_cache(task, configuration))
    return known[1]


def learned_state(configuration: Configuration, tunable: Tunable) -> dict[str, Tensor]:
    """Return copies on the CPU of what was learned: the head, and the stages that are not frozen."""
    learned = _learned(configuration, tunable.network, tunable.head).state_dict()
    return {name: value.detach().cpu().clone() for name, value in learned.items()}


def restore(configuration: Configuration, network: Network, head: NetworkHead, state: Mapping[str, Tensor]) -> None:
    """Put what `learned_state` returned into a copied network and a head of the same configuration."""
    _learned(configuration, network, head).load_state_dict(dict(state))


def empty_head(task: Task, configuration: Configuration) -> NetworkHead:
    """Return a head of a candidate's shape, to be filled by `restore`."""
    d = task.matrix(configuration.backbone, configuration.cuts, configuration.pooling).shape[1]
    return NetworkHead(d, task.n_classes, **_layers(task, configuration))


def _learned(configuration: Configuration, network: Network, head: NetworkHead) -> nn.ModuleDict:
    cut, unfrozen = max(configuration.cuts), configuration.tuned.unfrozen
    stages = network.stages[cut - unfrozen : cut]
    return nn.ModuleDict({"head": head, "stages": nn.ModuleList(stages)})


def _starting_head(task: Task, configuration: Configuration, rows: np.ndarray, l2: float) -> NetworkHead:
    """Solve the head on cached features: phase one at its end. `pretrained_initialization` begins with zeros."""
    source = (configuration.backbone, configuration.cuts, configuration.pooling)
    if configuration.training == "pretrained_initialization":
        X = as_matrix(task.matrix(*source)[rows])
        zeros = np.zeros((task.n_classes, X.shape[1]))
        solved = LinearHead.standardised("softmax", zeros, np.zeros(task.n_classes), measure_scaling(X))
    else:
        key = ("starting head", source, rows.tobytes(), task.y[rows].tobytes(), l2, configuration.balanced)
        solved = task.computed.solved.get(key, lambda: starting_head(
            task.matrix(*source)[rows], task.y[rows], task.n_classes, l2, balanced=configuration.balanced,
            device=task.networks.engine.device,
        ))  # fmt: skip
    with torch.random.fork_rng(devices=[]):  # what is added to the solved head begins at random
        torch.manual_seed(task.seed)
        return NetworkHead.from_linear(solved, **_layers(task, configuration))


def _layers(task: Task, configuration: Configuration) -> dict[str, int]:
    layers = configuration.tuned.layers
    channels = task.networks.network(configuration.backbone).channels[max(configuration.cuts) - 1]
    return {
        "hidden": HIDDEN if layers in ("fully_connected", "convolution") else 0,
        "channels": channels if layers == "convolution" else 0,
    }


def _weights(task: Task, configuration: Configuration, rows: np.ndarray) -> tuple[float, ...] | None:
    """Return C weights of mean 1 over the pictures, or None."""
    if not configuration.balanced:
        return None
    weights = np.ones(task.n_classes)
    weights[task.y[rows]] = class_weights(task.y[rows])
    return tuple(weights.tolist())


def _watcher(
    task: Task, reference: Reference, rows: np.ndarray, report: Report | None
) -> Callable[[Tunable, Step], None] | None:
    """Return what reports the scores of the pictures `rows` after each quarter of the schedule but the last."""
    if report is None:
        return None
    reported = 0

    def watch(tunable: Tunable, step: Step) -> None:
        nonlocal reported
        quarter = min(int(QUARTERS * step.progress), QUARTERS)
        if reported < quarter < QUARTERS:
            reported = quarter
            tunable.network.module.eval()
            tunable.head.eval()
            report(quarter, estimated(task, reference, rows, tunable.scores(rows)))

    return watch
