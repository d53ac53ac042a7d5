"""What is noticeable about a data set: one sentence each, with the number that it rests on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from automl_tl.data.fit import elongation
from automl_tl.data.names import quoted
from automl_tl.data.value_range import Extent, ValueRange, common_range

IMBALANCE = 3.0
"""Largest over smallest class, above which it is worth a sentence."""
FEW = 10
"""Pictures of a class to train on, below which it is worth a sentence."""
TYPICAL_INPUT = 224
"""Pixels a side that most networks see."""
TINY = 64
"""Median shorter side in pixels, below which enlarging leaves little to see."""
EXTREME = 4.0
"""Longer over shorter side; worth a sentence where at least one picture in a hundred is above it."""
WILD = 8.0
"""Large over small pictures (95% and 5% quantile of the side), above which sizes differ widely."""
GREY = 6.0
"""Largest difference between the channels, of 255, of a picture that counts as grey."""
FEW_LEVELS = 16
"""Of 256 from black to white in the 32 x 32 version; a picture that uses fewer shows next to nothing."""
_EXTREME_SHARE = 0.01
_GREY_SHARE = 0.99


def remarks(counts: Mapping[str, int], widths: np.ndarray, heights: np.ndarray, colour: np.ndarray) -> tuple[str, ...]:
    """Return the sentences for n pictures.

    `counts` are the training pictures of each class; `widths` and `heights` pixels, (n,); `colour` their
    8 x 8 RGB versions, uint8 (n, 8, 8, 3).
    """
    found = (
        _single(counts),
        _few(counts),
        _imbalance(counts),
        _tiny(widths, heights),
        _odd_sizes(widths, heights),
        _extreme(widths, heights),
        _grey(colour),
    )
    return tuple(sentence for sentence in found if sentence)


def value_remarks(
    records: np.ndarray,
    extents: Sequence[Extent | None],
    value_range: ValueRange,
    paths: Iterable[str],
    short: Callable[[str], str],
) -> tuple[str, ...]:
    """Return the sentences on the values of n pictures: few levels, and beyond the range.

    `records` are of dtype `MEASURED`, `extents` the values of pictures of more than 8 bits; `short` gives a path for
    people.
    """
    levels = records["grey"].max((1, 2), initial=0).astype(float) - records["grey"].min((1, 2), initial=255)
    own = [1.0 if one is None else common_range([one]).span / value_range.span for one in extents]
    dim = [short(path) for path, n, scale in zip(paths, levels, own, strict=True) if n * scale < FEW_LEVELS]
    outside = [short(path) for path, one in zip(paths, extents, strict=True) if value_range.fault(one)]
    found = []
    if dim:
        found.append(
            f"Blank, nearly black or of hardly any contrast, with fewer than {FEW_LEVELS} of 256 levels: "
            f"{len(dim):,} of {len(records):,} pictures ({quoted(dim, at_most=3)})."
        )
    if outside:
        found.append(
            f"Outside the range of the training pictures, {value_range.describe()}: {len(outside):,} of "
            f"{len(records):,} pictures ({quoted(outside, at_most=3)})."
        )
    return tuple(found)


def _single(counts: Mapping[str, int]) -> str:
    single = [label for label, n in counts.items() if n == 1]
    return f"Classes with a single picture to train on, which cannot be measured: {quoted(single)}." if single else ""


def _few(counts: Mapping[str, int]) -> str:
    few = [label for label, n in counts.items() if 1 < n < FEW]
    return f"Classes with fewer than {FEW} pictures to train on: {quoted(few)}." if few else ""


def _imbalance(counts: Mapping[str, int]) -> str:
    largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    ratio = counts[largest] / counts[smallest]
    if ratio <= IMBALANCE:
        return ""
    return (
        f"The classes are imbalanced: {quoted([largest])} has {counts[largest]} pictures, {quoted([smallest])} "
        f"{counts[smallest]} ({ratio:.3g} to 1), so accuracy alone says little about the small ones."
    )


def _tiny(widths: np.ndarray, heights: np.ndarray) -> str:
    side = float(np.median(np.minimum(widths, heights)))
    if side >= TINY:
        return ""
    return (
        f"The pictures are small: half of them have a side of {side:.0f} pixels or less, "
        f"where networks see {TYPICAL_INPUT}."
    )


def _odd_sizes(widths: np.ndarray, heights: np.ndarray) -> str:
    low, high = np.quantile(np.sqrt(widths * 1.0 * heights), [0.05, 0.95])
    if high <= WILD * low:
        return ""
    return f"The sizes differ widely: nine in ten pictures have the area of a square of {low:.0f} to {high:.0f} pixels."


def _extreme(widths: np.ndarray, heights: np.ndarray) -> str:
    ratios = elongation(widths, heights)
    n = int((ratios > EXTREME).sum())
    if n == 0 or n < _EXTREME_SHARE * len(ratios):
        return ""
    return (
        f"{n} of {len(ratios)} pictures are more than {EXTREME:.0f} times as long as wide, "
        f"the longest {ratios.max():.1f} times."
    )


def _grey(colour: np.ndarray) -> str:
    return "The pictures are grey: networks see three equal channels." if are_grey(colour) else ""


def are_grey(colour: np.ndarray) -> bool:
    """Return whether nearly all of n pictures are grey, by their 8 x 8 RGB versions, uint8 (n, 8, 8, 3)."""
    chroma = colour.max(-1).astype(np.int16) - colour.min(-1)
    return bool((chroma.max((1, 2)) <= GREY).mean() >= _GREY_SHARE)
