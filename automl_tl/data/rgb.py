"""Any Pillow mode to 8-bit RGB: what grey, 16-bit, palette, CMYK and transparent pictures become."""

from __future__ import annotations

import numpy as np
from PIL import Image

from automl_tl.data.value_range import EIGHT_BITS, Extent, ValueRange

WHITE = (255, 255, 255)
_DEEP_MODES = ("I", "F")


def to_rgb(image: Image.Image, value_range: ValueRange = EIGHT_BITS) -> Image.Image:
    """Return `image` (loaded, any mode) as 8-bit RGB of the same size.

    - Transparent pixels, of an alpha channel or of a transparent colour, are laid over white.
    - More than 8 bits of grey: `value_range` says what is black and white.
    - CMYK, YCbCr, HSV and LAB are converted as Pillow does; colour profiles are not applied.
    """
    if (extent := extent_of(image)) is not None:
        return _eight_bits(image, extent, value_range).convert("RGB")
    if _is_transparent(image):
        return _over_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _is_transparent(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode == "La":  # Pillow knows no direct way from premultiplied grey to RGBA
        image = image.convert("LA")
    try:
        rgba = image.convert("RGBA")
    except (ValueError, TypeError):  # a transparent colour that does not fit the mode says nothing
        return image.convert("RGB")
    canvas = Image.new("RGB", image.size, WHITE)
    canvas.paste(rgba, mask=rgba.getchannel("A"))
    return canvas


def extent_of(image: Image.Image) -> Extent | None:
    """Return the values that occur in a picture of more than 8 bits (modes I;16*, I and F), None for one of 8."""
    if not image.mode.startswith(_DEEP_MODES):
        return None
    values = np.asarray(image)
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    return Extent(low, high, values.dtype.kind != "f")


def _eight_bits(image: Image.Image, extent: Extent, value_range: ValueRange) -> Image.Image:
    """Scale grey of more than 8 bits to 8 bits, mode L."""
    values = np.asarray(image, dtype=np.float32)
    grey = value_range.scale(values, extent)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey)
