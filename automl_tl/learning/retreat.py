"""Training that diverges begins again from where it started, at smaller rates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from automl_tl.foreign import number, whole_number

DIVERGED = 1.0
"""Nats by which an epoch's mean loss is above that of who guesses, ln C of C classes, and above that of the first step
of its phase, where training has diverged."""
RATES, MOST = 1 / 3, 3
"""Share of its learning rates that training begins again with, and how often it does. A MobileNetV2 whose nine stages
all learn from 40 blood cells rose from a loss of .7 to 5.0 in its second epoch and ended at chance (.24 right on test
pictures); after two retreats it came to .66, at a third of the rates from the beginning on to .69."""


@dataclass(frozen=True)
class Retreats:
    """What a run that goes on from a checkpoint must know."""

    limit: float | None = None
    """Mean loss of an epoch above which training has diverged; None before the first step of a phase."""
    times: int = 0
    """How often it went back."""
    untold: int = 0
    """Epochs that nobody was told of, as their loss was no number."""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Retreats:
        """Return what `asdict` described; raises KeyError, TypeError or ValueError where it is none."""
        limit = None if values["limit"] is None else number(values["limit"])
        return cls(limit, whole_number(values["times"], 0, MOST), whole_number(values["untold"], 0))


class Retreat:
    """What a training run began with, to which it goes back where it diverges.

    Args:
        learned: the head, and the stages that learn, as they are before the first step.
        optimizer: of them; its averages begin anew as well.
        n_classes: C.
    """

    def __init__(self, learned: nn.Module, optimizer: torch.optim.Optimizer, n_classes: int) -> None:
        self.learned, self.optimizer = learned, optimizer
        self.guessed, self.so_far = math.log(max(n_classes, 2)), Retreats()
        self.begin_with(learned.state_dict())
        self.has_moved = False  # true where the start is another one than the run began with

    def keep(self) -> None:
        """Let what there is now be the start of a phase: added layers have learned alone, and the stages follow."""
        self.so_far = replace(self.so_far, limit=None)
        self.begin_with(self.learned.state_dict())

    def begin_with(self, start: Mapping[str, Tensor]) -> None:
        """Let `start`, tensors by their names in what is learned, be what a retreat goes back to."""
        now = self.learned.state_dict()
        self.start = {name: torch.empty_like(now[name]).copy_(value) for name, value in start.items()}
        self.has_moved = True

    @property
    def factor(self) -> float:
        """Share of the recipe's learning rates."""
        return RATES**self.so_far.times

    def take_if_due(self, loss: float, first: float) -> bool:
        """Go back to the start where an epoch says that training diverged; return whether it was so.

        After MOST retreats training stays where it is.

        Args:
            loss: mean of the epoch.
            first: of its first step. That of a phase's first one counts: a head may be sure of itself, and wrong, and
                BatchNorms that begin to adapt let the stages put out something else.
        """
        limit = self.so_far.limit
        if limit is None:
            limit = max(self.guessed, first if math.isfinite(first) else 0.0) + DIVERGED
            self.so_far = replace(self.so_far, limit=limit)
        if loss <= limit or self.so_far.times >= MOST:
            return False
        untold = self.so_far.untold + (not math.isfinite(loss))
        self.so_far = replace(self.so_far, times=self.so_far.times + 1, untold=untold)
        self.learned.load_state_dict(self.start)
        for averages in self.optimizer.state.values():
            for value in averages.values():
                value.zero_()
        return True
