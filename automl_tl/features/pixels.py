"""Pictures on their way to a network: decoded a few batches ahead, and once for each way of preparing them.

Whatever takes pictures that are prepared alike, the networks, their views and training runs, shares a `PixelStore`.
In memory lie at most four batches: three ahead and the one in use. What is kept lies in files that have no name, at
most `MAX_BYTES` of them, which the system takes out of the memory whenever it needs that.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import IO, Protocol

import numpy as np
import torch

from automl_tl.data.ahead import ahead
from automl_tl.data.decode import Preprocessing, preprocess
from automl_tl.errors import DataError, PictureError
from automl_tl.features.picture import Picture
from automl_tl.features.scratch import reserve
from automl_tl.monitor import Progress, unheeded

BATCH_SIZE = 32
AHEAD = 3
"""Batches that are decoded before they are asked for."""
MAX_BYTES = 4 * 1024**3
"""Of all kept pixels: 28,000 pictures of 224 pixels a side."""

Batches = Iterator[tuple[Sequence[Picture], torch.Tensor]]
"""Pictures with their pixels, uint8 (N, S, S, 3)."""


class Pixels(Protocol):
    """Pixels of n pictures, uint8 (n, S, S, 3), as far as training asks for them: an array, or kept ones."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, S, S, 3)."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray:
        """Return a copy of the pixels of `rows`, int (m,): uint8 (m, S, S, 3)."""


