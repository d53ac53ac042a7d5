"""What a folder tree or a table names, before any picture is opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from automl_tl.data.source import Source


@dataclass(frozen=True)
class Skipped:
    """A file that is left out, and why."""

    path: str
    """Absolute path; of a table's row without a usable path, what stands in the row."""
    reason: str


class Row(NamedTuple):
    """One labelled picture."""

    path: str
    """Absolute path of its file, or the name of its source."""
    label: str
    split: str = ""
    group: str = ""


@dataclass
class Listing:
    """The pictures found so far, with what was left out and what the user should know."""

    rows: list[Row] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    form: str = ""
    """Of what the pictures lie in, in words: "folders", "a table"."""
    sources: dict[str, Source] = field(default_factory=dict)
    """By name, of the pictures that are no files."""

    def skip(self, path: str | Path, reason: str) -> None:
        """Leave one file out."""
        self.skipped.append(Skipped(str(path), reason))
