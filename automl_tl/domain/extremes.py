"""Which pictures lie nearest to a backbone's pretraining domain, and which farthest from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from automl_tl.domain.reference import DomainReference

MOST = 6


@dataclass(frozen=True)
class Extremes:
    """Paths of pictures at both ends, the most extreme ones first."""

    nearest: tuple[str, ...]
    farthest: tuple[str, ...]


def extremes(reference: DomainReference, embeddings: np.ndarray, paths: Sequence[str]) -> Extremes:
    """Return the pictures that are most and least like the source pictures, MOST of each; none is both.

    Args:
        reference: of the pretraining domain.
        embeddings: float (n, d), the last stage's means.
        paths: of the n pictures.
    """
    order = np.argsort(-reference.likeness(embeddings), kind="stable")
    most = min(MOST, len(order) // 2)
    return Extremes(
        tuple(paths[row] for row in order[:most]), tuple(paths[row] for row in order[len(order) - most :][::-1])
    )
