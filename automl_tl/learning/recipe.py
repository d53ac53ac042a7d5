"""How stages of a network learn besides the head. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from automl_tl.augment.policy import AugmentationPolicy

EPOCHS = 10
"""What a training on many pictures is begun with, unless something else is asked for."""
LEAST_STEPS, MOST_EPOCHS = 120, 30
"""Few pictures are gone round more often, until so many optimiser steps are taken: with 10 epochs of the last three
stages 20 photos of weather reached .613, 50 hand-written digits .305, 50 photos of clothing .568; with 30 epochs .831,
.812 and .662; with 100, for three times the seconds, .880, .855 and .677."""
LONG_STEPS, MOST_LONG_EPOCHS = 360, 100
"""What few pictures are gone round where there is time: the last three stages gained 1.1 +- 0.7 points by thrice the
epochs on two draws of six data sets (clothing 1.0, emoji -0.7, metal sheets 1.7, omniglot -0.5, hand signs 3.8, trash
1.2)."""
HEAD_LR, LABEL_SMOOTHING = 1e-3, 0.1
LR_RATIO = 3.0
"""Head : backbone learning rate, at a head's rate of 1e-3, to start fine-tuning from. Ten epochs of the last three
stages reached .866, .814 and .763 at 10 (the Transfer-Learning-Library's) and .891, .860 and .780 at 3 on three draws
of clothing, .771 and .786 on trashnet (validation pictures alone); eight epochs on hand signs .93 and .97. At 1 the
first and third draw of clothing reached .903 and .794, but a rate of 1e-3 is a risk for other networks: the search
tries it later."""
LAYERS = ("linear", "fully_connected", "convolution")
SMALL_SET = 1000


@dataclass(frozen=True)
class Recipe:
    """What learns besides the head, and how; what is not said here follows from the data."""

    unfrozen: int
    """Stages that learn, the last ones before the last cut."""
    epochs: int = EPOCHS
    head_lr: float = HEAD_LR
    lr_ratio: float = LR_RATIO
    """Learning rate of the head over that of the last stage."""
    layer_decay: float = 1.0
    """Learning rate of a stage over that of the stage after it."""
    layers: str = "linear"
    """One of LAYERS: what is added to the linear head."""
    head_epochs: int = 0
    """Epochs of the first phase, in which only the head learns; 0 where the head is solved to its optimum instead."""
    weight_decay: float = 1e-4
    """AdamW's, of matrices and kernels; biases and norms have none."""
    batchnorm: Literal["frozen", "adapting"] = "frozen"
    """Of the stages that learn; frozen stages keep theirs in any case."""
    warmup: float = 0.05
    """Share of the schedule in which the rates rise."""
    label_smoothing: float = 0.0
    policy: AugmentationPolicy = field(default_factory=AugmentationPolicy)
    mixup: float = 0.0
    """alpha of `augment.mixing`; 0 for none."""
    cutmix: float = 0.0

    @property
    def all_epochs(self) -> int:
        """Epochs of both phases."""
        return self.head_epochs + self.epochs


def epochs_for(n: int) -> int:
    """Return how often `n` training pictures are gone round, unless something else is asked for.

    >>> epochs_for(20), epochs_for(50), epochs_for(100), epochs_for(1000)
    (30, 30, 18, 10)
    """
    return min(max(EPOCHS, _rounds(n, LEAST_STEPS)), MOST_EPOCHS)


def long_epochs_for(n: int) -> int:
    """Return how often `n` training pictures are gone round where there is time; 0 where that is no longer.

    >>> long_epochs_for(20), long_epochs_for(50), long_epochs_for(100), long_epochs_for(2000)
    (100, 90, 52, 0)
    """
    longer = min(_rounds(n, LONG_STEPS), MOST_LONG_EPOCHS)
    return longer if longer > epochs_for(n) else 0


def _rounds(n: int, steps: int) -> int:
    """Return after how many epochs so many steps are taken."""
    return math.ceil(steps / math.ceil(n / batch_size_for(n)))


def batch_size_for(n: int) -> int:
    """Return the pictures of an optimiser step for `n` training pictures: few pictures need the more steps.

    On hand signs (400 pictures, 8 epochs of three stages) steps of 16 reached .98 and .99, of 32 .97 and .98.
    """
    return 16 if n < SMALL_SET else 32
