"""What it earns to choose how pictures become square by what frozen features make of them (`lab.fit_choice`).

    python -m benchmarks.fit_choice ../shared/data [--draws 8] [--sizes 10 25 50]

Draws training pictures of data sets that are not square again and again, has the product choose on them, and tests
heads on all other pictures that are looked at, up to 1,500 of a data set, in both ways: ridge regression at the penalty
of the least log loss, on the last three stages of EfficientNet-Lite0, joined. Prints what the other way is ahead of the
one that the sizes say, and what is gained by choosing, and writes `results/fit_choice.csv`. Rows that are there are not
measured again.
"""

from __future__ import annotations

import argparse
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from automl_tl.features.picture import pictures_of
from automl_tl.lab.fit_choice import ALTERNATIVES, JOINED, LOG_LOSS, with_best_fit
from automl_tl.lab.lab import Lab, open_lab
from automl_tl.lab.sample import draw_sample
from automl_tl.learning.screen import ridge_path, solve_ridge
from automl_tl.options import LabOptions
from benchmarks.draws import listed

RESULTS = Path(__file__).parent / "results" / "fit_choice.csv"
BACKBONE = "efficientnet_lite0"
MOST_PICTURES, LARGEST_SHARE = 1500, 0.6
SETS = ("clothing", "trashnet", "blood_wbc", "magnetic_tiles")
CELL = ["data", "per_class", "draw"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 25, 50], help="pictures of every class")
    asked = parser.parse_args()
    known = set(pd.read_csv(RESULTS)[CELL].itertuples(index=False, name=None)) if RESULTS.exists() else set()
    for data in SETS:
        frame = listed(asked.data, data)[["path", "label"]].sample(frac=1, random_state=7)
        frame = frame.groupby("label").head(MOST_PICTURES // frame["label"].nunique())
        for per_class in asked.sizes:
            enough = frame["label"].value_counts().min() * LARGEST_SHARE >= per_class
            for draw in range(asked.draws if enough else 0):
                cell = (data, per_class, draw)
                if cell not in known:
                    add(dict(zip(CELL, cell, strict=True)) | measured(frame, *cell))
    print(summary(pd.read_csv(RESULTS)))


def measured(frame: pd.DataFrame, data: str, per_class: int, draw: int) -> dict[str, object]:
    """Return what the sizes say, what is chosen, and the accuracy on test pictures in either way."""
    order = frame.sample(frac=1, random_state=zlib.crc32(f"{data} {per_class} {draw}".encode()))
    training = order.groupby("label").cumcount() < per_class
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "pictures.csv"
        order.assign(split=np.where(training, "train", "test")).to_csv(table, index=False)
        lab = open_lab(table, LabOptions(backbones=(BACKBONE,), device="cpu", seed=draw))
    other = ALTERNATIVES[lab.report.fit]
    chosen = with_best_fit(lab).report.fit
    reached = {fit: accuracy(lab.with_fit(fit, "")) for fit in (lab.report.fit, other)}
    return {
        "n": int(training.sum()), "by_size": lab.report.fit, "other": other, "chosen": chosen,
        "accuracy_by_size": reached[lab.report.fit], "accuracy_other": reached[other],
    }  # fmt: skip


def accuracy(lab: Lab) -> float:
    """Return the accuracy on the pictures of the part "test" of a head that has learned from those of "train"."""
    sample, frame = draw_sample(lab.dataset, len(lab.dataset), lab.seed), lab.dataset.frame
    test = frame[frame["split"] == "test"]
    features = [lab.features(BACKBONE, pictures) for pictures in (sample.pictures, pictures_of(test))]
    cuts = range(features[0].n_stages - JOINED + 1, features[0].n_stages + 1)
    X, X_test = (one.matrix(cuts) for one in features)
    penalty = ridge_path(sample.problem(X), metric=LOG_LOSS.name).penalty
    said = solve_ridge(X, sample.y, len(sample.classes), penalty).predict(X_test)
    return float((np.array(sample.classes)[said] == test["label"].to_numpy()).mean())


def add(row: dict[str, object]) -> None:
    print(row, flush=True)
    pd.DataFrame([row]).round(4).to_csv(RESULTS, mode="a", header=not RESULTS.exists(), index=False)


def summary(table: pd.DataFrame) -> str:
    """Return by data set and size what the other way is ahead, and what choosing gains, in points."""
    ahead = 100 * (table["accuracy_other"] - table["accuracy_by_size"])
    is_other = table["chosen"] == table["other"]
    found = table.assign(ahead=ahead, is_other=is_other, gained=ahead.where(is_other, 0.0))
    lines = [
        "| pictures of a class | by size | other | other is ahead | is chosen | gained |",
        "|---|---|---|---:|---:|---:|",
    ]
    for (data, per_class, by_size, other), some in found.groupby(["data", "per_class", "by_size", "other"]):
        error = some["ahead"].std() / np.sqrt(len(some))
        lines.append(
            f"| {data}, {per_class} | {by_size} | {other} | {some['ahead'].mean():+z.1f} ± {error:.1f} | "
            f"{some['is_other'].sum()} of {len(some)} | {some['gained'].mean():+z.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
