"""How a network is trained: the recipe, and the schedule of its rates by steps or by the clock."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from automl_tl.augment.mixing import Mixing
from automl_tl.backbones.stages import BatchNormMode

SMALL_SET = 1000


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; what is not said here follows from the data."""

    unfrozen: int
    """Stages that learn, the last ones before the last cut."""
    epochs: int = 12
    head_epochs: int = 0
    """Epochs of the first phase, in which only the head learns; 0 where the head is solved to its optimum instead."""
    head_lr: float = 1e-3
    lr_ratio: float = 10.0
    """Learning rate of the head over that of the stages."""
    weight_decay: float = 1e-4
    """AdamW's, of matrices and kernels; biases and norms have none."""
    batchnorm: BatchNormMode = "frozen"
    """Of the stages that learn; frozen stages keep theirs in any case."""
    warmup: float = 0.05
    """Share of the schedule in which the rates rise."""
    label_smoothing: float = 0.0
    mixing: Mixing = field(default_factory=Mixing)
    class_weights: tuple[float, ...] | None = None
    """Of the loss, by class; None: every picture counts the same."""
    batch_size: int = 32
    """Pictures of an optimiser step; `batch_size_for` says how many suit a data set."""


def batch_size_for(n: int) -> int:
    """Return the pictures of an optimiser step for `n` training pictures: few pictures need the more steps.

    On hand signs (400 pictures, 8 epochs of three stages) steps of 16 reached .98 and .99, of 32 .97 and .98.
    """
    return 16 if n < SMALL_SET else 32


class Schedule:
    """The shares of both phases, by steps and, with a limit, by the clock."""

    def __init__(self, recipe: Recipe, steps_per_epoch: int, limit: float | None) -> None:
        self.head_steps = recipe.head_epochs * steps_per_epoch
        self.steps = (recipe.head_epochs + recipe.epochs) * steps_per_epoch
        self.warmup, self.limit = recipe.warmup, limit
        self.done = 0
        self.started = time.perf_counter()

    def advance(self) -> None:
        """Count a step."""
        self.done += 1

    @property
    def elapsed(self) -> float:
        """Seconds since the schedule began."""
        return time.perf_counter() - self.started

    @property
    def progress(self) -> float:
        """Share that is done, 0 to 1 or a little more: of the steps or of the limit, whichever is further."""
        share = self.done / max(self.steps, 1)
        return share if self.limit is None else max(share, self.elapsed / max(self.limit, 1e-9))

    @property
    def finished(self) -> bool:
        """Whether nothing is left."""
        return self.progress >= 1

    @property
    def shortened(self) -> bool:
        """Whether steps are left out."""
        return self.done < self.steps

    @property
    def head_only(self) -> bool:
        """Whether this is the first phase."""
        return self.progress < self.head_steps / max(self.steps, 1)

    @property
    def factor(self) -> float:
        """Return the share of the highest rate: each phase has its own warm-up and cosine."""
        border = self.head_steps / max(self.steps, 1)
        low, high = (0.0, border) if self.head_only else (border, 1.0)
        within = min((self.progress - low) / max(high - low, 1e-9), 1.0)
        rise = min(1.0, (within + 1e-3) / self.warmup) if self.warmup else 1.0
        return rise * 0.5 * (1 + math.cos(math.pi * within))
