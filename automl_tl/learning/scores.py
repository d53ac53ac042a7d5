"""What out-of-fold scores are worth: the metrics, calibration, and the best strength on a path of penalties."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from automl_tl.errors import OptionError

# The temperature is looked for between these; ridge scores need about .2, logits about 1.
TEMPERATURES = (0.01, 100.0)
MOST_CALIBRATED = 2000
"""Pictures that suffice for a temperature, where it is only needed to compare candidates."""


@dataclass(frozen=True)
class Metric:
    """A measure of out-of-fold scores.

    function: maps labels int (n,) and scores float (n, C) to a number.
    greater_is_better: False for a loss.
    classes_alike: whether every class counts the same, however many pictures it has; else every picture does.
    """

    name: str
    function: Callable[[np.ndarray, np.ndarray], float]
    greater_is_better: bool
    classes_alike: bool = False

    @property
    def sign(self) -> int:
        """+1 or -1: `sign * value` is greater for the better."""
        return 1 if self.greater_is_better else -1

    def weights(self, y: np.ndarray) -> np.ndarray:
        """What every picture of labels y, int (n,), counts, float64 (n,)."""
        return class_weights(y) if self.classes_alike else np.ones(len(y))


def accuracy(y: np.ndarray, scores: np.ndarray) -> float:
    """Share of pictures whose highest score is their class's."""
    return float((scores.argmax(axis=1) == y).mean())


def balanced_accuracy(y: np.ndarray, scores: np.ndarray) -> float:
    """Mean over the classes that occur in y of the share of their pictures that are right."""
    return float(np.average(scores.argmax(axis=1) == y, weights=class_weights(y)))


def macro_f1(y: np.ndarray, scores: np.ndarray) -> float:
    """Mean F1 over the classes that occur in y or are predicted, as scikit-learn's f1_score(average="macro").

    Counted by hand: the screen calls it hundreds of times, and scikit-learn takes milliseconds for its checks.
    """
    predicted = scores.argmax(axis=1)
    right, true, claimed = (
        np.bincount(labels, minlength=scores.shape[1]) for labels in (y[predicted == y], y, predicted)
    )
    occurs = (true + claimed) > 0
    return float((2 * right[occurs] / (true + claimed)[occurs]).mean())


def log_loss(y: np.ndarray, scores: np.ndarray) -> float:
    """Mean negative log-likelihood (nats) of softmax(scores / T) at the best temperature T for these scores."""
    return negative_log_likelihood(y, scores, best_temperature(y, scores))


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", accuracy, greater_is_better=True),
        Metric("balanced_accuracy", balanced_accuracy, greater_is_better=True, classes_alike=True),
        Metric("macro_f1", macro_f1, greater_is_better=True, classes_alike=True),
        Metric("log_loss", log_loss, greater_is_better=False),
    )
}


def get_metric(name: str) -> Metric:
    """The metric of that name; OptionError that lists the known ones otherwise."""
    if name not in METRICS:
        raise OptionError(f'unknown metric "{name}"; known are {", ".join(sorted(METRICS))}')
    return METRICS[name]


def class_weights(y: np.ndarray) -> np.ndarray:
    """A weight per picture, float (n,), mean 1, that gives every class that occurs the same total."""
    counts = np.bincount(y).astype(np.float64)
    weights: np.ndarray = len(y) / (np.count_nonzero(counts) * counts[y])
    return weights


def correctness(y: np.ndarray, predictions: Iterable[np.ndarray]) -> np.ndarray:
    """The table pictures x candidates, bool (n, m), from every candidate's out-of-fold predictions int (n,)."""
    return np.stack([np.asarray(predicted) == y for predicted in predictions], axis=1)


def negative_log_likelihood(y: np.ndarray, scores: np.ndarray, temperature: float = 1.0) -> float:
    """Mean of -log softmax(scores / temperature)[y], in nats."""
    return float(negative_log_likelihoods(y, scores, temperature).mean())


