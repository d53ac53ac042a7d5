"""Let a model look at labelled pictures, and compare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from automl_tl.data.dataset import ImageDataset
from automl_tl.data.listing import Skipped
from automl_tl.data.names import natural, printable, quoted
from automl_tl.data.source import Source, sources_of
from automl_tl.errors import DataError, OptionError
from automl_tl.model.decoding import BATCH_SIZE
from automl_tl.model.evaluation import Evaluation, evaluate_probabilities
from automl_tl.model.inputs import Input
from automl_tl.model.predict import Prediction, Progress, Scorer, predict_inputs
from automl_tl.options import SPLITS
from automl_tl.wording import plural

Enough = Callable[[int], bool]


def never(n: int) -> bool:
    """Want every picture to count."""
    return False


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
            f"None of the {plural(len(errors), 'picture')} can be read; the first is '{printable(errors[0].path)}': "
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
    if split == "all" or (split is None and not dataset.has_given_splits) or (split and split == dataset.only_part):
        return dataset, ()
    part = split or "test"
    there = [name for name in SPLITS[1:] if (dataset.frame["split"] == name).any()]
    if part not in there:
        has = f"has only {' and '.join(there)}" if there else "gives no split"
        raise OptionError(
            f"'{printable(dataset.root)}' has no pictures for '{part}' (it {has}): choose with --split, or --split all."
        )
    chosen = dataset.with_frame(dataset.frame[dataset.frame["split"] == part])
    return chosen, (f"Only the given '{part}' part counts: {len(chosen):,} of {plural(len(dataset), 'picture')}.",)


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
    return (f"Outside the range of the training pictures: {plural(len(outside), 'picture')}, as {outside[0]}.",)


def _unknown_note(unknown: list[str], n: int) -> tuple[str, ...]:
    if not unknown:
        return ()
    return (f"The model does not know {quoted(unknown)}: {plural(n, 'picture')} left out, which it must get wrong.",)


def _skipped_notes(dataset: ImageDataset, errors: tuple[Skipped, ...]) -> tuple[str, ...]:
    parts = []
    if errors:
        parts.append(f"{plural(len(errors), 'picture')} left out: not readable.")
    if dataset.skipped:
        parts.append(f"{plural(len(dataset.skipped), 'file')} of the data left out.")
    return tuple(parts)
