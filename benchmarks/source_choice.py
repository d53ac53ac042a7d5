"""How a frozen source should be chosen: by being right, by log loss, by merit (`learning.merit`), or one and the same.

    python -m benchmarks.source_choice ../shared/data [--draws 8] [--sizes 3 5 10 25 50]

Draws training pictures of ten data sets again and again, screens every source of EfficientNet-Lite0 on them by
cross-validated ridge regression, solves each at its best penalty, and tests it on all other pictures: up to 700 of a
data set in all, so features are computed once. Prints what each way of choosing earns over the source that is right
most often, with standard errors clustered by data set, and writes `results/source_choice.csv`: what every way reached
in every draw. Rows that are there are not measured again.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch

from automl_tl.backbones.stages import POOLINGS
from automl_tl.cache_dir import cache_dir
from automl_tl.data.decode import Preprocessing, preprocess
from automl_tl.data.folds import make_folds
from automl_tl.features.engine import choose_engine
from automl_tl.features.extract import statistics
from automl_tl.lab.feature_sources import FeatureSource, sources
from automl_tl.lab.networks import Networks
from automl_tl.lab.sample import n_folds
from automl_tl.learning.merit import PER_NAT, certainty, merit, usual
from automl_tl.learning.problem import Problem
from automl_tl.learning.scores import METRICS, best_temperature, negative_log_likelihood
from automl_tl.learning.screen import ridge_path, solve_ridge
from automl_tl.learning.spectrum import decompose
from automl_tl.strategies import frozen_strategy
from benchmarks.draws import listed
from benchmarks.peers.cells import SIZES

RESULTS = Path(__file__).parent / "results" / "source_choice.csv"
BACKBONE, BATCH, SIDE = "efficientnet_lite0", 64, 224
MOST_PICTURES, MOST_OF_CLASS, LEFT = 700, 60, 2
SETS = (*SIZES, "faces_orl")
ONE = ((6, 7, 8, 9), "mean+std")
"""The source that is usually best, for whoever does not choose."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--sizes", type=int, nargs="+", default=[3, 5, 10, 25, 50], help="pictures of every class")
    asked = parser.parse_args()
    done = set(pd.read_csv(RESULTS)[["data", "per_class", "draw"]].itertuples(index=False, name=None)
               if RESULTS.exists() else ())  # fmt: skip
    for data in SETS:
        found = features(asked.data, data)
        for per_class in asked.sizes:
            for draw in range(asked.draws if np.bincount(found["y"]).min() >= per_class + LEFT else 0):
                if (data, per_class, draw) not in done:
                    add({"data": data, "per_class": per_class, "draw": draw}, measured(found, data, per_class, draw))
    print(summary(pd.read_csv(RESULTS)))


