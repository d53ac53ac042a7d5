"""Data sets that are objects, of torch and of Hugging Face, as a table; neither package is needed."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import pandas as pd
from PIL import Image

from automl_tl.data.columns import find_columns
from automl_tl.data.source import as_source
from automl_tl.data.table import Columns, label_column, wanted_columns
from automl_tl.errors import DataError, PictureError, sentence


class Indexed(Protocol):
    """A data set of torch, "map-style", or of Hugging Face."""

    def __len__(self) -> int:
        """Return the number of items."""

    def __getitem__(self, index: Any, /) -> Any:
        """Return an item."""


_one_at_a_time = threading.Lock()  # such objects are made for one thread in each process


@dataclass(frozen=True, eq=False)
class Item:
    """A picture in an item of a data set object, which is asked for it whenever the picture is opened."""

    name: str
    items: Indexed
    index: int
    key: int | str
    """Of the picture in the item."""

    @property
    def place(self) -> tuple[str, int]:
        """See `Source`."""
        return "", self.index

    @property
    def version(self) -> None:
        """See `Source`."""

    def open(self) -> BinaryIO:
        """See `Source`."""
        with _one_at_a_time:
            picture = self.items[self.index][self.key]
        if isinstance(picture, Mapping):  # as Hugging Face keeps it
            picture = picture.get("bytes") or picture.get("path")
        if picture is None:
            raise PictureError("there is no picture in it")
        return as_source(picture, self.name).open()


def frame_of_torch(data: Any, columns: Columns, called: str) -> pd.DataFrame:
    """Return the items of a data set of torch, pairs of a picture and a label; each is read once for its label.

    Args:
        data: with the names of its `classes` where it, or the one that it is a subset of, has them.
        columns: how the columns are called.
        called: what the names of the pictures begin with.

    Raises:
        DataError: An item is something else.
    """
    labels = [_label_of(data, index) for index in range(len(data))]
    frame = pd.DataFrame({columns.label: _named(labels, _classes(data))})
    return frame.assign(**{columns.path: _items(data, 0, called)})


def _classes(data: Any) -> Sequence[Any] | None:
    """Return the names of the classes by their numbers; None where there are none, or where numbers may be changed.

    Of torch's own subsets and chains the numbers are those of what they are made of; who else keeps another data set
    may give its pictures other labels.
    """
    from torch.utils.data import ConcatDataset, Subset

    if getattr(data, "target_transform", None) is not None:
        return None
    if hasattr(data, "classes"):
        return list(data.classes)
    if type(data) is Subset:
        return _classes(data.dataset)
    if type(data) is ConcatDataset:
        first, *others = map(_classes, data.datasets)
        return first if all(one == first for one in others) else None
    return None


def _label_of(data: Any, index: int) -> Any:
    """Return the label of an item; a number of torch or numpy as Python's."""
    try:
        item = data[index]
    except Exception as error:
        raise DataError(f"Item {index} of {type(data).__name__} cannot be read: {sentence(error)}.") from error
    if not isinstance(item, tuple | list) or len(item) != 2 or not isinstance(item[0], np.ndarray | Image.Image):
        what = (
            " and ".join(type(one).__name__ for one in item) if isinstance(item, tuple | list) else type(item).__name__
        )
        raise DataError(
            f"Every item of {type(data).__name__} must be a pair of a picture (Pillow's or uint8) and a label, but "
            f"item {index} is {what}: leave out transforms to tensors."
        )
    return item[1].item() if hasattr(item[1], "item") else item[1]


def frame_of_hugging_face(data: Any, columns: Columns, called: str) -> pd.DataFrame:
    """Return the rows of a `datasets.Dataset`; pictures are the bytes of their files, as in its Parquet files.

    Args:
        data: with `features`, `column_names`, `cast_column` and `with_format`.
        columns: how the columns are called.
        called: what the names of the pictures begin with.

    Raises:
        DataError: It has no such column, or streams its rows.
    """
    if not hasattr(data, "__getitem__"):
        raise DataError(
            f"The {type(data).__name__} streams its rows, but pictures are looked at more than once: load it without "
            "streaming=True."
        )
    data = data.with_format(None)  # in another one numbers of classes are tensors
    there, features = list(data.column_names), data.features
    pictures = [name for name in there if type(features[name]).__name__ == "Image"]
    key = pictures[0] if len(pictures) == 1 and columns.path not in there else columns.path
    wanted = wanted_columns(dataclasses.replace(columns, path=key), there)
    numbered = [name for name in there if getattr(features[name], "names", None)]
    sought = {**wanted, "label": label_column(columns, there, numbered)}
    places = find_columns(Path(type(data).__name__), sought, there)
    if getattr(features[key], "decode", False):
        data = data.cast_column(key, dataclasses.replace(features[key], decode=False))
    frame = pd.DataFrame({columns.path: _items(data, key, called)})
    for use in wanted.keys() - {"path"}:
        name = there[places[use]]
        frame[wanted[use]] = _named(list(data[name]), getattr(features[name], "names", None))
    return frame


def _items(data: Indexed, key: int | str, called: str) -> pd.Series:
    return pd.Series([Item(f"{called}[{index}]", data, index, key) for index in range(len(data))], dtype=object)


def _named(labels: list[Any], names: Sequence[Any] | None) -> list[Any]:
    """Return labels with the names of classes in place of their numbers, where there are names."""
    if names is None or not all(label is None or isinstance(label, int) for label in labels):
        return labels
    return [None if label is None or not 0 <= label < len(names) else str(names[label]) for label in labels]
