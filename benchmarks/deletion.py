"""Whether heat maps find what a model looks at: its certainty falls more where the hottest places are deleted.

    python benchmarks/deletion.py PICTURES [PICTURES ...] --runs FOLDER

PICTURES is a folder of class folders. Of each, 100 pictures train two models on EfficientNet-Lite0 (`automl_tl.train`),
a feature extractor and a fine-tuned one, and 50 others are explained. A picture is cut into 14 x 14 cells. The hottest
10, 20 and 30% are deleted, blurred or painted in the picture's mean colour, and the fall of the predicted class'
probability is compared with that of as many other cells: scattered at random; the same ones shifted together at random,
which have the same shape; and those in the middle, where things are. Bundles that lie in FOLDER are used again.
Writes `results/deletion.csv`.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageFilter

import automl_tl
from automl_tl.data.dataset import open_dataset
from automl_tl.data.decode import preprocess
from automl_tl.model.model import Model

RESULTS = Path(__file__).parent / "results" / "deletion.csv"
N_TRAINING, N_EXPLAINED = 100, 50
CELLS = 14
SHARES = (0.1, 0.2, 0.3)
DRAWS = 4
BLUR = 16
"""Pixels, the standard deviation: a cell's size."""
KINDS = ("hottest", "central", "shifted", "scattered")
MODELS = {
    "feature extractor": {"strategy": "feature_extractor"},
    "fine-tuned": {"strategy": "fine_tuning", "unfreeze": 3, "epochs": 8},
}


def drawn(folder: Path, seed: int = 0) -> pd.DataFrame:
    """Return pictures in proportion to the classes, as a table with a split."""
    frame = open_dataset(folder).frame[["path", "label"]].sort_values("path").sample(frac=1, random_state=seed)
    turn = frame.groupby("label").cumcount()
    frame = frame.assign(turn=turn).sort_values("turn", kind="stable").head(N_TRAINING + N_EXPLAINED)
    return frame.assign(split=["train"] * N_TRAINING + ["test"] * N_EXPLAINED)[["path", "label", "split"]]


def trained(frame: pd.DataFrame, run: Path, options: dict[str, object]) -> Model:
    if not (run / "bundle").exists():
        run.parent.mkdir(parents=True, exist_ok=True)
        table = run.with_suffix(".csv")
        frame.to_csv(table, index=False, quoting=csv.QUOTE_ALL)
        automl_tl.train(table, backbones=["efficientnet_lite0"], out=run, **options)
    return automl_tl.load(run)


def hottest(heat: np.ndarray, share: float) -> np.ndarray:
    """Return the cells of the highest mean heat, bool (14, 14)."""
    side = heat.shape[0] // CELLS
    cells = heat[: side * CELLS, : side * CELLS].reshape(CELLS, side, CELLS, side).mean((1, 3))
    return cells >= np.sort(cells, axis=None)[-round(share * cells.size)]


def central(n: int) -> np.ndarray:
    """Return the `n` cells nearest to the middle, bool (14, 14)."""
    down, across = np.indices((CELLS, CELLS)) - (CELLS - 1) / 2
    nearest = np.argsort((down**2 + across**2).ravel(), kind="stable")[:n]
    return np.isin(np.arange(CELLS**2), nearest).reshape(CELLS, CELLS)


def random_cells(cells: np.ndarray, generator: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Yield as many cells anywhere, and the same ones moved together around the edges, several times."""
    for _ in range(DRAWS):
        yield "scattered", generator.permutation(cells.ravel()).reshape(cells.shape)
        yield "shifted", np.roll(cells, generator.integers(1, CELLS, 2), (0, 1))


def deleted(pixels: np.ndarray, cells: np.ndarray, fill: str) -> np.ndarray:
    """Return the picture (S, S, 3) with some cells blurred or in its mean colour."""
    size = pixels.shape[:2][::-1]
    mask = Image.fromarray(cells.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST)
    picture = Image.fromarray(pixels)
    mean = tuple(round(value) for value in pixels.mean((0, 1)))
    other = picture.filter(ImageFilter.GaussianBlur(BLUR)) if fill == "blur" else Image.new("RGB", size, mean)
    return np.asarray(Image.composite(other, picture, mask))


def falls(model: Model, file: str, generator: np.random.Generator) -> Iterator[dict[str, object]]:
    """Yield how much the predicted class' probability falls, for one picture."""
    pixels = preprocess(Path(file), model.preprocessings[0])
    before = model.probabilities([pixels])[0]
    target = int(before.argmax())
    heat = model.explain(pixels, model.classes[target])
    for share in SHARES:
        cells = hottest(heat, share)
        kinds = [("hottest", cells), ("central", central(int(cells.sum()))), *random_cells(cells, generator)]
        for fill in ("blur", "mean"):
            after = model.probabilities([deleted(pixels, mask, fill) for _, mask in kinds])[:, target]
            for (kind, _), probability in zip(kinds, after, strict=True):
                yield {"file": file, "share": share, "fill": fill, "cells": kind, "fall": before[target] - probability}


def measured(model: Model, files: list[str]) -> pd.DataFrame:
    """Return the mean falls, and how sure it is that the hottest cells matter more, by share and fill."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame([row for file in files for row in falls(model, file, generator)])
    each = frame.groupby(["share", "fill", "file", "cells"])["fall"].mean().unstack("cells")
    gain = each["hottest"] - each["shifted"]
    by = ["share", "fill"]
    means = each.groupby(by).mean()[list(KINDS)]
    error = gain.groupby(by).std() / gain.groupby(by).count() ** 0.5
    return means.assign(gain=gain.groupby(by).mean(), standard_error=error).round(3).reset_index()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--runs", type=Path, required=True)
    options = parser.parse_args()
    parts = []
    for folder in options.pictures:
        frame = drawn(folder)
        explained = list(frame.loc[frame["split"] == "test", "path"])
        for name, how in MODELS.items():
            model = trained(frame, options.runs / f"{folder.name}-{name.replace(' ', '-')}", how)
            (member,) = model.members
            cuts = f"{'+'.join(map(str, member.cuts))} of {member.network.n_stages}"
            about = {"data": folder.name, "model": name, "cuts": cuts, "pooling": member.pooling, "n": len(explained)}
            rows = measured(model, explained)
            parts.append(rows.assign(**about)[[*about, *rows.columns]])
            print(parts[-1].to_string(), flush=True)
    pd.concat(parts).to_csv(RESULTS, index=False)


if __name__ == "__main__":
    main()
