"""How a tool is called: `train` writes a model, `predict` reads it. Any environment has what this imports.

    python SCRIPT train TABLE MODEL --budget S --started T [--data NAME] [--mirrored] [--seed N]
        [--backbones NAME ...]
    python SCRIPT predict TABLE MODEL OUT

TABLE is a CSV file with a column `path`, for training `label` as well. OUT becomes a CSV file with a column per class,
a row of probabilities per picture in the order of TABLE.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

Probabilities = tuple[Sequence[str], Iterable[Sequence[float]]]
"""The classes, and a row for every picture in the order of the classes."""


@dataclass(frozen=True)
class Task:
    """What there is to learn from, and for how long."""

    paths: list[str]
    labels: list[str]
    table: Path
    model: Path
    """Where the model is to be written: a name that nothing has yet."""
    budget: float
    """Seconds from `started` on; 0 for as long as it takes."""
    started: float
    """When the process was started, by `time.monotonic`, which all processes of a machine share."""
    data: str
    """The name of the data set, only for a tool that must not know it."""
    mirrored: bool
    """Whether a mirrored picture means the same."""
    seed: int
    backbones: tuple[str, ...] = ()
    """For a tool that chooses among several; () for the one that all have."""

    @property
    def left(self) -> float:
        """Seconds until the budget is used up."""
        return self.budget - (time.monotonic() - self.started)


def main(train: Callable[[Task], None], predict: Callable[[list[str], Path], Probabilities]) -> None:
    """Do what the command line asks for."""
    asked = _parsed()
    with asked.table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    paths = [row["path"] for row in rows]
    if asked.act == "predict":
        _write(asked.out, *predict(paths, asked.model))
        return
    labels = [row["label"] for row in rows]
    train(
        Task(
            paths, labels, asked.table, asked.model, asked.budget, asked.started, asked.data, asked.mirrored,
            asked.seed, tuple(asked.backbones),
        )
    )  # fmt: skip


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    acts = parser.add_subparsers(dest="act", required=True)
    for act in (acts.add_parser("train"), acts.add_parser("predict")):
        act.add_argument("table", type=Path)
        act.add_argument("model", type=Path)
    acts.choices["predict"].add_argument("out", type=Path)
    train = acts.choices["train"]
    train.add_argument("--budget", type=float, default=0.0)
    train.add_argument("--started", type=float, default=time.monotonic())
    train.add_argument("--data", default="")
    train.add_argument("--mirrored", action="store_true")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--backbones", nargs="+", default=())
    return parser.parse_args()


def _write(out: Path, classes: Sequence[str], rows: Iterable[Sequence[float]]) -> None:
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(classes)
        writer.writerows([repr(float(value)) for value in row] for row in rows)
