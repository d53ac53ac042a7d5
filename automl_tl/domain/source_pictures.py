"""Which pictures of a folder stand for a pretraining domain."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from automl_tl.data.listing import Listing
from automl_tl.data.measurements import Progress, measure_all
from automl_tl.data.walk import walk
from automl_tl.errors import DomainReferenceError
from automl_tl.features.picture import Picture

DEFAULT_MOST = 1000


def source_pictures(
    folder: Path, *, most: int = DEFAULT_MOST, seed: int = 0, progress: Progress | None = None
) -> list[Picture]:
    """Return at most `most` readable pictures below `folder`, spread evenly over its sub-folders.

    Labels do not matter: the folder may be flat or have one sub-folder per class. Pictures that cannot be
    read are left out.

    Raises:
        DataError: `folder` cannot be opened.
        DomainReferenceError: there is no readable picture in it.
    """
    paths = spread([Path(path) for path in walk(folder, Listing()).all_pictures()], most, seed)
    measured = measure_all([str(path) for path in paths], None, progress)
    readable = [path for path, good in zip(paths, measured.readable, strict=True) if good]
    if not readable:
        raise DomainReferenceError(
            f"there is no picture that can be read in {folder}; name a folder of source pictures"
        )
    hashes = [sha.decode("ascii") for sha in measured.records["sha256"]]
    return [Picture(str(path), sha) for path, sha in zip(readable, hashes, strict=True)]


def spread(paths: Sequence[Path], most: int, seed: int) -> list[Path]:
    """Return at most `most` of `paths`, sorted: a random one of each folder in turn until enough."""
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in sorted(paths):
        folders[path.parent].append(path)
    generator = random.Random(seed)
    turns = [
        (turn, generator.random(), path)
        for files in folders.values()
        for turn, path in enumerate(generator.sample(files, len(files)))
    ]
    return sorted(path for _, _, path in sorted(turns)[:most])
