"""Pictures of noise, each unlike the others."""

from __future__ import annotations

import numpy as np
from PIL import Image


def noise(seed: int, size: tuple[int, int] = (40, 40)) -> Image.Image:
    """Return an RGB picture of coarse noise, unlike that of any other seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
