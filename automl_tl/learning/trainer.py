"""The trainer: one configuration, trained on given pictures. Whoever trains anything does it here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor, nn

from automl_tl.augment.policy import AugmentationPolicy
from automl_tl.backbones.stages import Network
from automl_tl.devices import own_numbers
from automl_tl.features.engine import Engine
from automl_tl.features.pixels import Pixels
from automl_tl.learning.activations import MAX_BYTES, PLAIN, ActivationCache
from automl_tl.learning.callbacks import Callback
from automl_tl.learning.carried import Carried, widened
from automl_tl.learning.classifiers import starting_head
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.finetune import Targets, Trained, finetune
from automl_tl.learning.kept import Kept
from automl_tl.learning.linear import LinearHead, as_matrix, measure_scaling
from automl_tl.learning.network_head import NetworkHead
from automl_tl.learning.scores import class_weights
from automl_tl.learning.tunable import Tunable, copy_network

TRAINER_VERSION = 7
"""Raised with every change after which the same pictures, configuration and seed, or the same pictures and the
defaults, come to another result on the same engine: in which number format a device learns is no trainer's. Outcomes,
bundles and measured tables keep it, so that they say which trainer they are of; 0 is any before it was counted."""
HIDDEN = 256
"""Units of the fully connected layers."""
PICTURES_TRIED = 16
"""By which it is seen whether float16 suffices."""
MOST_VARIANTS, EPOCHS_PER_VARIANT = 4, 3
"""Varied copies of every picture whose activations are kept, and how often training goes round each of them."""


@dataclass(frozen=True, eq=False)
class Material:
    """n pictures as arrays, and the network that learns from them."""

    network: Network
    """Pretrained; it stays as it is."""
    pixels: Pixels
    """uint8 (n, S, S, 3)."""
    features: np.ndarray
    """float32 (n, d), of the pictures as they are, at the cuts and with the pooling of the configuration."""
    y: np.ndarray
    """int (n,)."""
    n_classes: int
    engine: Engine
    """For training."""
    seed: int
    """Of the variants, the order, and what begins at random."""
    scratch: Path
    """Folder for memory-mapped files."""
    max_bytes: int = MAX_BYTES
    """Bound of the activations that are kept."""
    solved: Kept = field(default_factory=Kept)
    """Heads that training began with, by what they depend on."""
    carried: Carried | None = None
    """What was learned before, where training goes on from a model; its state is for stages that all learn."""
    groups: np.ndarray | None = None
    """int (n,), the same number for pictures that belong together; None: each is on its own."""


class HeadedNetwork(Protocol):
    """A network with its head, while it is trained or as the member of a model."""

    @property
    def network(self) -> Network:
        """Of which some stages may have learned."""

    @property
    def head(self) -> NetworkHead:
        """What they are read by."""


@dataclass(frozen=True, eq=False)
class Start:
    """Where training begins."""

    l2: float
    """Multiple of columns over pictures, for the solved head."""
    state: Mapping[str, Tensor] | None = None
    """What was learned before, to go on from; None starts from the pretrained stages and a solved head."""


def train(
    material: Material,
    configuration: Configuration,
    rows: np.ndarray,
    start: Start,
    *,
    cache: ActivationCache | None = None,
    callbacks: Sequence[Callback] = (),
) -> tuple[Tunable, Trained]:
    """Train a configuration on the pictures `rows`; return it, in eval mode, and how it went.

    Args:
        material: the pictures; more than `rows` where others are scored afterwards.
        configuration: a trained one.
        rows: int (m,), the pictures to learn from.
        start: what the head and the stages begin with.
        cache: `make_cache` of the same material and configuration, where it is used again; default: a new one.
        callbacks: that watch.

    Raises:
        TrainingError: the loss is no longer finite, at smaller rates either.
        ShortageError: one picture at a time does not fit into memory.
    """
    cache = make_cache(material, configuration) if cache is None else cache
    tunable = _begun(material, configuration, rows, start, cache)
    targets = Targets(material.y, class_weights_of(material, rows) if configuration.balanced else None)
    return tunable, finetune(tunable, targets, rows, configuration.tuned, callbacks=callbacks)


def _begun(
    material: Material, configuration: Configuration, rows: np.ndarray, start: Start, cache: ActivationCache
) -> Tunable:
    """Return what training starts from: a trial's weights, a model's, or the pretrained ones with a solved head."""
    network, device = copy_network(material.network), material.engine.device
    d, carried = material.features.shape[1], material.carried
    if start.state is not None:
        head = empty_head(network, configuration, d, material.n_classes)
        restore(configuration, network, head, start.state)
    elif carried is not None:
        head = empty_head(network, configuration, d, carried.n_known)
        restore(configuration, network, head, carried.state)
        before = Tunable(network, head.to(device), cache)
        before.eval()
        head = _widened(material, configuration, rows, start.l2, before)
    else:
        head = _starting_head(material, configuration, rows, start.l2)
    return Tunable(network, head.to(device), cache)


def _widened(
    material: Material, configuration: Configuration, rows: np.ndarray, l2: float, before: Tunable
) -> NetworkHead:
    """Return a model's head for the classes of these pictures; columns of new ones are solved on what it reads."""
    assert material.carried is not None
    places, solved = material.carried.places, None
    if None in places:
        solved = starting_head(
            before.features(rows), material.y[rows], material.n_classes, l2,
            balanced=configuration.balanced, device=material.engine.device, groups=_groups_of(material, rows),
        )  # fmt: skip
    with own_numbers():  # weights that are overwritten must not cost anybody's numbers
        return widened(before.head, places, solved)


