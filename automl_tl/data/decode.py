"""Bytes to RGB pictures, safely; and to the square arrays that networks take.

Every fault of a file or of the decoder is a `PictureError` with a short reason ("truncated or
damaged"), and nothing is ever replaced. All functions may run in several threads at once: reading,
decoding and resizing happen outside Python's lock.
"""

from __future__ import annotations

import errno
import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
import PIL
from PIL import ExifTags, Image, UnidentifiedImageError

from automl_tl.data.rgb import extent_of, to_rgb
from automl_tl.data.source import Readable, as_source
from automl_tl.data.value_range import EIGHT_BITS, Extent, ValueRange
from automl_tl.errors import OptionError, PictureError, StoreError

MAX_PIXELS = 100_000_000
"""Pictures of more pixels than this are not decoded; read from the header, before any decoding."""

DECODER = f"pillow-{PIL.__version__}/2"
"""Identity of the decoder, part of every cache key; the number behind the slash is this module's own."""

# Raster formats only: EPS and WMF run foreign programs; FLI, MPEG and scientific containers are no pictures.
FORMATS = (
    "JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "JPEG2000", "PPM", "TGA", "ICO", "ICNS",
    "PCX", "SGI", "DDS", "QOI", "PSD", "SUN", "MSP", "IM", "XBM", "XPM", "FITS",
)  # fmt: skip
FITS = ("squash", "pad", "crop")
MAX_CROP_ASPECT = 8
"""Beyond it "crop" cuts the far ends off before resizing: 1 x 10,000 pixels must not explode."""
_FILTERS = {name.lower(): Image.Resampling[name] for name in Image.Resampling.__members__}
_MANY_PIXELS = 25_000_000  # decoded one at a time, whatever the number of threads, to bound memory
_one_large_picture = threading.Lock()
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TURNED = (5, 6, 7, 8)  # orientations that swap width and height
_OF_THE_MACHINE = (errno.EMFILE, errno.ENFILE)  # too many open files: the picture may be sound
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"})
_HEIF_CONTAINERS = frozenset({b"mif1", b"msf1"})


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes a square.

    `fit`: "squash" resizes both sides to `size`, whatever the aspect ratio; "pad" keeps the whole
    picture and its aspect ratio and fills the rest with `fill`; "crop" resizes the shorter side to
    `size / crop_pct` and cuts out the centre, as timm does. `crop_pct` matters for "crop" only.
    """

    size: int
    """S, pixels."""
    fit: str = "squash"
    interpolation: str = "bilinear"
    """A filter of Pillow: nearest, box, bilinear, hamming, bicubic or lanczos; all but nearest antialias."""
    crop_pct: float = 1.0
    fill: tuple[int, int, int] = (124, 116, 104)
    """RGB of the padding; the default is ImageNet's mean colour."""
    value_range: ValueRange = EIGHT_BITS
    """What is black and white in pictures of more than 8 bits; those of 8 bits are as they are."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise OptionError(f"size must be at least 1 pixel, but got {self.size}")
        if self.fit not in FITS:
            raise OptionError(f"fit must be one of {', '.join(FITS)}, but got {self.fit!r}")
        if self.interpolation not in _FILTERS:
            raise OptionError(
                f"interpolation must be one of {', '.join(sorted(_FILTERS))}, but got {self.interpolation!r}"
            )
        if not 0 < self.crop_pct <= 1:
            raise OptionError(f"0 < crop_pct <= 1 must hold, but got {self.crop_pct}")

    @property
    def alike(self) -> Preprocessing:
        """The same for all that give the same pixels: "pad" alone fills, "crop" alone cuts out."""
        fill = self.fill if self.fit == "pad" else Preprocessing.fill
        return replace(self, fill=fill, crop_pct=self.crop_pct if self.fit == "crop" else Preprocessing.crop_pct)


@dataclass(frozen=True)
class Decoded:
    """A picture as it is stored: its pixels, and how it must be turned to be upright."""

    image: Image.Image
    """8-bit RGB, not yet turned, possibly reduced."""
    orientation: int
    """EXIF orientation still to be applied, 1 to 8."""
    size: tuple[int, int]
    """Width and height of the upright picture in the file, pixels, before any reduction."""
    extent: Extent | None = None
    """The values of a picture of more than 8 bits."""

    def upright(self, image: Image.Image) -> Image.Image:
        """Return `image`, some version of `self.image`, turned upright."""
        turn = _UPRIGHT.get(self.orientation)
        if turn is None:
            return image
        turned = image.transpose(turn)
        turned.info.clear()  # the orientation in it is no longer true
        return turned


def read_rgb(source: Readable, *, min_side: int | None = None, value_range: ValueRange = EIGHT_BITS) -> Image.Image:
    """Return the picture as 8-bit RGB, upright, of several frames the first.

    Of more than 8 bits, `value_range` says which values become black and white; by default each picture's own.

    With `min_side` (pixels) a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, which is several
    times faster, but its shorter side stays at least twice `min_side`. Raises `PictureError` with a
    short reason that does not name the file.
    """
    decoded = decode(source, min_side=min_side, value_range=value_range)
    return decoded.upright(decoded.image)


def preprocess(source: Readable, how: Preprocessing) -> np.ndarray:
    """Return the picture as `how` says: uint8 (S, S, 3), RGB. Raises `PictureError` as `read_rgb` does."""
    return prepare(source, how)[0]


def prepare(source: Readable, how: Preprocessing) -> tuple[np.ndarray, str]:
    """Return what `preprocess` does, and how the picture lies outside the range of values, or nothing."""
    need = math.floor(how.size / how.crop_pct) if how.fit == "crop" else how.size
    decoded = decode(source, min_side=need, value_range=how.value_range)
    with _as_picture_errors():
        # Resized before it is turned: turning the small picture is nearly free.
        small = {"squash": _squash, "pad": _pad, "crop": _crop}[how.fit](decoded.image, how)
        return np.array(_square(decoded.upright(small), how)), how.value_range.fault(decoded.extent)


def decode(source: Readable, *, min_side: int | None = None, value_range: ValueRange = EIGHT_BITS) -> Decoded:
    """Return the stored pixels of a picture with what is needed to turn them; see `read_rgb`."""
    with opened(source) as file:
        return decode_file(file, min_side=min_side, value_range=value_range)


@contextmanager
def opened(picture: Readable) -> Iterator[BinaryIO]:
    """Open a picture's file; whatever it or a decoder throws meanwhile becomes a `PictureError`."""
    source = as_source(picture)
    with _as_picture_errors(source.name), source.open() as file:
        yield file


