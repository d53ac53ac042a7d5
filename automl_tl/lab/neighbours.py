"""The data sets of the panel that are most like this one, and what the four strategies reached on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from automl_tl.lab.calibration import Calibration, MetaFeatures, OwnRun
from automl_tl.resources import meta_path
from automl_tl.strategies import STRATEGIES, Strategy

FILE = "panel.csv"
NEAREST = 5
"""Data sets that are named at most."""
_SCALES = {"classes": 1.5, "pictures": 1.5, "different": 0.3, "errors": 0.15}
"""What counts as a step away: so many doublings of the classes and of the pictures, and differences of the others."""


@dataclass(frozen=True)
class Neighbour:
    """A row of the panel, or a run of the user's: a data set at one size, and what was reached on unseen pictures."""

    name: str
    n_training: int
    n_classes: int
    reached: Mapping[Strategy, float]
    """By strategy: all of them, or of a run those that it tried."""
    distance: float
    """Steps away; 0 is the same."""

    @property
    def best(self) -> Strategy:
        """The strategy that reached most."""
        return max(self.reached, key=lambda strategy: self.reached[strategy])

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**vars(self), "reached": {k: round(v, 4) for k, v in self.reached.items()},
                "distance": round(self.distance, 3), "best": self.best}  # fmt: skip


def known_row(row: pd.Series) -> MetaFeatures:
    """Return what `recommend` knew of a row of the panel."""
    different = float(row["different"])
    return MetaFeatures(
        n_training=int(row["n_train"]),
        n_classes=int(row["n_classes"]),
        different=0.5 if np.isnan(different) else different,
        errors=1 - float(row["expected_feature_extractor"]),
    )


def nearest(known: MetaFeatures, experience: Calibration) -> tuple[Neighbour, ...]:
    """Return the nearest row of each of the NEAREST nearest data sets, the nearest first.

    Args:
        known: of the data set at hand.
        experience: has the user's runs; the set that it was made without does not count.
    """
    rows = [row for row in _panel() if row.data != experience.without] + [_own_row(run) for run in experience.own]
    point, found = _point(known), dict[str, Neighbour]()
    steps = [float(np.sqrt(((_point(row.known) - point) ** 2).sum())) for row in rows]
    for place in np.argsort(steps, kind="stable"):
        row = rows[place]
        found.setdefault(
            row.data, Neighbour(row.name, row.known.n_training, row.known.n_classes, row.reached, steps[place])
        )
        if len(found) == NEAREST:
            break
    return tuple(found.values())


@dataclass(frozen=True)
class _Row:
    data: str
    name: str
    known: MetaFeatures
    reached: Mapping[Strategy, float]


@cache
def _panel() -> tuple[_Row, ...]:
    rows = pd.read_csv(meta_path(FILE)).dropna(subset=[f"true_{strategy}" for strategy in STRATEGIES])
    return tuple(
        _Row(
            str(row["set"]), _name(str(row["set"]), str(row["change"])), known_row(row),
            {strategy: float(row[f"true_{strategy}"]) for strategy in STRATEGIES},
        )
        for _, row in rows.iterrows()
    )  # fmt: skip


def _own_row(run: OwnRun) -> _Row:
    frozen, name = 1 - run.known.errors, f"your own {run.name}"
    reached: dict[Strategy, float] = {"feature_extractor": frozen}
    reached |= {strategy: frozen + gain for strategy, (gain, _) in run.gains.items()}
    return _Row(run.fingerprint, name, run.known, reached)


def _name(data: str, change: str) -> str:
    """Return how a row is called: its data set, and what was done to the pictures."""
    plain = data.replace("_", " ")
    return plain if change == "none" else f"{plain} ({change.replace('_', ' ')})"


def _point(known: MetaFeatures) -> np.ndarray:
    values = {
        "classes": np.log2(known.n_classes), "pictures": np.log2(known.n_training), "different": known.different,
        "errors": known.errors,
    }  # fmt: skip
    return np.array([values[name] / scale for name, scale in _SCALES.items()])
