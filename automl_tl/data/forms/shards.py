"""Several files that are one data set: which part of a split each is, by its name."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from automl_tl.data.listing import Listing
from automl_tl.data.names import printable, split_name
from automl_tl.errors import DataError

_NUMBERS = re.compile(r"\{(\d{1,9})\.\.(\d{1,9})\}")
_MOST_FILES = 100_000


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


def expanded(pattern: str) -> list[Path]:
    """Return the files that a pattern stands for: `{000..009}` is every number, `*`, `?` and `[...]` are as in a shell.

    Raises:
        DataError: There is no such file, or one of a range is not there.
    """
    names = [_NUMBERS.sub(number, pattern, count=1) for number in _numbers(pattern)] or [pattern]
    found = [Path(name) for one in names for name in sorted(glob.glob(one)) or [one]]
    if missing := [file for file in found if not file.is_file()]:
        raise DataError(f"There is no file '{printable(missing[0])}', which '{printable(pattern)}' stands for.")
    return found


def _numbers(pattern: str) -> list[str]:
    """Return the numbers of the first range in a pattern, with as many digits as its first one has."""
    if (found := _NUMBERS.search(pattern)) is None:
        return []
    first, last = int(found[1]), int(found[2])
    if not 0 <= last - first < _MOST_FILES:
        raise DataError(f"The range '{found[0]}' must go up, over at most {_MOST_FILES:,} numbers.")
    return [f"{number:0{len(found[1])}d}" for number in range(first, last + 1)]


def _part_of(file: Path) -> str:
    words = [*re.split(r"[-_.]", file.stem), file.parent.name]
    return next((part for word in words if (part := split_name(word))), "")
