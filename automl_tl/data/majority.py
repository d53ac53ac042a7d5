"""What always answering the largest class scores, with which an accuracy is compared where classes differ in size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NOTICEABLE = 1.5
"""Largest over smallest class from which classes are not called balanced."""


@dataclass(frozen=True)
class Majority:
    """The constant answer."""

    label: str
    accuracy: float
    """The class's share of the pictures."""


def majority(counts: Mapping[str, int]) -> Majority | None:
    """Return the constant answer to pictures of these classes; None where classes are balanced, or there is one.

    >>> majority({"no": 99, "yes": 1})
    Majority(label='no', accuracy=0.99)
    """
    sizes = {label: n for label, n in counts.items() if n}
    if len(sizes) < 2 or max(sizes.values()) < NOTICEABLE * min(sizes.values()):
        return None
    label = max(sizes, key=sizes.__getitem__)
    return Majority(label, sizes[label] / sum(sizes.values()))
