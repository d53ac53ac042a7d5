"""A table that names the pictures and their classes: a CSV, TSV or Parquet file, or in memory."""

from __future__ import annotations

import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from automl_tl.data.address import Root, is_address
from automl_tl.data.cells import read_columns, read_header, texts
from automl_tl.data.columns import find_columns, has_column
from automl_tl.data.files import Place
from automl_tl.data.listing import Listing, Row
from automl_tl.data.names import SPLIT_NAMES, natural, printable, quoted, split_name
from automl_tl.data.source import is_source
from automl_tl.data.stored import NO_OBJECT, look_up
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


def list_table(table: Root, columns: Columns, *, image_root: Root | None = None, extension: str = "") -> Listing:
    """Return the labelled pictures that `table` names; for where the files lie see `files.Place`.

    Rows without a usable picture are left out with the reason. Raises `DataError` for a table that cannot be read, a
    column that is missing, an unknown name of a split, and where the files lie elsewhere.
    """
    used = find_columns(table, wanted_columns(columns, there := read_header(table)), there)
    cells: dict[str, Sequence[Any]] = dict(zip(used, read_columns(table, list(used.values())), strict=True))
    return _list_cells(table, cells, Place(table.parent, image_root, extension), Listing(form="a table"))


def list_frame(
    name: Path, frame: pd.DataFrame, columns: Columns, *, image_root: Root | None = None, extension: str = ""
) -> Listing:
    """Return the labelled pictures of a table in memory, as `list_table` does; some may be `Source`s.

    Relative paths start at the working folder. `name` is for the sentences.
    """
    there = [str(one).strip() for one in frame.columns]
    used = find_columns(name, wanted_columns(columns, there), there)
    cells = {use: texts(frame.iloc[:, place]) for use, place in used.items() if use != "path"}
    pictures = frame.iloc[:, used["path"]]
    paths = [cell if is_source(cell) else text for cell, text in zip(pictures, _path_texts(pictures), strict=True)]
    place = Place(Path.cwd(), image_root, extension)
    return _list_cells(name, {**cells, "path": paths}, place, Listing(form=f"a {name}"))


def _path_texts(pictures: pd.Series) -> list[str]:
    """Return the paths in a column, and an empty text for every source."""
    return texts(pictures.map(lambda cell: "" if is_source(cell) else cell))


def _list_cells(table: Root, cells: Mapping[str, Sequence[Any]], place: Place, listing: Listing) -> Listing:
    """Return `listing` with the pictures of a table whose cells are given by what they are for."""
    n = len(cells["path"])
    labels = [sys.intern(unicodedata.normalize("NFC", label)) for label in cells["label"]]
    splits = canonical_splits(table, cells.get("split", [""] * n))
    rows = zip(cells["path"], labels, splits, cells.get("group", [""] * n), strict=True)
    listing.rows = _found_in_stores(_once_each(_usable_rows(rows, place, listing), listing), listing)
    named = [cell for cell in cells["path"] if isinstance(cell, str)]
    if not listing.rows and (options := _way_to_files(named, place)):
        raise DataError(
            f"No file is where the table '{printable(table)}' says, '{printable(named[0])}' for example, but "
            f"such files are there: give {options}."
        )
    if listing.skipped:
        first, others = listing.skipped[0], len(listing.skipped) - 1
        more = f", and {others:,} more" if others else ""
        listing.notes.append(f"Left out of the table: {first.reason}{more}; automl-tl inspect names what is left out.")
    return listing


def wanted_columns(columns: Columns, there: Sequence[str]) -> dict[str, str]:
    """Return the names of the columns that are used, by what they are for, of a table that has the columns `there`.

    A column of splits or groups is used where one is there, unless none is wanted ("none").
    """
    wanted = {"path": columns.path, "label": columns.label}
    for use, name in (("split", columns.split), ("group", columns.group)):
        if name == "none" and not has_column(name, there):
            continue
        if name is not None or has_column(use, there):
            wanted[use] = name or use
    return wanted


def label_column(columns: Columns, there: Sequence[str], numbered: Sequence[str]) -> str:
    """Return the name of the column of labels: where none was asked for, or is there, the only one of numbered classes.

    Args:
        columns: that were asked for.
        there: the columns of the table.
        numbered: those whose numbers are classes that have names.
    """
    if columns.label == Columns.label and columns.label not in there and len(numbered) == 1:
        return numbered[0]
    return columns.label


def canonical_splits(table: Root, given: Sequence[str]) -> list[str]:
    """Return "train", "val", "test" or "" for each row; rows left empty in a given split are for training."""
    if not any(given):
        return [""] * len(given)
    unknown = sorted({cell for cell in given if cell and not split_name(cell)})
    if unknown:
        raise DataError(
            f"The split of a picture must be one of {', '.join(SPLIT_NAMES)}, "
            f"but '{printable(table)}' says {quoted(unknown)}: name another column by --split-column, or say "
            "--split-column none to leave it out."
        )
    return [split_name(cell) or "train" for cell in given]


def _usable_rows(cells: Iterable[tuple[Any, str, str, str]], place: Place, listing: Listing) -> list[Row]:
    rows = []
    for number, (cell, label, split, group) in enumerate(cells, start=1):
        path, problem = place.find(cell) if isinstance(cell, str) else (cell.name, None)
        reason = problem or (None if label else "no label")
        if reason:
            listing.skip(path or f"row {number}", f"{reason} (row {number} of the table)")
        else:
            rows.append(Row(path, label, split, group))
            if not isinstance(cell, str):
                listing.sources[path] = cell
    return rows


def _found_in_stores(rows: list[Row], listing: Listing) -> list[Row]:
    """Return the rows without those at whose address there is no object; of the others the sources are noted."""
    addresses = [row.path for row in rows if row.path not in listing.sources and is_address(row.path)]
    if not addresses:
        return rows
    listing.sources |= (found := look_up(addresses))
    gone = set(addresses).difference(found)
    for address in sorted(gone):
        listing.skip(address, NO_OBJECT)
    return [row for row in rows if row.path not in gone]


def _way_to_files(cells: Sequence[str], place: Place) -> str:
    """Return the options with which the first file is found that is named and not there, or nothing."""
    missing = next((cell for cell in cells if place.find(cell)[1] == "no such file"), None)
    return "" if missing is None else place.proposal(missing)


def _once_each(rows: Iterable[Row], listing: Listing) -> list[Row]:
    """Return every picture once; one that is named with different labels is left out."""
    rows = list(rows)
    if len({row.path for row in rows}) == len(rows):  # nearly always, and a list for each row would be large
        return rows
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
