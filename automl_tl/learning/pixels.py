"""The training pictures as one array of pixels, decoded once for every trial of a backbone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from automl_tl.data.decode import Preprocessing
from automl_tl.features.extract import Picture, batches

IN_MEMORY = 256 * 1024**2
"""Bytes up to which pixels stay in memory; more are mapped from a file."""
SMALL = 1024**2
"""The same of what there are many of."""


def load_pixels(
    pictures: Sequence[Picture],
    how: Preprocessing,
    folder: Path,
    *,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Return the pixels of n pictures, uint8 (n, S, S, 3); a memory-mapped file in `folder` where they are many.

    Raises:
        DataError: a picture cannot be read although it could when the data set was scanned.
    """
    shape = (len(pictures), how.size, how.size, 3)
    pixels = scratch_array(folder, shape, np.uint8)
    order = sorted(range(len(pictures)), key=lambda row: pictures[row].place)
    done = 0
    for batch, images in batches([pictures[row] for row in order], how, 32, threads):
        pixels[order[done : done + len(batch)]] = images.numpy()
        done += len(batch)
        if progress:
            progress(done, len(pictures))
    return pixels


def seldom_read(values: np.ndarray, folder: Path) -> np.ndarray:
    """Return what is kept for long and read seldom: as it is up to SMALL bytes, else mapped from a file."""
    if values.nbytes <= SMALL:
        return values
    mapped = scratch_array(folder, values.shape, values.dtype.type, in_memory=SMALL)
    mapped[...] = values
    return mapped


def scratch_array(folder: Path, shape: tuple[int, ...], dtype: type, *, in_memory: int | None = None) -> np.ndarray:
    """Return an array of zeros that needs little memory: mapped from a file beyond `in_memory` bytes, or IN_MEMORY.

    The file has no name any more (on Windows: until it is closed), so its space is free again when the array is gone,
    even after a kill.
    """
    n_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if n_bytes <= (IN_MEMORY if in_memory is None else in_memory):
        return np.zeros(shape, dtype)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        _reserve(file.fileno(), n_bytes)
        return np.memmap(file, dtype, mode="r+", shape=shape)


def _reserve(file: int, n_bytes: int) -> None:
    """Take the space now, so that a full disk is an OSError here and not the end of the process at a later write."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, n_bytes)
    else:
        os.truncate(file, n_bytes)
