"""The strategy matrix: how much data there is, how far it lies from the pretraining domain, what follows.

| | similar | different |
|---|---|---|
| small | `feature_extractor` | `early_feature_extractor` |
| large | `fine_tuning` | `pretrained_initialization` |

Both axes are continuous: a data set has a probability of lying in each of the four cells. This module
imports no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

from automl_tl.strategies import STRATEGIES, Strategy

REFERENCE_PARAMETERS = 4e6
_PARAMETER_POWER = 0.5
"""The border grows with the square root of the trained parameters, as it does from the 1,500 pictures that were once
taken for many at 4 million to the 20,000 that BiT (Kolesnikov et al. 2020) calls small for its 900 million."""


@dataclass(frozen=True)
class Borders:
    """Where the matrix's cells meet, as fitted on the panel with time no object."""

    large: float
    """Pictures from which a data set is large for 4 million parameters."""
    large_doubt: float
    """Standard deviation of that border on the scale of natural logarithms."""
    different: float
    """Probability of being unlike the pretraining domain from which the column of the different begins."""
    largest: int
    """Pictures of the largest training set of the panel: beyond, everything is an extrapolation."""


@dataclass(frozen=True)
class Size:
    """How much data there is, against what has to be trained."""

    verdict: Literal["small", "large"]
    n_images: int
    per_class: float
    """Median number of pictures per class."""
    n_parameters: int
    """Of the whole backbone."""
    border_total: int
    """Pictures in all that count as the border for this backbone."""
    ratio: float
    """The pictures in units of the border."""
    large: float
    """Probability of the upper side, 0 to 1."""
    extrapolated: bool
    """More pictures than anything that was measured."""

    @property
    def confidence(self) -> float:
        """Probability of the side that the verdict names, 0.5 to 1."""
        return max(self.large, 1 - self.large)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        values = {k: round(v, 4) if isinstance(v, float) else v for k, v in vars(self).items()}
        return {**values, "confidence": round(self.confidence, 4)}


def judge_size(n_images: int, per_class: float, n_parameters: int, borders: Borders) -> Size:
    """Return whether `n_images` pictures, `per_class` of the middle class, are few or many for a backbone.

    >>> borders = Borders(large=500, large_doubt=0.5, different=0.5, largest=1500)
    >>> judge_size(100, 10, 4_000_000, borders).verdict
    'small'
    >>> judge_size(3000, 300, 4_000_000, borders).verdict
    'large'
    >>> judge_size(3000, 300, 300_000_000, borders).verdict
    'small'
    """
    border = borders.large * max(n_parameters / REFERENCE_PARAMETERS, 0.1) ** _PARAMETER_POWER
    ratio = n_images / border
    large = NormalDist().cdf(math.log(max(ratio, 1e-9)) / borders.large_doubt)
    return Size(
        verdict="large" if ratio >= 1 else "small",
        n_images=n_images,
        per_class=per_class,
        n_parameters=n_parameters,
        border_total=round(border),
        ratio=ratio,
        large=large,
        extrapolated=n_images > borders.largest,
    )


@dataclass(frozen=True)
class Matrix:
    """Where a data set lies in the matrix."""

    cell: Strategy | None
    """The cell that size and domain name; None where the domain is unknown."""
    runner_up: Strategy
    """The next probable cell."""
    probabilities: dict[Strategy, float]
    border: float
    """Of the probability of being different: from there on the column of the different begins."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**vars(self), "probabilities": {k: round(v, 4) for k, v in self.probabilities.items()}}


def place(large: float, different: float | None, border: float = 0.5) -> Matrix:
    """Return the cell for the probabilities of being large, and of being different (None: unknown).

    Args:
        large: probability.
        different: probability, or None.
        border: of `different`, from which on the column of the different is the more probable one.

    >>> place(0.1, 0.2).cell
    'feature_extractor'
    >>> place(0.9, 0.8).cell
    'pretrained_initialization'
    >>> place(0.9, 0.8, border=0.9).cell
    'fine_tuning'
    >>> place(0.9, None).cell is None
    True
    """
    unlike = 0.5 if different is None else _beyond(different, border)
    probabilities: dict[Strategy, float] = {
        "feature_extractor": (1 - large) * (1 - unlike),
        "early_feature_extractor": (1 - large) * unlike,
        "fine_tuning": large * (1 - unlike),
        "pretrained_initialization": large * unlike,
    }
    ranked = sorted(STRATEGIES, key=lambda name: -probabilities[name])
    cell = None if different is None else ranked[0]
    return Matrix(cell, ranked[0] if cell is None else ranked[1], probabilities, border)


def _beyond(different: float, border: float) -> float:
    """Return the probability of lying beyond a border that is itself a probability of the same kind."""
    normal = NormalDist()
    kept, edge = (min(max(p, 1e-9), 1 - 1e-9) for p in (different, border))
    return normal.cdf(normal.inv_cdf(kept) - normal.inv_cdf(edge))
