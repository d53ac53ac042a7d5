"""What is measured of one picture: identity, size, and small versions of it for comparisons.

`MEASURED` is a record of fixed size (1.3 KB), so the measurements of a data set are one array.
"""

from __future__ import annotations

import hashlib

import numpy as np
import scipy.fft
from PIL import Image

from automl_tl.data.decode import Decoded, decode_file, opened
from automl_tl.data.source import Readable
from automl_tl.data.value_range import Extent

MEASURES = 2
"""Version of the measurements; goes up whenever one of them changes."""

EIGHT, WHOLE, FLOATING = 0, 1, 2
GREY_SIDE = 32
COLOUR_SIDE = 8
MEASURED = np.dtype(
    [
        ("sha256", "S64"),  # of the file's bytes, hexadecimal
        ("width", "i4"),  # pixels, upright
        ("height", "i4"),
        ("phash", "u8"),  # perceptual hash, 64 bits
        ("pixels", "u8"),  # digest of a 64 x 64 RGB version: equal only if the pixels agree
        ("kind", "u1"),  # of its values: EIGHT, WHOLE or FLOATING
        ("low", "f4"),  # the smallest value of a picture of more than 8 bits, else 0
        ("high", "f4"),  # the largest, else 255
        ("grey", "u1", (GREY_SIDE, GREY_SIDE)),  # luminance of a 32 x 32 version
        ("colour", "u1", (COLOUR_SIDE, COLOUR_SIDE, 3)),  # RGB of an 8 x 8 version
    ]
)
_HASH_SIDE = 8
_DIGEST_SIDE = 64


def measure(source: Readable) -> np.ndarray:
    """Return the measurements of a picture, opened once: shape (), dtype `MEASURED`. Raises `PictureError`."""
    with opened(source) as file:
        decoded = decode_file(file, min_side=_DIGEST_SIDE)
        file.seek(0)  # piece by piece: a file may be larger than the memory
        digest = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]  # it has readinto
        return _record(decoded, digest.hexdigest())


def _record(decoded: Decoded, sha256: str) -> np.ndarray:
    image = decoded.upright(_reduced(decoded.image, _DIGEST_SIDE))
    small = decoded.upright(_reduced(decoded.image, GREY_SIDE))
    grey = np.asarray(small.convert("L"))
    record = np.zeros((), MEASURED)
    record["sha256"] = sha256
    record["width"], record["height"] = decoded.size
    record["kind"], record["low"], record["high"] = _values(decoded.extent)
    record["phash"] = perceptual_hash(grey)
    record["pixels"] = int.from_bytes(hashlib.blake2b(image.tobytes(), digest_size=8).digest(), "little")
    record["grey"] = grey
    record["colour"] = np.asarray(_reduced(small, COLOUR_SIDE))
    return record


def extents(records: np.ndarray) -> list[Extent | None]:
    """Return the values of n pictures, records of dtype `MEASURED`; None for those of 8 bits."""
    rows = zip(records["kind"], records["low"], records["high"], strict=True)
    return [None if kind == EIGHT else Extent(float(low), float(high), kind == WHOLE) for kind, low, high in rows]


def _values(extent: Extent | None) -> tuple[int, float, float]:
    if extent is None:
        return EIGHT, 0.0, 255.0
    return WHOLE if extent.whole else FLOATING, extent.low, extent.high


def perceptual_hash(grey: np.ndarray) -> int:
    """Return the DCT hash (pHash) of a 32 x 32 uint8 luminance: 63 bits, the lowest is 0.

    A bit says whether one of the 8 x 8 lowest frequencies, without the mean, lies above their median, so
    brightness, contrast, compression and scaling hardly change it (Zauner 2010, "Implementation and
    Benchmarking of Perceptual Image Hash Functions").
    """
    spectrum = scipy.fft.dctn(grey.astype(np.float32), norm="ortho")[:_HASH_SIDE, :_HASH_SIDE].ravel()[1:]
    bits = spectrum > np.median(spectrum)
    return int("".join("1" if bit else "0" for bit in bits) + "0", 2)


def _reduced(image: Image.Image, side: int) -> Image.Image:
    # The triangle filter: sharper ones make versions of different size differ more (measured).
    return image.resize((side, side), Image.Resampling.BILINEAR)
