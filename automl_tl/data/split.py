"""Which pictures are held aside, kept together, and left out: the same for every command.

Duplicates (`cluster`) and groups never lie on two sides. Everything is a pure function of the data's
fingerprint and the seed, so the order of the rows and the place of the files do not matter. Of many pictures the
split does not change when others are added (see `hashed_split`).
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from automl_tl.data.dataset import ImageDataset, for_training
from automl_tl.data.duplicates import connected
from automl_tl.data.folds import in_order, make_folds, stratified_sample
from automl_tl.data.hashed_split import LARGE, hashed_test
from automl_tl.data.names import printable
from automl_tl.errors import DataError
from automl_tl.wording import plural

__all__ = ["assign_splits", "group_ids", "make_folds", "straddling_groups", "stratified_sample"]

ENOUGH = 50
"""A test part is held aside only if every class has at least so many pictures."""
TEST_PARTS = 5
"""One part in so many is held aside: 20 %."""
_SHARE = (0.1, 0.3)  # a test part of another size, where groups are large, is none
_KEEPS = {
    "test": 0,
    "val": 1,
    "train": 2,
}  # of duplicates in several parts, the first of these keeps its copy


def assign_splits(dataset: ImageDataset, seed: int, *, drop_leaks: bool = True) -> ImageDataset:
    """Return `dataset` with "train", "val" or "test" for every picture.

    A given split is respected, but of duplicates that lie in several parts only those in "test", else
    in "val", stay: the training copy goes, counted in the notes; not if `drop_leaks` is false. Without a given split a
    fifth is held aside as "test" if every class has at least 50 pictures and enough groups; else all are "train". Of
    more than `LARGE` pictures a fifth always is, by their hashes, unless groups are too large. Of a sample that
    was drawn (`ImageDataset.drawn`) the classes are as large as they are in all.
    Doing it twice changes nothing. Needs the scan; raises `DataError` where no training pictures are left.
    """
    if not dataset.is_scanned:
        raise ValueError("splits keep duplicates together: call quality.scan(dataset) first")
    if dataset.has_given_splits:
        return _given_split(dataset, drop_leaks)
    test = _held_aside(dataset, seed)
    split = np.where(test, "test", "train") if test is not None else "train"
    return dataset.with_frame(dataset.frame.assign(split=split))


def group_ids(frame: pd.DataFrame) -> np.ndarray:
    """Return a number for each picture, int (n,): the same for what must stay together.

    Pictures are tied by their `group` (unless empty) and by their duplicate `cluster`, also through others.
    Numbers count from 0 in order of appearance.
    """
    n = len(frame)
    ties = [np.empty((0, 2), np.int64)]
    if "cluster" in frame:
        ties.append(_tie(frame["cluster"].to_numpy(), np.ones(n, bool)))
    named = (frame["group"] != "").to_numpy(bool)
    ties.append(_tie(frame["group"].to_numpy(object).astype(str), named))
    return in_order(connected(n, np.concatenate(ties)))


def _tie(keys: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return edges that tie each picture to the first of the same key: int (m, 2)."""
    pictures = np.flatnonzero(where)
    _, first, inverse = np.unique(keys[pictures], return_index=True, return_inverse=True)
    return np.stack([pictures, pictures[first][inverse.reshape(-1)]], axis=1)


def _held_aside(dataset: ImageDataset, seed: int) -> np.ndarray | None:
    """Return which pictures are for the test, bool (n,), or None where too few are there for one."""
    if dataset.n_listed > LARGE:
        test = hashed_test(dataset.frame, group_ids(dataset.frame), seed, 1 / TEST_PARTS)
        if _SHARE[0] <= test.mean() <= _SHARE[1]:
            return test
    return _stratified(dataset, seed)


