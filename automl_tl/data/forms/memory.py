"""Labelled pictures in memory, whoever holds them, as one table."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from automl_tl.data.columns import matching
from automl_tl.data.forms.items import Indexed, frame_of_hugging_face, frame_of_torch
from automl_tl.data.names import natural, quoted, split_name
from automl_tl.data.source import as_source, is_source
from automl_tl.data.table import Columns
from automl_tl.errors import DataError

Data = str | os.PathLike[str] | pd.DataFrame | tuple[Any, Any] | Mapping[str, Any] | Indexed
"""What can be opened as a data set: the path of what lies on the disk, or one of these in memory:

- a `DataFrame` with the columns of a table; in place of paths also pictures: bytes of files, uint8 (H, W, 3), Pillow's;
- a pair of pictures, uint8 (n, H, W, 3) or a sequence, and their labels;
- a data set of torch whose items are pairs of a picture (Pillow's or uint8) and a label, with the names of `classes`;
- a `Dataset` of Hugging Face, or several of these by their part of a split ({"train": ..., "test": ...}).
"""


def frame_of(data: Any, columns: Columns) -> tuple[Path, pd.DataFrame]:
    """Return what data in memory is called, and its table: the pictures are paths, or their sources.

    Raises:
        DataError: It is nothing that holds labelled pictures.
    """
    kind = "pictures in memory" if isinstance(data, tuple) else type(data).__name__
    return Path(kind), _frame(data, columns, kind)


def _frame(data: Any, columns: Columns, called: str) -> pd.DataFrame:
    if isinstance(data, pd.DataFrame):
        return _with_sources(data, columns, called)
    if isinstance(data, tuple) and len(data) == 2:
        return _of_pair(*data, columns, called)
    if isinstance(data, Mapping) and data and all(isinstance(name, str) for name in data):
        return pd.concat(_of_parts(data, columns, called), ignore_index=True)
    if hasattr(data, "features") and hasattr(data, "column_names"):
        return frame_of_hugging_face(data, columns, called)
    others = list | tuple | np.ndarray | Mapping
    if hasattr(data, "__len__") and hasattr(data, "__getitem__") and not isinstance(data, others):
        return frame_of_torch(data, columns, called)
    raise DataError(
        f"Labelled pictures cannot be read from a {type(data).__name__}: give a path, a DataFrame, a pair of pictures "
        "and labels, or a data set of torch or of Hugging Face."
    )


def _with_sources(frame: pd.DataFrame, columns: Columns, called: str) -> pd.DataFrame:
    frame = frame.set_axis([str(name).strip() for name in frame.columns], axis="columns")
    places = matching(columns.path, list(frame.columns))
    if len(places) != 1:
        return frame
    cells = [_cell(cell, f"{called}[{row}]") for row, cell in enumerate(frame.iloc[:, places[0]])]
    return frame.assign(**{frame.columns[places[0]]: pd.Series(cells, frame.index, dtype=object)})


def _cell(cell: Any, name: str) -> Any:
    """Return a picture as its source, and what is none or is a path as it is."""
    if isinstance(cell, Mapping):  # as Hugging Face keeps it
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, os.PathLike):
        return os.fspath(cell)
    is_picture = isinstance(cell, bytes | np.ndarray | Image.Image) or is_source(cell)
    return as_source(cell, name) if is_picture else cell


def _of_pair(pictures: Any, labels: Any, columns: Columns, called: str) -> pd.DataFrame:
    if isinstance(pictures, np.ndarray) and pictures.ndim > 1 and (pictures.ndim, pictures.shape[-1]) != (4, 3):
        raise DataError(f"Pictures as an array must be uint8 (n, H, W, 3), but are {pictures.dtype} {pictures.shape}.")
    if not (hasattr(pictures, "__len__") and hasattr(labels, "__len__")):
        kinds = f"a {type(pictures).__name__} and a {type(labels).__name__}"
        raise DataError(f"A pair must be of pictures and of their labels, but is of {kinds}: give two sequences.")
    if len(pictures) != len(labels):
        raise DataError(
            f"Every picture needs a label, but there are {len(pictures):,} pictures and {len(labels):,} labels."
        )
    named = labels.tolist() if hasattr(labels, "tolist") else list(labels)  # torch's are tensors one by one
    several = next((label for label in named if isinstance(label, list | tuple | set | dict | np.ndarray)), None)
    if several is not None:
        raise DataError(
            f"A picture has one label here, but one has {quoted([str(several)])}: give the class of each picture, of "
            "one-hot labels argmax(1)."
        )
    frame = pd.DataFrame({columns.label: named})
    return _with_sources(frame.assign(**{columns.path: pd.Series(list(pictures), dtype=object)}), columns, called)


def _of_parts(parts: Mapping[str, Any], columns: Columns, called: str) -> Iterator[pd.DataFrame]:
    for name in natural(parts):
        if (part := split_name(name)) is None:
            raise DataError(
                f"The parts of a split are train, val and test, but these are {quoted(list(parts))}: leave others out."
            )
        frame = _frame(parts[name], columns, f"{called}[{name!r}]")
        yield frame if columns.split == "none" else frame.assign(**{columns.split or "split": part})
