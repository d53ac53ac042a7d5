"""Large arrays that need little memory: mapped from files that have no name, so that nothing is left of them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np

IN_MEMORY = 256 * 1024**2
"""Bytes up to which an array stays in memory; more are mapped from a file."""
SMALL = 1024**2
"""The same of what there are many of."""


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
        reserve(file.fileno(), n_bytes)
        return np.memmap(file, dtype, mode="r+", shape=shape)


def reserve(file: int, n_bytes: int) -> None:
    """Take the space now, so that a full disk is an OSError here and not the end of the process at a later write."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, n_bytes)
    else:
        os.truncate(file, n_bytes)
