"""The losses of an epoch's steps, kept where they are computed: a GPU is not waited for at every step."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOOKED_AT = 16
"""Steps after which losses are read: so training that has failed ends soon, and a deadline's clock knows of every step
but the last few that a GPU has been asked for."""


class Losses:
    """Mean losses of steps, and the pictures of each."""

    def __init__(self) -> None:
        self._waiting: list[Tensor] = []
        self._sizes: list[int] = []
        self._total, self._seen = 0.0, 0
        self.first = math.nan
        """Of the first step, once the mean was asked for."""

    def add(self, loss: Tensor, n: int) -> None:
        """Keep the mean loss of a step, a single number, of `n` pictures."""
        self._waiting.append(loss)
        self._sizes.append(n)

    @property
    def due(self) -> bool:
        """Whether so many are kept that they should be read."""
        return len(self._waiting) >= LOOKED_AT

    def mean(self) -> float:
        """Read what is kept; return the mean loss of a picture, 0 where there is none."""
        values = torch.stack(self._waiting).cpu().tolist() if self._waiting else []
        if not self._seen and values:
            self.first = values[0]
        for value, n in zip(values, self._sizes, strict=True):
            self._total, self._seen = self._total + value * n, self._seen + n
        self._waiting, self._sizes = [], []
        return self._total / max(self._seen, 1)