def decode_file(file: BinaryIO, *, min_side: int | None = None, value_range: ValueRange = EIGHT_BITS) -> Decoded:
    """Return what `decode` does of a picture that is `opened`."""
    _silence_pillow()
    with _identified(file) as image:
        _check_size(*image.size)
        header = image.size
        if min_side is not None and image.format in ("JPEG", "MPO"):
            image.draft(None, _draft_size(header, 2 * min_side))
        large = image.width * image.height > _MANY_PIXELS
        with _one_large_picture if large else nullcontext():
            image.load()
            orientation = _orientation(image)
            extent, rgb = extent_of(image), to_rgb(image, value_range)
    return Decoded(rgb, orientation, header[::-1] if orientation in _TURNED else header, extent)


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise PictureError(f"has no pixels ({width} x {height})")
    if width * height > MAX_PIXELS:
        raise PictureError(f"too large: {width} x {height} is more than {MAX_PIXELS:,} pixels")


def _draft_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return the size, of the same aspect ratio as `size`, whose shorter side is `side` pixels."""
    shorter = min(size)
    return math.ceil(size[0] * side / shorter), math.ceil(size[1] * side / shorter)


def _orientation(image: Image.Image) -> int:
    try:
        value = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF data says nothing about the pixels
        return 1
    return value if value in _UPRIGHT else 1


def _identified(file: BinaryIO) -> Image.Image:
    """Return the picture with its header read and no pixel decoded."""
    start = file.read(64)
    file.seek(0)
    if not start:
        raise PictureError("empty (0 bytes)")
    return _open_heic(file) if _is_heic(start) else Image.open(file, formats=FORMATS)


def _is_heic(start: bytes) -> bool:
    if start[4:8] != b"ftyp":
        return False
    length = int.from_bytes(start[:4], "big")
    compatible = {start[i : i + 4] for i in range(16, min(length, len(start)), 4)}
    if start[8:12] in _HEIF_CONTAINERS:  # AVIF lies in the same container
        return not compatible & {b"avif", b"avis"}
    return start[8:12] in _HEIC_BRANDS


def _open_heic(file: BinaryIO) -> Image.Image:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise PictureError("HEIC needs an extra: pip install 'automl-tl[heic]'") from None
    heif: type[Image.Image] = HeifImageFile
    return heif(file)  # type: ignore[call-arg]


@contextmanager
def _as_picture_errors(name: str = "") -> Iterator[None]:
    """Turn whatever a file or a decoder throws into a `PictureError`, but for what no picture is to blame for."""
    try:
        yield
    except Exception as error:
        if isinstance(error, StoreError) or (isinstance(error, OSError) and error.errno in _OF_THE_MACHINE):
            raise
        picture_error = error if isinstance(error, PictureError) else PictureError(_reason(error))
        if name:
            picture_error.add_note(f"while reading {name}")
        raise picture_error from (None if picture_error is error else error)


def _reason(error: Exception) -> str:
    """Return a few words for people; Pillow's plugins raise nearly everything on damaged files."""
    if isinstance(error, UnidentifiedImageError):
        return "not a picture"
    if isinstance(error, Image.DecompressionBombError):
        return f"too large: more than {MAX_PIXELS:,} pixels"
    if isinstance(error, MemoryError):
        return "too large for this machine's memory"
    if isinstance(error, OSError) and error.errno is not None:
        return f"cannot be read: {error.strerror or error}"
    return f"truncated or damaged ({error or type(error).__name__})"


