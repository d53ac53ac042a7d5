"""The configuration that a user asks for: the recommended one, changed in what is said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from automl_tl.augment.policy import AugmentationPolicy
from automl_tl.errors import OptionError
from automl_tl.lab.recommended import frozen
from automl_tl.learning.classifiers import HEAD_L2
from automl_tl.learning.configuration import Configuration, Frozen, Training
from automl_tl.learning.recipe import Recipe
from automl_tl.options import ConfigurationOptions, SearchOptions
from automl_tl.searcher.session import Prepared
from automl_tl.searcher.space.limits import Limits
from automl_tl.searcher.space.search_space import Space, is_pooled
from automl_tl.searcher.space.space_for import space_for
from automl_tl.searcher.trials.openings import openings
from automl_tl.strategies import FROZEN

OF_FROZEN = ("classifier", "penalty", "views")
OF_TRAINED = (
    "unfreeze", "epochs", "head_lr", "lr_ratio", "layer_decay", "layers", "head_epochs", "weight_decay", "batchnorm",
    "warmup", "label_smoothing", "mixup", "cutmix", "augmentation",
)  # fmt: skip
OF_SOME_STAGES = ("unfreeze", "cuts", "pooling")
"""What `pretrained_initialization` leaves no choice of."""
RIDGE_PENALTY = 1.0
"""Of ridge, where another classifier is recommended."""


def configuration_asked_for(
    prepared: Prepared, asked: ConfigurationOptions, before: Configuration | None = None
) -> Configuration:
    """Return the recommended configuration, of the strategy that is asked for, with what is asked for changed.

    Args:
        prepared: what is recommended.
        asked: what is asked for.
        before: of the model that training goes on from, which takes the place of the recommended one.

    Raises:
        OptionError: options that do not go together, or that the backbone has no room for.
    """
    space = space_for(prepared.task, prepared.assessment, parts=SearchOptions().parts)
    start = _start(prepared, space, asked, before)
    _check_kind(start.strategy, asked, "as recommended" if before is None else "the bundle's")
    cuts = start.cuts if asked.cuts is None else tuple(asked.cuts)
    moved = replace(start, cuts=cuts, pooling=asked.pooling or _pooling(start, cuts))
    _check_source(moved, space)
    how = _changed_frozen(moved, asked) if start.training == "frozen" else _changed_recipe(moved, asked, space)
    changed = replace(moved, how=how, balanced=start.balanced or asked.balanced)
    _check_whole(changed, asked)
    if before is not None and before.is_trained:
        _check_carried(changed, before)
    return changed


def check_strategy(asked: ConfigurationOptions) -> None:
    """Raise OptionError where no strategy, or not the one asked for, has what else is: before any picture is read."""
    if asked.strategy is not None:
        _check_kind(asked.strategy, asked)
    of_frozen, of_trained = (next(iter(_given(asked, names)), None) for names in (OF_FROZEN, OF_TRAINED))
    if of_frozen is not None and of_trained is not None:
        raise OptionError(
            f"{_flag(of_frozen)} is for a frozen backbone and {_flag(of_trained)} for one that learns: leave one of "
            "them out"
        )


def _start(
    prepared: Prepared, space: Space, asked: ConfigurationOptions, before: Configuration | None
) -> Configuration:
    """Return what is changed: the recommended configuration, or that of the model that training goes on from.

    Of a frozen model nothing can go on in another strategy; what has learned goes on in either trained one.
    """
    if before is None or (not before.is_trained and asked.strategy not in (None, before.strategy)):
        return _recommended(prepared, space, asked.strategy or prepared.assessment.choice.strategy)
    if asked.strategy in (None, before.strategy):
        return before
    if asked.strategy in FROZEN:
        raise OptionError(
            f"--strategy {asked.strategy} reads the pretrained stages, but those of the bundle have learned: leave it "
            "out, or leave out --from"
        )
    training: Training = "fine_tuning" if asked.strategy == "fine_tuning" else "pretrained_initialization"
    unfrozen = before.tuned.unfrozen if training == "fine_tuning" else max(before.cuts)
    return replace(before, training=training, how=replace(before.tuned, unfrozen=unfrozen))


def _check_carried(one: Configuration, before: Configuration) -> None:
    """Raise OptionError where what has learned would have no place in the new model."""
    for flag, now, then in (
        ("cuts", "+".join(map(str, one.cuts)), "+".join(map(str, before.cuts))),
        ("pooling", one.pooling, before.pooling),
        ("layers", one.head, before.head),
    ):
        if now != then:
            raise OptionError(f"--{flag} must be {then} with --from, as in the bundle, but is {now}: leave it out")
    if one.tuned.unfrozen < before.tuned.unfrozen:
        raise OptionError(
            f"--unfreeze must be at least {before.tuned.unfrozen} with --from, the stages of the bundle that have "
            f"learned, but is {one.tuned.unfrozen}"
        )


def _recommended(prepared: Prepared, space: Space, strategy: str) -> Configuration:
    """Return what would be done with a strategy: what is tried first of it without a clock, or the best frozen one."""
    if strategy not in FROZEN:
        return next(c for c in openings(prepared, space, Limits(), None) if c.strategy == strategy)
    task, candidates = prepared.task, prepared.assessment.expectations.candidates
    candidate = next((one for name, one in candidates.items() if name == strategy), None)
    if candidate is None:
        raise OptionError(f"--strategy {strategy}: {prepared.assessment.evidence.backbone} has no such cut")
    return frozen(candidate, task.features, task.sample.n)


def _pooling(start: Configuration, cuts: tuple[int, ...]) -> str:
    """Return how cuts that differ from the recommended ones are pooled: several as the search does."""
    return start.pooling if len(cuts) == len(start.cuts) else "mean+std" if len(cuts) > 1 else "mean"


def _changed_frozen(start: Configuration, asked: ConfigurationOptions) -> Frozen:
    given, was = _given(asked, OF_FROZEN), start.frozen.classifier
    classifier = given.get("classifier", was)
    if (classifier == "ridge") != (was == "ridge"):  # their strengths have other units
        given.setdefault("penalty", RIDGE_PENALTY if classifier == "ridge" else HEAD_L2)
    if classifier == "ridge" and asked.balanced:
        raise OptionError("--balanced means nothing to ridge: leave it out, or give --classifier softmax")
    return replace(start.frozen, **given)


def _changed_recipe(start: Configuration, asked: ConfigurationOptions, space: Space) -> Recipe:
    given, cut = _given(asked, OF_TRAINED), max(start.cuts)
    if "augmentation" in given:
        given["policy"] = AugmentationPolicy()
        del given["augmentation"]
    unfrozen = given.pop("unfreeze", min(start.tuned.unfrozen, cut))
    if unfrozen > cut:
        raise OptionError(f"--unfreeze must be at most {cut}, the stages up to the last cut, but is {unfrozen}")
    if given.get("layers") == "convolution" and cut not in space.maps[start.backbone]:
        raise OptionError(f"--layers convolution needs a map, but stage {cut} of {start.backbone} puts out tokens")
    if "batchnorm" in given and start.backbone not in (space.with_batchnorm or ()):
        raise OptionError(f"--batchnorm means nothing to {start.backbone}, which has none: leave it out")
    return replace(start.tuned, unfrozen=unfrozen, **given)


def _given(asked: ConfigurationOptions, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(asked, name) for name in names if getattr(asked, name) is not None}


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _check_kind(strategy: str, asked: ConfigurationOptions, source: str = "as asked for") -> None:
    """Raise OptionError where something is asked for that the strategy, of that source, has not."""
    trained = strategy not in FROZEN
    foreign: tuple[str, ...] = OF_FROZEN if trained else OF_TRAINED
    foreign += OF_SOME_STAGES if strategy == "pretrained_initialization" else ()
    if wrong := next(iter(_given(asked, foreign)), None):
        named = strategy if asked.strategy else f"{strategy}, {source}"
        other = "feature_extractor" if trained and wrong in OF_FROZEN else "fine_tuning"
        raise OptionError(
            f"{_flag(wrong)} means nothing to the strategy {named}: leave it out, or give --strategy {other}"
        )


def _check_source(one: Configuration, space: Space) -> None:
    """Raise OptionError where the backbone lacks a cut, or a cut the quarters."""
    beyond = [cut for cut in one.cuts if not 1 <= cut <= one.n_stages]
    if beyond:
        raise OptionError(f"--cuts must be from 1 to {one.n_stages}, the stages of {one.backbone}, but has {beyond[0]}")
    if one.pooling == "mean+patches" and not is_pooled(space, one.backbone, one.cuts, one.pooling):
        raise OptionError(
            f"--pooling mean+patches needs the last stage alone, and a class token there; give mean or mean+std to "
            f"{one.backbone}"
        )
    small = [cut for cut in one.cuts if cut not in space.grids[one.backbone]]
    if one.pooling == "grid" and small:
        raise OptionError(
            f"--pooling grid needs quarters, which stage {small[0]} of {one.backbone} does not put out; give "
            "mean or mean+std, or another --cuts"
        )


def _check_whole(one: Configuration, asked: ConfigurationOptions) -> None:
    """Raise OptionError where the cuts make another strategy of it."""
    if asked.strategy is not None and one.strategy != asked.strategy:
        cuts = "+".join(map(str, one.cuts))
        raise OptionError(
            f"--cuts {cuts} of the {one.n_stages} stages of {one.backbone} is {one.strategy}, not {asked.strategy}: "
            "give other cuts, or leave out --strategy"
        )
