"""What trials will cost on this machine, corrected by what they took."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from automl_tl.learning.configuration import Configuration
from automl_tl.learning.recipe import Recipe
from automl_tl.learning.trainer import MOST_VARIANTS, prefix_passes

UNMEASURED = 1.25
"""What a run is taken to need over its plan before any was measured: small batches are slower than timed ones."""


@dataclass(frozen=True)
class StageCosts:
    """Seconds per picture of one backbone, by stage."""

    forward: tuple[float, ...]
    """Of each stage, forward only."""
    training: float
    """Of a whole training step over those of a whole forward pass."""
    kept_bytes: tuple[int, ...] = ()
    """Of each stage's output for a picture, as it is kept between epochs; none where everything fits."""

    def step(self, first: int, last: int) -> float:
        """Return the seconds per picture of a training step of the stages after `first` up to `last`."""
        return self.training * sum(self.forward[first:last])

    def room(self, boundary: int, n: int, max_bytes: float) -> int:
        """Return how many variants of `n` pictures can be kept at a boundary."""
        return int(max_bytes // (n * self.kept_bytes[boundary - 1])) if self.kept_bytes else MOST_VARIANTS

    def prefix(self, boundary: int) -> float:
        """Return the seconds per picture of running the first `boundary` stages."""
        return sum(self.forward[:boundary])


@dataclass
class Costs:
    """What trials are expected to take, corrected by what they took."""

    stages: Mapping[str, StageCosts]
    """By backbone."""
    max_bytes: float = math.inf
    """Bound of the activations that a trial keeps."""
    slowdown: float = 1.0
    """What a frozen pass took over what it took when it was timed, when the search began."""
    _ratios: list[tuple[str, float]] = field(default_factory=list)
    """Of each run what BatchNorm did, which no plan knows the cost of, and measured over planned seconds."""

    def seconds(self, configuration: Configuration, n: int, epochs: int | None = None) -> float:
        """Return the seconds of training a candidate on `n` pictures once, its variants included.

        Args:
            configuration: a trained one.
            n: pictures.
            epochs: in place of the configuration's own.
        """
        return self._planned(configuration, n, epochs) * self.correction(configuration.tuned.batchnorm)

    def learn(self, configuration: Configuration, n: int, epochs: int, seconds: float) -> None:
        """Take note of what a run took."""
        planned = self._planned(configuration, n, epochs)
        if planned > 0 and epochs > 0:
            self._ratios.append((configuration.tuned.batchnorm, seconds / planned))

    @property
    def pace(self) -> float:
        """The same now: less where trials were faster than that, as others left the machine."""
        return min(self.slowdown, max(self.correction(), 1.0)) if self._ratios else self.slowdown

    def correction(self, batchnorm: str | None = None) -> float:
        """Return measured over planned seconds, of the last few runs the largest but one; UNMEASURED before the first.

        Where some of these runs had such a BatchNorm, it is that of those alone: a frozen one is folded away.
        """
        last = self._ratios[-4:]
        recent = sorted([ratio for one, ratio in last if one == batchnorm] or [ratio for _, ratio in last])
        return UNMEASURED if not recent else recent[-2] if len(recent) > 2 else recent[-1]

    def _planned(self, configuration: Configuration, n: int, epochs: int | None) -> float:
        how, costs = configuration.how, self.stages[configuration.backbone]
        assert isinstance(how, Recipe)
        rounds = how.all_epochs if epochs is None else epochs
        last = max(configuration.cuts)
        boundary = last - how.unfrozen
        room = costs.room(boundary, n, self.max_bytes) if boundary else 0
        passes = prefix_passes(rounds, room, varied=how.policy.varies) if boundary else 0
        return n * (rounds * costs.step(boundary, last) + passes * costs.prefix(boundary))
