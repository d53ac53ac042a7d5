"""The schedule of the learning rates, by steps or, where there is less time, by the clock."""

from __future__ import annotations

import math
from collections.abc import Callable

from automl_tl.learning.recipe import Recipe

PATIENCE = 0.5
"""Share of the time in which the clock changes nothing: first steps are dearer, as they decode, and run the frozen
stages, for all epochs to come."""


def no_share() -> float:
    """Return what is used up of a time that is not limited."""
    return 0.0


class Schedule:
    """The shares of both phases: each has its own warm-up and cosine.

    Args:
        recipe: epochs of both phases, and the warm-up.
        steps_per_epoch: optimiser steps.
        spent: returns the share of the time that is used up, 0 to 1 or more. Progress is the share of the steps; from
            PATIENCE on the clock's may overtake it, so a run that is slower than planned still ends with small rates,
            in time. One that is not goes by its steps alone, and is the same each time.
    """

    def __init__(self, recipe: Recipe, steps_per_epoch: int, spent: Callable[[], float] = no_share) -> None:
        self.head_steps = recipe.head_epochs * steps_per_epoch
        self.steps = recipe.all_epochs * steps_per_epoch
        self.warmup, self.spent = recipe.warmup, spent
        self.done = 0

    def advance(self) -> None:
        """Count a step."""
        self.done += 1

    @property
    def progress(self) -> float:
        """Share that is done, 0 to 1 or a little more."""
        return max(self.done / max(self.steps, 1), (self.spent() - PATIENCE) / (1 - PATIENCE))

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
        return self.progress < self._border

    @property
    def factor(self) -> float:
        """Return the share of the highest rate."""
        low, high = (0.0, self._border) if self.head_only else (self._border, 1.0)
        within = min((self.progress - low) / max(high - low, 1e-9), 1.0)
        warming = self.warmup * (high - low) * self.steps >= 1  # where it is shorter than a step there is none
        rise = min(1.0, (within + 1e-3) / self.warmup) if warming else 1.0
        return rise * 0.5 * (1 + math.cos(math.pi * within))

    @property
    def _border(self) -> float:
        return self.head_steps / max(self.steps, 1)
