"""What trials will cost on this machine, corrected by what they took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from automl_tl.learning.configuration import Configuration
from automl_tl.learning.recipe import Recipe
from automl_tl.learning.trainer import n_variants

UNMEASURED = 1.25
"""What a run is taken to need over its plan before any was measured: small batches are slower than timed ones."""


@dataclass(frozen=True)
class StageCosts:
    """Seconds per picture of one backbone, by stage."""

    forward: tuple[float, ...]
    """Of each stage, forward only."""
    training: float
    """Of a whole training step over those of a whole forward pass."""

    def step(self, first: int, last: int) -> float:
        """Return the seconds per picture of a training step of the stages after `first` up to `last`."""
        return self.training * sum(self.forward[first:last])

    def prefix(self, boundary: int) -> float:
        """Return the seconds per picture of running the first `boundary` stages."""
        return sum(self.forward[:boundary])


@dataclass
class Costs:
    """What trials are expected to take, corrected by what they took."""

    stages: Mapping[str, StageCosts]
    """By backbone."""
    _ratios: list[float] = field(default_factory=list)

    def seconds(self, configuration: Configuration, n: int, epochs: int | None = None) -> float:
        """Return the seconds of training a candidate on `n` pictures once, its variants included.

        Args:
            configuration: a trained one.
            n: pictures.
            epochs: in place of the configuration's own.
        """
        return self._planned(configuration, n, epochs) * self.correction

    def learn(self, configuration: Configuration, n: int, epochs: int, seconds: float) -> None:
        """Take note of what a run took."""
        planned = self._planned(configuration, n, epochs)
        if planned > 0 and epochs > 0:
            self._ratios.append(seconds / planned)

    @property
    def correction(self) -> float:
        """Measured over planned seconds, of the last few runs the largest but one; UNMEASURED before the first."""
        recent = sorted(self._ratios[-4:])
        return UNMEASURED if not recent else recent[-2] if len(recent) > 2 else recent[-1]

    def _planned(self, configuration: Configuration, n: int, epochs: int | None) -> float:
        how, costs = configuration.how, self.stages[configuration.backbone]
        assert isinstance(how, Recipe)
        rounds = how.all_epochs if epochs is None else epochs
        last = max(configuration.cuts)
        boundary = last - how.unfrozen
        variants = n_variants(rounds) if boundary else 0
        return n * (rounds * costs.step(boundary, last) + variants * costs.prefix(boundary))
