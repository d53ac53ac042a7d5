"""The pictures that are looked at: the training side of the split, or a stratified sample of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from automl_tl.data.dataset import ImageDataset
from automl_tl.data.majority import Majority, majority
from automl_tl.data.names import natural, printable
from automl_tl.data.split import group_ids, make_folds, stratified_sample
from automl_tl.errors import DataError
from automl_tl.features.picture import Picture, pictures_of
from automl_tl.learning.problem import Problem
from automl_tl.learning.spectrum import Spectrum

_FEW = 400
_MOST_FOLDS, _FOLDS_OF_MANY = 10, 5
FOLDS_OF_TRAINED = 5
"""At most, of pictures that a network learns from: each fold is a training run."""
LARGEST_SAMPLE = 1500
"""Beyond it the accuracy is known to a point, and the screen's cost grows with the cube of the number."""
_PER_CLASS = 3
_LARGEST_FOR_CLASSES = 5000
LOOKED_AT_IN_ANY_CASE = 300
"""Pictures that are looked at however slow a forward pass seems: what two minutes are enough for, with the bundled
backbones, at a fifth of the speed of an idle laptop. Timed on a busy machine, 80 were cut down to 38 or to 50, and the
same command had another answer each time."""
_STEPS = np.array([LOOKED_AT_IN_ANY_CASE, 400, 500, 600, 800, 1000, 1250, 1500])


@dataclass(frozen=True)
class Sample:
    """n training pictures with their labels and folds."""

    pictures: tuple[Picture, ...]
    y: np.ndarray
    """int (n,), positions in `classes`."""
    folds: np.ndarray
    """int (n,), the fold that leaves each picture out; groups and duplicates share one."""
    groups: np.ndarray
    """int (n,), pictures of one group or one duplicate cluster have the same number."""
    classes: tuple[str, ...]
    n_training: int
    """Training pictures that the sample was drawn from; about as many where the data set is a sample itself."""
    per_class: float
    """Median number of training pictures per class."""

    @property
    def n(self) -> int:
        """Number of pictures."""
        return len(self.y)

    @property
    def lonely_classes(self) -> tuple[str, ...]:
        """Classes whose pictures are all of one group: whoever is asked about them has never seen them."""
        own = [np.unique(self.groups[self.y == k]) for k in range(len(self.classes))]
        return tuple(label for label, groups in zip(self.classes, own, strict=True) if len(groups) == 1)

    @property
    def majority(self) -> Majority | None:
        """The constant answer to these pictures, where the classes are not balanced."""
        return majority(self.counts)

    @property
    def constant(self) -> float:
        """Accuracy of always answering with the largest class."""
        return float(np.bincount(self.y).max() / self.n)

    @property
    def guessing(self) -> float:
        """Accuracy of guessing each class as often as it is there, without looking; at most `constant`."""
        return float(((np.bincount(self.y) / self.n) ** 2).sum())

    @property
    def counts(self) -> dict[str, int]:
        """Pictures by class."""
        counts = np.bincount(self.y, minlength=len(self.classes))
        return dict(zip(self.classes, counts.tolist(), strict=True))

    def take(self, rows: np.ndarray) -> Sample:
        """Return the sample that holds the pictures `rows`, int (m,), alone, with their folds and groups."""
        pictures = tuple(self.pictures[row] for row in rows)
        return replace(self, pictures=pictures, y=self.y[rows], folds=self.folds[rows], groups=self.groups[rows])

    def problem(self, X: np.ndarray | Spectrum, rows: np.ndarray | None = None) -> Problem:
        """Return features X of the pictures `rows`, int (m,), or of all, with the labels and folds of those."""
        which = slice(None) if rows is None else rows
        return Problem(X, self.y[which], self.folds[which], len(self.classes))

    def subset(self, size: int, seed: int) -> np.ndarray:
        """Return the rows, sorted, of a stratified part of about `size` pictures, two of every class at least."""
        return np.arange(self.n) if size >= self.n else stratified_sample(self.y, size, seed)


