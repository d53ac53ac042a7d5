"""The test part of many pictures: each falls on a side by a hash of its own, so that none moves when others come."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

LARGE = 20_000
"""Pictures above which the split is this one: a fifth by chance is a fifth of every class then, near enough."""

_WHOLE = 2.0**64
_LAST = np.uint64(1 << 63)


def hashed_test(frame: pd.DataFrame, groups: np.ndarray, seed: int, share: float) -> np.ndarray:
    """Return which of n pictures are for the test, bool (n,).

    What is tied together (`groups`, int (n,), numbers from 0) goes where one of it goes: a named group by the hash of
    its name and the seed, any other picture by that of its bytes; where several are tied, by the one whose hash
    says that it speaks for them, a named one first. So pictures that are added move none that they are not tied to.
    Whatever is tied to a class that would have nothing to train on is for training.
    """
    test = drawn_by_hash(frame, groups, seed, share)
    labels = frame["label"].to_numpy(object).astype(str)
    untrained = ~np.isin(labels, labels[~test])
    test &= ~np.isin(groups, groups[untrained])
    return test


def drawn_by_hash(frame: pd.DataFrame, groups: np.ndarray, seed: int, share: float) -> np.ndarray:
    """Return which pictures their hashes put into the test, bool (n,), whatever that leaves of a class."""
    before, side = _hashes(frame, seed)
    order = np.lexsort((before, groups))
    speakers = order[np.searchsorted(groups[order], np.arange(groups.max(initial=-1) + 1))]
    test: np.ndarray = (side < share * _WHOLE)[speakers][groups]
    return test


def _hashes(frame: pd.DataFrame, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two hashes of each picture, uint64 (n,): who speaks first, and on which side that one is."""
    named = (frame["group"] != "").to_numpy(bool)
    keys = frame["group"].where(named, frame["sha256"])
    digests = b"".join(_digest(f"{seed}\0{is_named:d}\0{key}") for is_named, key in zip(named, keys, strict=True))
    first, second = np.frombuffer(digests, "<u8").reshape(-1, 2).T
    return (first >> np.uint64(1)) | np.where(named, np.uint64(0), _LAST), second


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
