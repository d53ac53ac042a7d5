"""One picture, wherever it lies: in a file of its own, in a file of many, or in memory."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from automl_tl.data.rgb import extent_of, to_rgb
from automl_tl.errors import DataError, PictureError


class Source(Protocol):
    """Opens as a picture file. It can be pickled, and is small unless it is the picture itself.

    What identifies the picture is the hash of the bytes that it opens as, so that results are shared between forms.
    """

    @property
    def name(self) -> str:
        """For people, unlike any other of its data set: an absolute path, which may lead on into an archive."""

    @property
    def place(self) -> tuple[str, int]:
        """The file that is read, and where in it: many sources are read fastest in this order."""

    @property
    def version(self) -> str | None:
        """What changes when the bytes may have changed; None where only reading them can tell."""

    def open(self) -> BinaryIO:
        """Return the bytes of the picture file.

        Raises:
            OSError: the file cannot be read.
            PictureError: there is no picture where it should be.
        """


@dataclass(frozen=True, slots=True)
class File:
    """A picture in a file of its own."""

    name: str
    """Its path."""

    @property
    def place(self) -> tuple[str, int]:
        """See `Source`."""
        return self.name, 0

    @property
    def version(self) -> str:
        """See `Source`."""
        return file_version(self.name)

    def open(self) -> BinaryIO:
        """See `Source`."""
        return open(self.name, "rb")


@dataclass(frozen=True, eq=False)
class Given:
    """A picture in memory."""

    name: str
    picture: bytes | np.ndarray | Image.Image
    """The bytes of a file, pixels as uint8 (H, W, 3) in RGB, or a picture of Pillow."""

    @property
    def place(self) -> tuple[str, int]:
        """See `Source`."""
        return self.name, 0

    @property
    def version(self) -> None:
        """See `Source`."""

    def open(self) -> BinaryIO:
        """See `Source`; pixels become a file without loss, the same for the same pixels, as an array or of Pillow."""
        return io.BytesIO(self.picture if isinstance(self.picture, bytes) else _as_file(self.picture))


Readable = Source | str | os.PathLike[str] | bytes | np.ndarray | Image.Image
"""What can be read as a picture: its source or its file, or the picture itself as `Given` has it."""


def as_source(picture: Readable, name: str = "") -> Source:
    """Return the source of a picture; `name` is that of one in memory."""
    if isinstance(picture, str | os.PathLike):
        return File(os.fspath(picture))
    return Given(name, picture) if isinstance(picture, bytes | np.ndarray | Image.Image) else picture


def readables(given: Readable | Iterable[Readable]) -> list[Readable]:
    """Return pictures as a list, of one alone too.

    Raises:
        DataError: something is no picture.
    """
    many = isinstance(given, Iterable) and (
        not _is_readable(given) or (isinstance(given, np.ndarray) and given.ndim == 4)
    )
    some: list[Readable] = list(given) if many else [given]  # type: ignore[arg-type,list-item]
    for one in some:
        if not _is_readable(one):
            raise DataError(
                "A picture is a path, the bytes of a file, pixels as uint8 (H, W, 3) or one of Pillow's, "
                f"but not a {type(one).__name__}."
            )
    return some


def _is_readable(value: object) -> bool:
    return isinstance(value, str | os.PathLike | bytes | np.ndarray | Image.Image) or is_source(value)


def is_source(value: object) -> bool:
    """Return whether something is a source."""
    return hasattr(value, "open") and hasattr(value, "version")


def sources_of(frame: pd.DataFrame) -> list[Source]:
    """Return the sources of the pictures of a data set's frame, or of a part of it."""
    named: Iterable[Source] = frame["source"] if "source" in frame else map(File, frame["path"])
    return list(named)


def file_version(path: str) -> str:
    """Return a file's size and times of change as a text; one that was put in its place has another `ctime`."""
    try:
        status = os.stat(path)
    except OSError:
        return "missing"
    return f"{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}"


def _as_file(picture: np.ndarray | Image.Image) -> bytes:
    """Return pixels as a picture file without loss, so that they are prepared as any other picture."""
    image = _of_pixels(picture) if isinstance(picture, np.ndarray) else ImageOps.exif_transpose(picture)
    deep = extent_of(image) is not None
    file = io.BytesIO()
    (image if deep else to_rgb(image)).save(file, "TIFF" if deep else "BMP")
    return file.getvalue()


def _of_pixels(pixels: np.ndarray) -> Image.Image:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise PictureError(f"pixels must be uint8 (H, W, 3), but are {pixels.dtype} {pixels.shape}")
    return Image.fromarray(pixels)
