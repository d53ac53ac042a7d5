"""What accuracy to expect of a candidate that was chosen as the best of many, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import betaincc, betaincinv, ndtri  # scipy.stats takes a second to import

from automl_tl.errors import OptionError
from automl_tl.learning.selection import USUAL_BOOTSTRAP, Bootstrap, OutOfFold, correct_selection

LEVEL = 0.9
ENDS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
# The between-fold variance counts as one observation per fold against this many of the binomial variance.
FOLD_PRIOR = 10
# The variance of the error is 1 + FEW / k times the binomial one with k pictures per class: measured over draws of
# clothing with 3, 5, 10 and 40 per class it was 2.0, 2.2, 1.3 and .9 times. What an early cut gains over the feature
# extractor on the panel's 146 rows is likeliest with FEW = 3, too, and 1.1 times that variance.
FEW = 3.0
# Points of each distribution in `combine_gain`; the grid is the product.
GRID = 101
# What a calibrated confidence weighs at most in what is expected, and the standard deviation of what it is off by in
# any case; `benchmarks/confidence.py` compares it with what is counted alone.
CONFIDENCE_SHARE = 0.5
CONFIDENCE_SD = 0.02
# Variance of an accuracy of which nothing is known, the same as that of the interval's prior: flat from 0 to 1.
FLAT = 1 / 12
# Share of a distribution that must lie above the accuracy of guessing for it to say anything of what lies there.
LEAST_ABOVE = 1e-9
# Of an interval, on either side of the accuracy: 100,000 of 100,000 right are not certainty for pictures to come.
LEAST_MARGIN = 0.001


@dataclass(frozen=True)
class Estimate:
    """The expected accuracy on new pictures of the same kind.

    accuracy: corrected for the choice, stepped to the full size, and nearer to a half the less the pictures tell.
    interval: (low, high), holds the true accuracy with probability LEVEL.
    optimism: how much too good the chosen candidate's own cross-validation score is.
    n: pictures that it rests on.
    a, b: the Beta distribution whose quantiles the interval is, but that it reaches up to 1 where nothing is wrong.
    claim: how much higher the accuracy is by what the candidate's probabilities claim.
    flawless: whether none of the pictures is wrong, nor expected to become so.
    """

    accuracy: float
    interval: tuple[float, float]
    optimism: float
    n: int
    a: float
    b: float
    claim: float = 0.0
    flawless: bool = False


def expected_accuracy(
    found: OutOfFold,
    *,
    chosen: int | None = None,
    confidence: float | None = None,
    per_class: float | None = None,
    curve_step: tuple[float, float] = (0.0, 0.0),
    guessing: float = 0.0,
    bootstrap: Bootstrap = USUAL_BOOTSTRAP,
) -> Estimate:
    """Expected accuracy of the chosen candidate, refitted on everything, with an interval.

    chosen: the candidate's column, where it was not chosen by accuracy; default: the best. confidence: the accuracy
    that its own calibrated scores claim, see `_claimed`. per_class: pictures of the middle class, see `fewness`.
    curve_step: (gain, standard deviation) from the folds' training size to the full size, from `LearningCurve.step`.
    guessing: accuracy of guessing, below which no model is expected on new pictures. Out of fold it may fall below,
        as a picture that is held out is missing from its own class.

    Few pictures say little, so the accuracy is drawn towards one of which nothing is known (`_shrunk`). The
    uncertainty is a Beta distribution: what `n_effective` pictures tell under a flat prior (so 20 of 20 right reaches
    down to .87), widened by the variance of the choice, of the curve's step, and by how far count and claim lie apart,
    and cut off at `guessing`. Where none is wrong, the interval reaches up to 1 (Brown, Cai and DasGupta 2001, section
    4.1): what lies below its quantile nobody has seen.
    """
    corrected = correct_selection(found, bootstrap)
    correct = found.correct[:, corrected.best if chosen is None else chosen]
    size = n_effective(correct, found.clusters, found.folds) / fewness(per_class or np.inf)
    counted = float(np.clip(correct.mean() - corrected.optimism, 0.0, 1.0))
    claim, apart = (0.0, 0.0) if confidence is None else _claimed(counted, confidence, size)
    accuracy = float(np.clip(counted + claim + curve_step[0], 0.0, 1.0))
    a, b = _widen(accuracy * size + 1, (1 - accuracy) * size + 1, corrected.spread**2 + curve_step[1] ** 2 + apart)
    above = _above(guessing, a, b)
    moved = above[0] / sum(above) - a / (a + b)
    accuracy = float(np.clip(_shrunk(accuracy, a + b - 2) + moved, guessing, 1.0))
    low, high = (float(betaincinv(*above, q)) for q in ENDS)
    flawless = bool(correct.all())
    interval = _around(accuracy, low, 1.0 if flawless else high)
    return Estimate(accuracy, interval, corrected.optimism, len(correct), *above, claim, flawless)


def fewness(per_class: float) -> float:
    """How many times the binomial variance the error has, with so many pictures of the middle class.

    Where they are few, which ones they happen to be moves the truth as well as the score (see `FEW`).
    """
    return 1 + FEW / per_class


def _claimed(counted: float, confidence: float, size: float) -> tuple[float, float]:
    """What the accuracy that scores claim adds to the one that `size` pictures count, and the variance between the two.

    Being right or wrong is chance where a picture is hard to tell, and a probability says so: the mean confidence
    varies less than the count (Guillory et al. 2021, arXiv 2107.03315, predict accuracies by it). It was calibrated on
    the same pictures and is off by CONFIDENCE_SD in any case, so it weighs CONFIDENCE_SHARE at most, and many pictures
    speak for themselves.
    """
    right, wrong = counted * size + 1, (1 - counted) * size + 1
    variance = right * wrong / ((right + wrong) ** 2 * (right + wrong + 1))
    weight = CONFIDENCE_SHARE * variance / (variance + CONFIDENCE_SD**2)
    return weight * (confidence - counted), weight * (1 - weight) * (confidence - counted) ** 2


def _shrunk(accuracy: float, size: float) -> float:
    """The mean of what is known and what `size` pictures say, weighed by their certainties, both taken as normal.

    Near 0 and 1 pictures are sure of themselves and it stays, where the mean of a Beta distribution would not.
    """
    measured = accuracy * (1 - accuracy) / max(size, 1.0)
    return accuracy + measured / (measured + FLAT) * (0.5 - accuracy)


def n_effective(correct: np.ndarray, clusters: np.ndarray | None = None, folds: np.ndarray | None = None) -> float:
    """How many independent pictures tell as much about the accuracy as these n, correct being bool (n,).

    Pictures of one cluster tell less: by the variance between clusters, or, where errors are too few to show it, as
    if a cluster were one picture. Folds that differ by more than chance (their models do) tell less too, shrunk
    towards chance as there are few of them.
    """
    n, errors = len(correct), int(min(correct.sum(), (~correct).sum()))
    share = (errors + 1) / (n + 2)
    chance = share * (1 - share) / n
    variance = chance
    if clusters is not None:
        sizes = np.unique(clusters, return_counts=True)[1]
        worst = chance * float((sizes.astype(np.float64) ** 2).sum()) / n
        seen = min(_between(correct, clusters), worst)
        variance = max(chance, (errors * seen + 2 * worst) / (errors + 2))
    if folds is not None:
        freedom = len(np.unique(folds)) - 1
        shrunk = (freedom * _between(correct, folds) + FOLD_PRIOR * chance) / (freedom + FOLD_PRIOR)
        variance = max(variance, shrunk)
    return n * chance / variance


def _between(correct: np.ndarray, members: np.ndarray) -> float:
    """Variance of the mean over n pictures, from the sums over the groups of `members`."""
    _, group, sizes = np.unique(members, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        return float("inf")
    sums = np.bincount(group, weights=correct - correct.mean())
    return float((sums**2).sum() / len(correct) ** 2 * len(sizes) / (len(sizes) - 1))


def _widen(a: float, b: float, variance: float) -> tuple[float, float]:
    """The Beta distribution of the same mean whose variance is larger by `variance`."""
    mean = a / (a + b)
    return _match(mean, mean * (1 - mean) / (a + b + 1) + variance)


def _above(least: float, a: float, b: float) -> tuple[float, float]:
    """The Beta distribution of the mean and variance of that part of Beta(a, b) which lies above `least`, below 1.

    Where all of it lies below, for sure, what was counted is taken to be `least`.
    """
    part = float(betaincc(a, b, least))
    if part == 1:
        return a, b
    if part < LEAST_ABOVE:
        return _match(least, least * (1 - least) / (a + b + 1))
    mean = a / (a + b) * float(betaincc(a + 1, b, least)) / part
    square = a * (a + 1) / ((a + b) * (a + b + 1)) * float(betaincc(a + 2, b, least)) / part
    return _match(mean, square - mean**2)


def _match(mean: float, variance: float) -> tuple[float, float]:
    """The Beta distribution of this mean and variance, in (0, 1); never flatter than the sum a + b = 1."""
    mean = float(np.clip(mean, 1e-6, 1 - 1e-6))
    size = max(mean * (1 - mean) / max(variance, 1e-12) - 1, 1.0)
    return mean * size, (1 - mean) * size


def _around(accuracy: float, low: float, high: float) -> tuple[float, float]:
    """The interval with the accuracy inside, and some width on both sides where there is room."""
    return max(min(low, accuracy - LEAST_MARGIN), 0.0), min(max(high, accuracy + LEAST_MARGIN), 1.0)


def paired_gain(
    correct_a: np.ndarray, correct_b: np.ndarray, clusters: np.ndarray | None = None
) -> tuple[float, float]:
    """Accuracy of b less that of a on the same pictures, bool (n,) each, and its standard error.

    One picture more in each direction is assumed to differ (Agresti and Min 2005 add a half to each cell), so
    that few pictures without a difference are not certainty. Pictures of one cluster count together.
    """
    difference = correct_b.astype(np.float64) - correct_a
    n = len(difference)
    members = np.arange(n) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    sums = np.bincount(members, weights=difference - difference.mean())
    return float(difference.mean()), float(np.sqrt((sums**2).sum() + 1) / n)


def binomial_stderr(share: float, n: int) -> float:
    """Return the standard error of a share of n pictures; where nearly none or all count, of a quarter of one of them.

    >>> binomial_stderr(0.5, 100), binomial_stderr(1.0, 100)
    (0.05, 0.005)
    """
    return math.sqrt(max(share * (1 - share), 0.25 / n) / n)


def add_gain(estimate: Estimate, gain: float, stderr: float, *, flawless: bool = False) -> Estimate:
    """The estimate after a step that adds `gain` ~ N(gain, stderr) to the accuracy, kept in [0, 1].

    The interval is from the sums of the quantiles of both distributions, taken as independent. It reaches up to 1 where
    none of the pictures is wrong: before the step, if that is expected to lose nothing, or after it, `flawless`.
    """
    quantiles = (np.arange(GRID) + 0.5) / GRID
    before, added = betaincinv(estimate.a, estimate.b, quantiles), gain + stderr * ndtri(quantiles)
    outcomes = np.clip(np.add.outer(before, added), 0.0, 1.0)
    accuracy = float(np.clip(estimate.accuracy + gain, 0.0, 1.0))
    return _after(estimate, accuracy, outcomes, flawless or (estimate.flawless and gain >= 0))


def combine_gain(estimate: Estimate, gain_mean: float, gain_sd: float) -> Estimate:
    """The estimate after a step that removes a share r ~ N(gain_mean, gain_sd) of the errors (negative: it adds).

    accuracy' = 1 - (1 - accuracy)(1 - r), kept in [0, 1]; the interval is from the products of the quantiles of both
    distributions, taken as independent, and nothing is drawn at random; it reaches up to 1 as in `add_gain`.
    """
    if gain_sd < 0:
        raise OptionError(f"the gain's standard deviation cannot be negative, got {gain_sd}")
    quantiles = (np.arange(GRID) + 0.5) / GRID
    error = 1 - betaincinv(estimate.a, estimate.b, quantiles)
    share = np.minimum(gain_mean + gain_sd * ndtri(quantiles), 1.0)
    outcomes = 1 - np.minimum(np.outer(error, 1 - share), 1.0)
    accuracy = float(np.clip(1 - (1 - estimate.accuracy) * (1 - min(gain_mean, 1.0)), 0.0, 1.0))
    return _after(estimate, accuracy, outcomes, estimate.flawless and gain_mean >= 0)


def _after(estimate: Estimate, accuracy: float, outcomes: np.ndarray, flawless: bool) -> Estimate:
    """The estimate after a step that comes to each of `outcomes` with the same probability."""
    a, b = _match(float(outcomes.mean()), float(outcomes.var()))
    low, high = (float(q) for q in np.quantile(outcomes, ENDS))
    interval = _around(accuracy, low, 1.0 if flawless else high)
    return replace(estimate, accuracy=accuracy, interval=interval, a=a, b=b, flawless=flawless)
