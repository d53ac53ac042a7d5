"""The four transfer strategies by name, and which one a frozen ConvNet is. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Strategy = Literal["feature_extractor", "early_feature_extractor", "fine_tuning", "pretrained_initialization"]

STRATEGIES: tuple[Strategy, ...] = (
    "feature_extractor",
    "early_feature_extractor",
    "fine_tuning",
    "pretrained_initialization",
)
FROZEN: tuple[Strategy, ...] = STRATEGIES[:2]
EARLY_SHARE = 0.6
"""A frozen ConvNet whose every cut lies at or before this share of its depth is an early feature extractor."""


def frozen_strategy(cuts: Sequence[int], n_stages: int) -> Strategy:
    """Return the name of a frozen ConvNet cut after `cuts` (counted from 1).

    >>> frozen_strategy([5], 9), frozen_strategy([5, 7], 9)
    ('early_feature_extractor', 'feature_extractor')
    """
    return "early_feature_extractor" if max(cuts) <= EARLY_SHARE * n_stages else "feature_extractor"