def make_cache(material: Material, configuration: Configuration) -> ActivationCache:
    """Return the activations of a configuration's frozen stages, empty as yet; folds may share them."""
    how = configuration.tuned
    return ActivationCache(
        material.network,
        material.pixels,
        max(configuration.cuts) - how.unfrozen,
        configuration.cuts,
        configuration.pooling,
        how.policy,
        _sufficing_engine(material, max(configuration.cuts)),
        material.seed,
        material.scratch,
        n_variants=n_variants(how.all_epochs, varied=how.policy.varies),
        max_bytes=material.max_bytes,
    )


def _sufficing_engine(material: Material, cut: int) -> Engine:
    """Return the engine for training; in float32 where float16, which ends at 65,504, does not hold a few pictures."""
    engine = material.engine
    if engine.dtype != "float16":
        return engine
    tried = ActivationCache(
        material.network, material.pixels, cut, (cut,), "mean", AugmentationPolicy(), engine, material.seed,
        material.scratch, n_variants=0, max_bytes=0,
    )  # fmt: skip
    output = tried.batch(PLAIN, np.arange(min(len(material.pixels), PICTURES_TRIED))).output
    return engine if output.isfinite().all() else replace(engine, dtype="float32")


def n_variants(epochs: int, *, varied: bool = True) -> int:
    """Return how many variants of every picture, besides the plain one, a schedule of so many epochs goes round.

    >>> [n_variants(epochs) for epochs in (1, 4, 10, 30)], n_variants(30, varied=False)
    ([1, 2, 4, 4], 0)
    """
    if not varied:
        return 0
    return min(MOST_VARIANTS, max(1, -(-epochs // EPOCHS_PER_VARIANT)))


def prefix_passes(epochs: int, room: int, *, varied: bool = True) -> int:
    """Return how often a schedule of so many epochs runs the frozen stages over every picture.

    Args:
        epochs: of both phases.
        room: variants that can be kept: each of them is run once, any other one in every epoch that asks for it.
        varied: whether the policy varies pictures; else all variants are the plain one.

    >>> [prefix_passes(10, room) for room in (9, 4, 2, 0)], prefix_passes(10, 1, varied=False)
    ([4, 4, 6, 10], 1)
    """
    variants = max(1, n_variants(epochs, varied=varied))
    return min(room, variants) + sum(epoch % variants >= room for epoch in range(epochs))


def learned_state(configuration: Configuration, trained: HeadedNetwork) -> dict[str, Tensor]:
    """Return copies on the CPU of what was learned: the head, and the stages that are not frozen."""
    learned = _learned(configuration, trained.network, trained.head).state_dict()
    return {name: value.detach().cpu().clone() for name, value in learned.items()}


def restore(configuration: Configuration, network: Network, head: NetworkHead, state: Mapping[str, Tensor]) -> None:
    """Put what `learned_state` returned into a copied network and a head of the same configuration."""
    _learned(configuration, network, head).load_state_dict(dict(state))


def empty_head(network: Network, configuration: Configuration, d: int, n_classes: int) -> NetworkHead:
    """Return a head of a configuration's shape on `d` columns, to be filled by `restore`."""
    with own_numbers():
        return NetworkHead(d, n_classes, **_layers(network, configuration))


def class_weights_of(material: Material, rows: np.ndarray) -> np.ndarray:
    """Return weights, float (C,), of mean 1 over the pictures `rows`, by which every class counts the same."""
    weights = np.ones(material.n_classes)
    weights[material.y[rows]] = class_weights(material.y[rows])
    return weights


def _learned(configuration: Configuration, network: Network, head: NetworkHead) -> nn.ModuleDict:
    cut, unfrozen = max(configuration.cuts), configuration.tuned.unfrozen
    stages = network.stages[cut - unfrozen : cut]
    return nn.ModuleDict({"head": head, "stages": nn.ModuleList(stages)})


def _starting_head(material: Material, configuration: Configuration, rows: np.ndarray, l2: float) -> NetworkHead:
    """Solve the head on features: phase one at its end. `pretrained_initialization` begins with zeros."""
    y, n_classes, balanced = material.y[rows], material.n_classes, configuration.balanced
    if configuration.training == "pretrained_initialization":
        X = as_matrix(material.features[rows])
        zeros = np.zeros((n_classes, X.shape[1]))
        solved = LinearHead.on_scaled("softmax", zeros, np.zeros(n_classes), measure_scaling(X))
    else:
        solved = material.solved.get(
            ("starting head", configuration.source, rows.tobytes(), y.tobytes(), l2, balanced),
            lambda: starting_head(
                material.features[rows],
                y,
                n_classes,
                l2,
                balanced=balanced,
                device=material.engine.device,
                groups=_groups_of(material, rows),
            ),
        )
    with own_numbers(material.seed):  # what is added to the solved head begins at random
        return NetworkHead.from_linear(solved, **_layers(material.network, configuration))


def _groups_of(material: Material, rows: np.ndarray) -> np.ndarray | None:
    return None if material.groups is None else material.groups[rows]


def _layers(network: Network, configuration: Configuration) -> dict[str, int]:
    layers = configuration.tuned.layers
    return {
        "hidden": HIDDEN if layers in ("fully_connected", "convolution") else 0,
        "channels": network.channels[max(configuration.cuts) - 1] if layers == "convolution" else 0,
    }
