"""Which values are black and white in pictures of more than 8 bits: one range for all pictures of a data set.

A 16-bit file does not say how many of its bits were filled: 12-bit pictures in it, divided by 65,535, are nearly black.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DEPTHS = (8, 10, 12, 14, 16)
"""Bits of cameras and scanners."""
_SHARE = 0.99  # of the pictures lie within the range: one that is broken must not make the others black


@dataclass(frozen=True)
class Extent:
    """The values that occur in one picture of more than 8 bits."""

    low: float
    high: float
    whole: bool
    """Whether they are whole numbers and not floating point."""


@dataclass(frozen=True)
class ValueRange:
    """The values that become black and white."""

    low: float = 0.0
    high: float = 255.0

    @property
    def span(self) -> float:
        """The difference between white and black."""
        return self.high - self.low

    @property
    def bits(self) -> int | None:
        """The depth of which this is the whole range, or None."""
        return next((depth for depth in DEPTHS if self == ValueRange(0.0, 2.0**depth - 1)), None)

    def describe(self) -> str:
        """Return the range in words.

        >>> ValueRange(0, 4095).describe(), ValueRange(-1.5, 2).describe()
        ('12 bits (0 to 4,095)', 'values from -1.5 to 2')
        """
        ends = f"{self.low:,.6g} to {self.high:,.6g}"
        return f"{self.bits} bits ({ends})" if self.bits else f"values from {ends}"

    def fault(self, extent: Extent | None) -> str:
        """Return how a picture lies outside the range, or nothing; those of 8 bits (None) never do."""
        if extent is None or (self != EIGHT_BITS and self.low <= extent.low and extent.high <= self.high):
            return ""
        return f"it has values from {extent.low:,.6g} to {extent.high:,.6g}, the training pictures {self.describe()}"

    def scale(self, values: np.ndarray, extent: Extent) -> np.ndarray:
        """Return values as uint8 of the same shape; what is no number is black, what is beyond white is white.

        Where the data set has 8 bits, the range is that of the picture alone.
        """
        own = common_range([extent]) if self == EIGHT_BITS else self
        scaled = (values - own.low) * (255.0 / own.span)
        return np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0).clip(0, 255).round().astype(np.uint8)


EIGHT_BITS = ValueRange()


def common_range(extents: Sequence[Extent]) -> ValueRange:
    """Return the range of pictures of more than 8 bits: of whole numbers the depth that holds them, else their own.

    `EIGHT_BITS` where there is no such picture.
    """
    if not extents:
        return EIGHT_BITS
    low = float(np.quantile([one.low for one in extents], 1 - _SHARE, method="lower"))
    high = float(np.quantile([one.high for one in extents], _SHARE, method="higher"))
    if low >= 0 and high < 2 ** DEPTHS[-1] and all(one.whole for one in extents):
        return ValueRange(0.0, next(2.0**depth - 1 for depth in DEPTHS if high < 2**depth))
    return ValueRange(low, high if high > low else low + 1)
