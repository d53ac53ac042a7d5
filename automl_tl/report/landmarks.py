"""Known data sets as landmarks of the matrix: what `recommend` measured on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from automl_tl.lab.matrix import Size
from automl_tl.resources import meta_path


@dataclass(frozen=True)
class Landmark:
    """A known data set at one size, the mean of its draws."""

    name: str
    n_images: int
    ratio: float
    """Its pictures in units of the border of the backbone that is looked at, as `Size.ratio`."""
    different: float
    """As `Domain.different`."""


def landmarks(beside: Size) -> tuple[Landmark, ...]:
    """Return the whole data sets of `datasets_meta/panel.csv`, unchanged and with the first backbone, by size.

    So many pictures of theirs lie where as many lie of the data set that they are shown beside.
    """
    return tuple(_read(pd.read_csv(meta_path("panel.csv")), beside.ratio / beside.n_images))


def _read(panel: pd.DataFrame, of_a_picture: float) -> Iterator[Landmark]:
    classes = panel.groupby("set")["n_classes"].transform("max")
    panel = panel[(panel["change"] == "none") & (panel["n_classes"] == classes) & panel["different"].notna()]
    panel = panel[panel["backbone"] == panel["backbone"].iloc[0]]
    for (name, _), draws in panel.groupby(["set", "per_class"]):
        n = int(draws["n_train"].iloc[0])
        yield Landmark(str(name).replace("_", " "), n, n * of_a_picture, float(draws["different"].mean()))
