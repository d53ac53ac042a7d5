"""Predictions as a table for people, or as CSV, TSV, JSON, JSON lines and Parquet; each is written as it is known."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, Protocol

from rich.cells import cell_len

from automl_tl.model.inputs import Input
from automl_tl.model.predict import Prediction
from automl_tl.wording import clean, label_text, no_formula

WIDEST_PATH = 120
WIDEST_LABEL = 32
UNUSUAL = "unlike the training pictures"
_ROWS = 4096  # of Parquet, at once


class Writer(Protocol):
    """Writes one prediction after another."""

    def write(self, prediction: Prediction) -> None:
        """Write one."""

    def close(self) -> None:
        """Write what comes after the last one."""


def writer(
    kind: str, stream: IO[Any], inputs: Sequence[Input], classes: Sequence[str], top_k: int, probabilities: bool
) -> Writer:
    """Return what writes predictions to `stream`; the header, if there is one, is written at once.

    Args:
        kind: "table", "csv", "tsv", "json", "jsonl" or "parquet".
        stream: open for text, for "parquet" for bytes.
        inputs: all pictures to come, for the width of the column.
        classes: labels of the model, in its order.
        top_k: how many classes are shown, at most.
        probabilities: whether the probability of every class is given; a table shows `top_k`.
    """
    if kind == "table":
        return _Table(stream, inputs, classes, top_k)
    if kind == "parquet":
        return _Parquet(stream, classes, top_k, probabilities)
    if kind in ("json", "jsonl"):
        return (_Json if kind == "json" else _JsonLines)(stream, classes, probabilities)
    return _Csv(stream, classes, top_k, probabilities, separator="\t" if kind == "tsv" else ",")


class _Table:
    """Columns in fixed widths; a longer name is shown whole and moves the rest of its line."""

    def __init__(self, stream: IO[str], inputs: Sequence[Input], classes: Sequence[str], top_k: int) -> None:
        self.stream = stream
        self.path = _widest([one.shown for one in inputs], WIDEST_PATH, "picture")
        self.label = _widest([label_text(label) for label in classes], WIDEST_LABEL, "label")
        self._line("picture", "label", "probability", "then" if min(top_k, len(classes)) > 1 else "")

    def write(self, prediction: Prediction) -> None:
        path, others = clean(prediction.path), []
        if prediction.error is not None:
            self._line(path, "-", "-", f"error: {clean(prediction.error)}")
            return
        if prediction.unusual:
            others.append(f"{UNUSUAL}: {prediction.outside}" if prediction.outside else UNUSUAL)
        if len(prediction.top) > 1:
            others.insert(0, ", ".join(f"{label_text(label)} {share:.1%}" for label, share in prediction.top[1:]))
        self._line(path, label_text(prediction.label or ""), f"{prediction.probability:.1%}", "; ".join(others))

    def close(self) -> None:
        pass

    def _line(self, path: str, label: str, probability: str, rest: str) -> None:
        columns = (_padded(path, self.path), _padded(label, self.label), probability.rjust(len("probability")), rest)
        self.stream.write("  ".join(columns).rstrip() + "\n")


class _Columns:
    """What the cells of a row are called, and what they hold."""

    def __init__(self, classes: Sequence[str], top_k: int, probabilities: bool) -> None:
        self.top_k, self.n_probabilities = min(top_k, len(classes)), len(classes) if probabilities else 0
        more = [name for place in range(2, self.top_k + 1) for name in (f"label_{place}", f"probability_{place}")]
        every = [f"probability of {label}" for label in classes] if probabilities else []
        self.names = ["path", "label", "probability", *more, "unusual", "novelty", "error", *every]

    def row(self, prediction: Prediction) -> list[str | float | bool | None]:
        """Return the cells of one prediction; None where there is nothing to say."""
        top: list[str | float | None] = [cell for label, share in prediction.top for cell in (label, share)]
        top += [None] * (2 * self.top_k - len(top))
        unusual = None if prediction.error is not None else prediction.unusual
        given = prediction.probabilities
        every = [None] * self.n_probabilities if given is None else given[: self.n_probabilities].tolist()
        return [prediction.path, *top, unusual, prediction.novelty, prediction.error, *every]


@dataclass(frozen=True)
class _Lines:
    """Ends the rows of `csv.writer` as a shell expects it; made to end in both, it quotes cells with either of them."""

    stream: IO[str]

    def write(self, row: str) -> None:
        self.stream.write(row.removesuffix("\r\n") + "\n")


class _Csv:
    """Cells are quoted where CSV needs it, and none is a formula; on a terminal control characters are escaped."""

    def __init__(
        self, stream: IO[str], classes: Sequence[str], top_k: int, probabilities: bool, *, separator: str
    ) -> None:
        self.cells = csv.writer(_Lines(stream), lineterminator="\r\n", delimiter=separator)
        self.terminal = stream.isatty()
        self.columns = _Columns(classes, top_k, probabilities)
        self._row(self.columns.names)

    def write(self, prediction: Prediction) -> None:
        self._row([_text(cell) for cell in self.columns.row(prediction)])

    def close(self) -> None:
        pass

    def _row(self, cells: list[str]) -> None:
        harmless = [no_formula(cell) for cell in cells]
        self.cells.writerow([clean(cell) for cell in harmless] if self.terminal else harmless)


class _Parquet:
    """Numbers are float64, in batches of rows."""

    def __init__(self, stream: IO[bytes], classes: Sequence[str], top_k: int, probabilities: bool) -> None:
        import pyarrow
        from pyarrow import parquet

        self.columns = _Columns(classes, top_k, probabilities)
        kinds = {"path": pyarrow.string(), "error": pyarrow.string(), "unusual": pyarrow.bool_()}
        kinds |= {name: pyarrow.string() for name in self.columns.names if name.startswith("label")}
        self.schema = pyarrow.schema([(name, kinds.get(name, pyarrow.float64())) for name in self.columns.names])
        self.file = parquet.ParquetWriter(stream, self.schema)
        self.rows: list[list[str | float | bool | None]] = []

    def write(self, prediction: Prediction) -> None:
        cells = self.columns.row(prediction)
        self.rows.append([_storable(cell) if isinstance(cell, str) else cell for cell in cells])
        if len(self.rows) >= _ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self.file.close()

    def _flush(self) -> None:
        import pyarrow

        columns = list(zip(*self.rows, strict=True)) or [()] * len(self.schema)
        arrays = [pyarrow.array(cells, kind) for cells, kind in zip(columns, self.schema.types, strict=True)]
        self.file.write_table(pyarrow.Table.from_arrays(arrays, schema=self.schema))
        self.rows = []


class _JsonLines:
    """One object a line, in ASCII."""

    def __init__(self, stream: IO[str], classes: Sequence[str], probabilities: bool) -> None:
        self.stream, self.classes, self.probabilities = stream, classes, probabilities

    def write(self, prediction: Prediction) -> None:
        values: dict[str, Any] = {
            "path": prediction.path,
            "label": prediction.label,
            "probability": prediction.probability,
            "top": [{"label": label, "probability": share} for label, share in prediction.top],
            "unusual": None if prediction.error is not None else prediction.unusual,
            "novelty": prediction.novelty,
            "error": prediction.error,
        }
        if self.probabilities and prediction.probabilities is not None:
            values["probabilities"] = dict(zip(self.classes, prediction.probabilities.tolist(), strict=True))
        self._object(json.dumps(values, ensure_ascii=True, allow_nan=False))

    def close(self) -> None:
        pass

    def _object(self, text: str) -> None:
        self.stream.write(f"{text}\n")


class _Json(_JsonLines):
    """One list of objects."""

    before = "["

    def close(self) -> None:
        self.stream.write("[]\n" if self.before == "[" else "\n]\n")

    def _object(self, text: str) -> None:
        self.stream.write(f"{self.before}\n{text}")
        self.before = ","


def _text(cell: str | float | bool | None) -> str:
    if isinstance(cell, bool):
        return str(cell).lower()
    return f"{cell:.6g}" if isinstance(cell, float) else cell or ""


def _storable(text: str) -> str:
    """Return a text as it is, but for what UTF-8 does not hold: the bytes of a file's name that are none."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _widest(texts: Sequence[str], most: int, name: str) -> int:
    return max(len(name), min(most, max(cell_len(clean(text)) for text in texts)))


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))
