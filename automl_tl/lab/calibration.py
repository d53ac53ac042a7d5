"""What the panel of data sets says of the strategies: the gain of each over the feature extractor, and the borders.

Means, spreads and the border of size were fitted by `benchmarks/calibrate.py` on `datasets_meta/panel.csv`, as was what
a short fine-tuning says of a whole one; means learn from the user's own runs. The model is one that a person can read:
what a strategy gains over the feature extractor, in units of `MetaFeatures.room`, is normal around one mean for all
data sets. On the panel nothing that is known beforehand made the gains of data sets that were left out
likelier by more than a standard error, over the three strategies: not whether there are two classes (.003 to .007 a
row, +- .01, with the root of the variance as the unit), not how many pictures, classes or pictures of a class there
are, nor how different they are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from automl_tl.errors import OptionError
from automl_tl.lab.matrix import Borders
from automl_tl.resources import meta_path
from automl_tl.strategies import Strategy

FILE = "calibration.json"
ROOM = 0.75
"""Power of the variance of being right that gains go with. The panel tells those from .5 to 1 apart only where next to
everything is right: there nothing is gained, and the root says more than .75 does."""
CONTRADICTION = 3.0
"""Standard deviations between what is usual and what is measured beyond which the former says nothing here."""


@dataclass(frozen=True)
class MetaFeatures:
    """What is known of a data set before anything is trained: how far strategies lie apart, what sets are like it."""

    n_training: int
    n_classes: int
    different: float
    """Probability that the pictures are unlike the pretraining domain; a half where that is unknown."""
    errors: float
    """Share of new pictures that the best feature extractor is expected to get wrong, 0 to 1."""

    @property
    def variance(self) -> float:
        """Variance of being right on one picture, p (1 - p) of the expected accuracy p, above 0.

        Of the pictures that there are at least half a one counts as wrong, and as right.
        """
        errors = float(np.clip(self.errors, 0.5 / self.n_training, 1 - 0.5 / self.n_training))
        return errors * (1 - errors)

    @property
    def room(self) -> float:
        """What strategies differ by goes with it: where next to nothing or next to everything is right, it is small."""
        return float(self.variance**ROOM)


@dataclass(frozen=True)
class GainPrior:
    """What a strategy gains over the feature extractor, in accuracy; below 0 it loses."""

    mean: float
    sd: float

    def weighed_with(self, gain: float, stderr: float) -> GainPrior:
        """Return the same with a gain that is known besides, each by its certainty: two normals, precisions add up.

        Args:
            gain: in accuracy.
            stderr: of it, above 0.
        """
        weight = self.sd**2 / (self.sd**2 + stderr**2)
        return GainPrior(weight * gain + (1 - weight) * self.mean, self.sd * stderr / math.hypot(self.sd, stderr))

    def with_measured(self, gain: float, stderr: float) -> GainPrior:
        """Return the same with a measured gain, see `weighed_with`.

        Where the two are further apart than CONTRADICTION, the prior counts as wide as they are apart (the moment
        estimate of DerSimonian and Laird 1986): what is measured well is not talked away.

        Args:
            gain: in accuracy.
            stderr: of it, above 0.
        """
        if abs(gain - self.mean) <= CONTRADICTION * math.hypot(stderr, self.sd):
            return self.weighed_with(gain, stderr)
        return replace(self, sd=math.sqrt((gain - self.mean) ** 2 - stderr**2)).weighed_with(gain, stderr)


@dataclass(frozen=True)
class OwnRun:
    """What a search of the user's measured, as one more row of the panel."""

    name: str
    """Of the data set, for people."""
    fingerprint: str
    """Of its pictures and labels: the same data counts once."""
    backbone: str
    known: MetaFeatures
    gains: Mapping[Strategy, tuple[float, float]]
    """Accuracy of a trained strategy less the feature extractor's, and its standard error, above 0."""