def negative_log_likelihoods(y: np.ndarray, scores: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """-log softmax(scores / temperature)[y] of each picture, float64 (n,), in nats."""
    logits = scores.astype(np.float64) / temperature
    losses: np.ndarray = logsumexp(logits, axis=1) - logits[np.arange(len(y)), y]
    return losses


@dataclass(frozen=True)
class UsualTemperature:
    """What temperatures of a kind of scores are known to be: the logarithm is normal."""

    middle: float
    spread: float
    """Standard deviation of the logarithm."""

    def loss(self, log_temperature: float) -> float:
        """The negative logarithm of the density, but for a constant."""
        return ((log_temperature - math.log(self.middle)) / self.spread) ** 2 / 2


def best_temperature(y: np.ndarray, scores: np.ndarray, usual: UsualTemperature | None = None) -> float:
    """The temperature of least negative log-likelihood on out-of-fold scores (Guo et al. 2017, arXiv 1706.04599).

    y is int (n,), scores float (n, C). Where it is known what is usual, it is the most probable one; else it is as if
    one more picture had been seen that belongs to another class than its scores say: without either, 20 pictures that
    are all right would mean certainty.
    """
    doubt = 0.0 if usual else 1 / (len(y) + 1)
    logits = scores.astype(np.float64) - scores.max(axis=1, keepdims=True)
    own = logits[np.arange(len(y)), y]
    others = (logits.sum(axis=1) - own) / max(scores.shape[1] - 1, 1)
    target = float(((1 - doubt) * own + doubt * others).mean())

    def loss(log_temperature: float) -> float:
        temperature = math.exp(log_temperature)
        found = float(np.log(np.exp(logits / temperature).sum(axis=1)).mean()) - target / temperature
        return found + usual.loss(log_temperature) / len(y) if usual else found

    bounds = tuple(math.log(t) for t in TEMPERATURES)
    return math.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-3}).x)


@dataclass(frozen=True)
class Calibrated:
    """What scores of n pictures say at the best temperature T for them.

    losses: float32 (n,), -log softmax(scores / T)[y] of each picture, nats.
    confidence: mean over the pictures of the highest of softmax(scores / T): the accuracy that they claim.
    """

    losses: np.ndarray
    confidence: float


def calibrate(y: np.ndarray, scores: np.ndarray) -> Calibrated:
    """What scores (n, C) say of labels y, int (n,), at their `best_temperature`; of many a part of them says that."""
    n_parts = math.ceil(len(y) / MOST_CALIBRATED)
    temperature = best_temperature(y[::n_parts], scores[::n_parts])
    losses, confidence = np.empty(len(y), np.float32), 0.0
    for rows in np.array_split(np.arange(len(y)), n_parts):  # else a copy in float64
        logits = scores[rows].astype(np.float64) / temperature
        total = logsumexp(logits, axis=1)
        losses[rows] = total - logits[np.arange(len(rows)), y[rows]]
        confidence += float(np.exp(logits.max(axis=1) - total).sum()) / len(y)
    return Calibrated(losses, confidence)


@dataclass(frozen=True)
class PenaltyPath:
    """Out-of-fold results of one source and one kind of classifier along a path of p penalties.

    kind: "ridge", "softmax", "ovr_logistic" or "linear_svm".
    penalties: (p,) float64.
    predictions: (p, n) int32, the out-of-fold class of every picture at every penalty.
    values: (p,) float64, the metric at every penalty.
    best: index of the best penalty: by the metric, equals by their log loss, equals again by the first.
    oof: (n, C) float32, the out-of-fold scores at the best penalty (only there, to bound memory).
    losses, confidence: what they come to, `Calibrated`.
    """

    kind: str
    penalties: np.ndarray
    predictions: np.ndarray
    values: np.ndarray
    best: int
    oof: np.ndarray
    losses: np.ndarray
    confidence: float

    @property
    def penalty(self) -> float:
        """The best penalty."""
        return float(self.penalties[self.best])

    @property
    def value(self) -> float:
        """The metric at the best penalty."""
        return float(self.values[self.best])


def follow_path(
    kind: str,
    y: np.ndarray,
    scored: Iterable[tuple[float, np.ndarray]],
    metric: Metric,
    patience: int | None = None,
    deadline: float = math.inf,
) -> PenaltyPath:
    """Keep the best of `scored`: one penalty after another with its out-of-fold scores (n, C).

    It stops drawing them after `patience` penalties in a row without a better value, or once time.monotonic() has
    come to `deadline`, and the path ends there.
    """
    penalties: list[float] = []
    predictions: list[np.ndarray] = []
    values: list[float] = []
    best, improved, kept, loss = 0, 0, np.empty(0), math.nan
    for index, (penalty, oof) in enumerate(scored):
        penalties.append(penalty)
        predictions.append(oof.argmax(axis=1).astype(np.int32))
        values.append(metric.function(y, oof))
        gain = metric.sign * (values[index] - values[best])
        improved = index if gain > 0 else improved
        own = math.nan  # of a thousand classes a log loss takes longer than solving them
        if index > 0 and gain == 0:
            own, loss = log_loss(y, oof), log_loss(y, kept) if math.isnan(loss) else loss
        if index == 0 or gain > 0 or own < loss:
            best, kept, loss = index, oof.astype(np.float32), own
        if (patience is not None and index - improved >= patience) or time.monotonic() >= deadline:
            break
    found = calibrate(y, kept)
    return PenaltyPath(
        kind, np.array(penalties), np.stack(predictions), np.array(values), best, kept, found.losses, found.confidence
    )
