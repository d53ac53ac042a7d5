"""Pictures decoded in threads, a few batches ahead of the network; one that cannot be read costs only itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from automl_tl.data.ahead import ahead
from automl_tl.data.decode import Preprocessing, prepare, read_rgb
from automl_tl.data.source import Readable
from automl_tl.errors import PictureError

BATCH_SIZE = 32
_AHEAD = 3  # batches

Images = Mapping[Preprocessing, Tensor]
"""The same pictures, once for each preprocessing that a model asks for: uint8 (N, S, S, 3)."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Some pictures in their order: those that can be read, and why the others cannot."""

    n: int
    rows: tuple[int, ...]
    """Positions, in the batch, of the readable pictures."""
    images: Images
    """Their pixels; empty where there are none."""
    errors: Mapping[int, str]
    """Reasons by the positions of the unreadable pictures."""
    outside: Mapping[int, str] = field(default_factory=dict)
    """How pictures lie outside the training pictures' range of values, by their positions."""


_Decoded = tuple[tuple[np.ndarray, str], ...] | str


def decoded_batches(
    pictures: Iterable[Readable | None],
    hows: Sequence[Preprocessing],
    *,
    batch_size: int = BATCH_SIZE,
    threads: int | None = None,
) -> Iterator[Batch]:
    """Yield the pictures, decoded once for each of `hows`, in batches of `batch_size`, at most three ahead.

    So the memory needed does not depend on how many there are. None is a picture that is known to be no use: it takes
    a place among the errors, with an empty reason.
    """
    found = ahead(partial(_decoded, hows=tuple(hows)), pictures, most=_AHEAD * batch_size, threads=threads)
    while group := list(islice(found, batch_size)):
        yield _batch(group, hows)


def upright(picture: Readable, longest: int) -> Image.Image:
    """Return a picture as people see it, 8-bit RGB, upright, scaled down to sides of at most `longest` pixels.

    Raises:
        PictureError: It cannot be read.
    """
    image = read_rgb(picture, min_side=longest)
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return image


def _batch(results: Sequence[_Decoded], hows: Sequence[Preprocessing]) -> Batch:
    errors = {row: result for row, result in enumerate(results) if isinstance(result, str)}
    good = {row: result for row, result in enumerate(results) if not isinstance(result, str)}
    images = {}
    if good:
        images = {
            how: torch.from_numpy(np.stack([prepared[which][0] for prepared in good.values()]))
            for which, how in enumerate(hows)
        }
    outside = {row: prepared[0][1] for row, prepared in good.items() if prepared and prepared[0][1]}
    return Batch(len(results), tuple(good), images, errors, outside)


def _decoded(picture: Readable | None, hows: tuple[Preprocessing, ...]) -> _Decoded:
    """Return the pixels by each preprocessing, with how they lie outside its range, or why there are none."""
    if picture is None:
        return ""
    try:
        prepared = {how: prepare(picture, how) for how in {how.alike for how in hows}}
    except PictureError as error:
        return str(error)
    return tuple(prepared[how.alike] for how in hows)
