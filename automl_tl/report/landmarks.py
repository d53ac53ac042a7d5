"""Known data sets as landmarks of the matrix: what `recommend` measured on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from automl_tl.backbones.prior import static_prior
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
    """Return the measured data sets of `datasets_meta/recommend_panel.csv`, by name and size."""
    return tuple(_read(pd.read_csv(meta_path("recommend_panel.csv"))))


def _read(panel: pd.DataFrame) -> Iterator[Landmark]:
    unlike = panel["cell"].isin(("early_feature_extractor", "pretrained_initialization"))
    panel = panel.assign(
        name=panel["regime"].str.rpartition(" at ")[0].str.replace("_", " "),
        different=panel["confidence"].where(unlike, 1 - panel["confidence"]),
        per_class=panel["n_train"] / panel["n_classes"],
    )
    parameters = static_prior()["params_millions"] * 1e6
    for (name, _), draws in panel.groupby(["name", "n_train"]):
        n, per_class = int(draws["n_train"].iloc[0]), float(draws["per_class"].iloc[0])
        size = judge_size(n, per_class, int(parameters[draws["backbone"].iloc[0]]))
        yield Landmark(str(name), n, size.ratio, float(draws["different"].mean()))
