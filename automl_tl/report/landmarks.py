"""Known data sets as landmarks of the matrix: what `recommend` measured on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from automl_tl.backbones.prior import static_prior
from automl_tl.lab.calibration import calibration
from automl_tl.lab.matrix import judge_size
from automl_tl.resources import meta_path


@dataclass(frozen=True)
class Landmark:
    """A known data set at one size, the mean of its draws."""

    name: str
    n_images: int
    ratio: float
    """As `Size.ratio`."""
    different: float
    """As `Domain.different`."""


def landmarks() -> tuple[Landmark, ...]:
    """Return the whole data sets of `datasets_meta/panel.csv`, unchanged and with the first backbone, by size."""
    return tuple(_read(pd.read_csv(meta_path("panel.csv"))))


def _read(panel: pd.DataFrame) -> Iterator[Landmark]:
    classes = panel.groupby("set")["n_classes"].transform("max")
    panel = panel[(panel["change"] == "none") & (panel["n_classes"] == classes) & panel["different"].notna()]
    panel = panel[panel["backbone"] == panel["backbone"].iloc[0]]
    parameters, borders = static_prior()["params_millions"] * 1e6, calibration().borders
    for (name, _), draws in panel.groupby(["set", "per_class"]):
        n = int(draws["n_train"].iloc[0])
        size = judge_size(n, n / int(draws["n_classes"].iloc[0]), int(parameters[draws["backbone"].iloc[0]]), borders)
        yield Landmark(str(name).replace("_", " "), n, size.ratio, float(draws["different"].mean()))
