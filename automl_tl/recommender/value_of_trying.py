"""Whether a short fine-tuning is worth its seconds: by how much its result may improve the answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from automl_tl.lab.decision import FrontRow

WORTH = 0.003
"""Accuracy that a short training must be expected to gain for the recommendation; it takes about a minute."""


def value_of_trying(front: Sequence[FrontRow], error: float, budget: float | None) -> float:
    """Return the accuracy that knowing a measured gain of fine-tuning adds to the best choice, in expectation.

    The expected value of sample information of two normal alternatives (Raiffa and Schlaifer 1961): what fine-tuning
    gains has the standard deviation s before, and a measurement of error m moves its expectation by
    s~ = s^2 / sqrt(s^2 + m^2); then it or the best other strategy is taken, whichever is the better. No gain is larger
    than the errors that there are.

    Args:
        front: before anything is tried.
        error: standard error that the measured gain would have, see `ShortRun.error`.
        budget: training time that will be spent afterwards, seconds, or None. What does not fit it is no answer.

    >>> tuned = FrontRow("fine_tuning", .8, (.7, .9), 60, False, 0.0, 0.08, "")
    >>> frozen = FrontRow("feature_extractor", .8, (.7, .9), 1, True, 0.0, 0.0, "")
    >>> round(value_of_trying([frozen, tuned], 0.04, None), 3)
    0.028
    >>> value_of_trying([frozen, tuned], 0.04, 30)
    0.0
    """
    allowed = [row for row in front if budget is None or row.seconds <= budget]
    tuned = next((row for row in allowed if row.strategy == "fine_tuning"), None)
    others = [row for row in allowed if row is not tuned]
    if tuned is None or not others:
        return 0.0
    rival = max(others, key=lambda row: row.gain)
    if tuned.gain_stderr == 0:
        return 0.0
    errors = 1 - (tuned.accuracy - tuned.gain)  # the feature extractor's
    moved = tuned.gain_stderr**2 / math.hypot(tuned.gain_stderr, error)
    beyond = _excess(tuned.gain, moved, errors)  # of which there is nothing to gain
    taken = max(tuned.gain - beyond, rival.gain)
    return max(rival.gain + _excess(tuned.gain, moved, rival.gain) - beyond - taken, 0.0)


def _excess(mean: float, sd: float, least: float) -> float:
    """Return the expectation of what a normal number is above `least`, 0 where it is below."""
    normal, distance = NormalDist(), (least - mean) / sd
    return sd * (normal.pdf(distance) - distance * (1 - normal.cdf(distance)))
