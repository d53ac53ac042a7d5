"""Labels for pictures: one prediction after another, in the order of the input, whatever their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from os import PathLike
from typing import Protocol

import numpy as np
import pandas as pd

from automl_tl.data.decode import Preprocessing
from automl_tl.data.source import Readable
from automl_tl.errors import OptionError
from automl_tl.model.decoding import BATCH_SIZE, Images, decoded_batches
from automl_tl.model.inputs import Input, list_inputs

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model says of N pictures."""

    probabilities: np.ndarray
    """(N, C) float64; each row sums to 1."""
    novelty: np.ndarray | None
    """(N,) float64, cosine distance to the nearest training picture that is known; None where none are."""
    unusual: np.ndarray
    """(N,) bool."""


class Scorer(Protocol):
    """The part of a `Model` that predicting and evaluating need."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels, in the order of the columns."""

    @property
    def preprocessings(self) -> tuple[Preprocessing, ...]:
        """The ways in which a picture must be prepared."""

    def answer(self, images: Images) -> Answers:
        """Return probabilities and novelty of prepared pictures."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of one picture, or why it says nothing."""

    path: str
    """As it was named: a file as given, a picture of a folder below the folder's name as given, a row as its cell."""
    label: str | None = None
    """The most probable class; None where the picture cannot be read."""
    probability: float | None = None
    top: tuple[tuple[str, float], ...] = ()
    """The most probable classes with their probabilities, the first is `label`."""
    probabilities: np.ndarray | None = None
    """(C,) float64, in the order of the model's classes."""
    unusual: bool = False
    """Whether the picture is unlike every training picture that is known, so that the label may mean nothing."""
    novelty: float | None = None
    """Cosine distance to the nearest of them, 0 to 2; None where the model knows none."""
    outside: str = ""
    """How its values lie outside the range of the training pictures; then it is unusual as well."""
    error: str | None = None
    """Why the picture cannot be used."""


def predict(
    model: Scorer,
    paths: Readable | Iterable[Readable] | pd.DataFrame,
    *,
    top_k: int = 1,
    path_column: str = "path",
    image_root: str | PathLike[str] | None = None,
    extension: str = "",
    batch_size: int = BATCH_SIZE,
    progress: Progress | None = None,
) -> Iterator[Prediction]:
    """Yield a prediction for every picture that `paths` name, in that order; a bad picture is one with an `error`.

    Memory does not grow with the number of pictures, but for their names.

    Args:
        model: a `Model`.
        paths: picture files, folders, tables, pictures in memory, or a DataFrame; see `inputs.list_inputs`.
        top_k: how many classes `Prediction.top` has at most.
        path_column: of the tables.
        image_root: folder from which the tables' relative paths go; default: each table's own.
        extension: added to paths of the tables that lack it, such as ".jpg".
        batch_size: pictures that go through the network at once.
        progress: called with (done, total).

    Raises:
        OptionError: `top_k` is below 1, or what is for tables is given and no table is named.
        DataError: A path names nothing. Both are raised by the call, before any picture is read.
    """
    _check_top_k(top_k)
    inputs = list_inputs(paths, path_column=path_column, image_root=image_root, extension=extension)
    return predict_inputs(model, inputs, top_k=top_k, batch_size=batch_size, progress=progress)


def predict_inputs(
    model: Scorer,
    inputs: tuple[Input, ...],
    *,
    top_k: int = 1,
    batch_size: int = BATCH_SIZE,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Prediction]:
    """Yield a prediction for each of what `inputs.list_inputs` returned; otherwise as `predict`.

    threads: that decode pictures; default: one a core.
    """
    _check_top_k(top_k)
    done = 0
    sources = (one.source if one.problem is None else None for one in inputs)
    for batch in decoded_batches(sources, model.preprocessings, batch_size=batch_size, threads=threads):
        given = inputs[done : done + batch.n]
        good = iter(_predictions(model, [given[row] for row in batch.rows], batch.images, top_k))
        for row, one in enumerate(given):
            if row in batch.errors:
                yield Prediction(one.shown, error=one.problem or batch.errors[row])
            elif row in batch.outside:
                yield replace(next(good), unusual=True, outside=batch.outside[row])
            else:
                yield next(good)
        done += batch.n
        if progress is not None:
            progress(done, len(inputs))


def _check_top_k(top_k: int) -> None:
    if top_k < 1:
        raise OptionError(f"--top-k must be at least 1, but is {top_k}")


def _predictions(model: Scorer, inputs: list[Input], images: Images, top_k: int) -> Iterator[Prediction]:
    if not inputs:
        return
    answers = model.answer(images)
    for row, one in enumerate(inputs):
        probabilities = answers.probabilities[row]
        best = np.argsort(-probabilities, kind="stable")[:top_k]
        top = tuple((model.classes[index], float(probabilities[index])) for index in best)
        distance = None if answers.novelty is None else float(answers.novelty[row])
        yield Prediction(one.shown, *top[0], top, probabilities, bool(answers.unusual[row]), distance)
