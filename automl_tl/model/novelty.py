"""How unlike the training pictures a picture is: its distance to the nearest of them in the embedding.

A classifier answers whatever it is shown, often with confidence. The distance to the nearest training picture tells
a picture of something else apart (Sun et al. 2022, "Out-of-Distribution Detection with Deep Nearest Neighbors", arXiv
2204.06507); here with one neighbour and a sample of the training pictures, so that a bundle stays small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from automl_tl.data.decode import Preprocessing
from automl_tl.data.remarks import FEW_LEVELS
from automl_tl.errors import BackboneError

QUANTILE = 0.99
LEAST_THRESHOLD = 1e-3
"""Below this a distance is rounding: pictures that are all alike do not make a slightly other one unusual."""
_ROWS = 4096
"""At once, to bound the memory of the distances."""


@dataclass(frozen=True, eq=False)
class Novelty:
    """Some training pictures' embeddings, and how far from the nearest a picture counts as unusual."""

    neighbours: np.ndarray
    """(m, d) float32, of length 1, m >= 1."""
    threshold: float
    """Cosine distance, 0 to 2."""
    least_contrast: float = 0.0
    """0 to 255 levels; a picture that uses fewer is blank or nearly so, which no training picture was."""

    def distance(self, embeddings: np.ndarray) -> np.ndarray:
        """Return the cosine distance to the nearest neighbour, float64 (n,), 0 to 2.

        `embeddings` (n, d) may be of any length; NaN where an embedding is not finite. Raises BackboneError where they
        have other columns than the neighbours.
        """
        if embeddings.shape[1] != self.neighbours.shape[1]:
            raise BackboneError(
                f"the model knows its training pictures by {self.neighbours.shape[1]:,} columns, but its network puts "
                f"out {embeddings.shape[1]:,}: make the bundle again"
            )
        found = np.empty(len(embeddings))
        for start in range(0, len(embeddings), _ROWS):
            found[start : start + _ROWS] = _likeness(embeddings[start : start + _ROWS], self.neighbours).max(axis=1)
        return _as_distance(found)

    def unusual(self, embeddings: np.ndarray) -> np.ndarray:
        """Return which embeddings (n, d) are farther than the threshold or not finite, bool (n,)."""
        return beyond(self.distance(embeddings), self.threshold)


def contrast(images: torch.Tensor, how: Preprocessing) -> np.ndarray:
    """Return how many levels of 255 lie between the darkest and the brightest pixel, float64 (n,).

    Where `how` pads, pixels of its fill are none of the picture's.

    Args:
        images: uint8 (n, S, S, 3), n may be 0.
        how: they were prepared.
    """
    grey = images.float().mean(dim=3).flatten(1)
    darkest = brightest = grey
    if how.fit == "pad":
        filled = (images == torch.tensor(how.fill, dtype=torch.uint8, device=images.device)).all(dim=3).flatten(1)
        darkest, brightest = grey.masked_fill(filled, 255.0), grey.masked_fill(filled, 0.0)
    levels: np.ndarray = (brightest.amax(1) - darkest.amin(1)).clamp(min=0).double().cpu().numpy()
    return levels


def like_training(contrasts: np.ndarray) -> float:
    """Return the least contrast that is taken as like training pictures of these contrasts (n,), n >= 1."""
    return min(FEW_LEVELS, float(contrasts.min()) / 2)


def beyond(distance: np.ndarray, threshold: float) -> np.ndarray:
    """Return which distances are above the threshold, bool (n,); NaN is."""
    far: np.ndarray = ~(distance <= threshold)
    return far


def measure_novelty(embeddings: np.ndarray, groups: np.ndarray) -> Novelty:
    """Keep some training pictures and find out how far apart they lie.

    The threshold is the 99th percentile of the distances of each picture to the nearest one of another group, as new
    pictures are of other groups (of its own where there is no other), times 1 + 2 / sqrt(n): among few pictures the
    largest of the distances says little of what is still to come (the factor is 2 for 4 pictures, 1.2 for 100).

    Args:
        embeddings: (n, d), 2 <= n, a few hundred at most, of any length, as `forward` returns them.
        groups: int (n,), the same number for pictures that belong together.

    Raises:
        ValueError: Fewer than two embeddings.
    """
    n = len(embeddings)
    if embeddings.ndim != 2 or n < 2:
        raise ValueError(f"embeddings (n, d) of two pictures or more are needed, but got {embeddings.shape}")
    neighbours = _of_length_1(embeddings).astype(np.float32)
    likeness = _likeness(embeddings, neighbours)
    together = groups[:, None] == groups[None, :]
    likeness[np.eye(n, dtype=bool) if together.all() else together] = -np.inf  # a picture is no neighbour of its own
    distances = _as_distance(likeness.max(axis=1))
    threshold = float(np.quantile(distances, QUANTILE)) * (1 + 2 / math.sqrt(n))
    return Novelty(neighbours, min(max(threshold, LEAST_THRESHOLD), 2.0))


def _likeness(embeddings: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Return the cosine of every embedding (n, d) with every neighbour (m, d), float64 (n, m)."""
    cosines: np.ndarray = _of_length_1(embeddings) @ neighbours.T.astype(np.float64)
    return cosines


def _as_distance(likeness: np.ndarray) -> np.ndarray:
    """Return cosine distances, 0 to 2 whatever is rounded."""
    distances: np.ndarray = np.clip(1 - likeness, 0.0, 2.0)
    return distances


def _of_length_1(embeddings: np.ndarray) -> np.ndarray:
    """Return rows of length 1, float64; a row of zeros stays one."""
    rows = embeddings.astype(np.float64)
    with np.errstate(invalid="ignore"):
        normed: np.ndarray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return normed
