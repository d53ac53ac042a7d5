"""The learning rates that training begins with: measured ones, or those that are published with a backbone."""

from __future__ import annotations

from dataclasses import dataclass

from automl_tl.backbones.contract import FineTuning
from automl_tl.learning.recipe import HEAD_LR, LR_RATIO
from automl_tl.strategies import Strategy

FROM_SCRATCH_RATIO = 2.0


@dataclass(frozen=True)
class Rates:
    """Of AdamW."""

    head_lr: float
    lr_ratio: float
    """Learning rate of the head over that of the last stage."""
    layer_decay: float
    """Learning rate of a stage over that of the stage after it."""


def starting_rates(strategy: Strategy, own: FineTuning) -> Rates:
    """Return the rates that a trained strategy begins with.

    Where all stages learn nearly alike, a published rate bounds the head's as well.

    >>> starting_rates("fine_tuning", FineTuning())
    Rates(head_lr=0.001, lr_ratio=3.0, layer_decay=1.0)
    >>> starting_rates("fine_tuning", FineTuning(5e-5, 0.65))
    Rates(head_lr=0.001, lr_ratio=20.0, layer_decay=0.65)
    >>> starting_rates("pretrained_initialization", FineTuning(5e-5, 0.65))
    Rates(head_lr=0.0001, lr_ratio=2.0, layer_decay=0.65)
    """
    rate, alike = own.learning_rate, strategy == "pretrained_initialization"
    if rate is None:
        return Rates(HEAD_LR, FROM_SCRATCH_RATIO if alike else LR_RATIO, own.layer_decay)
    if alike:
        return Rates(FROM_SCRATCH_RATIO * rate, FROM_SCRATCH_RATIO, own.layer_decay)
    return Rates(HEAD_LR, HEAD_LR / rate, own.layer_decay)
