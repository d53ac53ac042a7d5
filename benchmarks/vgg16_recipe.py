"""The textbook recipe on VGG16: linear classifiers on its frozen ConvNet, then both phases of fine-tuning.

    python benchmarks/vgg16_recipe.py TABLE WEIGHTS [--classes 5] [--per-class 80] [--input-size 112]

A few classes of 80 photos each; the ConvNet without its fully connected layers; softmax regression, one-vs-rest
logistic regression and a linear SVM on its output; then new fully connected layers, trained first alone with the
ConvNet frozen (phase one), then with its last block at a tenth of their rate (phase two). TABLE has columns path,
label, split; the strengths are chosen by five folds of the training pictures, the test pictures are used once.
Prints a table in Markdown, as docs/vgg16.md has it, and writes `results/vgg16_recipe.csv`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from automl_tl.augment.policy import AugmentationPolicy
from automl_tl.cache_dir import cache_dir
from automl_tl.data.dataset import open_dataset
from automl_tl.data.quality import scan
from automl_tl.data.split import make_folds
from automl_tl.features.engine import choose_engine
from automl_tl.features.extract import Pass, extract
from automl_tl.features.picture import Picture
from automl_tl.lab.networks import Networks, Overrides
from automl_tl.learning.activations import ActivationCache
from automl_tl.learning.classifiers import SOLVED_KINDS
from automl_tl.learning.finetune import Targets, finetune
from automl_tl.learning.heads import l2_grid, solve_head, solve_path
from automl_tl.learning.linear import as_matrix, measure_scaling
from automl_tl.learning.network_head import NetworkHead
from automl_tl.learning.problem import Problem
from automl_tl.learning.recipe import Recipe
from automl_tl.learning.tunable import Tunable, copy_network

RESULTS = Path(__file__).parent / "results" / "vgg16_recipe.csv"
NAME, BLOCK = "timm:vgg16", 1
POLICY = AugmentationPolicy(hflip=0.5, rotation=10, scale=(0.9, 1.15), crop=0.8)
HIDDEN = 256


def chosen(table: Path, n_classes: int, per_class: int) -> pd.DataFrame:
    """Return the training and test pictures of the largest classes, so many training pictures of each."""
    frame = scan(open_dataset(table), cache_dir=cache_dir(None))[0].frame
    labels = frame[frame["split"] == "train"]["label"].value_counts().index[:n_classes]
    frame = frame[frame["label"].isin(labels)]
    train = frame[frame["split"] == "train"].sample(frac=1, random_state=0).groupby("label").head(per_class)
    return pd.concat([train, frame[frame["split"] == "test"]], ignore_index=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--per-class", type=int, default=80)
    parser.add_argument("--input-size", type=int, default=112)
    parser.add_argument("--mean", type=float, nargs=3, default=None)
    parser.add_argument("--std", type=float, nargs=3, default=None)
    a = parser.parse_args()
    triple = {k: tuple(v) if v else None for k, v in (("mean", a.mean), ("std", a.std))}
    overrides = Overrides({NAME: a.weights}, triple["mean"], triple["std"], a.input_size)
    networks = Networks(choose_engine(), cache_dir(None), overrides)
    frame = chosen(a.table, a.classes, a.per_class)
    classes, y = np.unique(frame["label"], return_inverse=True)
    train, test = (np.flatnonzero(frame["split"] == part) for part in ("train", "test"))
    pictures = [Picture(*pair) for pair in frame[["path", "sha256"]].itertuples(index=False)]
    network, how = networks.network(NAME), networks.preprocessing(NAME, "squash")
    start = time.perf_counter()
    X = extract(Pass(network, how, networks.engine), pictures, networks.store).matrix((network.n_stages,), "mean")
    rows = [{"step": "features of the frozen ConvNet", "test accuracy": np.nan, "s": time.perf_counter() - start}]
    folds = make_folds(y[train], np.arange(len(train)), 5, 0)
    for kind in SOLVED_KINDS:
        start = time.perf_counter()
        path = solve_path(kind, Problem(X[train], y[train], folds, len(classes)), l2_grid(len(train), X.shape[1]))
        head = solve_head(kind, X[train], y[train], len(classes), path.penalty)
        right = (head.predict(X[test]) == y[test]).mean()
        rows.append({"step": f"{kind} on it", "test accuracy": right, "s": time.perf_counter() - start})
    from automl_tl.learning.pixels import load_pixels

    copy, engine = copy_network(network), networks.engine.for_training
    new = NetworkHead(X.shape[1], len(classes), hidden=HIDDEN)
    scaling = measure_scaling(as_matrix(X[train]))
    import torch

    new.center.copy_(torch.as_tensor(scaling.center))
    new.scale.copy_(torch.as_tensor(scaling.scale))
    with tempfile.TemporaryDirectory() as folder:
        pixels = load_pixels(pictures, how, Path(folder))
        cache = ActivationCache(
            copy, pixels, network.n_stages - BLOCK, (network.n_stages,), "mean", POLICY, engine, 0,
            Path(folder), n_variants=3,
        )  # fmt: skip
        tunable = Tunable(copy, new, cache)
        phases = (
            ("phase 1: new fully connected layers, 10 epochs", Recipe(BLOCK, epochs=0, head_epochs=10)),
            ("phase 2: with the last block, 8 epochs", Recipe(BLOCK, epochs=8, head_lr=3e-4, lr_ratio=10.0)),
        )
        for name, recipe in phases:
            start = time.perf_counter()
            finetune(tunable, Targets(y), train, recipe, batch_size=32)
            right = (tunable.scores(test).argmax(1) == y[test]).mean()
            rows.append({"step": name, "test accuracy": right, "s": time.perf_counter() - start})
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    print(f"{len(train)} training and {len(test)} test photos of {', '.join(classes)}, {a.input_size} pixels")
    print("| step | test accuracy | seconds |\n|---|---|---|")
    for row in table.itertuples(index=False):
        accuracy = "" if np.isnan(row[1]) else f"{row[1]:.3f}"
        print(f"| {row[0]} | {accuracy} | {row[2]:.0f} |")
    RESULTS.parent.mkdir(exist_ok=True)
    table.to_csv(RESULTS, index=False)


if __name__ == "__main__":
    main()
