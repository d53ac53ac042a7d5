"""A picture of a scanned data set: where it lies, and the hash that names it in every cache."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat

import pandas as pd

from automl_tl.data.source import File, Source


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and the sha256 of its file's bytes, which is its name in every cache."""

    path: str
    """Of its file, or the name of its source."""
    sha256: str
    source: Source | None = None
    """Where it lies, if not in a file of its own."""

    @property
    def readable(self) -> Source:
        """Its source, whatever it is."""
        return self.source or File(self.path)

    @property
    def place(self) -> tuple[str, int]:
        """Its order in a file of many; those in files of their own have none."""
        return self.source.place if self.source else ("", 0)


def pictures_of(frame: pd.DataFrame) -> tuple[Picture, ...]:
    """Return the pictures of a scanned data set's frame, or of a part of it."""
    sources = frame["source"] if "source" in frame else repeat(None)
    return tuple(map(Picture, frame["path"], frame["sha256"], sources))
