"""A first answer within seconds, from a part of the pictures: whoever waits learns where it is going."""

from __future__ import annotations

from automl_tl.lab.assessment import Assessment, assess
from automl_tl.lab.extraction import extract_each
from automl_tl.lab.lab import Lab
from automl_tl.lab.sample import Sample

SOON = 8.0
"""Seconds of extraction to come from which a part of the pictures is looked at first: a part of what is left."""
FEATURES_SECONDS, MOST = 3.0, 150
"""What the features of that part may take, and the pictures of it: the rest of the fifteen seconds is for what is made
of them."""
LEAST_PER_CLASS = 3
_SHOWN = 2


def glance(
    lab: Lab, sample: Sample, costs: dict[str, float], budget: float | None, choosing: float = 0.0
) -> Assessment | None:
    """Return what a part of the sample says with the cheapest backbone, or None where all of it takes no longer.

    Its features are kept, so that none is computed twice but where pictures become square in another way afterwards.

    Args:
        lab: builds the backbones.
        sample: all that will be looked at.
        costs: by backbone, seconds per picture.
        budget: as for `assess`.
        choosing: seconds before features are extracted, while it is found out how pictures become square.
    """
    seconds = sum(cost * lab.n_missing(name, sample.pictures) for name, cost in costs.items())
    if not seconds or (seconds := seconds + choosing) < SOON:
        return None
    cheapest = min(costs, key=lambda name: costs[name])
    most = min(int(FEATURES_SECONDS / max(costs[cheapest], 1e-9)), MOST)
    rows = sample.subset(max(most, LEAST_PER_CLASS * len(sample.classes)), lab.seed)
    if len(rows) * costs[cheapest] > seconds / 2:
        return None
    part = sample.take(rows)
    with lab.clock("features"):
        features, _ = extract_each(lab, (cheapest,), part.pictures)
    return assess(lab, part, features, budget, flips=False) if features else None


def first_answer(found: Assessment, seconds: float, following: str) -> str:
    """Say where it is going: the answer so far with its expected accuracy, and the next best one.

    Args:
        found: so far.
        seconds: after which that was known.
        following: what is done next, to be surer.
    """
    front = sorted(found.expectations.front, key=lambda row: -row.accuracy)
    own = next(row for row in front if row.strategy == found.choice.strategy)
    others = [row for row in front if row is not own][: _SHOWN - 1]
    rivals = "".join(f"; {row.strategy} about {row.accuracy:.0%}" for row in others)
    return (
        f"First answer after {seconds:.0f} s, from {found.sample.n:,} pictures: {own.strategy}, about "
        f"{own.accuracy:.0%}{rivals}. {following}"
    )
