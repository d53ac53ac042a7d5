"""What learning in bfloat16 costs or gains in accuracy, beside float32: the same pictures, the same seed.

    python benchmarks/bfloat16.py ../shared/data [--unfrozen 3 9] [--draws 0 1]

Fine-tunes EfficientNet-Lite0 as the search's first trial does, on ten pictures of every class of six data sets, and
tests what was learned, in float32, on pictures that nothing has seen. Only on a CPU with instructions for bfloat16.
Prints a table and writes `results/bfloat16.csv`; rows that are there are not measured again.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from automl_tl.augment.policy import AugmentationPolicy
from automl_tl.cache_dir import cache_dir
from automl_tl.data.decode import Preprocessing, preprocess
from automl_tl.features.engine import choose_engine
from automl_tl.features.extract import statistics
from automl_tl.lab.networks import Networks
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.heads import l2_grid, solve_path
from automl_tl.learning.problem import Problem
from automl_tl.learning.recipe import LABEL_SMOOTHING, Recipe, epochs_for
from automl_tl.learning.trainer import Material, Start, train
from benchmarks.peers.cells import MIRRORED, Cell, drawn

RESULTS = Path(__file__).parent / "results" / "bfloat16.csv"
SETS = ("clothing", "emoji_icons", "metal_sheet_defects", "omniglot_alphabets", "sign_digits", "trashnet")
BACKBONE, PER_CLASS, FOLDS, SEED = "efficientnet_lite0", 10, 5, 1
FORMATS = {"float32": None, "bfloat16": "bfloat16"}


@dataclass(frozen=True, eq=False)
class Pictures:
    """Of a data set in one draw: first those that are learned from."""

    pixels: np.ndarray
    y: np.ndarray
    n: int
    """That are learned from."""
    mirrored: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--unfrozen", type=int, nargs="+", default=[3, 9])
    parser.add_argument("--draws", type=int, nargs="+", default=[0, 1])
    asked = parser.parse_args()
    networks = Networks(choose_engine("cpu"), cache_dir(None))
    if networks.engine.for_training.learning is None:
        raise SystemExit("this CPU has no instructions for bfloat16")
    for unfrozen in asked.unfrozen:
        for cell in (Cell(data, PER_CLASS, draw) for draw in asked.draws for data in SETS):
            if not is_known(cell, unfrozen):
                for row in measured(networks, read(asked.data, cell), unfrozen):
                    add({"data": cell.data, "draw": cell.draw, "unfrozen": unfrozen, **row})
    print(summary(pd.read_csv(RESULTS)))


def read(root: Path, cell: Cell) -> Pictures:
    train_part, test_part = drawn(root, cell)
    both = pd.concat([train_part, test_part], ignore_index=True)
    how = Preprocessing(224, "squash", "bicubic")
    classes = sorted(set(train_part["label"]))
    pixels = np.stack([preprocess(Path(path), how) for path in both["path"]])
    return Pictures(pixels, both["label"].map(classes.index).to_numpy(), len(train_part), cell.data in MIRRORED)


def configured(pictures: Pictures, unfrozen: int, n_stages: int) -> Configuration:
    """Return how the search begins to fine-tune."""
    policy = AugmentationPolicy(0.5 if pictures.mirrored else 0.0, 0.0, 10, (0.9, 1.1), 0.8)
    recipe = Recipe(unfrozen, epochs_for(pictures.n), label_smoothing=LABEL_SMOOTHING, policy=policy)
    return Configuration("fine_tuning", BACKBONE, n_stages, (n_stages,), "mean", recipe)


def measured(networks: Networks, pictures: Pictures, unfrozen: int) -> Iterator[dict[str, object]]:
    """Yield a row for each number format."""
    network, n, y = networks.network(BACKBONE), pictures.n, pictures.y
    name = f"{network.n_stages}/mean"
    X = statistics(network, torch.from_numpy(pictures.pixels), networks.engine)[name]
    folds = np.random.default_rng(SEED).permutation(np.arange(n) % FOLDS)
    path = solve_path("softmax", Problem(X[:n], y[:n], folds, y.max() + 1), l2_grid(n, X.shape[1]))
    start = Start(path.penalty * n / X.shape[1])
    configuration = configured(pictures, unfrozen, network.n_stages)
    for number_format, learning in FORMATS.items():
        engine = replace(networks.engine.for_training, learning=learning)
        with tempfile.TemporaryDirectory() as folder:
            material = Material(network, pictures.pixels, X, y, int(y.max()) + 1, engine, SEED, Path(folder))
            tunable, _ = train(material, configuration, np.arange(n), start)
            scores = torch.from_numpy(tunable.scores(np.arange(n, len(y)))).log_softmax(1).numpy()
        right, tested = scores.argmax(1) == y[n:], np.arange(len(y) - n)
        yield {
            "format": number_format, "accuracy": right.mean(), "log_loss": -scores[tested, y[n:]].mean(),
            "n_test": len(right),
        }  # fmt: skip


def is_known(cell: Cell, unfrozen: int) -> bool:
    if not RESULTS.exists():
        return False
    table = pd.read_csv(RESULTS)
    same = (table["data"] == cell.data) & (table["draw"] == cell.draw) & (table["unfrozen"] == unfrozen)
    return len(table[same]) == len(FORMATS)


def add(row: dict[str, object]) -> None:
    print(row, flush=True)
    pd.DataFrame([row]).round(4).to_csv(RESULTS, mode="a", header=not RESULTS.exists(), index=False)


def summary(table: pd.DataFrame) -> str:
    """Return means by format, and the mean difference with a standard error that is clustered by data set."""
    means = table.pivot_table(index="unfrozen", columns="format", values=["accuracy", "log_loss"]).round(3)
    texts = [means.to_string()]
    for unfrozen, part in table.groupby("unfrozen"):
        for value in ("accuracy", "log_loss"):
            wide = part.pivot_table(index=["data", "draw"], columns="format", values=value)
            by_set = (wide["bfloat16"] - wide["float32"]).groupby("data").mean()
            error = by_set.std() / len(by_set) ** 0.5
            texts.append(f"{unfrozen} stages, {value}: bfloat16 - float32 {by_set.mean():+.4f} +- {error:.4f}")
    return "\n".join(texts)


if __name__ == "__main__":
    main()
