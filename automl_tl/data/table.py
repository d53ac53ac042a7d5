"""A CSV, TSV or Parquet table that names the pictures and their classes."""

from __future__ import annotations

import codecs
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from automl_tl.data.listing import Listing, Row
from automl_tl.data.names import SPLIT_NAMES, printable, quoted, split_name
from automl_tl.errors import DataError

TABLE_ENDINGS = (".csv", ".tsv", ".tab", ".parquet", ".pq")
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


def list_table(table: Path, columns: Columns) -> Listing:
    """Return the labelled pictures that `table` names; relative paths start at its folder.

    All cells are read as text, so a class called NA or 007 stays what it is. Rows without a usable
    picture are left out with the reason. Raises `DataError` for a table that cannot be read, a column
    that is missing, and an unknown name of a split.
    """
    frame = _read(table, columns)
    listing = Listing()
    rows = _usable_rows(frame, table.parent, listing)
    listing.rows = _once_each(rows, listing)
    return listing


def _read(table: Path, columns: Columns) -> pd.DataFrame:
    """Return the columns path, label, split and group as text, stripped."""
    there = _column_names(table)
    used = _used_columns(table, columns, there)
    raw = _load(table, list(dict.fromkeys(used.values())))
    frame = pd.DataFrame({name: _as_text(raw[column]) for name, column in used.items()}, dtype=object)
    frame["label"] = [unicodedata.normalize("NFC", label) for label in frame["label"]]
    frame["split"] = _canonical_splits(table, frame.get("split"), len(frame))
    return frame if "group" in frame else frame.assign(group="")


def _used_columns(table: Path, columns: Columns, there: list[str]) -> dict[str, str]:
    used = {"path": columns.path, "label": columns.label}
    for name, column in (("split", columns.split), ("group", columns.group)):
        if column is not None or name in there:
            used[name] = column or name
    missing = [column for column in used.values() if column not in there]
    if missing:
        raise DataError(
            f"The table '{printable(table)}' has no column {quoted(missing)}; "
            f"its columns are {quoted(there, at_most=20)}."
        )
    return used


def _canonical_splits(table: Path, given: pd.Series | None, n: int) -> list[str]:
    """Return "train", "val", "test" or "" for each row; rows left empty in a given split are for training."""
    if given is None or not any(given):
        return [""] * n
    unknown = sorted({cell for cell in given if cell and not split_name(cell)})
    if unknown:
        raise DataError(
            f"The split of a picture must be one of {', '.join(SPLIT_NAMES)}, "
            f"but '{printable(table)}' says {quoted(unknown)}."
        )
    return [split_name(cell) or "train" for cell in given]


def _as_text(cells: pd.Series) -> list[str]:
    return [_cell_text(cell) for cell in cells.astype(object)]


def _cell_text(cell: object) -> str:
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return ""
    if isinstance(cell, (float, np.floating)):  # whole numbers beside empty cells arrive as 3.0
        return "" if np.isnan(cell) else str(int(cell)) if float(cell).is_integer() else str(cell)
    return cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell).strip()


# --- reading the file -------------------------------------------------------------------------------


def _is_parquet(table: Path) -> bool:
    return table.suffix.lower() in (".parquet", ".pq")


def _column_names(table: Path) -> list[str]:
    try:
        if _is_parquet(table):
            from pyarrow import parquet  # takes a third of a second, and CSV does without

            return [str(name) for name in parquet.read_schema(table).names]
        return [name.strip() for name in _read_csv(table, nrows=0).columns]
    except (OSError, ValueError) as error:  # pyarrow's and pandas' errors are ValueErrors
        raise DataError(_unreadable(table, error)) from error


def _load(table: Path, columns: list[str]) -> pd.DataFrame:
    try:
        if _is_parquet(table):  # only what is needed: tables of data sets often carry the pictures' bytes
            return pd.read_parquet(table, columns=columns)
        return _read_csv(table).rename(columns=str.strip)[columns]
    except (OSError, ValueError) as error:
        raise DataError(_unreadable(table, error)) from error


def _read_csv(table: Path, nrows: int | None = None) -> pd.DataFrame:
    encoding = _encoding(table)
    return pd.read_csv(
        table,
        sep=_separator(table, encoding),
        encoding=encoding,
        dtype=str,
        keep_default_na=False,
        na_filter=False,
        skipinitialspace=True,
        index_col=False,
        nrows=nrows,
    )


def _encoding(table: Path) -> str:
    with table.open("rb") as file:
        start = file.read(2)
    return "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _separator(table: Path, encoding: str) -> str:
    """Return what separates the cells; spreadsheets in much of Europe write CSV with semicolons."""
    with table.open(encoding=encoding) as file:
        header = file.readline()
    preferred = ("\t",) if table.suffix.lower() in (".tsv", ".tab") else (",", ";", "\t")
    return next((separator for separator in preferred if separator in header), preferred[0])


def _unreadable(table: Path, error: Exception) -> str:
    if isinstance(error, pd.errors.EmptyDataError):
        return f"The table '{printable(table)}' is empty: its first line must name the columns (path,label)."
    if isinstance(error, UnicodeError):
        return f"The table '{printable(table)}' is not UTF-8 text ({error}): save it as CSV with UTF-8 encoding."
    reason = " ".join(str(error).split())
    return f"The table '{printable(table)}' cannot be read ({printable(reason)}): give a CSV, TSV or Parquet table."


# --- its rows ---------------------------------------------------------------------------------------


def _usable_rows(frame: pd.DataFrame, folder: Path, listing: Listing) -> list[Row]:
    rows = []
    cells = zip(frame["path"], frame["label"], frame["split"], frame["group"], strict=True)
    for number, (cell, label, split, group) in enumerate(cells, start=1):
        path = _absolute(cell, folder)
        reason = _problem(cell, path, folder, label)
        if reason:
            listing.skip(path if cell else f"row {number}", f"{reason} (row {number} of the table)")
        else:
            rows.append(Row(path, label, split, group))
    return rows


def _absolute(cell: str, folder: Path) -> str:
    path = os.path.normpath(folder / cell)
    if "\\" in cell and os.sep == "/" and not os.path.exists(path):  # a table that was written on Windows
        return os.path.normpath(folder / cell.replace("\\", "/"))
    return path


def _problem(cell: str, path: str, folder: Path, label: str) -> str | None:
    """Return why a row cannot be used, or None."""
    if not cell:
        return "no path"
    if not os.path.isabs(cell) and not Path(path).is_relative_to(folder):
        return "leads out of the table's folder: move the table up, or give absolute paths"
    if os.path.isdir(path):
        return "a folder, not a picture"
    if not os.path.isfile(path):
        return "no such file"
    return None if label else "no label"


def _once_each(rows: Iterable[Row], listing: Listing) -> list[Row]:
    """Return every picture once; one that is named with different labels is left out."""
    by_path: dict[str, list[Row]] = {}
    for row in rows:
        by_path.setdefault(row.path, []).append(row)
    kept = []
    for path, same in by_path.items():
        labels = sorted({row.label for row in same})
        if len(labels) > 1:
            listing.skip(path, f"named {len(same)} times in the table with different labels: {quoted(labels)}")
        else:
            kept.append(min(same, key=lambda row: _PRIORITY[row.split]))
    repeated = Counter(len(same) > 1 for same in by_path.values())[True]
    if repeated:
        listing.notes.append(f"Pictures that the table names more than once: {repeated}; each counts once at most.")
    return kept
