"""Which pictures the tools learn from and are tested on: data sets at so many pictures per class, in several draws."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.draws import listed

MOST_TEST_PICTURES = 400
SEED = 20261126
DRAWS = (0, 1)
SIZES = {
    "clothing": (10, 50),
    "emoji_icons": (10,),
    "metal_sheet_defects": (10,),
    "omniglot_alphabets": (10, 50),
    "sign_digits": (10,),
    "trashnet": (10,),
    "weather": (10,),
    "blood_wbc": (10,),
    "magnetic_tiles": (10,),
}
"""Training pictures of every class, by data set."""
TUNED = {
    "clothing": "linear.py, recipe.py, recommended.py, estimate.py, ensemble.py, merit.py, fit_choice.py",
    "emoji_icons": "linear.py, recipe.py, ensemble.py, merit.py",
    "metal_sheet_defects": "linear.py, recipe.py, ensemble.py, merit.py",
    "omniglot_alphabets": "linear.py, recipe.py, ensemble.py, merit.py",
    "sign_digits": "linear.py, recipe.py, recommended.py, ensemble.py, merit.py",
    "trashnet": "linear.py, recipe.py, ensemble.py, merit.py, fit_choice.py",
    "weather": "ensemble.py, merit.py",
    "blood_wbc": "ensemble.py, merit.py, fit_choice.py",
    "magnetic_tiles": "ensemble.py, merit.py, fit_choice.py",
}
"""Sets that some number of automl-tl was chosen on, with where. In linear.py it is one of three weights of columns, and
in recipe.py one of two lengths of training, chosen on test pictures of these cells: `benchmarks/scaling.py` has the
first on four other sets. In merit.py and ensemble.py it is what is usual, by test pictures of ten sets. The panel of
the calibration leaves out the set that is measured."""
MIRRORED = ("clothing", "emoji_icons", "metal_sheet_defects", "trashnet", "weather", "blood_wbc", "magnetic_tiles")
"""Sets in which a mirrored picture means the same. Who fine-tunes by hand or with fastai knows, and says so; automl-tl
has to find out."""


@dataclass(frozen=True, order=True)
class Cell:
    """A data set at so many training pictures of every class, in one draw."""

    data: str
    per_class: int
    draw: int

    @property
    def name(self) -> str:
        return f"{self.data} at {self.per_class}, draw {self.draw}"


def cells() -> list[Cell]:
    """Return all of them, first draws first, so that what is interrupted has every set."""
    return [Cell(data, size, draw) for draw in DRAWS for data, sizes in SIZES.items() for size in sizes]


def drawn(root: Path, cell: Cell) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return training and test pictures of a data set in `root`: columns path and label."""
    return divided(listed(root, cell.data)[["path", "label", "split"]], cell)


def divided(frame: pd.DataFrame, cell: Cell) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return training and test pictures, columns path and label, in random order.

    A given test part is kept. Else everything that is not drawn for training may be tested on, and at least a fifth of
    every class is.

    Args:
        frame: columns path, label and split ("" where none is given).
    """
    rng = np.random.default_rng([SEED, cell.draw, zlib.crc32(f"{cell.data} at {cell.per_class}".encode())])
    frame = frame.sort_values("path").sample(frac=1, random_state=rng.integers(2**31)).reset_index(drop=True)
    of_class = frame.groupby("label")["path"]
    if (frame["split"] == "").all():
        may_learn = of_class.cumcount() >= np.ceil(0.2 * of_class.transform("size"))
    else:
        may_learn = frame["split"] == "train"
    train = frame[may_learn].groupby("label").head(cell.per_class)
    rest = frame.drop(train.index)
    test = rest[rest["split"].isin(("", "test"))]
    test = test.head(MOST_TEST_PICTURES)  # the order is random
    return train[["path", "label"]].reset_index(drop=True), test[["path", "label"]].reset_index(drop=True)
