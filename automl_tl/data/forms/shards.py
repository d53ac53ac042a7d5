"""Several files that are one data set: which part of a split each is, by its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from automl_tl.data.listing import Listing
from automl_tl.data.names import split_name


def parts_of(files: Sequence[Path], listing: Listing) -> list[tuple[Path, str]]:
    """Return the files with "train", "val", "test" or, where no name says one, "" for each.

    The part is a word of the file's name (train-00000-of-00002.parquet, flowers-val-03.tar), else the name of its
    folder. Where it is known of some files alone, the others are left out.
    """
    parts = {file: _part_of(file) for file in files}
    if len(files) == 1 or not any(parts.values()):
        return [(file, "") for file in files]
    for file in (file for file, part in parts.items() if not part):
        listing.skip(file, "its name says no part of the split (train, val or test), as those of other files do")
    return [(file, part) for file, part in parts.items() if part]


def _part_of(file: Path) -> str:
    words = [*re.split(r"[-_.]", file.stem), file.parent.name]
    return next((part for word in words if (part := split_name(word))), "")
