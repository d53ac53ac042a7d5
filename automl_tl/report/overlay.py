"""A heat map over its picture, for people: what is hotter than the picture's average is coloured, the rest is grey."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from PIL import Image, ImageOps

COLOURS = "inferno"
"""Of matplotlib; dark to bright, so that it is read without colour vision as well."""
MOST_OPAQUE = 0.8
_GREY = 0.6
"""How much of a picture's own colours goes, so that those of the map stand out."""


def layer(heat: np.ndarray) -> Image.Image:
    """Return a heat map (h, w) as colours to lay over its picture, RGBA: clear up to the mean, then less and less."""
    above = heat - heat.mean()
    share = np.clip(above / max(float(above.max()), 1e-12), 0, 1)
    colours = colormaps[COLOURS](0.25 + 0.75 * share)
    colours[..., 3] = MOST_OPAQUE * share**0.7
    return Image.fromarray((colours * 255).round().astype(np.uint8), "RGBA")


def overlay(picture: Image.Image, heat: np.ndarray) -> Image.Image:
    """Return a picture, RGB, of the heat map's size (h, w), with the map over it."""
    pale = Image.blend(picture, ImageOps.grayscale(picture).convert("RGB"), _GREY)
    return Image.alpha_composite(pale.convert("RGBA"), layer(heat)).convert("RGB")
