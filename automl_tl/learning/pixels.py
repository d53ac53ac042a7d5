"""The pixels of the training pictures, for every trial of a backbone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from automl_tl.data.decode import Preprocessing
from automl_tl.features.picture import Picture
from automl_tl.features.pixels import Pixels, PixelStore
from automl_tl.features.scratch import scratch_array
from automl_tl.monitor import Progress, unheeded


def load_pixels(
    pictures: Sequence[Picture],
    how: Preprocessing,
    folder: Path,
    *,
    store: PixelStore | None = None,
    progress: Progress = unheeded,
) -> Pixels:
    """Return the pixels of n pictures, uint8 (n, S, S, 3), memory-mapped where they are many.

    Args:
        pictures: n of them.
        how: they are prepared.
        folder: where a file that maps them lies for the time being.
        store: what was decoded before, and keeps what is decoded now where there is room for all of them.
        progress: called with (done, total) pictures that are decoded.

    Raises:
        DataError: a picture cannot be read although it could when the data set was scanned.
    """
    store = store or PixelStore()
    kept = store.whole(pictures, how, progress)
    if kept is not None:
        return kept
    pixels = scratch_array(folder, (len(pictures), how.size, how.size, 3), np.uint8)
    order = sorted(range(len(pictures)), key=lambda row: pictures[row].place)
    done = 0
    for batch, images in store.batches([pictures[row] for row in order], how):
        pixels[order[done : done + len(batch)]] = images.numpy()
        done += len(batch)
        progress(done, len(pictures))
    return pixels