@dataclass(frozen=True)
class UsualGain:
    """What a strategy gains over the feature extractor on data sets, in units of `MetaFeatures.room`."""

    mean: float
    stderr: float
    """Of the mean: how sure it is."""
    spread: float
    """Standard deviation of data sets around the mean."""

    def expect(self, known: MetaFeatures) -> GainPrior:
        """Return what is to be expected of a data set; no gain is larger than the errors, no loss than the accuracy."""
        mean = float(np.clip(known.room * self.mean, known.errors - 1, known.errors))
        return GainPrior(mean, known.room * math.hypot(self.stderr, self.spread))

    def learned(self, known: MetaFeatures, gain: float, stderr: float) -> UsualGain:
        """Return the same after one more data set, of which a gain in accuracy was measured.

        The posterior of a normal mean, with `spread` as it is (Gelman et al. 2013, section 2.5).
        """
        weight = self.stderr**2 / (self.stderr**2 + self.spread**2 + (stderr / known.room) ** 2)
        mean = weight * gain / known.room + (1 - weight) * self.mean
        return replace(self, mean=mean, stderr=self.stderr * math.sqrt(1 - weight))


@dataclass(frozen=True)
class ShortRun:
    """What a short fine-tuning says of a whole one."""

    spread: float
    """Standard deviation of what the whole one gains around what one with as many pictures and epochs does, in units of
    `MetaFeatures.room`; what comes of few pictures to score is apart. With fewer its square is taken to grow as
    they do, which the panel, where hardly a run is shorter, does not tell."""
    disagreement: float
    """Variance of the paired difference on one picture, in units of `MetaFeatures.variance`: about the share of
    pictures that exactly one of the two, fine-tuned or frozen, gets right."""

    def error(self, known: MetaFeatures, n_scored: int) -> float:
        """Return the standard error, in accuracy, that what it gains on so many pictures is foreseen to have."""
        counting = self.disagreement * known.variance / max(n_scored, 1)
        return math.sqrt(counting + (self.spread * known.room) ** 2)


@dataclass(frozen=True, eq=False)
class Calibration:
    """What was fitted on the panel."""

    gains: Mapping[Strategy, UsualGain]
    short_run: ShortRun
    usual: Mapping[Strategy, float]
    """How often each strategy was the best of the four; the shares add up to 1."""
    borders: Borders
    n_rows: int
    sets: tuple[str, ...]
    trainer: int
    """Earliest version of the trainer that the panel's models are of."""
    without: str = ""
    """The set of the panel that was left out."""
    own: tuple[OwnRun, ...] = ()
    """Runs that count besides the panel."""

    def with_own(self, runs: Sequence[OwnRun]) -> Calibration:
        """Return what the panel and these runs say together; each counts as one row of average weight."""
        gains = dict(self.gains)
        for run in runs:
            for strategy, (gain, stderr) in run.gains.items():
                gains[strategy] = gains[strategy].learned(run.known, gain, stderr)
        return replace(self, gains=gains, own=tuple(runs))

    def expect(self, known: MetaFeatures) -> dict[Strategy, GainPrior]:
        """Return what every strategy but the feature extractor is expected to gain."""
        return {strategy: gain.expect(known) for strategy, gain in self.gains.items()}


@cache
def calibration(without: str = "") -> Calibration:
    """Return what was fitted on the whole panel, or on all of it but one data set.

    Args:
        without: a set of the panel that the answer must not have seen, with everything that was made of it; "": none.

    Raises:
        OptionError: the panel has no such set.
    """
    known = json.loads(meta_path(FILE).read_text(encoding="utf-8"))
    fits = known["without"]
    if without and without not in fits:
        raise OptionError(f"the panel has no set '{without}', but {', '.join(sorted(fits))}")
    return replace(from_dict(fits[without] if without else known["all"]), without=without)


def from_dict(values: Mapping[str, Any]) -> Calibration:
    """Return the calibration that `to_dict` described."""
    gains = {strategy: UsualGain(**one) for strategy, one in values["gains"].items()}
    short_run, borders = ShortRun(**values["short_run"]), Borders(**values["borders"])
    sets = tuple(values["sets"])
    return Calibration(gains, short_run, values["usual"], borders, values["n_rows"], sets, values["trainer"])


def to_dict(one: Calibration) -> dict[str, Any]:
    """Return plain JSON values; `from_dict` reads them."""
    gains = {strategy: _rounded(vars(gain)) for strategy, gain in one.gains.items()}
    usual = {strategy: round(share, 4) for strategy, share in one.usual.items()}
    return {"gains": gains, "short_run": _rounded(vars(one.short_run)), "usual": usual, "borders": vars(one.borders),
            "n_rows": one.n_rows, "sets": list(one.sets), "trainer": one.trainer}  # fmt: skip


def _rounded(fitted: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in fitted.items()}