def _silence_pillow() -> None:
    """Keep Pillow's warnings (large pictures, EXIF, palettes) off the user's screen.

    They are process-wide filters, so `warnings.catch_warnings` would not be safe in threads.
    """
    if not any(f[0] == "ignore" and getattr(f[3], "pattern", "") == r"PIL\." for f in warnings.filters):
        warnings.filterwarnings("ignore", module=r"PIL\.")


def _squash(image: Image.Image, how: Preprocessing) -> Image.Image:
    return _resized(image, (how.size, how.size), how)


def _pad(image: Image.Image, how: Preprocessing) -> Image.Image:
    scale = how.size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    return _resized(image, (width, height), how)


def _crop(image: Image.Image, how: Preprocessing) -> Image.Image:
    image = _without_far_ends(image)
    shorter, side = min(image.size), math.floor(how.size / how.crop_pct)
    width, height = (int(side * s / shorter) for s in image.size)
    return _resized(image, (width, height), how)


def _resized(image: Image.Image, size: tuple[int, int], how: Preprocessing) -> Image.Image:
    """Return a picture resized across, then down, as `model.resampling` does it, with whole numbers in between.

    Pillow 13 takes some tall pictures down first, those before it none; then one pixel in twenty differs by 1.

    Raises:
        PictureError: it is so much taller than wide that what lies in between would have more than MAX_PIXELS.
    """
    if size[0] * image.height > MAX_PIXELS:
        raise PictureError(f"too long: {image.width} x {image.height}")
    chosen = _FILTERS[how.interpolation]
    return image.resize((size[0], image.height), chosen).resize(size, chosen)


def _without_far_ends(image: Image.Image) -> Image.Image:
    limit = MAX_CROP_ASPECT * min(image.size)
    width, height = (min(side, limit) for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image if (width, height) == image.size else image.crop((left, top, left + width, top + height))


def _square(image: Image.Image, how: Preprocessing) -> Image.Image:
    """Cut out the centre, or lay on the middle of a filled square."""
    left, top = (round((side - how.size) / 2) for side in image.size)
    if how.fit != "pad" or image.size == (how.size, how.size):
        return image.crop((left, top, left + how.size, top + how.size))
    canvas = Image.new("RGB", (how.size, how.size), how.fill)
    canvas.paste(image, (-left, -top))
    return canvas
