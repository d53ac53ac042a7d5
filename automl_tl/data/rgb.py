"""Any Pillow mode to 8-bit RGB: what grey, 16-bit, palette, CMYK and transparent pictures become."""

from __future__ import annotations

import numpy as np
from PIL import Image

WHITE = (255, 255, 255)
_FULL_SCALE_FORMATS = frozenset({"PNG", "PPM", "JPEG2000"})  # their decoders stretch every depth to 16 bits
_TWELVE_BITS = 4095
_DEEP_MODES = ("I", "F")


def to_rgb(image: Image.Image) -> Image.Image:
    """Return `image` (loaded, any mode) as 8-bit RGB of the same size.

    - Transparent pixels, of an alpha channel or of a transparent colour, are laid over white.
    - More than 8 bits of grey: see `_eight_bits`.
    - CMYK, YCbCr, HSV and LAB are converted as Pillow does; colour profiles are not applied.
    """
    if image.mode.startswith(_DEEP_MODES):
        return _eight_bits(image).convert("RGB")
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


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale grey of more than 8 bits (modes I;16*, I and F) to 8 bits, mode L.

    Values of a known scale are divided by 257 (65535 becomes 255), so pictures of one set stay
    comparable: 16-bit PNG, PGM and JPEG 2000, and 16-bit TIFF unless no value exceeds 4095, which is
    how 12-bit cameras and scanners store theirs (4095 becomes 255). All others (32-bit integers,
    floating point) have no scale of their own: the picture's smallest value becomes 0 and its largest 255.
    """
    values = np.asarray(image, dtype=np.float32)
    low, high = _scale(image, values)
    scaled = (values - low) * (255.0 / (high - low)) if high > low else np.zeros_like(values)
    grey = np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0).clip(0, 255).round().astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey)


def _scale(image: Image.Image, values: np.ndarray) -> tuple[float, float]:
    """Return the values that become 0 and 255."""
    if image.format in _FULL_SCALE_FORMATS and image.mode != "F":
        return 0.0, 65535.0
    if image.mode.startswith("I;16"):
        return 0.0, 65535.0 if values.max() > _TWELVE_BITS else float(_TWELVE_BITS)
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