def _stratified(dataset: ImageDataset, seed: int) -> np.ndarray | None:
    frame = dataset.frame
    if frame["label"].value_counts().min() < ENOUGH * dataset.share:
        return None
    # Rows of the same bytes are in one group, so their order among themselves does not matter.
    order = np.argsort(frame["sha256"].to_numpy(object).astype(str), kind="stable")
    labels = frame["label"].to_numpy(object).astype(str)[order]
    folds = make_folds(labels, group_ids(frame.iloc[order]), TEST_PARTS, _seed(dataset, seed))
    fold = _best_fold(labels, folds)
    if fold is None:
        return None
    test = np.zeros(len(frame), bool)
    test[order] = folds == fold
    return test


def _seed(dataset: ImageDataset, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{dataset.fingerprint} {seed}".encode()).digest()[:8], "big")


def _best_fold(labels: np.ndarray, folds: np.ndarray) -> int | None:
    """Return the fold nearest to its fair share that leaves every class on both sides, or None."""
    n_classes, best = len(set(labels)), None
    for fold in range(TEST_PARTS):
        inside = folds == fold
        share = inside.mean()
        complete = len(set(labels[inside])) == len(set(labels[~inside])) == n_classes
        distance = abs(share - 1 / TEST_PARTS)
        if complete and _SHARE[0] <= share <= _SHARE[1] and (best is None or distance < best[0]):
            best = (distance, fold)
    return None if best is None else best[1]


def leaked(frame: pd.DataFrame) -> np.ndarray:
    """Return which pictures of a given split have a copy in a later part of it, bool (n,); in none without a split."""
    if not (frame["split"] != "").any():
        return np.zeros(len(frame), bool)
    rank = frame["split"].replace("", "train").map(_KEEPS)
    found: np.ndarray = (rank > rank.groupby(frame["cluster"]).transform("min")).to_numpy(bool)
    return found


def _given_split(dataset: ImageDataset, drop_leaks: bool) -> ImageDataset:
    """Return a given split, without the copies that lie in a part of it that is used earlier."""
    frame = dataset.frame.assign(split=dataset.frame["split"].replace("", "train"))
    leaks = leaked(frame)
    notes = [_leak_note(part, n, drop_leaks) for part, n in leaks_by_part(frame).items()]
    left = frame[~leaks] if drop_leaks else frame
    straddling = straddling_groups(left)
    if straddling:
        notes.append(
            f"In several parts of the given split at once: {plural(straddling, 'group')}; it flatters the test."
        )
    kept = dataset.with_frame(left, notes=tuple(note for note in notes if note not in dataset.notes))
    return _still_for_training(kept, frame[leaks]) if len(left) < len(frame) else kept


def leaks_by_part(frame: pd.DataFrame) -> dict[str, int]:
    """Return how many pictures of "train" and "val" have a copy in a later part of the given split, where any has."""
    parts = frame["split"].replace("", "train")[leaked(frame)]
    return {part: n for part in ("train", "val") if (n := int((parts == part).sum()))}


def _leak_note(part: str, n: int, drop: bool) -> str:
    if drop:
        return f"Left out of '{part}', as copies lie in a later part of the given split: {plural(n, 'picture')}."
    return f"Kept in '{part}' though copies lie in a later part of the given split: {plural(n, 'picture')}."


def _still_for_training(dataset: ImageDataset, leaks: pd.DataFrame) -> ImageDataset:
    """Return what is left for training; raises DataError, with the leaks as the reason, where that is too little."""
    name, n = printable(dataset.root), plural(int((leaks["split"] == "train").sum()), "training picture")
    why = f"{n} left out, as copies lie in its test or validation part; --keep-leaks keeps them, and flatters the test"
    if not (dataset.frame["split"] == "train").any():
        raise DataError(f"Every training picture of '{name}' is a copy of one in a later part of its split: {why}.")
    try:
        return for_training(dataset)
    except DataError as error:
        raise DataError(f"{str(error).rstrip('.')} ({why}).") from None


def straddling_groups(frame: pd.DataFrame) -> int:
    """Return how many groups have pictures in several parts of a given split."""
    named = frame[frame["group"] != ""]
    return int((named.groupby("group")["split"].nunique() > 1).sum())
