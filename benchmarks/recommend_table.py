"""What `recommend` says of real data sets, and what came true on pictures that it never saw.

    python benchmarks/recommend_table.py ../shared/data [--out datasets_meta/recommend_panel.csv]

For every regime (a data set at so many training pictures per class) and draw, a table of training and test pictures
is drawn, `recommend` reads it, and the recommended frozen model is fitted on all its training pictures and tested
once. One row per draw is appended to the CSV as soon as it is known, so an interrupted run goes on where it stopped;
`--summary` prints the tables from the CSV alone.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import beta

from automl_tl import recommend
from automl_tl.cache_dir import cache_dir
from automl_tl.data.dataset import open_dataset
from automl_tl.data.quality import scan
from automl_tl.data.split import assign_splits
from automl_tl.features.engine import choose_engine
from automl_tl.features.extract import Pass, Picture, extract
from automl_tl.lab.networks import Networks
from automl_tl.learning.classifiers import solve_classifier
from automl_tl.recommender.recommendation import Recommendation

DEFAULT_OUT = Path(__file__).parents[1] / "datasets_meta" / "recommend_panel.csv"


@dataclass(frozen=True)
class Regime:
    """A data set at so many training pictures of every class; 0 means all of them."""

    data: str
    per_class: int
    draws: int

    @property
    def name(self) -> str:
        return f"{self.data} at {self.per_class or 'all'}"


REGIMES = (
    Regime("clothing", 3, 4),
    Regime("clothing", 10, 5),
    Regime("clothing", 50, 5),
    Regime("trashnet", 5, 5),
    Regime("trashnet", 40, 4),
    Regime("sign_digits", 3, 5),
    Regime("sign_digits", 40, 4),
    Regime("blood_wbc", 8, 5),
    Regime("blood_wbc", 0, 3),
    Regime("omniglot_alphabets", 4, 5),
    Regime("omniglot_alphabets", 40, 4),
    Regime("faces_orl", 3, 4),
    Regime("faces_orl", 5, 4),
    Regime("clothing", 0, 1),
    Regime("trashnet", 0, 1),
    Regime("sign_digits", 0, 1),
    Regime("omniglot_alphabets", 0, 1),
)
SEED = 20261124
MOST_TEST_PICTURES = 500


def listed(root: Path, data: str) -> pd.DataFrame:
    """Return every picture with its label, its given part ("" where there is none) and its group."""
    frame = open_dataset(root / data).frame[["path", "label", "split"]].copy()
    # omniglot's files are CHARACTER_DRAWER.png; the test split holds the drawers that no training picture is of.
    drawer = frame["path"].map(lambda p: re.sub(r".*_(\d+)\.\w+$", r"\1", p))
    frame["group"] = drawer if data == "omniglot_alphabets" else ""
    return frame


def draw(frame: pd.DataFrame, regime: Regime, rng: np.random.Generator) -> pd.DataFrame:
    """Return training and test pictures: a given test split is kept, else a fifth of every class is drawn."""
    frame = frame.sample(frac=1, random_state=rng.integers(2**31)).sort_values("label", kind="stable")
    rank = frame.groupby("label").cumcount()
    if (frame["split"] == "").all():
        size = frame.groupby("label")["path"].transform("size")
        share = 0.5 if regime.data == "faces_orl" else 0.2
        frame["split"] = np.where(rank < np.ceil(share * size), "test", "train")
    train = frame[frame["split"] == "train"]
    if regime.per_class:
        train = train.groupby("label", group_keys=False).head(regime.per_class)
    test = frame[frame["split"] != "train"].assign(split="test")
    return pd.concat([train, test.sample(min(len(test), MOST_TEST_PICTURES), random_state=rng.integers(2**31))])


def binomial_interval(right: float, n: int) -> tuple[float, float]:
    """Return the plain 90 % interval (Clopper and Pearson) around the best cross-validated accuracy."""
    k = round(right * n)
    return float(beta.ppf(0.05, k, n - k + 1)) if k else 0.0, float(beta.ppf(0.95, k + 1, n - k)) if k < n else 1.0


def true_accuracy(
    result: Recommendation, table: Path, cuts: tuple[int, ...], pooling: str, kind: str, penalty: float
) -> float:
    """Fit a frozen model on all training pictures of `table` and return its accuracy on the test pictures."""
    scanned, report = scan(open_dataset(table, group_column="group"), cache_dir=cache_dir(None))
    dataset = assign_splits(scanned, 0)  # of duplicates across a split the training copy goes
    networks = Networks(choose_engine(), cache_dir(None))
    name = result.frozen.backbone
    frame = dataset.frame[dataset.frame["split"].isin(["train", "test"])]
    pictures = [Picture(*row) for row in frame[["path", "sha256"]].itertuples(index=False)]
    way = Pass(networks.network(name), networks.preprocessing(name, report.fit), networks.engine)
    values = extract(way, pictures, networks.store)
    X, train = values.matrix(cuts, pooling), (frame["split"] == "train").to_numpy()
    classes, y = np.unique(frame["label"], return_inverse=True)
    if kind != "ridge":
        penalty *= len(result.frozen.rows) / train.sum()
    head = solve_classifier(kind, X[train], y[train], len(classes), penalty)
    right, share = head.predict(X[~train]) == y[~train], np.bincount(y[train]) / train.sum()
    recall = [right[y[~train] == k].mean() for k in range(len(classes))]
    return float(np.dot(share, recall))  # new pictures of the training pictures' class frequencies


def measure(root: Path, regime: Regime, number: int, folder: Path, backbones: list[str]) -> dict[str, object]:
    rng = np.random.default_rng([SEED, number, zlib.crc32(regime.name.encode())])
    table = folder / "table.csv"
    draw(listed(root, regime.data), regime, rng).to_csv(table, index=False)
    result = recommend(table, seed=number, group_column="group", backbones=backbones)
    frozen, best = result.frozen, result.probe[0]
    low, high = result.estimate.interval
    cv_best = max(c.accuracy for c in result.probe)
    plain_low, plain_high = binomial_interval(cv_best, len(best.rows))
    kept = (frozen.source.cuts, frozen.source.pooling, frozen.path.kind, frozen.path.penalty)
    whole = next(
        c for c in result.probe
        if c.backbone == frozen.backbone and c.source.cuts == (frozen.n_stages,) and c.source.pooling == "mean"
    )  # fmt: skip
    last = ((frozen.n_stages,), "mean", "ridge", whole.path.penalty)
    return {
        "regime": regime.name, "draw": number, "n_train": result.n_training, "n_classes": result.n_classes,
        "domain": result.domain.verdict, "distance": result.domain.distance, "confidence": result.domain.confidence,
        "size": result.size.verdict, "cell": result.matrix.cell, "strategy": result.strategy,
        "backbone": frozen.backbone, "cuts": "+".join(map(str, frozen.source.cuts)), "pooling": frozen.source.pooling,
        "head": frozen.path.kind, "expected": result.estimate.accuracy, "low": low, "high": high,
        "cv_best": cv_best, "plain_low": plain_low, "plain_high": plain_high,
        "true": true_accuracy(result, table, *kept), "true_last_stage": true_accuracy(result, table, *last),
        "seconds": result.seconds["total"],
    }  # fmt: skip


def missing(done: pd.DataFrame) -> Iterator[tuple[Regime, int]]:
    """Yield what is left to measure: the first draw of every regime, then the second, ..."""
    known = set(zip(done.get("regime", []), done.get("draw", []), strict=True))
    for number in range(max(regime.draws for regime in REGIMES)):
        for regime in REGIMES:
            if number < regime.draws and (regime.name, number) not in known:
                yield regime, number


def over_regimes(rows: pd.DataFrame, column: str) -> tuple[float, float]:
    """Return the 90 % bootstrap interval of a mean with regimes as the independent units."""
    groups = [values.to_numpy(float) for _, values in rows.groupby("regime")[column]]
    rng = np.random.default_rng(0)
    means = [np.concatenate([groups[i] for i in rng.integers(0, len(groups), len(groups))]).mean() for _ in range(2000)]
    low, high = np.quantile(means, [0.05, 0.95])
    return float(low), float(high)


def summary(rows: pd.DataFrame) -> str:
    rows = rows.assign(
        covered=rows["true"].between(rows["low"], rows["high"]),
        width=rows["high"] - rows["low"],
        plain=rows["true"].between(rows["plain_low"], rows["plain_high"]),
        plain_width=rows["plain_high"] - rows["plain_low"],
    )

    def most(column: pd.Series) -> str:
        return ", ".join(f"{value} x{n}" for value, n in column.value_counts().items())

    table = rows.groupby("regime", sort=False).agg(
        draws=("draw", "size"), n_train=("n_train", "median"), domain=("domain", most), strategy=("strategy", most),
        expected=("expected", "mean"), low=("low", "mean"), high=("high", "mean"), true=("true", "mean"),
        last_stage=("true_last_stage", "mean"), covered=("covered", "sum"), plain=("plain", "sum"),
        seconds=("seconds", "median"),
    )  # fmt: skip
    lines = [table.round(3).to_string(), ""]
    for label, covered, width in (
        ("corrected", "covered", "width"),
        ("plain binomial", "plain", "plain_width"),
    ):
        k, n = int(rows[covered].sum()), len(rows)
        low, high = binomial_interval(k / n, n)
        sets = over_regimes(rows, covered)
        lines.append(
            f"{label}: {k} of {n} covered = {k / n:.2f} (90% interval {low:.2f} to {high:.2f}; with regimes as the "
            f"units {sets[0]:.2f} to {sets[1]:.2f}), mean width {rows[width].mean():.3f}"
        )
    gain = rows["true"] - rows["true_last_stage"]
    lines.append(
        f"recommended frozen model minus last stage's means: {gain.mean():+.3f} (worst draw {gain.min():+.3f})"
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="the folder that holds clothing/, trashnet/, ...")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    parser.add_argument("--backbone", nargs="+", default=["efficientnet_lite0"], help='or "all"')
    parser.add_argument("--summary", action="store_true", help="print the tables of what was measured so far")
    arguments = parser.parse_args()
    done = pd.read_csv(arguments.out) if arguments.out.exists() else pd.DataFrame()
    if not arguments.summary:
        for regime, number in missing(done):
            with tempfile.TemporaryDirectory() as folder:
                row = measure(arguments.data.resolve(), regime, number, Path(folder), arguments.backbone)
            done = pd.concat([done, pd.DataFrame([row])], ignore_index=True)
            temporary = arguments.out.with_suffix(".tmp")
            done.round(4).to_csv(temporary, index=False)
            temporary.replace(arguments.out)
            print(
                {k: row[k] for k in ("regime", "draw", "domain", "strategy", "expected", "low", "high", "true")},
                flush=True,
            )
    print(summary(done))


if __name__ == "__main__":
    main()
