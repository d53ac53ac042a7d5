"""The cells of a CSV, TSV or Parquet table as text; whatever is wrong with the file is one sentence."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np
import pandas as pd

from automl_tl.data.address import Root
from automl_tl.data.names import printable, quoted
from automl_tl.errors import DataError

PARQUET_ENDINGS = (".parquet", ".pq")
TABLE_ENDINGS = (".csv", ".tsv", ".tab", *PARQUET_ENDINGS)
MOST_ROWS = 50_000_000
_SEPARATORS = (",", ";", "\t", "|")  # spreadsheets in much of Europe write CSV with semicolons


def read_header(table: Root) -> list[str]:
    """Return the names of the columns, stripped, in their order; raises `DataError` where there are none."""
    try:
        if _is_parquet(table):
            from pyarrow import parquet  # takes a third of a second, and CSV does without

            with table.open("rb") as file:
                return [str(name).strip() for name in parquet.read_schema(file).names]
        _, names = next(_lines(table), (0, []))
    except (OSError, ValueError, csv.Error) as error:  # pyarrow's errors are ValueErrors
        raise DataError(unreadable(table, error)) from error
    if not names:
        raise DataError(f"The table '{printable(table)}' is empty: its first line must name the columns (path,label).")
    if names[0].startswith("#"):
        raise DataError(
            f"The first line of the table '{printable(table)}' is a comment ('{printable(names[0])}'): remove it, "
            "the first line must name the columns (path,label)."
        )
    return [name.strip() for name in names]


def read_columns(table: Root, columns: Sequence[int]) -> list[list[str]]:
    """Return the texts, stripped, of the columns at these positions.

    All cells are text, so a class called NA or 007 stays what it is. Cells that a line lacks are empty; raises
    `DataError` for a line that has more cells than the first one, unless they are empty.
    """
    try:
        if _is_parquet(table):  # only what is needed: tables of data sets often carry the pictures' bytes
            return _parquet_columns(table, columns)
        return _csv_columns(table, columns)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(unreadable(table, error)) from error


def _parquet_columns(table: Root, columns: Sequence[int]) -> list[list[str]]:
    from pyarrow import parquet

    check_rows(table)
    with table.open("rb") as file:
        names = parquet.read_schema(file).names
        file.seek(0)
        read = parquet.read_table(file, columns=list(dict.fromkeys(names[column] for column in columns)))
    return [texts(read.column(names[column]).to_pandas()) for column in columns]  # an index of pandas is a column


def check_rows(table: Root) -> None:
    """Raise ValueError where a Parquet file says that it has more than `MOST_ROWS`: few bytes can say so."""
    from pyarrow import parquet

    with table.open("rb") as file:
        n = parquet.read_metadata(file).num_rows
    if n > MOST_ROWS:
        raise ValueError(f"it says that it has {n:,} rows, more than {MOST_ROWS:,}")


def _csv_columns(table: Root, columns: Sequence[int]) -> list[list[str]]:
    lines = _lines(table)
    _, names = next(lines)
    found: list[list[str]] = [[] for _ in columns]
    for number, cells in lines:
        if len(cells) > len(names) and any(cell.strip() for cell in cells[len(names) :]):
            raise DataError(_surplus(table, number, cells, names))
        for column, cells_of in zip(columns, found, strict=True):
            cells_of.append(cells[column].strip() if column < len(cells) else "")
    return found


def _lines(table: Root) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of every line that is not blank, with the number of the line."""
    with table.open("rb") as content, io.TextIOWrapper(content, _encoding(content), newline="") as file:
        lines = csv.reader(file, delimiter=_separator(table, file), skipinitialspace=True, strict=True)
        for cells in lines:
            if len(cells) > 1 or "".join(cells).strip():
                yield lines.line_num, cells


def _encoding(content: IO[bytes]) -> str:
    start = content.read(2)
    content.seek(0)
    return "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _separator(table: Root, file: io.TextIOWrapper) -> str:
    header = next((line for line in iter(file.readline, "") if line.strip()), "")
    file.seek(0)
    preferred = ("\t",) if table.suffix.lower() in (".tsv", ".tab") else _SEPARATORS
    return next((separator for separator in preferred if separator in header), preferred[0])


def _is_parquet(table: Root) -> bool:
    return table.suffix.lower() in PARQUET_ENDINGS


def texts(cells: pd.Series) -> list[str]:
    """Return cells as texts, stripped; those without a value are empty."""
    return [_text(cell) for cell in cells.astype(object)]


def _text(cell: object) -> str:
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return ""
    if isinstance(cell, (float, np.floating)):  # whole numbers beside empty cells arrive as 3.0
        return "" if np.isnan(cell) else str(int(cell)) if float(cell).is_integer() else str(cell)
    if getattr(cell, "ndim", None) == 0 and not isinstance(cell, np.generic):  # a number of torch
        return _text(cell.item())  # type: ignore[attr-defined]
    return cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell).strip()


def _surplus(table: Root, number: int, cells: Sequence[str], names: Sequence[str]) -> str:
    whole = printable(", ".join(cells[len(names) - 1 :]))
    return (
        f"Line {number} of the table '{printable(table)}' has {len(cells)} cells ({quoted(list(cells))}), but its "
        f'first line names {len(names)}: quote the cell that holds a separator, as in "{whole}".'
    )


def unreadable(table: Root, error: Exception) -> str:
    """Return the sentence for a table that cannot be read."""
    if isinstance(error, UnicodeError):
        return f"The table '{printable(table)}' is not UTF-8 text ({error}): save it as CSV with UTF-8 encoding."
    reason = " ".join(str(error).split())
    return f"The table '{printable(table)}' cannot be read ({printable(reason)}): give a CSV, TSV or Parquet table."
