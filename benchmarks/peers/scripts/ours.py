"""automl-tl: `search` for the budget, with the same backbone unless others are named, otherwise at its defaults.

Its features are computed anew, and its experience is fitted without the data set at hand.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

from contract import Probabilities, Task, main

import automl_tl

BACKBONE = "efficientnet_lite0"


def train(task: Task) -> None:
    folder = task.model.parent
    result = automl_tl.search(
        for_training(task), budget=task.budget, backbones=task.backbones or [BACKBONE], seed=task.seed,
        out=folder / "run", cache_dir=folder / "cache", without_set=task.data, started=task.started,
    )  # fmt: skip
    result.bundle.rename(task.model)
    rest = {"other": result.seconds - sum(result.parts.values()), "unused": task.budget - result.seconds}
    (folder / "parts.json").write_text(json.dumps({name: round(s, 1) for name, s in {**result.parts, **rest}.items()}))


def for_training(task: Task) -> Path:
    """Return a table that says that every picture is for training.

    From some fifty of a class on, the search holds a part aside for a test all the same, and learns from it last.
    """
    table = task.model.parent / "training.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "split"))
        writer.writerows((path, label, "train") for path, label in zip(task.paths, task.labels, strict=True))
    return table


def predict(paths: list[str], model: Path) -> Probabilities:
    loaded = automl_tl.load(model)
    return list(loaded.classes), [one.probabilities for one in loaded.predict(paths)]


if __name__ == "__main__":
    main(train, predict)
