"""Names beside points, as many as there is room for: none covers another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

CHARACTER, LINE = 0.066, 0.15
"""Inches: the width of a character at 8 points, and the height of a line."""
_GAP = 0.05


@dataclass(frozen=True)
class Box:
    """A rectangle, inches from the lower left corner of the chart."""

    left: float
    bottom: float
    right: float
    top: float

    def covers(self, other: Box) -> bool:
        """Return whether the two overlap."""
        apart = self.right <= other.left or other.right <= self.left
        return not (apart or self.top <= other.bottom or other.top <= self.bottom)


def around(point: tuple[float, float], x: float, y: float | None = None) -> Box:
    """Return the room of so much to the left and right of a point, and above and below (default: as much)."""
    above = x if y is None else y
    return Box(point[0] - x, point[1] - above, point[0] + x, point[1] + above)


@dataclass(frozen=True)
class Place:
    """Where a name stands beside its point."""

    index: int
    """Of the point."""
    side: Literal["left", "right"]
    above: bool


def text_box(x: float, y: float, text: str, side: str, *, above: bool, scale: float = 1.0) -> Box:
    """Return the room of a text that begins (side "right") or ends at (x, y), inches; `scale` is of 8 points."""
    width, height = scale * CHARACTER * len(text), scale * LINE
    left = x + _GAP if side == "right" else x - _GAP - width
    return Box(left, y if above else y - height, left + width, y + height if above else y)


def places(
    points: Sequence[tuple[float, float, str]], taken: Sequence[Box], size: tuple[float, float], most: int
) -> list[Place]:
    """Return where names stand, the first ones first, `most` at most; a name that fits nowhere is left out.

    Args:
        points: (x, y, name), x and y inches from the lower left corner, the most important one first.
        taken: what no name may cover.
        size: width and height of the chart, inches.
        most: names.
    """
    used, found = list(taken), []
    for index, (x, y, name) in enumerate(points):
        for side, above in (("right", True), ("right", False), ("left", True), ("left", False)):
            box = text_box(x, y, name, side, above=above)
            inside = box.left >= 0 and box.bottom >= 0 and box.right <= size[0] and box.top <= size[1]
            if inside and not any(box.covers(one) for one in used):
                used.append(box)
                found.append(Place(index, "right" if side == "right" else "left", above))
                break
        if len(found) == most:
            break
    return found
