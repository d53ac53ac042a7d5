"""How far a written file is from its bundle, measured on pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from automl_tl.data.decode import preprocess, read_rgb
from automl_tl.data.names import printable
from automl_tl.data.source import Readable
from automl_tl.errors import DataError, PictureError
from automl_tl.exporter.format import Runner
from automl_tl.model.inputs import list_inputs
from automl_tl.model.model import Model
from automl_tl.resources import meta_path
from automl_tl.wording import plural

MOST_PICTURES = 100
NOISE = 20
"""Pictures of noise, which drive activations where photos do not, beside the photos of the demo."""
BATCH_SIZE = 16


@dataclass(frozen=True)
class Pictures:
    """What a bundle and its export are compared on."""

    files: tuple[Readable, ...]
    """At most MOST_PICTURES."""
    noise: int
    """Pictures of noise besides, of the model's size."""
    named: str
    """In words: "80 photos of the demo and 20 pictures of noise"."""


@dataclass(frozen=True)
class Agreement:
    """What the comparison found."""

    pictures: str
    n: int
    """Pictures of the model's size."""
    difference: float
    """The largest of any probability of these."""
    n_files: int
    """Pictures in their own size; 0 where the format takes prepared pictures alone."""
    n_same: int
    """Of these, those with the bundle's label."""


def check_pictures(folder: Path | None) -> Pictures:
    """Return the pictures of a folder (or file, or table), evenly drawn; without one the demo's photos and noise.

    Raises:
        DataError: There is no picture.
    """
    if folder is None:
        files = tuple(sorted(meta_path("demo").rglob("*.jpg")))
        return Pictures(files, NOISE, f"{plural(len(files), 'photo')} of the demo and {NOISE} pictures of noise")
    found = [one.source for one in list_inputs(folder) if one.problem is None]
    chosen = np.unique(np.linspace(0, len(found) - 1, min(MOST_PICTURES, len(found))).round().astype(int))
    files = tuple(found[row] for row in chosen)
    return Pictures(files, 0, f"{plural(len(files), 'picture')} of '{printable(folder)}'")


def compare(model: Model, run: Runner, pictures: Pictures, *, resizes: bool) -> Agreement:
    """Return how far what `run` gives is from what the model gives.

    Args:
        model: on the CPU.
        run: of the written file.
        pictures: files that cannot be read are passed over.
        resizes: whether the file takes pictures of any size; else prepared ones alone are compared.

    Raises:
        DataError: No file can be read.
    """
    how = max(model.preprocessings, key=lambda one: one.size)
    readable = [file for file in pictures.files if _is_readable(file)]
    if not readable:
        raise DataError(f"None of {pictures.named} can be read: name others with --check.")
    prepared = [preprocess(file, how) for file in readable]
    prepared += list(np.random.default_rng(0).integers(0, 256, (pictures.noise, how.size, how.size, 3), np.uint8))
    stack = np.stack(prepared)
    expected = model.probabilities(prepared) if resizes else model.answer({how: torch.from_numpy(stack)}).probabilities
    found = np.concatenate([run(stack[start : start + BATCH_SIZE]) for start in range(0, len(stack), BATCH_SIZE)])
    n_same = _same_labels(model, run, readable) if resizes else 0
    n_files = len(readable) if resizes else 0
    return Agreement(pictures.named, len(stack), float(np.abs(found - expected).max()), n_files, n_same)


def _is_readable(file: Readable) -> bool:
    try:
        read_rgb(file)
    except PictureError:
        return False
    return True


def _same_labels(model: Model, run: Runner, files: Sequence[Readable]) -> int:
    """Return how many files, decoded and not resized, get the label that the model gives the file."""
    expected = model.probabilities(files).argmax(axis=1)
    values = model.preprocessings[0].value_range
    found = [int(run(np.array(read_rgb(file, value_range=values))[None]).argmax()) for file in files]
    return int((expected == found).sum())
