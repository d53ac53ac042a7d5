"""Parquet files that hold pictures, as data sets of Hugging Face lie on the disk; its package is not needed."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_tl.data.cells import check_rows, texts, unreadable
from automl_tl.data.columns import find_columns
from automl_tl.data.forms.parquet_rows import Cell
from automl_tl.data.forms.shards import parts_of
from automl_tl.data.listing import Listing, Row
from automl_tl.data.names import printable, quoted
from automl_tl.data.table import Columns, canonical_splits, label_column, wanted_columns
from automl_tl.errors import DataError
from automl_tl.foreign import parse_json

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class _File:
    """What a Parquet file says of itself."""

    path: Path
    pictures: tuple[str, ...]
    """Names of the columns that hold pictures."""
    fields: Mapping[str, str]
    """Where their bytes are, by these names: of a struct its field "bytes"."""
    classes: Mapping[str, Sequence[str]]
    """Names of the classes by the columns that number them."""
    columns: tuple[str, ...]
    """All names."""


def holds_pictures(file: Path, columns: Columns) -> bool:
    """Return whether a Parquet file holds pictures and not their paths; one that cannot be read holds none."""
    try:
        said = _described(file)
    except (OSError, ValueError):  # pyarrow's errors are ValueErrors
        return False
    return bool(said.pictures) and (columns.path not in said.columns or columns.path in said.pictures)


def list_parquet(files: Sequence[Path], columns: Columns, listing: Listing) -> Listing:
    """Return `listing` with the pictures in the rows of Parquet files.

    Classes that are numbered get the names that Hugging Face's metadata gives them. The part of a split is in the
    name of a file (see `shards.parts_of`), or in a column, unless none is wanted ("none").

    Raises:
        DataError: A file has no column of labels, or it is unclear which column holds the pictures.
    """
    for path, part in parts_of(files, listing):
        try:
            _list_file(_described(path), part, columns, listing)
        except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
            raise DataError(unreadable(path, error)) from error
    listing.form = "a Parquet file" if len(files) == 1 else f"{len(files)} Parquet files"
    return listing


def _list_file(file: _File, part: str, columns: Columns, listing: Listing) -> None:
    _check_embedded(file, file.fields[_picture_column(file, columns)])
    wanted = wanted_columns(columns, file.columns)
    del wanted["path"]
    wanted["label"] = label_column(columns, file.columns, list(file.classes))
    places = find_columns(file.path, wanted, file.columns)
    read = _read(file, {use: file.columns[place] for use, place in places.items()})
    if columns.split == "none" and "split" not in read:
        part = ""
    told = "split" in read and (not part or columns.split is not None)  # the file's name, unless a column is asked for
    splits = canonical_splits(file.path, read["split"]) if told else None
    n = len(read["label"])
    parts, groups = splits or [part] * n, read.get("group", [""] * n)
    for cell, label, own, group in zip(_cells(file, columns, n), read["label"], parts, groups, strict=True):
        if label:
            listing.rows.append(Row(cell.name, unicodedata.normalize("NFC", label), own, group))
            listing.sources[cell.name] = cell
        else:
            listing.skip(cell.name, "no label")


def _check_embedded(file: _File, column: str) -> None:
    """Raise `DataError` where no row holds a picture: of files on its disk Hugging Face writes the paths alone."""
    from pyarrow import parquet

    said = parquet.read_metadata(file.path)
    places = [number for number in range(said.num_columns) if said.schema.column(number).path == column]
    groups = [said.row_group(group).column(place) for group in range(said.num_row_groups) for place in places]
    values = [group.statistics.num_values if group.statistics else 1 for group in groups]
    if said.num_rows and values and not any(values):
        raise DataError(
            f"'{printable(file.path)}' holds no pictures, at most the paths of their files, as Hugging Face writes "
            "a data set of files that it has not copied: give the folder of those files, or in Python the data set."
        )


def cells_of(path: Path, columns: Columns) -> list[Cell]:
    """Return the picture of every row of a Parquet file that `holds_pictures`, whatever its label."""
    from pyarrow import parquet

    return _cells(_described(path), columns, parquet.read_metadata(path).num_rows)


def _cells(file: _File, columns: Columns, n: int) -> list[Cell]:
    column = file.fields[_picture_column(file, columns)]
    return [Cell(f"{file.path}/row {row + 1}", str(file.path), column, row) for row in range(n)]


def _picture_column(file: _File, columns: Columns) -> str:
    if columns.path in file.pictures:
        return columns.path
    if len(file.pictures) == 1:
        return file.pictures[0]
    raise DataError(
        f"'{printable(file.path)}' has several columns of pictures, {quoted(list(file.pictures))}: name one of them, "
        f"--path-column {printable(file.pictures[0])} for example."
    )


def _read(file: _File, wanted: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the texts of the columns that are named, by what they are for."""
    from pyarrow import parquet

    table = parquet.read_table(file.path, columns=list(dict.fromkeys(wanted.values())))
    found = {use: texts(table.column(name).to_pandas()) for use, name in wanted.items()}
    if classes := file.classes.get(wanted["label"]):
        found["label"] = [_class_name(text, classes) for text in found["label"]]
    return found


def _class_name(number: str, classes: Sequence[str]) -> str:
    """Return the name of a class by its number; Hugging Face's -1, and what else is none, is no label."""
    return classes[int(number)] if number.isdecimal() and int(number) < len(classes) else ""


def _described(path: Path) -> _File:
    """Return what a file says of itself; raises OSError or ValueError where it cannot be read."""
    from pyarrow import parquet  # takes a third of a second, and other forms do without

    check_rows(path)
    schema = parquet.read_schema(path)
    fields = {one.name: field for one in schema if (field := _bytes_of(one))}
    return _File(path, tuple(fields), fields, _classes(schema.metadata or {}), tuple(schema.names))


def _bytes_of(column: pyarrow.Field) -> str:
    """Return where the bytes of pictures are in a column, or nothing."""
    from pyarrow import types

    if types.is_struct(column.type):
        inside = [one for one in column.type if one.name == "bytes"]
        return f"{column.name}.bytes" if inside and _bytes_of(inside[0]) else ""
    return column.name if types.is_binary(column.type) or types.is_large_binary(column.type) else ""


def _classes(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Return the names of classes by column, as Hugging Face's metadata gives them; of other files none."""
    try:
        features: Mapping[str, Any] = parse_json(metadata[b"huggingface"])["info"]["features"]
        return {name: [str(one) for one in said["names"]] for name, said in features.items() if "names" in said}
    except (KeyError, TypeError, ValueError, AttributeError):  # of whatever shape it is, the columns are still there
        return {}
