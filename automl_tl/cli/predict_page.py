"""Predictions as lines: a table for people, CSV or JSON lines for programs. Each line is written as it is known."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from typing import IO, Any, Protocol

from rich.cells import cell_len

from automl_tl.cli.text import clean, label_text
from automl_tl.model.inputs import Input
from automl_tl.model.predict import Prediction

WIDEST_PATH = 120
WIDEST_LABEL = 32
UNUSUAL = "unlike the training pictures"


class Writer(Protocol):
    """Writes one prediction after another."""

    def write(self, prediction: Prediction) -> None:
        """Write one."""


def writer(
    kind: str, stream: IO[str], inputs: Sequence[Input], classes: Sequence[str], top_k: int, probabilities: bool
) -> Writer:
    """Return what writes predictions to `stream`; the header, if there is one, is written at once.

    Args:
        kind: "table", "csv" or "jsonl".
        stream: open for text.
        inputs: all pictures to come, for the width of the column.
        classes: labels of the model, in its order.
        top_k: how many classes are shown, at most.
        probabilities: whether csv and jsonl give the probability of every class.
    """
    if kind == "table":
        return _Table(stream, inputs, classes, top_k)
    if kind == "csv":
        return _Csv(stream, classes, top_k, probabilities)
    return _JsonLines(stream, classes, probabilities)


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

    def _line(self, path: str, label: str, probability: str, rest: str) -> None:
        columns = (_padded(path, self.path), _padded(label, self.label), probability.rjust(len("probability")), rest)
        self.stream.write("  ".join(columns).rstrip() + "\n")


class _Csv:
    """Cells are quoted where CSV needs it and otherwise as they are; on a terminal control characters are escaped."""

    def __init__(self, stream: IO[str], classes: Sequence[str], top_k: int, probabilities: bool) -> None:
        self.cells = csv.writer(stream, lineterminator="\n")
        self.terminal = stream.isatty()
        self.top_k, self.n_probabilities = min(top_k, len(classes)), len(classes) if probabilities else 0
        more = [name for place in range(2, self.top_k + 1) for name in (f"label_{place}", f"probability_{place}")]
        every = [f"probability of {label}" for label in classes] if probabilities else []
        self._row(["path", "label", "probability", *more, "unusual", "novelty", "error", *every])

    def write(self, prediction: Prediction) -> None:
        top = [cell for label, share in prediction.top for cell in (label, _digits(share))]
        top += [""] * (2 * self.top_k - len(top))
        unusual = "" if prediction.error is not None else str(prediction.unusual).lower()
        given = prediction.probabilities
        every = [""] * self.n_probabilities if given is None else [_digits(p) for p in given[: self.n_probabilities]]
        self._row([prediction.path, *top, unusual, _digits(prediction.novelty), prediction.error or "", *every])

    def _row(self, cells: list[str]) -> None:
        self.cells.writerow([clean(cell) for cell in cells] if self.terminal else cells)


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
        self.stream.write(json.dumps(values, ensure_ascii=True, allow_nan=False) + "\n")


def _digits(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _widest(texts: Sequence[str], most: int, name: str) -> int:
    return max(len(name), min(most, max(cell_len(clean(text)) for text in texts)))


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))
