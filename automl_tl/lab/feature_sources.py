"""Which feature sources of a backbone are tried: every single cut, joined cuts, and the poolings of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from automl_tl.features.extract import Features
from automl_tl.strategies import EARLY_SHARE

LONGEST_JOIN = 4


@dataclass(frozen=True)
class FeatureSource:
    """Where features come from: backbones, the cuts joined (the same of each backbone), and the pooling."""

    backbones: tuple[str, ...]
    cuts: tuple[int, ...]
    pooling: str


def sources(features: Features) -> list[FeatureSource]:
    """Return the sources of one backbone, the simplest first.

    Single cuts with means, means and deviations, and quarters where there are any; at the last one the class token with
    the mean over the patches; windows of two to four late cuts, and of two early ones, with means and deviations.
    """
    singles = [
        FeatureSource((features.backbone,), (cut,), pooling)
        for cut in range(1, features.n_stages + 1)
        for pooling in _poolings(features, cut)
    ]
    joined = [FeatureSource((features.backbone,), cuts, "mean+std") for cuts in _windows(features.n_stages)]
    return singles + joined


def _poolings(features: Features, cut: int) -> Iterator[str]:
    yield from ("mean", "mean+std")
    if cut == features.n_stages and features.has_patches:
        yield "mean+patches"
    if features.has_grid(cut):
        yield "grid"


def _windows(n_stages: int) -> Iterator[tuple[int, ...]]:
    last_early = int(EARLY_SHARE * n_stages)
    for end in range(2, last_early + 1):
        yield (end - 1, end)
    for end in (n_stages - 1, n_stages):
        for length in range(2, LONGEST_JOIN + 1):
            if end - length + 1 > 0 and end > last_early:
                yield tuple(range(end - length + 1, end + 1))
