"""Training and test pictures drawn from the shared data sets, for benchmarks that train on them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from automl_tl.data.dataset import open_dataset

MOST_TEST_PICTURES = 500


@dataclass(frozen=True)
class Regime:
    """A data set at so many training pictures of every class; 0 means all of them."""

    data: str
    per_class: int
    draws: int

    @property
    def name(self) -> str:
        return f"{self.data} at {self.per_class or 'all'}"


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