def features(root: Path, data: str) -> dict[str, np.ndarray]:
    """Return every statistic of every stage by names like "3/mean", float32 (n, d), and the labels "y", int (n,)."""
    frame = listed(root, data).sample(frac=1, random_state=7)
    classes = sorted(frame["label"].unique())
    frame = frame.groupby("label").head(max(MOST_OF_CLASS, MOST_PICTURES // len(classes)))
    networks, how = Networks(choose_engine("cpu"), cache_dir(None)), Preprocessing(SIDE, "squash", "bicubic")
    network, parts = networks.network(BACKBONE), []
    for start in range(0, len(frame), BATCH):
        pixels = np.stack([preprocess(Path(path), how) for path in frame["path"][start : start + BATCH]])
        parts.append(statistics(network, torch.from_numpy(pixels), networks.engine))
    known = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {**known, "y": frame["label"].map(classes.index).to_numpy()}


def measured(found: Mapping[str, np.ndarray], data: str, per_class: int, draw: int) -> pd.DataFrame:
    """Return one row per frozen strategy and way of choosing: accuracy and log loss on the test pictures."""
    y, n_stages = found["y"], max(int(name.split("/")[0]) for name in found if "/" in name)
    rng = np.random.default_rng([5, draw, per_class, zlib.crc32(data.encode())])
    order = rng.permutation(len(y))
    rank = pd.Series(y[order]).groupby(y[order]).cumcount().to_numpy()
    train, test = order[rank < per_class], order[rank >= per_class]
    folds = make_folds(y[train], np.arange(len(train)), n_folds(y[train]), 0)
    described = SimpleNamespace(
        backbone=BACKBONE, n_stages=n_stages, has_patches=False, has_grid=lambda cut: f"{cut}/grid" in found
    )
    rows = [screened(found, source, train, test, folds) for source in sources(described)]  # type: ignore[arg-type]
    table = pd.DataFrame(rows).assign(strategy=lambda t: [frozen_strategy(cuts, n_stages) for cuts in t["cuts"]])
    columns = ["strategy", "way", "n", "cuts", "pooling", "accuracy", "log_loss"]
    return pd.DataFrame(chosen(table, len(train)))[columns]


def screened(
    found: Mapping[str, np.ndarray], source: FeatureSource, train: np.ndarray, test: np.ndarray, folds: np.ndarray
) -> dict[str, object]:
    """Return what a source comes to out of fold, and on test pictures at its best penalty."""
    X = np.concatenate([found[f"{cut}/{name}"] for cut in source.cuts for name in POOLINGS[source.pooling]], axis=1)
    y, n_classes, spectrum = found["y"], int(found["y"].max()) + 1, decompose(X[train])
    path = ridge_path(Problem(spectrum, y[train], folds, n_classes))
    scores = solve_ridge(spectrum, y[train], n_classes, path.penalty).scores(X[test])
    loss = negative_log_likelihood(y[test], scores, best_temperature(y[train], path.oof))
    ahead = usual(source.cuts, source.pooling)
    return {
        "cuts": source.cuts, "pooling": source.pooling, "right": path.value, "loss": float(path.losses.mean()),
        "merit": merit(path.value, path.losses, y[train], METRICS["accuracy"], ahead),
        "accuracy": (scores.argmax(axis=1) == y[test]).mean(), "log_loss": loss,
    }  # fmt: skip


def chosen(table: pd.DataFrame, n: int) -> Iterator[dict[str, object]]:
    """Yield what each way of choosing reaches, for the late sources and for the early ones."""
    weight = certainty(n)
    for strategy, some in table.groupby("strategy"):
        right, loss, merits, reached = (some[name].to_numpy() for name in ("right", "loss", "merit", "accuracy"))
        one = (some["cuts"] == ONE[0]) & (some["pooling"] == ONE[1])
        ways = {
            "right most often": right,
            "least log loss": -loss,
            "both": weight * right - (1 - weight) * PER_NAT * loss,
            "merit": merits,
            "the best there is": reached,
            **({"always the last four": one.to_numpy(float)} if one.any() else {}),
        }
        for way, worth in ways.items():
            yield {"strategy": strategy, "way": way, "n": n, **dict(some.iloc[int(worth.argmax())])}


def add(cell: dict[str, object], rows: pd.DataFrame) -> None:
    print(cell, flush=True)
    rows = pd.concat([pd.DataFrame([cell] * len(rows)), rows], axis=1)
    rows.round(4).to_csv(RESULTS, mode="a", header=not RESULTS.exists(), index=False)


def summary(table: pd.DataFrame) -> str:
    """Return what each way earns over "right most often", in points, with a standard error clustered by data set."""
    texts = []
    for strategy, some in table.groupby("strategy"):
        wide = some.pivot_table(index=["per_class", "data", "draw"], columns="way", values="accuracy")
        gain = 100 * wide.sub(wide["right most often"], axis=0).groupby(["per_class", "data"]).mean()
        mean, error = gain.groupby("per_class").mean(), gain.groupby("per_class").sem()
        shown = mean.round(1).astype(str) + " +- " + error.round(1).astype(str)
        base = 100 * wide["right most often"].groupby(["per_class", "data"]).mean().groupby("per_class").mean()
        ways = shown.drop(columns="right most often").assign(reached=base.round(1))
        texts.append(f"{strategy}\n{ways.to_string()}")
    return "\n\n".join(texts)


if __name__ == "__main__":
    main()
