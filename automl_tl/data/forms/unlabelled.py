"""The pictures in a file of many, whatever is said of their labels."""

from __future__ import annotations

from pathlib import Path

from automl_tl.data.cells import PARQUET_ENDINGS
from automl_tl.data.folders import ARCHIVE_ENDINGS
from automl_tl.data.forms.archive import entries
from automl_tl.data.forms.parquet import cells_of, holds_pictures
from automl_tl.data.source import Source
from automl_tl.data.table import Columns
from automl_tl.data.walk import is_picture_name


def pictures_in(file: Path, column: str) -> list[Source] | None:
    """Return the pictures in an archive or in a Parquet file, in their order there; None of another file.

    Args:
        file: absolute.
        column: of the pictures, where a Parquet file has several.

    Raises:
        DataError: An archive cannot be read, or is not as an archive of pictures is.
    """
    ending = file.suffix.lower()
    if ending in ARCHIVE_ENDINGS:
        return [one.source for one in entries(file) if one.kind == "file" and is_picture_name(one.path.name)]
    if ending in PARQUET_ENDINGS and holds_pictures(file, columns := Columns(column)):
        return list(cells_of(file, columns))
    return None
