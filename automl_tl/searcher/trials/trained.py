"""Trained candidates: the two phases on cached activations, scored on folds that they did not learn from."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from automl_tl.augment.mixing import Mixing
from automl_tl.backbones.stages import Network
from automl_tl.learning.activations import ActivationCache, columns
from automl_tl.learning.finetune import Step, Trained, TrainingError, copy_network, finetune, score_rows
from automl_tl.learning.heads import solve_head
from automl_tl.learning.linear import LinearHead
from automl_tl.learning.network_head import NetworkHead
from automl_tl.learning.recipe import Recipe, batch_size_for
from automl_tl.learning.scores import class_weights
from automl_tl.learning.spectrum import decompose
from automl_tl.searcher.space.configuration import Configuration, Tuned
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.task import Task

HIDDEN = 256
"""Units of the fully connected layers."""
MOST_VIEWS, EPOCHS_PER_VIEW = 4, 3
"""Varied views whose activations are kept, and how often training goes round each of them."""
QUARTERS = 4
"""Parts of the first fold's schedule after which a trial reports; further folds report once."""
Report = Callable[[int, float], None]


@dataclass(frozen=True, eq=False)
class Reference:
    """The best frozen candidate: what trained ones are compared with, picture by picture."""

    outcome: Outcome
    l2: float
    """Multiple of columns over pictures by which the heads are solved that training starts from."""


