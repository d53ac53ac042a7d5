"""How pictures are made square: squash, pad or crop, from their aspect ratios."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ALMOST_SQUARE = 1.1
"""Up to this ratio a centre crop cuts off nothing that matters."""
MILD = 1.55
"""Up to this ratio (photographs: 4:3 and 3:2) squashing hardly hurts, and nothing is cut off."""


@dataclass(frozen=True)
class Fit:
    """A way to make pictures square."""

    mode: str
    """ "squash", "pad" or "crop"."""
    reason: str
    """One sentence with the aspect ratios that decided."""


def elongation(widths: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Return the longer side over the shorter one: float (n,), at least 1."""
    ratios: np.ndarray = np.maximum(widths, heights) / np.minimum(widths, heights)
    return ratios


def choose_fit(widths: np.ndarray, heights: np.ndarray) -> Fit:
    """Return how n pictures of these sizes (pixels, (n,)) become square.

    "crop" if nine in ten are almost square; else "squash" if three in four are at most about 3:2,
    which keeps the whole picture; else "pad", which keeps the shape of elongated objects.
    """
    most, nearly_all = np.quantile(elongation(widths, heights), [0.75, 0.9])
    if nearly_all <= ALMOST_SQUARE:
        return Fit("crop", f"nine in ten pictures are almost square (ratio of the sides at most {nearly_all:.2f})")
    if most <= MILD:
        return Fit(
            "squash",
            f"three in four pictures have sides of a ratio of at most {most:.2f}, so squashing is mild",
        )
    return Fit(
        "pad",
        f"a quarter of the pictures have sides of a ratio of at least {most:.2f}: squashing would distort them",
    )