@dataclass(frozen=True, eq=False)
class KeptPixels:
    """Pictures of a store, in an order of their own; see `Pixels`."""

    shelf: _Shelf
    """Where they lie as long as this object lives."""
    rows: np.ndarray
    """int (n,), where each picture lies there."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, S, S, 3)."""
        return (len(self.rows), *self.shelf.pixels.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray:
        chosen: np.ndarray = self.shelf.pixels[self.rows[rows]]
        return chosen


def batches(
    pictures: Sequence[Picture],
    how: Preprocessing,
    batch_size: int = BATCH_SIZE,
    *,
    read: Callable[[Picture], np.ndarray] | None = None,
    pinned: bool = False,
    threads: int | None = None,
) -> Batches:
    """Yield the pictures in batches, put together by the threads that decode them, at most three batches ahead.

    Args:
        pictures: in the order of the batches.
        how: gives pictures of one size S.
        batch_size: N; the last batch may be smaller.
        read: gives the pixels of a picture; default: decodes it.
        pinned: whether batches lie in pinned memory, from which a GPU copies while it computes.
        threads: that decode; default: `default_threads`.

    Raises:
        DataError: a picture cannot be read although it could when the data set was scanned.
    """
    pixels = read or partial(_decoded, how=how)

    def places() -> Iterator[tuple[Sequence[Picture], torch.Tensor, int]]:
        for start in range(0, len(pictures), batch_size):
            batch = pictures[start : start + batch_size]
            images = torch.empty((len(batch), how.size, how.size, 3), dtype=torch.uint8, pin_memory=pinned)
            yield from ((batch, images, row) for row in range(len(batch)))

    def fill(place: tuple[Sequence[Picture], torch.Tensor, int]) -> tuple[Sequence[Picture], torch.Tensor] | None:
        batch, images, row = place
        images.numpy()[row] = pixels(batch[row])
        return (batch, images) if row == len(batch) - 1 else None  # results come in order, so it is the last to come

    yield from filter(None, ahead(fill, places(), most=AHEAD * batch_size, threads=threads))


class PixelStore:
    """Pixels by preprocessing, while a laboratory works in this process; without a folder it keeps none.

    Several threads may ask at once; every process that works for a laboratory has a store of its own.

    Where there is no room the preprocessing goes that was asked for longest ago, and what somebody still reads of it
    takes its room until then; pictures beyond that, and where the disk has little space left, are decoded each time.
    """

    def __init__(self, folder: Path | None = None, max_bytes: int = MAX_BYTES, *, threads: int | None = None) -> None:
        self._folder, self._max_bytes, self.threads = folder, max_bytes, threads
        self._shelves: OrderedDict[Preprocessing, _Shelf] = OrderedDict()
        self._taking_room: weakref.WeakSet[_Shelf] = weakref.WeakSet()
        self._lock = Lock()

    def batches(
        self, pictures: Sequence[Picture], how: Preprocessing, batch_size: int = BATCH_SIZE, *, pinned: bool = False
    ) -> Batches:
        """Yield what `batches` does; a picture that is kept is not decoded, one that was decoded is kept."""
        shelf = self._shelf(how, pictures)
        read = partial(_kept, shelf, how)
        for batch, images in batches(pictures, how, batch_size, read=read, pinned=pinned, threads=self.threads):
            shelf.add(batch, images.numpy())
            yield batch, images

    def keep(self, pictures: Sequence[Picture], how: Preprocessing, images: np.ndarray) -> None:
        """Keep pixels that were decoded by somebody else, uint8 (N, S, S, 3)."""
        self._shelf(how, pictures).add(pictures, images)

    def whole(
        self, pictures: Sequence[Picture], how: Preprocessing, progress: Progress = unheeded
    ) -> KeptPixels | None:
        """Return the pixels of n pictures when all of them are kept; None, at once, where there is no room for that."""
        shelf = self._shelf(how, pictures)
        unique = {picture.sha256: picture for picture in pictures if picture.sha256 not in shelf.rows}
        if self._folder is None or len(unique) > shelf.room:
            return None
        done, missing = 0, sorted(unique.values(), key=lambda one: one.place)
        for batch, images in batches(missing, how, threads=self.threads):
            shelf.add(batch, images.numpy())
            done += len(batch)
            progress(done, len(missing))
        if any(key not in shelf.rows for key in unique):  # another thread has taken the room
            return None
        return KeptPixels(shelf, np.array([shelf.rows[picture.sha256] for picture in pictures], np.int64))

    def _shelf(self, how: Preprocessing, pictures: Sequence[Picture]) -> _Shelf:
        """Return where pictures that are prepared like this are kept, with room for these if possible."""
        with self._lock:
            shelf = self._shelves.pop(how.alike, None) or _Shelf(how.size)
            self._shelves[how.alike] = shelf
            self._taking_room.add(shelf)
            missing = len({picture.sha256 for picture in pictures}.difference(shelf.rows))
            if self._folder is not None and missing > shelf.room:
                self._enlarge(shelf, missing - shelf.room, self._folder)
        return shelf

    def _enlarge(self, shelf: _Shelf, n: int, folder: Path) -> None:
        """Make room for `n` more pictures, or as many as can be had; others go for them, never this shelf."""
        wanted = n * shelf.each
        while len(self._shelves) > 1 and self._n_bytes + wanted > self._max_bytes:
            self._shelves.popitem(last=False)
        with suppress(OSError):  # no space, or none that may be written: then less is kept
            spendable = min(self._max_bytes - self._n_bytes, shutil.disk_usage(folder).free // 2)
            shelf.grow(max(min(wanted, spendable), 0) // shelf.each, folder)

    @property
    def _n_bytes(self) -> int:
        return sum(shelf.pixels.nbytes for shelf in self._taking_room)


class _Shelf:
    """Pixels of pictures that are prepared alike, in a mapped file that grows; rows never change."""

    def __init__(self, size: int) -> None:
        self.rows: dict[str, int] = {}
        self.pixels = np.empty((0, size, size, 3), np.uint8)
        self.each = 3 * size**2
        """Bytes of a picture."""
        self._file: IO[bytes] | None = None
        self._lock = Lock()

    @property
    def room(self) -> int:
        """Pictures that can be added."""
        return len(self.pixels) - len(self.rows)

    def grow(self, n: int, folder: Path) -> None:
        """Make room for `n` more pictures; raises OSError where that is impossible."""
        if n < 1:
            return
        self._file = self._file or tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # it lives as long as the shelf
        shape = (len(self.pixels) + n, *self.pixels.shape[1:])
        reserve(self._file.fileno(), shape[0] * self.each)
        self.pixels = np.asarray(np.memmap(self._file, np.uint8, mode="r+", shape=shape))

    def add(self, pictures: Sequence[Picture], images: np.ndarray) -> None:
        """Keep those of the pictures that are new, as far as there is room."""
        with self._lock:
            for picture, image in zip(pictures, images, strict=True):
                if picture.sha256 not in self.rows and self.room:
                    row = len(self.rows)
                    self.pixels[row] = image
                    self.rows[picture.sha256] = row


def _kept(shelf: _Shelf, how: Preprocessing, picture: Picture) -> np.ndarray:
    row = shelf.rows.get(picture.sha256)
    return _decoded(picture, how) if row is None else shelf.pixels[row]


def _decoded(picture: Picture, how: Preprocessing) -> np.ndarray:
    try:
        return preprocess(picture.readable, how)
    except PictureError as error:
        raise DataError(f"{picture.path} changed while it was being read ({error}); run the command again") from error