def n_views(epochs: int) -> int:
    """Return how many varied views a schedule of so many epochs goes round.

    >>> [n_views(epochs) for epochs in (1, 4, 10, 30)]
    [1, 2, 4, 4]
    """
    return min(MOST_VIEWS, max(1, -(-epochs // EPOCHS_PER_VIEW)))


def estimated(task: Task, reference: Reference, rows: np.ndarray, scores: np.ndarray) -> float:
    """Return the metric that a candidate scored on the pictures `rows` alone would have on all of them.

    The reference's metric on all pictures plus the difference of the two on `rows` (a control variate): what makes
    these pictures easier or harder than the rest is in both, so candidates scored on other folds can be compared.
    """
    y, function = task.y, task.metric.function
    gain = function(y[rows], scores) - function(y[rows], reference.outcome.on(rows))
    return float(reference.outcome.value + gain)


def score_trained(
    task: Task,
    configuration: Configuration,
    reference: Reference,
    *,
    limit: float | None = None,
    report: Report | None = None,
) -> Outcome:
    """Train a candidate once per fold that it is scored on, and return its out-of-fold scores.

    Args:
        task: the data.
        configuration: a trained one.
        reference: of the estimate, and of the heads' regularisation.
        limit: seconds for all folds together, or None.
        report: called with (step, estimated metric) along the way; what it raises ends the trial.

    Raises:
        TrainingError: the loss is no longer finite, or memory does not suffice.
    """
    started, cache = time.perf_counter(), make_cache(task, configuration)
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    state: Mapping[str, Tensor] = {}
    epochs = 0
    for fold in range(task.n_folds):
        rows = task.held_out(fold)
        left = None if limit is None else (limit - (time.perf_counter() - started)) / (task.n_folds - fold)
        watch = _watcher(task, configuration, cache, reference, rows, report) if fold == 0 else None
        network, head, trained = train(
            task, configuration, cache, np.flatnonzero(task.sample.folds != fold), reference.l2, limit=left, watch=watch
        )
        if trained.epochs == 0:
            raise TrainingError("there was no time left for an epoch")
        parts.append((rows, score_rows(network, head, cache, rows, task.bench.engine.for_training)))
        epochs += trained.epochs
        if fold == 0:
            state = learned_state(configuration, network, head)
        seen, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
        value = estimated(task, reference, seen, scores)
        if report is not None:
            report(QUARTERS + fold, value)
    return Outcome(
        configuration, value, seen, scores, time.perf_counter() - started, epochs, task.n_folds, state
    )  # fmt: skip


def train(
    task: Task,
    configuration: Configuration,
    cache: ActivationCache,
    rows: np.ndarray,
    l2: float,
    *,
    limit: float | None = None,
    watch: Callable[[Network, NetworkHead, Step], None] | None = None,
    start: Mapping[str, Tensor] | None = None,
) -> tuple[Network, NetworkHead, Trained]:
    """Train a candidate on the pictures `rows`; return its network, head and how it went.

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
    how, begun = _tuned(configuration), time.perf_counter()
    network = copy_network(task.bench.network(configuration.backbone))
    head = empty_head(task, configuration) if start is not None else _starting_head(task, configuration, rows, l2)
    head = head.to(task.bench.engine.device)
    if start is not None:
        restore(configuration, network, head, start)
    if limit is not None:
        limit -= time.perf_counter() - begun
    recipe = Recipe(
        how.unfrozen, how.epochs, how.head_epochs, how.head_lr, how.lr_ratio, how.weight_decay, how.batchnorm,
        how.warmup, how.label_smoothing, Mixing(how.mixup, how.cutmix), batch_size_for(len(rows)),
    )  # fmt: skip

    def observe(step: Step) -> None:
        if watch is not None:
            watch(network, head, step)

    trained = finetune(
        network, head, cache, task.y, rows, recipe, task.bench.engine.for_training, seed=task.seed,
        class_weights=_weights(task, configuration, rows), limit=limit, observe=observe,
    )  # fmt: skip
    return network, head, trained


def make_cache(task: Task, configuration: Configuration) -> ActivationCache:
    """Return the activations of a candidate's frozen stages, empty as yet; folds share them."""
    how = _tuned(configuration)
    return ActivationCache(
        task.bench.network(configuration.backbone),
        task.pixels(configuration.backbone),
        max(configuration.cuts) - how.unfrozen,
        configuration.cuts,
        columns(configuration.pooling),
        how.policy,
        task.bench.engine.for_training,
        task.seed,
        task.scratch,
        n_views=n_views(how.epochs + how.head_epochs),
        max_bytes=task.max_bytes,
    )


def learned_state(configuration: Configuration, network: Network, head: NetworkHead) -> dict[str, Tensor]:
    """Return copies on the CPU of what was learned: the head, and the stages that are not frozen."""
    learned = _learned(configuration, network, head).state_dict()
    return {name: value.detach().cpu().clone() for name, value in learned.items()}


def restore(configuration: Configuration, network: Network, head: NetworkHead, state: Mapping[str, Tensor]) -> None:
    """Put what `learned_state` returned into a copied network and a head of the same configuration."""
    _learned(configuration, network, head).load_state_dict(dict(state))


def empty_head(task: Task, configuration: Configuration) -> NetworkHead:
    """Return a head of a candidate's shape, to be filled by `restore`."""
    d = task.matrix(configuration.backbone, configuration.cuts, configuration.pooling).shape[1]
    return NetworkHead(d, task.n_classes, **_layers(task, configuration))


def _learned(configuration: Configuration, network: Network, head: NetworkHead) -> nn.ModuleDict:
    cut, unfrozen = max(configuration.cuts), _tuned(configuration).unfrozen
    stages = network.stages[cut - unfrozen : cut]
    return nn.ModuleDict({"head": head, "stages": nn.ModuleList(stages)})


def _starting_head(task: Task, configuration: Configuration, rows: np.ndarray, l2: float) -> NetworkHead:
    """Solve the head on cached features: phase one at its end. `pretrained_initialization` begins with zeros."""
    X = task.matrix(configuration.backbone, configuration.cuts, configuration.pooling)[rows]
    spectrum = decompose(X)
    if configuration.training == "pretrained_initialization":
        zeros = np.zeros((task.n_classes, X.shape[1]))
        solved = LinearHead.standardised("softmax", zeros, np.zeros(task.n_classes), spectrum.scaling)
    else:
        strength = l2 * spectrum.unit / len(rows)
        solved = solve_head(
            "softmax", spectrum, task.y[rows], task.n_classes, strength, balanced=configuration.balanced
        )  # fmt: skip
    with torch.random.fork_rng(devices=[]):  # what is added to the solved head begins at random
        torch.manual_seed(task.seed)
        return NetworkHead.from_linear(solved, **_layers(task, configuration))


def _layers(task: Task, configuration: Configuration) -> dict[str, int]:
    layers = _tuned(configuration).layers
    channels = task.bench.network(configuration.backbone).channels[max(configuration.cuts) - 1]
    return {
        "hidden": HIDDEN if layers in ("fully_connected", "convolution") else 0,
        "channels": channels if layers == "convolution" else 0,
    }


def _weights(task: Task, configuration: Configuration, rows: np.ndarray) -> np.ndarray | None:
    """Return (C,) weights of mean 1 over the pictures, or None."""
    if not configuration.balanced:
        return None
    weights = np.ones(task.n_classes)
    weights[task.y[rows]] = class_weights(task.y[rows])
    return weights


def _watcher(
    task: Task,
    configuration: Configuration,
    cache: ActivationCache,
    reference: Reference,
    rows: np.ndarray,
    report: Report | None,
) -> Callable[[Network, NetworkHead, Step], None] | None:
    """Return what reports the first fold's scores after each quarter of its schedule but the last."""
    if report is None:
        return None
    reported = 0

    def watch(network: Network, head: NetworkHead, step: Step) -> None:
        nonlocal reported
        quarter = min(int(QUARTERS * step.progress), QUARTERS)
        if reported < quarter < QUARTERS:
            reported = quarter
            network.module.eval()
            head.eval()
            with torch.no_grad():
                scores = score_rows(network, head, cache, rows, task.bench.engine.for_training)
            report(quarter, estimated(task, reference, rows, scores))

    return watch


def _tuned(configuration: Configuration) -> Tuned:
    assert isinstance(configuration.how, Tuned)
    return configuration.how
