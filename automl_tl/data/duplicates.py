"""Pictures that are copies of one another, byte for byte or nearly so.

Candidates have perceptual hashes at most 10 bits apart. They are confirmed on their 32 x 32
versions: the brighter one must follow from the other by a change of brightness and contrast,
clipping included, and what that leaves unexplained must be small, on average and at its worst, and the
colours must follow too. Hashes alone would call strokes on paper and faces before one wall duplicates.

Measured on clothing, trashnet and hand signs (200 pictures each): see `tests/data/test_duplicates_real.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from automl_tl.data.folds import in_order
from automl_tl.data.measure import GREY_SIDE

COMPARISON = 1
"""Version of the comparison; goes up whenever other pairs are found in the same pictures."""
MAX_BITS = 10
"""Hashes of a pair that is looked at differ in at most so many of their 63 bits."""
MAX_UNEXPLAINED = 0.10
"""Root mean square of the unexplained luminance, in standard deviations of the picture."""
MAX_DIFFERENCE = 40.0
"""Largest unexplained luminance in one of the 32 x 32 cells, of 255: a small object on a large board."""
MAX_COLOUR, MAX_COLOUR_SHARE = 5.0, 0.12
"""Mean unexplained red-green and blue-green, of 255, over the 8 x 8 cells, and as a share of their own mean;
the larger counts."""
MAX_ASPECT = 1.1
"""Ratio of the two aspect ratios."""
FLAT = 2.0
"""Below this standard deviation of luminance a picture is blank; only equal pixels make blanks copies."""
MAX_PICTURES = 200_000
"""Beyond it only byte-identical pictures are looked for: the comparison grows with the square."""

# Of 16 x 16 versions, to sort pairs out cheaply: copies stay above .997, clipped ones above .93.
_COARSE, _COARSE_CLIPPED = 0.98, 0.92
_CLIPPED = 240
_FEW_CELLS = 256
_HASHES_AT_ONCE = 4_000_000
_PAIRS_AT_ONCE = 2_048
_PICTURES_AT_ONCE = 4_096
_MAX_CONFIRMATIONS = 500_000  # about ten seconds
_MANY_PAIRS = 64
_CROWD = 5
_CROWD_OF_ALL, _CROWD_OF_CLASS = 0.10, 0.25


Compare = Callable[[np.ndarray], tuple[np.ndarray, bool]]
"""Gives what `near_pairs` does."""


def clusters(measured: np.ndarray, labels: np.ndarray, compare: Compare | None = None) -> tuple[np.ndarray, bool]:
    """Group n pictures (records of dtype `MEASURED`, labels of str) into duplicates; `compare` remembers, say.

    Returns a number for each picture, int (n,), the same within a group and counted from 0 in order of
    appearance; and whether near-duplicates were given up somewhere: where they chain into a crowd
    (more than five different pictures that are a tenth of all, or a quarter of one class) it is one
    scene before a fixed camera, and keeping it together would leave nothing to split; or where too many
    pictures look alike to compare them all.
    """
    _, first, identical = np.unique(measured["pixels"], return_index=True, return_inverse=True)
    pairs, complete = np.empty((0, 2), np.int64), True
    if len(first) <= MAX_PICTURES:  # of more not even a copy of the records is made
        pairs, complete = (compare or near_pairs)(measured[first])
    near = connected(len(first), pairs)
    crowded = np.isin(near, _crowds(near, labels[first]))
    near = np.where(crowded, near.max(initial=0) + 1 + np.arange(len(near)), near)
    return in_order(near[identical.reshape(-1)]), bool(crowded.any()) or not complete


def near_pairs(measured: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return confirmed pairs of near-duplicates among n pictures, int (m, 2): enough to tie every group.

    Also returns whether all candidates were compared.
    """
    found = [np.empty((0, 2), np.int64)]
    roots, compared = np.arange(len(measured)), 0
    for pairs in _candidates(measured):
        pairs = pairs[roots[pairs[:, 0]] != roots[pairs[:, 1]]]  # the others are in one group already
        compared += len(pairs)
        if compared > _MAX_CONFIRMATIONS:
            return np.concatenate(found), False
        found.append(pairs[_is_copy(measured[pairs[:, 0]], measured[pairs[:, 1]])])
        if len(found[-1]) > _MANY_PAIRS:
            roots = connected(len(measured), np.concatenate(found))
    return np.concatenate(found), True


def connected(n: int, pairs: np.ndarray) -> np.ndarray:
    """Return the number of the connected component of each of n nodes, int (n,), from edges, int (m, 2)."""
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    components: np.ndarray = connected_components(graph, directed=False)[1]
    return components


