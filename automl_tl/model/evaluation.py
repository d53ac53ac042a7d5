"""What probabilities are worth on pictures with known classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from automl_tl.data.listing import Skipped
from automl_tl.data.majority import Majority, majority
from automl_tl.model.manifest import jsonable
from automl_tl.notebook import html_table
from automl_tl.wording import plural

ECE_BINS = 15
EPSILON = float(np.finfo(np.float64).eps)
"""A probability counts as at least so much in a log loss, as in scikit-learn's."""
NUMBERS = ("n", "accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece")
_EVERY_ANSWER = ("y", "probabilities", "paths")


@dataclass(frozen=True)
class ClassResult:
    """One class; NaN where nothing can be said: precision if it was never predicted, recall if it does not occur."""

    label: str
    precision: float
    recall: float
    f1: float
    n: int
    """Its pictures."""


@dataclass(frozen=True)
class Answer:
    """What is said of one picture with a known class."""

    path: str
    given: str
    """Its class, as the data set has it."""
    predicted: str
    """The most probable class."""
    confidence: float
    """The probability of `predicted`."""
    given_probability: float
    """The probability of `given`: the loss is -log of it."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What probabilities are worth on pictures with known classes."""

    n: int
    """Pictures that count."""
    classes: tuple[str, ...]
    """Labels, in the order of `per_class` and `confusion`."""
    accuracy: float
    balanced_accuracy: float
    """Mean recall over the classes that occur."""
    macro_f1: float
    """Mean F1 over the classes that occur or are predicted."""
    log_loss: float
    """Mean -log of the probability of the true class, nats."""
    ece: float
    """Expected calibration error, 0 to 1; see `calibration_error`."""
    per_class: tuple[ClassResult, ...]
    confusion: np.ndarray
    """(C, C) int: pictures by true class (rows) and predicted class (columns)."""
    y: np.ndarray
    """int (n,), true positions in `classes`, of every picture that counts."""
    probabilities: np.ndarray
    """float64 (n, C)."""
    paths: tuple[str, ...] = ()
    """Of those pictures, where they are files."""
    errors: tuple[Skipped, ...] = ()
    """Pictures that cannot be read; they do not count."""
    notes: tuple[str, ...] = ()
    """Sentences for the user."""

    @property
    def majority(self) -> Majority | None:
        """The constant answer to these pictures, where the classes are not balanced."""
        return majority({one.label: one.n for one in self.per_class})

    @property
    def right(self) -> np.ndarray:
        """bool (n,), whether the most probable class is the true one."""
        answers: np.ndarray = self.probabilities.argmax(axis=1) == self.y
        return answers

    @property
    def numbers(self) -> dict[str, float]:
        """How many pictures count, and what the probabilities are worth on them, by name."""
        return {name: getattr(self, name) for name in NUMBERS}

    @property
    def given_probabilities(self) -> np.ndarray:
        """float64 (n,), the probability of each picture's true class."""
        chosen: np.ndarray = self.probabilities[np.arange(self.n), self.y]
        return chosen

    def by_loss(self) -> tuple[Answer, ...]:
        """Return the answer to every picture, the largest loss first; of pictures that are files."""
        return self.answers(np.argsort(self.given_probabilities, kind="stable"))

    def answers(self, rows: np.ndarray) -> tuple[Answer, ...]:
        """Return the answers to the pictures `rows`, int (m,), in that order."""
        predicted, given = self.probabilities.argmax(axis=1), self.given_probabilities
        return tuple(
            Answer(
                self.paths[row], self.classes[self.y[row]], self.classes[predicted[row]],
                float(self.probabilities[row, predicted[row]]), float(given[row]),
            )
            for row in rows
        )  # fmt: skip

    def _repr_html_(self) -> str:
        rows = [
            ("accuracy", f"{self.accuracy:.1%}"),
            ("balanced accuracy", f"{self.balanced_accuracy:.1%}"),
            ("macro F1", f"{self.macro_f1:.3f}"),
            ("log loss", f"{self.log_loss:.3f} nats"),
            ("calibration error", f"{self.ece:.3f}"),
            *(("worth knowing", note) for note in self.notes),
        ]
        return html_table(f"Evaluation on {plural(self.n, 'picture')}", rows)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, without every picture's answer; None stands for NaN."""
        values: dict[str, Any] = jsonable(
            {
                **{name: value for name, value in vars(self).items() if name not in _EVERY_ANSWER},
                "per_class": [vars(one) for one in self.per_class],
                "errors": [vars(one) for one in self.errors],
            }
        )
        return values


def evaluate_probabilities(y: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> Evaluation:
    """Compare probabilities with the true classes.

    Args:
        y: int (n,), n >= 1, true positions in `classes`.
        probabilities: float (n, C); each row sums to 1.
        classes: C labels, at least two.

    Raises:
        ValueError: Shapes that do not fit, no picture, a class that there is not, or a probability that is no number.
    """
    n_classes = len(classes)
    if probabilities.shape != (len(y), n_classes) or len(y) == 0 or n_classes < 2:
        raise ValueError(f"{len(y)} pictures and {n_classes} classes, but probabilities are {probabilities.shape}")
    if y.min() < 0 or y.max() >= n_classes or not np.isfinite(probabilities).all():
        raise ValueError(f"classes lie in 0..{n_classes - 1} and probabilities are finite, but not all of these")
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True, dtype=np.float64)  # what float32 has lost
    predicted = probabilities.argmax(axis=1)
    given = probabilities[np.arange(len(y)), y]  # scikit-learn's log_loss takes three more (n, C) for the same
    per_class = _per_class(y, predicted, classes)
    return Evaluation(
        n=len(y),
        classes=tuple(classes),
        accuracy=float(accuracy_score(y, predicted)),
        balanced_accuracy=float(np.nanmean([one.recall for one in per_class])),
        macro_f1=float(f1_score(y, predicted, average="macro", zero_division=0)),
        log_loss=float(-np.log(given.clip(EPSILON, 1 - EPSILON)).mean()),
        ece=calibration_error(predicted == y, probabilities.max(axis=1)),
        per_class=per_class,
        confusion=np.bincount(y * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes),
        y=y,
        probabilities=probabilities,
    )


def calibration_error(right: np.ndarray, confidence: np.ndarray, bins: int = ECE_BINS) -> float:
    """Return the expected calibration error: how far confidence and accuracy are apart, 0 to 1.

    sum over bins of (pictures in the bin / n) * |accuracy - mean confidence|, with bins of equal width over [0, 1],
    each open below and closed above (Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv 1706.04599,
    equation 3; 15 bins as there).

    Args:
        right: bool (n,), whether the most probable class is the true one.
        confidence: float (n,), its probability, 0 to 1.
        bins: their number.
    """
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(place, weights=right - confidence, minlength=bins)  # n_bin * (accuracy - confidence)
    return float(np.abs(gaps).sum() / len(right))


def _per_class(y: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> tuple[ClassResult, ...]:
    columns = precision_recall_fscore_support(y, predicted, labels=np.arange(len(classes)), zero_division=np.nan)
    rows = zip(classes, *columns, strict=True)
    return tuple(ClassResult(label, float(p), float(r), float(f1), int(n)) for label, p, r, f1, n in rows)
