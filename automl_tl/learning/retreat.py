"""Training that diverges begins again from where it started, at smaller rates."""

from __future__ import annotations

import math

import torch
from torch import nn

DIVERGED = 1.0
"""Nats by which an epoch's mean loss is above that of who guesses, ln C of C classes, where training has diverged."""
RATES, MOST = 1 / 3, 3
"""Share of its learning rates that training begins again with, and how often it does. A MobileNetV2 whose nine stages
all learn from 40 blood cells rose from a loss of .7 to 5.0 in its second epoch and ended at chance (.24 right on test
pictures); at a third of the rates it came to .69."""


class Retreat:
    """What a training run began with, to which it goes back where it diverges.

    Args:
        learned: the head, and the stages that learn, as they are before the first step.
        optimizer: of them; its averages begin anew as well.
        n_classes: C.
    """

    def __init__(self, learned: nn.Module, optimizer: torch.optim.Optimizer, n_classes: int) -> None:
        self.learned, self.optimizer = learned, optimizer
        self.limit = math.log(max(n_classes, 2)) + DIVERGED
        self.times = 0
        """How often it was taken; a run that goes on from a checkpoint takes it up."""
        self._start = {name: value.detach().clone() for name, value in learned.state_dict().items()}

    @property
    def factor(self) -> float:
        """Share of the recipe's learning rates."""
        return RATES**self.times

    def take_if_due(self, loss: float) -> bool:
        """Go back to the start where the mean loss of an epoch says that it diverged; return whether it was so.

        After MOST retreats training stays where it is.
        """
        if loss <= self.limit or self.times >= MOST:
            return False
        self.times += 1
        self.learned.load_state_dict(self._start)
        for averages in self.optimizer.state.values():
            for value in averages.values():
                value.zero_()
        return True