def draw_sample(
    dataset: ImageDataset, size: int, seed: int, *, parts: Sequence[str] = ("train",), most_folds: int = _MOST_FOLDS
) -> Sample:
    """Return a stratified sample of about `size` of the training pictures of a split and scanned data set.

    Args:
        dataset: split and scanned.
        size: pictures that are wanted.
        seed: of sample and folds.
        parts: parts of the split to draw from; pictures of a given part "val" make up fold 0.
        most_folds: a bound on the number of folds.
    """
    frame = dataset.frame[dataset.frame["split"].isin(parts)].sort_values(["sha256", "path"])
    classes = tuple(natural(frame["label"].unique()))
    y = frame["label"].map({label: i for i, label in enumerate(classes)}).to_numpy()
    rows = np.arange(len(y)) if size >= len(y) else stratified_sample(y, size, seed)
    groups = group_ids(frame)[rows]
    n_groups = len(np.unique(groups))
    if n_groups < 2:
        named = (frame["group"] != "").any()
        what, wanted = ("of one group", "two or more") if named else ("copies of one another", "different pictures")
        raise DataError(
            f"All {len(rows)} training pictures are {what}, so nothing can be held aside to measure on: give {wanted}."
        )
    chosen = frame.iloc[rows]
    given = (chosen["split"] == "val").to_numpy(bool)
    count = min(n_folds(y[rows]), most_folds, n_groups)
    return Sample(
        pictures=pictures_of(chosen),
        y=y[rows],
        folds=_folds(y[rows], groups, given, count, seed),
        groups=groups,
        classes=classes,
        n_training=round(len(y) / dataset.share),
        per_class=float(np.median(np.bincount(y))) / dataset.share,
    )


def _folds(y: np.ndarray, groups: np.ndarray, given: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return the folds; pictures of a given validation part, and what is tied to them, are fold 0."""
    held_out = np.isin(groups, groups[given])
    if not held_out.any() or held_out.all():
        return make_folds(y, groups, count, seed)
    folds = np.zeros(len(y), np.int64)
    folds[~held_out] = 1 + make_folds(y[~held_out], groups[~held_out], max(count - 1, 1), seed)
    return folds


def lonely_note(sample: Sample) -> tuple[str, ...]:
    """Return a sentence about classes that nothing can be measured of, or nothing."""
    counts = np.bincount(sample.y, minlength=len(sample.classes))
    single = {label for label, n in zip(sample.classes, counts, strict=True) if n == 1}
    lonely = [label for label in sample.lonely_classes if label not in single]  # of a single picture a remark says it
    if not lonely:
        return ()
    named = ", ".join(f"'{printable(label)}'" for label in lonely[:3]) + (", ..." if len(lonely) > 3 else "")
    which = "training pictures" if sample.n == sample.n_training else "pictures that were looked at"
    return (
        f"All {which} of {named} ({len(lonely)} of {len(sample.classes)} classes) are of one group each, or "
        "copies of one another, so they are always tested without having been seen: expect more than is said here.",
    )


def n_folds(y: np.ndarray) -> int:
    """Return the number of folds for pictures of classes `y`, int (n,): one picture of the middle class in each.

    More folds would leave one picture out of one class and none of another, and a class that has lost a third of
    its pictures is taken for the others: with 3 pictures a class that made scores 12 points too low (measured).

    >>> n_folds(np.repeat([0, 1], 3)), n_folds(np.repeat([0, 1], 50)), n_folds(np.repeat([0, 1], 5000))
    (3, 10, 5)
    """
    if len(y) > _FEW:
        return _FOLDS_OF_MANY
    return int(np.clip(np.median(np.bincount(y)), 2, _MOST_FOLDS))


def affordable_sample(cost: float, everything: Sample, dataset: ImageDataset, seed: int, seconds: float) -> Sample:
    """Return as many pictures as `seconds` of feature extraction allow, at `cost` seconds per picture."""
    size = sample_size(everything.n, len(everything.classes), cost, seconds)
    return everything if size >= everything.n else draw_sample(dataset, size, seed)


def sample_size(n_training: int, n_classes: int, seconds_per_picture: float, seconds: float) -> int:
    """Return how many pictures `seconds` of feature extraction allow, in steps so that runs agree; few are all taken.

    Args:
        n_training: pictures that there are.
        n_classes: a few of every class are wanted, whatever it costs, up to five thousand.
        seconds_per_picture: summed over the backbones.
        seconds: what extraction may take.
    """
    affordable = seconds / max(seconds_per_picture, 1e-9)
    steps = _STEPS[affordable >= _STEPS]
    size = min(LARGEST_SAMPLE, int(steps[-1]) if len(steps) else int(_STEPS[0]))
    return min(n_training, max(size, min(_PER_CLASS * n_classes, _LARGEST_FOR_CLASSES)))
