"""How many planted label errors `automl-tl labels` finds, and how many of what it lists were planted.

    python benchmarks/planted_labels.py DATA [--sets NAME ...] [--pictures 400] [--share 0.05] [--seeds 4]

DATA holds one folder per data set. Of each, a stratified part is drawn, and a share of its labels is replaced by
another class at random. What was wrong before counts as right here, so the precision is a lower bound. Where cleanlab
is installed, its filters choose from the same probabilities. Prints the means over the seeds; every row goes to
`results/planted_labels.csv`.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

import automl_tl
from automl_tl.data.dataset import open_dataset
from automl_tl.data.folds import stratified_sample

RESULTS = Path(__file__).parent / "results" / "planted_labels.csv"
SETS = ("clothing", "weather", "trashnet")
FILTERS = ("prune_by_noise_rate", "both", "confident_learning")  # of cleanlab; the first is its default


def planted(frame: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """Return the frame with a column `true`, and a share of the labels replaced by another class, each as likely."""
    rng, classes = np.random.default_rng(seed), np.unique(frame["label"])
    y = np.searchsorted(classes, frame["label"])
    rows = rng.choice(len(y), round(share * len(y)), replace=False)
    y[rows] = (y[rows] + rng.integers(1, len(classes), len(rows))) % len(classes)
    return frame.assign(true=frame["label"], label=classes[y])


def judged(frame: pd.DataFrame) -> tuple[automl_tl.LabelReport, np.ndarray]:
    """Return the report on a frame's labels, and which of the judged ones were planted, bool (n,)."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.csv"
        frame[["path", "label"]].to_csv(table, index=False)
        report = automl_tl.labels(table)
    wrong = (frame["label"] != frame["true"]).set_axis(frame["path"])
    return report, wrong[list(report.evaluation.paths)].to_numpy()


def choices(report: automl_tl.LabelReport) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (method, chosen) of every way to choose from the same probabilities, chosen bool (n,)."""
    found = report.evaluation
    listed = {one.path for one in report.suspects}
    yield "automl-tl", np.array([path in listed for path in found.paths])
    if importlib.util.find_spec("cleanlab") is None:
        return
    from cleanlab.filter import find_label_issues

    for name in FILTERS:
        yield f"cleanlab {name}", find_label_issues(found.y, found.probabilities, filter_by=name, n_jobs=1)


def measure(data: Path, name: str, n: int, share: float, seed: int) -> Iterator[dict[str, object]]:
    frame = open_dataset(data / name).frame[["path", "label"]]
    frame = frame.iloc[stratified_sample(frame["label"].to_numpy(), n, 0)].reset_index(drop=True)
    report, wrong = judged(planted(frame, share, seed))
    n_wrong = int(wrong.sum())
    for method, chosen in choices(report):
        listed, hits = int(chosen.sum()), int((chosen & wrong).sum())
        yield {
            "data set": name, "seed": seed, "pictures": len(wrong), "planted": n_wrong, "method": method,
            "listed": listed, "found": hits, "precision": hits / max(listed, 1) if n_wrong else None,
            "recall": hits / n_wrong if n_wrong else None,
            # of the order by self-confidence, which all methods have in common
            "average precision": average_precision_score(wrong, -report.evaluation.given_probabilities)
            if n_wrong else None,
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=4)
    asked = parser.parse_args()
    rows = [row for name in asked.sets for row in measure(asked.data, name, asked.pictures, 0.0, 0)]
    for name in asked.sets:
        for seed in range(asked.seeds):
            rows += measure(asked.data, name, asked.pictures, asked.share, seed)
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows).round(4)
    RESULTS.parent.mkdir(exist_ok=True)
    table.to_csv(RESULTS, index=False)
    means = table.groupby(["planted", "method", "data set"]).mean(numeric_only=True).drop(columns=["seed", "pictures"])
    print(means.round(2).to_string())


if __name__ == "__main__":
    main()
