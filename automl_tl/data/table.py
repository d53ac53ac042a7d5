"""A CSV, TSV or Parquet table that names the pictures and their classes."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from automl_tl.data.cells import read_columns, read_header
from automl_tl.data.columns import find_columns, has_column
from automl_tl.data.files import Place
from automl_tl.data.listing import Listing, Row
from automl_tl.data.names import SPLIT_NAMES, natural, printable, quoted, split_name
from automl_tl.errors import DataError

_PRIORITY = {"test": 0, "val": 1, "train": 2, "": 3}  # which part keeps a picture that is named in two


@dataclass(frozen=True)
class Columns:
    """The names of a table's columns; None where the user did not ask for one."""

    path: str = "path"
    label: str = "label"
    split: str | None = None
    """Default: "split" where the table has it."""
    group: str | None = None
    """Default: "group" where the table has it."""


def list_table(table: Path, columns: Columns, *, image_root: Path | None = None, extension: str = "") -> Listing:
    """Return the labelled pictures that `table` names; for where the files lie see `files.Place`.

    Rows without a usable picture are left out with the reason. Raises `DataError` for a table that cannot be read, a
    column that is missing, an unknown name of a split, and where the files lie elsewhere.
    """
    place = Place(table.parent, image_root, extension)
    used = find_columns(table, wanted_columns(columns, there := read_header(table)), there)
    texts = dict(zip(used, read_columns(table, list(used.values())), strict=True))
    texts["label"] = [unicodedata.normalize("NFC", label) for label in texts["label"]]
    n = len(texts["path"])
    splits = canonical_splits(table, texts.get("split", [""] * n))
    listing = Listing(form="a table")
    cells = zip(texts["path"], texts["label"], splits, texts.get("group", [""] * n), strict=True)
    listing.rows = _once_each(_usable_rows(cells, place, listing), listing)
    if not listing.rows and (options := _way_to_files(texts["path"], place)):
        raise DataError(
            f"No file is where the table '{printable(table)}' says, '{printable(texts['path'][0])}' for example, but "
            f"such files are there: give {options}."
        )
    return listing


def wanted_columns(columns: Columns, there: Sequence[str]) -> dict[str, str]:
    """Return the names of the columns that are used, by what they are for, of a table that has the columns `there`."""
    wanted = {"path": columns.path, "label": columns.label}
    for use, name in (("split", columns.split), ("group", columns.group)):
        if name is not None or has_column(use, there):
            wanted[use] = name or use
    return wanted


def canonical_splits(table: Path, given: Sequence[str]) -> list[str]:
    """Return "train", "val", "test" or "" for each row; rows left empty in a given split are for training."""
    if not any(given):
        return [""] * len(given)
    unknown = sorted({cell for cell in given if cell and not split_name(cell)})
    if unknown:
        raise DataError(
            f"The split of a picture must be one of {', '.join(SPLIT_NAMES)}, "
            f"but '{printable(table)}' says {quoted(unknown)}."
        )
    return [split_name(cell) or "train" for cell in given]


def _usable_rows(cells: Iterable[tuple[str, str, str, str]], place: Place, listing: Listing) -> list[Row]:
    rows = []
    for number, (cell, label, split, group) in enumerate(cells, start=1):
        path, problem = place.find(cell)
        reason = problem or (None if label else "no label")
        if reason:
            listing.skip(path or f"row {number}", f"{reason} (row {number} of the table)")
        else:
            rows.append(Row(path, label, split, group))
    return rows


def _way_to_files(cells: Sequence[str], place: Place) -> str:
    """Return the options with which the first file is found that is named and not there, or nothing."""
    missing = next((cell for cell in cells if place.find(cell)[1] == "no such file"), None)
    return "" if missing is None else place.proposal(missing)


def _once_each(rows: Iterable[Row], listing: Listing) -> list[Row]:
    """Return every picture once; one that is named with different labels is left out."""
    by_path: dict[str, list[Row]] = {}
    for row in rows:
        by_path.setdefault(row.path, []).append(row)
    kept = []
    for path, same in by_path.items():
        labels = natural({row.label for row in same})
        if len(labels) > 1:
            listing.skip(path, f"named {len(same)} times in the table with different labels: {quoted(labels)}")
        else:
            kept.append(min(same, key=lambda row: _PRIORITY[row.split]))
    repeated = Counter(len(same) > 1 for same in by_path.values())[True]
    if repeated:
        listing.notes.append(f"Pictures that the table names more than once: {repeated}; each counts once at most.")
    return kept
