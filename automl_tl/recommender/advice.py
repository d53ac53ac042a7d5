"""Where to start fine-tuning: stages to unfreeze, the ratio of learning rates, the augmentation policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from automl_tl.augment.policy import AugmentationPolicy
from automl_tl.domain.similarity import DEPTH_BORDERS, Domain
from automl_tl.recommender.flips import FlipHarm
from automl_tl.recommender.strategy import FROZEN, Strategy

_RATIOS = {"similar": 20.0, "borderline": 10.0, "unknown": 10.0, "different": 5.0}
"""Head : backbone learning rate. Between the 100 of fastai and the 1 of training everything alike; what the
backbone knows is kept the more, the more of it fits (10 is the Transfer-Learning-Library's)."""
_FROM_SCRATCH_RATIO = 2.0


@dataclass(frozen=True)
class Advice:
    """Starting values for training, each with its reason."""

    unfreeze: int
    """Stages that learn in the second phase; 0 for a frozen ConvNet."""
    lr_ratio: float
    """Learning rate of the head over that of the backbone."""
    augmentation: AugmentationPolicy
    reasons: tuple[str, ...]


def advise(strategy: Strategy, domain: Domain, n_stages: int, flips: Sequence[FlipHarm]) -> Advice:
    """Return starting values for `strategy`."""
    unfreeze, why_unfreeze = _stages_to_unfreeze(strategy, domain, n_stages)
    ratio = _FROM_SCRATCH_RATIO if strategy == "pretrained_initialization" else _RATIOS[domain.verdict]
    policy, why_policy = augmentation_policy(flips)
    why_ratio = f"Learning rate of the head to the backbone's: start at {ratio:g} to 1"
    why_ratio += {
        "similar": ", since what the backbone knows fits and should change little.",
        "different": ", since the backbone has to move to another kind of picture.",
    }.get(domain.verdict, ".")
    reasons = [*([why_unfreeze, why_ratio] if strategy not in FROZEN else []), *why_policy]
    return Advice(unfreeze, ratio, policy, tuple(reasons))


def default_unfreeze(n_stages: int) -> int:
    """Return the last third of the stages, at least one: small in cost, most of the gain (three of nine)."""
    return max(1, round(n_stages / 3))


def _stages_to_unfreeze(strategy: Strategy, domain: Domain, n_stages: int) -> tuple[int, str]:
    if strategy in FROZEN:
        return 0, ""
    if strategy == "pretrained_initialization":
        return n_stages, f"All {n_stages} stages learn from the start: the strategy's definition."
    least = default_unfreeze(n_stages)
    if domain.depth_distance is None:
        return (
            least,
            f"Unfreeze the last {least} of {n_stages} stages, a third: this backbone has no distance by depth.",
        )
    border = DEPTH_BORDERS[1]
    strange = [k for k, d in enumerate(domain.by_depth, 1) if d > border]
    unfreeze = max(least, n_stages - strange[0] + 1) if strange else least
    if unfreeze == least:
        where = f"before stage {n_stages - least + 1} the pictures lie within {border:g} by depth"
    else:
        where = f"stage {strange[0]} is the first where the pictures lie beyond {border:g} by depth"
    return unfreeze, f"Unfreeze the last {unfreeze} of {n_stages} stages: {where}."


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
        scale=(0.9, 1.1),
        crop=0.8,
    )
    return policy, tuple(_why(flip) for flip in flips)


def _why(flip: FlipHarm) -> str:
    name = {"hflip": "left-right", "vflip": "upside down"}[flip.view]
    verdict = "on" if flip.allowed else "off"
    return (
        f"Flip {name} {verdict}: flipping {flip.n} pictures changed the classifier's accuracy by "
        f"{-100 * flip.harm:+.1f} points (standard error {100 * flip.stderr:.1f})."
    )
