"""Where to start fine-tuning: stages to unfreeze, the ratio of learning rates, the augmentation policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from automl_tl.augment.policy import AugmentationPolicy
from automl_tl.backbones.contract import FineTuning
from automl_tl.domain.similarity import DEPTH_BORDERS, Domain
from automl_tl.lab.flips import FlipHarm
from automl_tl.lab.rates import starting_rates
from automl_tl.strategies import FROZEN, Strategy


@dataclass(frozen=True)
class Advice:
    """Starting values for training, each with its reason."""

    unfreeze: int
    """Stages that learn in the second phase; 0 for a frozen ConvNet."""
    lr_ratio: float
    """Learning rate of the head over that of the backbone."""
    augmentation: AugmentationPolicy
    reasons: tuple[str, ...]


def advise(strategy: Strategy, unfreezing: Unfreezing, flips: Sequence[FlipHarm], own: FineTuning) -> Advice:
    """Return starting values for `strategy`.

    Args:
        strategy: that was chosen.
        unfreezing: the stages that learn where not all do.
        flips: what mirrored pictures do to the accuracy.
        own: what the backbone's plugin says of training it.
    """
    policy, why_policy = augmentation_policy(flips)
    ratio = starting_rates(strategy, own).lr_ratio
    if strategy in FROZEN:
        return Advice(0, ratio, policy, ())  # the policy is for whoever trains all the same
    if strategy == "pretrained_initialization":
        why = (
            f"All {unfreezing.n_stages} stages learn from the start: the strategy's definition.",
            f"Learning rate of the head to the backbone's: start at {ratio:g} to 1, nearly alike{_published(own)}.",
        )
        return Advice(unfreezing.n_stages, ratio, policy, (*why, *why_policy))
    why_ratio = (
        f"Learning rate of the head to the backbone's: start at {ratio:g} to 1, as the backbone has less to learn "
        f"than its new head{_published(own)}."
    )
    return Advice(unfreezing.count, ratio, policy, (unfreezing.reason, why_ratio, *why_policy))


def _published(own: FineTuning) -> str:
    """Say what is published of the backbone's rates, where anything is."""
    rate = "" if own.learning_rate is None else f"; {own.learning_rate:g} is published for its last stage"
    decay = "" if own.layer_decay == 1 else f"; each stage learns {own.layer_decay:.2g} times as fast as the next"
    return rate + decay


@dataclass(frozen=True)
class Unfreezing:
    """How many of the last stages before the cut learn in the second phase of fine-tuning."""

    count: int
    n_stages: int
    """Of the whole network."""
    reason: str


def stages_to_unfreeze(domain: Domain, n_stages: int) -> Unfreezing:
    """Return which stages should learn before a head that reads the last one.

    A third of all stages, small in cost and most of the gain; more where the pictures lie far from the
    pretraining domain already in earlier stages.
    """
    least = max(1, round(n_stages / 3))
    if domain.depth_distance is None:
        why = "a third, as it is not known from which depth on the pictures are strange"
        return Unfreezing(least, n_stages, f"Unfreeze the last {_of(least, n_stages)}: {why}.")
    border = DEPTH_BORDERS[1]
    strange = [k for k, d in enumerate(domain.by_depth, 1) if d > border]
    count = max(least, n_stages - strange[0] + 1) if strange else least
    if count == least:
        where = f"before stage {n_stages - least + 1} the pictures lie within {border:g} by depth"
    else:
        where = f"stage {strange[0]} is the first where the pictures lie beyond {border:g} by depth"
    return Unfreezing(count, n_stages, f"Unfreeze the last {_of(count, n_stages)}: {where}.")


def _of(count: int, n_stages: int) -> str:
    return f"of the {n_stages} stages" if count == 1 else f"{count} of the {n_stages} stages"


def augmentation_policy(flips: Sequence[FlipHarm]) -> tuple[AugmentationPolicy, tuple[str, ...]]:
    """Return a policy that varies nothing which carries the label, with a reason for each flip.

    Where pictures may be turned upside down they may be turned by more degrees as well.
    """
    allowed = {flip.view: flip.allowed for flip in flips}
    free = allowed.get("vflip", False) and allowed.get("hflip", False)
    policy = AugmentationPolicy(
        hflip=0.5 if allowed.get("hflip", False) else 0.0,
        vflip=0.5 if allowed.get("vflip", False) else 0.0,
        rotation=30.0 if free else 10.0,
        scale=(0.9, 1.15),
        crop=0.8,
    )
    return policy, tuple(_why(flip) for flip in flips)


def _why(flip: FlipHarm) -> str:
    name = {"hflip": "left-right", "vflip": "upside down"}[flip.view]
    verdict = "on" if flip.allowed else "off"
    return (
        f"Flip {name} {verdict}: flipping {flip.n} pictures changed the classifier's accuracy by "
        f"{-100 * flip.harm:+z.1f} points (standard error {100 * flip.stderr:.1f}; "
        f"a loss of up to {100 * flip.let_pass:.1f} is let pass)."
    )
