"""How good a model is on labelled pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, log_loss, precision_recall_fscore_support

from automl_tl.data.dataset import ImageDataset
from automl_tl.data.listing import Skipped
from automl_tl.data.majority import Majority, majority
from automl_tl.data.names import counted, natural, printable, quoted
from automl_tl.data.source import Source, sources_of
from automl_tl.errors import DataError, OptionError
from automl_tl.model.decoding import BATCH_SIZE
from automl_tl.model.inputs import Input
from automl_tl.model.manifest import jsonable
from automl_tl.model.predict import Prediction, Progress, Scorer, predict_inputs
from automl_tl.notebook import html_table
from automl_tl.options import SPLITS

ECE_BINS = 15
_NUMBERS = ("n", "accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece")
_EVERY_ANSWER = ("y", "probabilities", "paths")
Enough = Callable[[int], bool]


def never(n: int) -> bool:
    """Want every picture to count."""
    return False


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
        return {name: getattr(self, name) for name in _NUMBERS}

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
        return html_table(f"Evaluation on {counted(self.n, 'picture')}", rows)

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
        ValueError: Shapes that do not fit, or no picture.
    """
    n_classes = len(classes)
    if probabilities.shape != (len(y), n_classes) or len(y) == 0 or n_classes < 2:
        raise ValueError(f"{len(y)} pictures and {n_classes} classes, but probabilities are {probabilities.shape}")
    probabilities = probabilities.astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)  # what float32 has lost
    predicted = probabilities.argmax(axis=1)
    per_class = _per_class(y, predicted, classes)
    return Evaluation(
        n=len(y),
        classes=tuple(classes),
        accuracy=float(accuracy_score(y, predicted)),
        balanced_accuracy=float(np.nanmean([one.recall for one in per_class])),
        macro_f1=float(f1_score(y, predicted, average="macro", zero_division=0)),
        log_loss=float(log_loss(y, probabilities, labels=np.arange(n_classes))),
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


def evaluate(
    model: Scorer,
    dataset: ImageDataset,
    *,
    split: str | None = None,
    batch_size: int = BATCH_SIZE,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Let `model` look at labelled pictures and compare.

    Pictures of classes that the model does not know cannot be right; they are counted in a note and left out of every
    number, and so are pictures that cannot be read.

    Args:
        model: a `Model`.
        dataset: opened with `open_dataset(path, train=False)`.
        split: "train", "val", "test" or "all" of a given split; default: the test part, where one is given.
        batch_size: pictures that go through the network at once.
        threads: that decode pictures; default: one a core.
        progress: called with (done, total).

    Raises:
        OptionError: The data set has no such part.
        DataError: No picture of a class that the model knows can be read.
    """
    dataset, note = chosen_part(dataset, split)
    known = dataset.frame["label"].isin(model.classes)
    unknown = natural(set(dataset.frame.loc[~known, "label"]))
    if not known.any():
        raise DataError(
            f"The model knows none of the classes {quoted(unknown)} in '{printable(dataset.root)}'; "
            f"it knows {quoted(list(model.classes))}: give pictures of these."
        )
    frame = dataset.frame[known]
    look = partial(predict_inputs, model, batch_size=batch_size, threads=threads, progress=progress)
    found = _evaluated(model.classes, look, sources_of(frame), frame["label"])
    notes = [
        *dataset.notes,
        *note,
        *_unknown_note(unknown, int((~known).sum())),
        *_skipped_notes(dataset, found.errors),
        *found.notes,
    ]
    return replace(found, notes=tuple(notes))


def evaluate_pictures(
    model: Scorer, sources: Iterable[Source], labels: Iterable[str], *, enough: Enough = never
) -> Evaluation:
    """Let `model` look at pictures of classes that it knows and compare; those that cannot be read do not count.

    Args:
        model: a `Model`.
        sources: of n of them.
        labels: the n true classes.
        enough: asked, with the number of pictures that count so far, whether the others may be left out.

    Raises:
        DataError: None of the pictures can be read.
    """
    return _evaluated(model.classes, partial(predict_inputs, model), sources, labels, enough)


Look = Callable[[tuple[Input, ...]], Iterator[Prediction]]
"""Has a model look at pictures."""


def _evaluated(
    classes: tuple[str, ...], look: Look, sources: Iterable[Source], labels: Iterable[str], enough: Enough = never
) -> Evaluation:
    predictions = look(tuple(Input(source.name, source) for source in sources))
    y, probabilities, paths, errors, outside = _answers(classes, predictions, labels, enough)
    if not len(y):
        raise DataError(
            f"None of the {counted(len(errors), 'picture')} can be read; the first is '{printable(errors[0].path)}': "
            f"{errors[0].reason}."
        )
    found = evaluate_probabilities(y, probabilities, classes)
    return replace(found, paths=paths, errors=errors, notes=outside)


def chosen_part(dataset: ImageDataset, split: str | None) -> tuple[ImageDataset, tuple[str, ...]]:
    """Return the part of a data set that is to be evaluated, and a note where that is not all of it.

    Raises:
        OptionError: There is no such part.
    """
    if split is not None and split not in SPLITS:
        raise OptionError(f"--split must be one of {', '.join(SPLITS)}, but is {split!r}")
    if split == "all" or (split is None and not dataset.has_given_splits):
        return dataset, ()
    part = split or "test"
    there = [name for name in SPLITS[1:] if (dataset.frame["split"] == name).any()]
    if part not in there:
        has = f"has only {' and '.join(there)}" if there else "gives no split"
        raise OptionError(
            f"'{printable(dataset.root)}' has no pictures for '{part}' (it {has}): choose with --split, or --split all."
        )
    chosen = dataset.with_frame(dataset.frame[dataset.frame["split"] == part])
    return chosen, (f"Only the given '{part}' part counts: {len(chosen):,} of {counted(len(dataset), 'picture')}.",)


def _answers(
    classes: tuple[str, ...], predictions: Iterable[Prediction], labels: Iterable[str], enough: Enough
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], tuple[Skipped, ...], tuple[str, ...]]:
    """Return y int (n,), probabilities float64 (n, C), the n paths, what cannot be read, and a note on odd values."""
    place = {label: number for number, label in enumerate(classes)}
    y: list[int] = []
    probabilities: list[np.ndarray] = []
    paths: list[str] = []
    errors: list[Skipped] = []
    outside: list[str] = []
    for prediction, label in zip(predictions, labels, strict=True):
        if enough(len(y)):
            break
        if prediction.probabilities is None:
            errors.append(Skipped(prediction.path, prediction.error or ""))
        else:
            y.append(place[label])
            probabilities.append(prediction.probabilities)
            outside += [prediction.outside] if prediction.outside else []
            paths.append(prediction.path)
    return np.array(y, dtype=int), np.array(probabilities), tuple(paths), tuple(errors), _outside_note(outside)


def _outside_note(outside: list[str]) -> tuple[str, ...]:
    if not outside:
        return ()
    return (f"Outside the range of the training pictures: {counted(len(outside), 'picture')}, as {outside[0]}.",)


def _unknown_note(unknown: list[str], n: int) -> tuple[str, ...]:
    if not unknown:
        return ()
    return (f"The model does not know {quoted(unknown)}: {counted(n, 'picture')} left out, which it must get wrong.",)


def _skipped_notes(dataset: ImageDataset, errors: tuple[Skipped, ...]) -> tuple[str, ...]:
    parts = []
    if errors:
        parts.append(f"{counted(len(errors), 'picture')} left out: not readable.")
    if dataset.skipped:
        parts.append(f"{counted(len(dataset.skipped), 'file')} of the data left out: `automl-tl inspect` says why.")
    return tuple(parts)
