"""The search space, conditional: no trial carries a parameter that it does not use. Imports no torch.

Ranges and their sources: see the table in CONTRIBUTING. The same function serves a sampled trial and one whose
parameters are given, so what is enqueued or added as finished is of the same space.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast, get_args

from automl_tl.augment.policy import AugmentationPolicy
from automl_tl.foreign import check_fields, listed, number, whole_number
from automl_tl.lab.feature_sources import LONGEST_JOIN
from automl_tl.learning.configuration import CLASSIFIERS, MOST_STAGES, VIEW_SETS, Configuration, Frozen, Training
from automl_tl.learning.recipe import LAYERS, MOST_EPOCHS, MOST_LONG_EPOCHS, Recipe

MANY_PICTURES = 20_000
"""Pictures from which mixup and cutmix are searched (BiT, Kolesnikov et al. 2020)."""
IMBALANCED = 1.5
"""Largest over smallest class from which class weighting is searched."""
FEWEST_EPOCHS = 4
"""A training whose time allows fewer is not begun."""
PENALTY = (1e-4, 1e3)
L2 = (1e-4, 1e2)
HEAD_LR = (1e-5, 1e-2)
LR_RATIO = (1.0, 100.0)
WHOLE_LR_RATIO = (1.0, 3.0)
WEIGHT_DECAY = (1e-6, 1e-1)


class Chooser(Protocol):
    """What optuna's trials and fixed trials can do."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Return a number from `low` to `high`."""

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Return one of `choices`."""


@dataclass(frozen=True)
class Space:
    """What may be chosen for one data set on one machine."""

    n_stages: Mapping[str, int]
    """By backbone; its keys are the backbones."""
    grids: Mapping[str, frozenset[int]]
    """By backbone, the cuts whose output has quarters."""
    maps: Mapping[str, frozenset[int]]
    """By backbone, the cuts whose output is a map, so that a convolution block can follow."""
    patches: frozenset[str] = frozenset()
    """The backbones whose last stage has a vector of its own beside the mean over its positions."""
    layer_decay: Mapping[str, float] = field(default_factory=dict)
    """By backbone, what is published of it; 1 where nothing is."""
    with_batchnorm: frozenset[str] | None = None
    """The backbones that have BatchNorm; None in runs from before this was known: all are asked about it."""
    training: tuple[Training, ...] = ("frozen", "fine_tuning", "pretrained_initialization")
    classifiers: tuple[str, ...] = CLASSIFIERS
    views: tuple[str, ...] = tuple(VIEW_SETS)
    hflip: bool = True
    vflip: bool = False
    imbalanced: bool = False
    many: bool = False
    long_epochs: int = 0
    """How often few pictures may be gone round as there is time; 0 without a clock, and in runs from before."""
    joined: bool = True
    """Whether cuts may be joined and deviations read."""
    augmented: bool = True
    """Whether training pictures may be varied."""
    tuned_apart: bool = False
    """Whether what fine-tuning reads of its cuts has parameters of its own, so that what is good for frozen heads, of
    which the sweep has dozens, is not proposed for it; not in runs from before."""


def space_to_dict(space: Space) -> dict[str, Any]:
    """Return a space as plain JSON values."""
    values = dict(vars(space))
    for name in ("grids", "maps"):
        values[name] = {backbone: sorted(cuts) for backbone, cuts in values[name].items()}
    values["patches"] = sorted(space.patches)
    values["with_batchnorm"] = None if space.with_batchnorm is None else sorted(space.with_batchnorm)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def space_from_dict(values: Mapping[str, Any]) -> Space:
    """Return the space that `space_to_dict` described.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it is none.
    """
    known = check_fields(values, Space)
    rest: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in known.items()}
    for name in ("grids", "maps"):
        rest[name] = {backbone: frozenset(listed(values[name][backbone])) for backbone in values["n_stages"]}
    for name in ("patches", "with_batchnorm"):
        if values.get(name) is not None:
            rest[name] = frozenset(values[name])
    space = Space(**rest)
    _check(space)
    return space


def _check(space: Space) -> None:
    """Raise TypeError or ValueError where nothing can be chosen, or what no search knows."""
    for n in space.n_stages.values():
        whole_number(n, 1, MOST_STAGES)
    for decay in space.layer_decay.values():
        number(decay)
    whole_number(space.long_epochs, 0, MOST_LONG_EPOCHS)
    choices = ((space.n_stages, space.n_stages), (space.training, get_args(Training)))
    for some, known in (*choices, (space.classifiers, CLASSIFIERS), (space.views, VIEW_SETS)):
        if not set(some) or not set(some) <= set(known):
            raise ValueError(f"{some} to choose from")


def outside(configuration: Configuration, space: Space) -> str | None:
    """Return why a configuration is not of this space, or None; a resumed run samples from the space it began with."""
    if configuration.backbone not in space.n_stages:
        return f"{configuration.backbone} is not used in this session"
    if configuration.training not in space.training:
        return f"{configuration.training} is not asked for"
    how = configuration.how
    if isinstance(how, Frozen) and (how.classifier not in space.classifiers or how.views not in space.views):
        return "this classifier or these views are out of reach in this session"
    return None


def suggest(chooser: Chooser, space: Space) -> Configuration:
    """Ask `chooser` for everything that a configuration needs, in a fixed order."""
    training = cast(Training, chooser.suggest_categorical("training", space.training))
    backbone = chooser.suggest_categorical("backbone", tuple(space.n_stages))
    n_stages = space.n_stages[backbone]
    whole: tuple[tuple[int, ...], str] = ((n_stages,), "mean")
    cuts, pooling = (
        whole if training == "pretrained_initialization" else _cuts(chooser, space, backbone, _apart(space, training))
    )
    if training == "frozen":
        how: Frozen | Recipe = _frozen(chooser, space)
    elif training == "fine_tuning":
        how = _fine_tuning(chooser, space, backbone, max(cuts))
    else:
        how = _from_pretrained(chooser, space, n_stages)
    if isinstance(how, Recipe):
        how = replace(how, layer_decay=space.layer_decay.get(backbone, 1.0))
    weighable = space.imbalanced and not (isinstance(how, Frozen) and how.classifier == "ridge")
    balanced = weighable and chooser.suggest_categorical("balanced", (False, True))
    return Configuration(training, backbone, n_stages, cuts, pooling, how, bool(balanced))


def _apart(space: Space, training: Training) -> str:
    """Return what names of parameters begin with that say how many cuts are read, and how they are pooled."""
    return "tuned_" if training == "fine_tuning" and space.tuned_apart else ""


def _cuts(chooser: Chooser, space: Space, backbone: str, apart: str) -> tuple[tuple[int, ...], str]:
    n_stages = space.n_stages[backbone]
    cut = cut_of(chooser.suggest_float("depth", 0.0, 1.0), n_stages)
    if not space.joined:
        return (cut,), "mean"
    joined = min(cut, chooser.suggest_int(f"{apart}joined", 1, LONGEST_JOIN))
    if joined > 1:
        return tuple(range(cut - joined + 1, cut + 1)), "mean+std"
    choices = ("mean", "mean+std", "grid", "mean+patches") if space.patches else ("mean", "mean+std", "grid")
    pooling = chooser.suggest_categorical(f"{apart}pooling", choices)
    return (cut,), pooling if is_pooled(space, backbone, (cut,), pooling) else "mean"


def is_pooled(space: Space, backbone: str, cuts: tuple[int, ...], pooling: str) -> bool:
    """Return whether the outputs of these cuts can be pooled so."""
    if pooling == "mean+patches":
        return backbone in space.patches and cuts == (space.n_stages[backbone],)
    return pooling != "grid" or space.grids[backbone].issuperset(cuts)


def cut_of(depth: float, n_stages: int) -> int:
    """Return the cut at a share of the depth.

    >>> [cut_of(depth, 4) for depth in (0.0, 0.25, 0.26, 1.0)]
    [1, 1, 2, 4]
    """
    return min(n_stages, max(1, math.ceil(depth * n_stages - 1e-9)))


def _frozen(chooser: Chooser, space: Space) -> Frozen:
    classifier = chooser.suggest_categorical("classifier", space.classifiers)
    if classifier == "ridge":
        penalty = chooser.suggest_float("penalty", *PENALTY, log=True)
    else:
        penalty = chooser.suggest_float("l2", *L2, log=True)
    views = chooser.suggest_categorical("views", space.views) if len(space.views) > 1 else "plain"
    return Frozen(classifier, penalty, views)


def _asks_batchnorm(space: Space, backbone: str) -> bool:
    return space.with_batchnorm is None or backbone in space.with_batchnorm


def _fine_tuning(chooser: Chooser, space: Space, backbone: str, cut: int) -> Recipe:
    layers = chooser.suggest_categorical("layers", LAYERS)
    if layers == "convolution" and cut not in space.maps[backbone]:
        layers = "fully_connected"
    head_epochs = 0 if layers == "linear" else chooser.suggest_int("head_epochs", 1, 5)
    unfrozen = cut_of(chooser.suggest_float("unfrozen", 0.0, 1.0), cut)
    ratio = chooser.suggest_float("lr_ratio", *LR_RATIO, log=True)
    asks = _asks_batchnorm(space, backbone)
    batchnorm: Any = chooser.suggest_categorical("batchnorm", ("frozen", "adapting")) if asks else "frozen"
    return Recipe(
        unfrozen=unfrozen, lr_ratio=ratio, layers=layers, head_epochs=head_epochs, batchnorm=batchnorm,
        **_schedule(chooser, space),
    )  # fmt: skip


def _from_pretrained(chooser: Chooser, space: Space, n_stages: int) -> Recipe:
    ratio = chooser.suggest_float("whole_lr_ratio", *WHOLE_LR_RATIO)
    schedule = _schedule(chooser, space)
    schedule["epochs"] = min(schedule["epochs"], MOST_EPOCHS)  # it is never shortened where time is
    return Recipe(unfrozen=n_stages, lr_ratio=ratio, batchnorm="adapting", **schedule)


def _schedule(chooser: Chooser, space: Space) -> dict[str, Any]:
    """Return what a recipe has whichever stages learn."""
    return dict(
        epochs=chooser.suggest_int("epochs", FEWEST_EPOCHS, max(MOST_EPOCHS, space.long_epochs)),
        head_lr=chooser.suggest_float("head_lr", *HEAD_LR, log=True),
        weight_decay=chooser.suggest_float("weight_decay", *WEIGHT_DECAY, log=True),
        warmup=chooser.suggest_float("warmup", 0.0, 0.1),
        label_smoothing=chooser.suggest_categorical("label_smoothing", (0.0, 0.05, 0.1)),
        policy=_policy(chooser, space) if space.augmented else AugmentationPolicy(),
        mixup=chooser.suggest_float("mixup", 0.0, 0.4) if space.many else 0.0,
        cutmix=chooser.suggest_float("cutmix", 0.0, 1.0) if space.many else 0.0,
    )


def _policy(chooser: Chooser, space: Space) -> AugmentationPolicy:
    scale = chooser.suggest_float("scale", 0.0, 0.3)
    return AugmentationPolicy(
        hflip=0.5 if space.hflip and chooser.suggest_categorical("hflip", (True, False)) else 0.0,
        vflip=0.5 if space.vflip and chooser.suggest_categorical("vflip", (True, False)) else 0.0,
        rotation=chooser.suggest_float("rotation", 0.0, 30.0),
        scale=(1 - 2 * scale / 3, 1 + scale),  # 0.8 to 1.3 at its widest
        crop=chooser.suggest_float("crop", 0.25, 1.0),
        colour=chooser.suggest_float("colour", 0.0, 0.4),
        erase=chooser.suggest_float("erase", 0.0, 0.5),
    )


def parameters(configuration: Configuration, space: Space) -> dict[str, Any]:
    """Return the parameters by which `suggest` gives a configuration of this space; the inverse of it."""
    how, cut, n_stages = configuration.how, max(configuration.cuts), configuration.n_stages
    values: dict[str, Any] = {"training": configuration.training, "backbone": configuration.backbone}
    if configuration.training != "pretrained_initialization":
        values["depth"] = cut / n_stages
        if space.joined:
            apart = _apart(space, configuration.training)
            values[f"{apart}joined"] = len(configuration.cuts)
            if len(configuration.cuts) == 1:
                values[f"{apart}pooling"] = configuration.pooling
    if isinstance(how, Frozen):
        values |= {"classifier": how.classifier, "penalty" if how.classifier == "ridge" else "l2": how.penalty}
        values |= {"views": how.views} if len(space.views) > 1 else {}
    if space.imbalanced and configuration.head != "ridge":
        values["balanced"] = configuration.balanced
    if isinstance(how, Frozen):
        return values
    if configuration.training == "fine_tuning":
        values |= {"layers": how.layers, "unfrozen": how.unfrozen / cut, "lr_ratio": how.lr_ratio}
        values |= {"batchnorm": how.batchnorm} if _asks_batchnorm(space, configuration.backbone) else {}
        values |= {} if how.layers == "linear" else {"head_epochs": how.head_epochs}
    else:
        values["whole_lr_ratio"] = how.lr_ratio
    values |= {name: getattr(how, name) for name in ("epochs", "head_lr", "weight_decay", "warmup", "label_smoothing")}
    if space.many:
        values |= {"mixup": how.mixup, "cutmix": how.cutmix}
    return values | (_policy_parameters(how.policy, space) if space.augmented else {})


def _policy_parameters(policy: AugmentationPolicy, space: Space) -> dict[str, Any]:
    flips = {"hflip": policy.hflip > 0} if space.hflip else {}
    flips |= {"vflip": policy.vflip > 0} if space.vflip else {}
    names = ("rotation", "crop", "colour", "erase")
    return {**flips, "scale": round(policy.scale[1] - 1, 12), **{name: getattr(policy, name) for name in names}}
