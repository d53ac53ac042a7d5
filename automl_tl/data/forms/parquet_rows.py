"""Pictures in the rows of a Parquet file, read some rows at a time."""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

from automl_tl.data.source import file_version
from automl_tl.errors import PictureError

_ROWS = 32
"""That are read at once."""
_BATCHES = 6
"""Of so many rows that are kept: threads ask a little out of order."""
_OPEN_FILES = 4
_BUFFER = 1 << 16  # bytes


@dataclass(frozen=True)
class Cell:
    """A picture in a row of a Parquet file."""

    name: str
    table: str
    column: str
    """As Parquet names it, with the field of a struct behind a dot; its values are bytes."""
    row: int
    """From 0."""

    @property
    def place(self) -> tuple[str, int]:
        """See `Source`."""
        return self.table, self.row

    @property
    def version(self) -> str:
        """See `Source`."""
        return f"{file_version(self.table)}\0{self.row}"

    def open(self) -> BinaryIO:
        """See `Source`; of rows that are asked for in about their order each is read once."""
        content = _rows_of(self.table, self.column, file_version(self.table)).read(self.row)
        if content is None:
            raise PictureError("the row holds no picture")
        return io.BytesIO(content)


class _Rows:
    """The pictures of one file. Only a few rows, or the pages that the file has them in, are in memory."""

    def __init__(self, table: str, column: str) -> None:
        from pyarrow import parquet  # takes a third of a second

        self.file, self.column = parquet.ParquetFile(table, pre_buffer=False, buffer_size=_BUFFER), column
        sizes = [self.file.metadata.row_group(group).num_rows for group in range(self.file.num_row_groups)]
        self.starts = [sum(sizes[:group]) for group in range(len(sizes))]
        self.lock = threading.Lock()
        self.ahead: Iterator[tuple[int, list[bytes | None]]] = iter(())
        self.kept: deque[tuple[int, list[bytes | None]]] = deque(maxlen=_BATCHES)
        """The number of the first row, and the rows."""

    def read(self, row: int) -> bytes | None:
        """Return what the row holds; None where that is nothing, or there is no such row."""
        with self.lock:
            if (found := self._kept(row)) is None:
                self._advance(row)
                found = self._kept(row)
        return found[0] if found else None

    def _kept(self, row: int) -> list[bytes | None] | None:
        """Return the kept rows from `row` on."""
        return next((rows[row - first :] for first, rows in self.kept if 0 <= row - first < len(rows)), None)

    def _advance(self, row: int) -> None:
        """Read on to a row, or from the beginning of its group if it lies before or in another one."""
        group = max(number for number, first in enumerate(self.starts) if first <= row)
        if not (self.kept and self.starts[group] <= self.kept[-1][0] < row):
            self.ahead = self._batches(group)
        for first, rows in self.ahead:
            self.kept.append((first, rows))
            if row < first + len(rows):
                return

    def _batches(self, group: int) -> Iterator[tuple[int, list[bytes | None]]]:
        first = self.starts[group]
        for batch in self.file.iter_batches(_ROWS, row_groups=[group], columns=[self.column], use_threads=False):
            values = batch.column(0)
            rows = (values.field(0) if hasattr(values, "field") else values).to_pylist()
            yield first, rows
            first += len(rows)


@lru_cache(_OPEN_FILES)
def _rows_of(table: str, column: str, version: str) -> _Rows:
    return _Rows(table, column)
