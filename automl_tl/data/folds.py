"""Folds and samples of labelled pictures: stratified, groups kept whole, a pure function of the seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def make_folds(labels: np.ndarray, groups: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """Return the fold, 0 to `n_folds` - 1, of each of n pictures: int (n,).

    `labels` (n,) are the classes, `groups` (n,) numbers; pictures of one group share a fold. The groups,
    shuffled, are dealt largest first, each to the fold with the fewest pictures of the group's most
    frequent class, then with the fewest pictures. Where all groups are single pictures, the folds'
    counts of each class differ by at most one. Takes time in proportion to n * n_folds.
    """
    if n_folds < 1:
        raise ValueError(f"n_folds must be at least 1, but got {n_folds}")
    units = _units(labels, groups)
    of_class = [[0] * n_folds for _ in range(units.n_classes)]
    total = [0] * n_folds
    fold_of = np.zeros(len(units.sizes), np.int64)
    for unit in _dealing_order(units.sizes, seed):
        dominant = of_class[units.dominant[unit]]
        fold = min(range(n_folds), key=lambda k: (dominant[k], total[k]))
        for label, count in units.counts[unit]:
            of_class[label][fold] += count
        total[fold] += units.sizes[unit]
        fold_of[unit] = fold
    folds: np.ndarray = fold_of[units.of_picture]
    return folds


def stratified_sample(labels: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return the sorted indices of about `n` of m pictures, from their `labels` (m,): int.

    The classes keep their proportions, but at least two of every class are taken (one where there is
    no second), also where that makes more than `n`; all if `n` is not less than m. For the same seed, a
    smaller sample lies within a larger one as far as the rounding of the proportions allows.
    """
    names, codes = np.unique(np.asarray(labels), return_inverse=True)
    sizes = np.bincount(codes.reshape(-1), minlength=len(names))
    take = _shares(sizes, n)
    order = np.random.default_rng(seed).permutation(len(codes))
    rank = _rank_within(codes.reshape(-1)[order])
    return np.sort(order[rank < take[codes.reshape(-1)[order]]])


@dataclass(frozen=True)
class _Units:
    """The groups, numbered in order of appearance."""

    of_picture: np.ndarray
    counts: list[list[tuple[int, int]]]
    """Of each group: (class, pictures) pairs."""
    sizes: list[int]
    dominant: list[int]
    """The most frequent class of each group; of several the one that is rarest in all."""
    n_classes: int


def _units(labels: np.ndarray, groups: np.ndarray) -> _Units:
    names, codes = np.unique(np.asarray(labels), return_inverse=True)
    of_picture = in_order(groups)
    n_units, n_classes = int(of_picture.max(initial=-1)) + 1, len(names)
    cells, pictures = np.unique(of_picture * n_classes + codes.reshape(-1), return_counts=True)
    counts: list[list[tuple[int, int]]] = [[] for _ in range(n_units)]
    for cell, count in zip(cells.tolist(), pictures.tolist(), strict=True):
        counts[cell // n_classes].append((cell % n_classes, count))
    rarity = np.bincount(codes.reshape(-1), minlength=n_classes).tolist()
    dominant = [max(unit, key=lambda pair: (pair[1], -rarity[pair[0]], -pair[0]))[0] for unit in counts]
    return _Units(of_picture, counts, [sum(c for _, c in unit) for unit in counts], dominant, n_classes)


def _dealing_order(sizes: list[int], seed: int) -> list[int]:
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    largest_first = np.argsort(-np.asarray(sizes, np.int64)[shuffled], kind="stable")
    order: list[int] = shuffled[largest_first].tolist()
    return order


def in_order(groups: np.ndarray) -> np.ndarray:
    """Renumber groups from 0 in the order in which they appear: int (n,)."""
    _, first, inverse = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    renumbered: np.ndarray = rank[inverse.reshape(-1)]
    return renumbered


def _shares(sizes: np.ndarray, n: int) -> np.ndarray:
    """Return how many of each class: in proportion, at least two, never more than there are."""
    least, quota = np.minimum(2, sizes), n * sizes / max(1, sizes.sum())
    take: np.ndarray = np.clip(np.floor(quota).astype(np.int64), least, sizes)
    while take.sum() < min(n, sizes.sum()):
        take[np.argmax(np.where(take < sizes, quota - take, -np.inf))] += 1
    while take.sum() > n and (take > least).any():
        take[np.argmax(np.where(take > least, take - quota, -np.inf))] -= 1
    return take


def _rank_within(codes: np.ndarray) -> np.ndarray:
    """Return how many earlier entries have the same code: int (n,)."""
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], codes[order], side="left")
    rank = np.empty(len(codes), np.int64)
    rank[order] = np.arange(len(codes)) - starts
    return rank