def _crowds(near: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the groups of different pictures that are too large to be copies: int (m,)."""
    sizes = np.bincount(near)
    per_class = dict(zip(*np.unique(labels, return_counts=True), strict=True))
    crowds = [
        group
        for group in np.flatnonzero(sizes > _CROWD)
        if sizes[group] > _CROWD_OF_ALL * len(near) or _fills_a_class(labels[near == group], per_class)
    ]
    return np.array(crowds, np.int64)


def _fills_a_class(labels: np.ndarray, per_class: dict[str, int]) -> bool:
    names, counts = np.unique(labels, return_counts=True)
    return any(count > _CROWD_OF_CLASS * per_class[name] for name, count in zip(names, counts, strict=True))


def _has_clipped(measured: np.ndarray) -> np.ndarray:
    """Return whether more than 1 % of a picture's cells are nearly white: bool (n,)."""
    return np.array([(record >= _CLIPPED).mean() > 0.01 for record in measured["grey"]], bool)


def _is_flat(measured: np.ndarray) -> np.ndarray:
    return np.array([record.std() < FLAT for record in measured["grey"]], bool)


def _candidates(measured: np.ndarray) -> Iterator[np.ndarray]:
    """Yield pairs whose hashes are similar and whose coarse versions correlate, in batches: int (m, 2)."""
    textured = np.flatnonzero(~_is_flat(measured))
    hashes = measured["phash"][textured]
    coarse = _standardised(measured["grey"], textured)
    clipped = _has_clipped(measured)[textured]
    rows = max(1, _HASHES_AT_ONCE // max(1, len(hashes)))
    for start in range(0, len(hashes), rows):
        bits = np.bitwise_count(hashes[start : start + rows, None] ^ hashes[None, start:])
        left, right = np.nonzero(np.triu(bits <= MAX_BITS, k=1))
        for batch in range(0, len(left), _PAIRS_AT_ONCE):
            i = left[batch : batch + _PAIRS_AT_ONCE] + start
            j = right[batch : batch + _PAIRS_AT_ONCE] + start
            least = np.where(clipped[i] | clipped[j], _COARSE_CLIPPED, _COARSE)
            alike = np.einsum("ij,ij->i", coarse[i], coarse[j]) > least
            yield np.stack([textured[i[alike]], textured[j[alike]]], axis=1)


def _standardised(grey: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return 16 x 16 versions of mean 0 and length 1 of pictures, int (n,): float32 (n, 256), made piece by piece."""
    side = grey.shape[1] // 2
    found = np.empty((len(rows), side * side), np.float32)
    for start in range(0, len(rows), _PICTURES_AT_ONCE):
        some = grey[rows[start : start + _PICTURES_AT_ONCE]]
        coarse = some.reshape(len(some), side, 2, side, 2).mean((2, 4), dtype=np.float32).reshape(len(some), -1)
        coarse -= coarse.mean(1, keepdims=True)
        coarse /= np.maximum(np.linalg.norm(coarse, axis=1, keepdims=True), 1e-6)
        found[start : start + len(some)] = coarse
    return found


def _is_copy(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return for m pairs of records whether one picture is a copy of the other: bool (m,)."""
    swap = a["grey"].mean((1, 2)) > b["grey"].mean((1, 2))
    dark, bright = np.where(swap, b, a), np.where(swap, a, b)
    x, y = (side["grey"].reshape(len(a), GREY_SIDE**2).astype(np.float32) for side in (dark, bright))
    gain, offset = _brightness(x, y)
    unexplained = y - np.clip(gain * x + offset, 0, 255)
    spread = np.maximum(y.std(1), 1)
    copies: np.ndarray = (
        (np.sqrt((unexplained**2).mean(1)) <= MAX_UNEXPLAINED * spread)
        & (np.abs(unexplained).max(1) <= MAX_DIFFERENCE)
        & _colours_follow(dark["colour"], bright["colour"], gain)
        & (np.abs(np.log(_aspect(dark) / _aspect(bright))) <= np.log(MAX_ASPECT))
    )
    return copies


def _brightness(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit y = gain * x + offset over the cells that are not clipped: two float32 (m, 1) from (m, 1024)."""
    weight = (y < _CLIPPED).astype(np.float32)
    weight[weight.sum(1) < _FEW_CELLS] = 1
    weight /= weight.sum(1, keepdims=True)
    mean_x, mean_y = (weight * x).sum(1, keepdims=True), (weight * y).sum(1, keepdims=True)
    covariance = (weight * (x - mean_x) * (y - mean_y)).sum(1, keepdims=True)
    variance = (weight * (x - mean_x) ** 2).sum(1, keepdims=True)
    gain = np.clip(covariance / np.maximum(variance, 1e-3), 0.5, 2)
    return gain, mean_y - gain * mean_x


def _colours_follow(dark: np.ndarray, bright: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Return whether the gain explains red-green and blue-green, uint8 (m, 8, 8, 3) each: bool (m,)."""
    target = _opponent(bright)
    unexplained = np.abs(target - gain[:, :, None, None] * _opponent(dark))
    clipped = bright.max(-1, keepdims=True) >= _CLIPPED
    difference = np.where(clipped, 0, unexplained).mean((1, 2, 3))
    follows: np.ndarray = difference <= np.maximum(MAX_COLOUR, MAX_COLOUR_SHARE * np.abs(target).mean((1, 2, 3)))
    return follows


def _opponent(colour: np.ndarray) -> np.ndarray:
    rgb = colour.astype(np.float32)
    return rgb[..., [0, 2]] - rgb[..., [1]]


def _aspect(measured: np.ndarray) -> np.ndarray:
    ratio: np.ndarray = measured["width"] / measured["height"]
    return ratio
