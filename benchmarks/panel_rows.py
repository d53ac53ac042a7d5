"""The rows of the panel: which data sets, at what size, how drawn and how changed; all fixed before any was fitted."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from panel_sets import Listing, listing
from PIL import Image, ImageFilter, ImageOps

from automl_tl.lab.fit_choice import with_best_fit
from automl_tl.lab.lab import Lab, open_lab
from automl_tl.options import SearchOptions

SEED = 20261126
MOST_TEST = 300
LITE0, MOBILENET = "efficientnet_lite0", "timm:mobilenetv2_100"
SETS = (
    "clothing", "blood_wbc", "weather", "emoji_icons", "magnetic_tiles", "trashnet", "metal_sheet_defects",
    "sign_digits", "faces_orl", "omniglot_alphabets",
)  # fmt: skip
FEW_TESTED = ("blood_wbc", "weather", "emoji_icons", "magnetic_tiles", "metal_sheet_defects", "faces_orl")


@dataclass(frozen=True)
class Row:
    """What is measured: a data set, changed or not, at so many pictures of so many classes."""

    data: str
    per_class: int
    """0: all of them."""
    draw: int = 0
    n_classes: int = 0
    """0: all of them; else drawn."""
    change: str = "none"
    backbone: str = LITE0

    @property
    def name(self) -> str:
        parts = (self.data, self.per_class or "all", f"c{self.n_classes}", self.change, self.backbone, self.draw)
        return "-".join(map(str, parts)).replace(":", "_")


def planned() -> Iterator[Row]:
    """Yield every row, fixed before anything was fitted; those that tell most come first."""
    subsets = ("clothing", "emoji_icons", "sign_digits", "metal_sheet_defects", "omniglot_alphabets", "trashnet")
    made = ("digits", "glyphs")
    yield from (Row(data, n) for n in (10, 5) for data in SETS)
    yield from (Row(data, 25, n_classes=2) for data in subsets)
    yield from (Row(data, 25) for data in SETS[:8])
    yield from (Row(data, 5) for data in made)
    yield from (Row(data, 10, change=change) for change in CHANGES for data in ("clothing", "weather"))
    yield from (Row(data, 3) for data in SETS)
    yield from (Row(data, 10, n_classes=2) for data in subsets)
    yield from (Row(data, 10, backbone=MOBILENET) for data in SETS)
    yield from (Row(data, n, 1) for n in (10, 5) for data in FEW_TESTED)
    yield from (Row(data, 25) for data in (*SETS[8:], *made))
    yield from (Row(data, 10) for data in made)
    yield from (Row(data, 10, 1, n_classes=2) for data in subsets)
    yield from (Row(data, 10, n_classes=5) for data in subsets)
    yield from (Row(data, 5, backbone=MOBILENET) for data in SETS)
    yield from (Row(data, n, 1) for n in (25, 3) for data in FEW_TESTED)
    yield from (Row(data, 50) for data in SETS)
    yield from (Row(data, 0) for data in FEW_TESTED)
    yield from (Row(data, 50, 1) for data in FEW_TESTED)


def row_of(kept: pd.Series) -> Row:
    """Return what was planned of a row of the panel, which says how many classes there are where all of them are."""
    one = Row(*(kept[name] for name in ("set", "per_class", "draw", "n_classes", "change", "backbone")))
    return one if one in planned() else replace(one, n_classes=0)


def _low_resolution(picture: Image.Image) -> Image.Image:
    return picture.resize((32, 32), Image.Resampling.BILINEAR).resize(picture.size, Image.Resampling.BILINEAR)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "grey": ImageOps.grayscale,
    "low_resolution": _low_resolution,
    "blur": lambda picture: picture.filter(ImageFilter.GaussianBlur(max(picture.size) / 50)),
    "inverted": ImageOps.invert,
    "edges": lambda picture: ImageOps.grayscale(picture).filter(ImageFilter.FIND_EDGES),
}


def draw(listed: Listing, row: Row, rng: np.random.Generator) -> pd.DataFrame:
    """Return training and test pictures: a given test part is kept, else a fifth of every class is drawn."""
    frame = listed.frame
    if row.n_classes:
        labels = np.sort(frame["label"].unique())
        frame = frame[frame["label"].isin(rng.choice(labels, row.n_classes, replace=False))]
    frame = frame.sample(frac=1, random_state=rng.integers(2**31)).sort_values("label", kind="stable")
    rank = frame.groupby("label").cumcount()
    if (frame["split"] == "").all():
        size = frame.groupby("label")["path"].transform("size")
        frame["split"] = np.where(rank < np.ceil(listed.test_share * size), "test", "train")
    train = frame[frame["split"] == "train"]
    if row.per_class:
        train = train.groupby("label", group_keys=False).head(row.per_class)
    test = frame[frame["split"] != "train"].assign(split="test")
    return pd.concat([train, test.sample(min(len(test), MOST_TEST), random_state=rng.integers(2**31))])


def changed(frame: pd.DataFrame, change: str, folder: Path) -> pd.DataFrame:
    """Return the table with every picture changed, as files in `folder`."""
    if change == "none":
        return frame
    paths = []
    for number, path in enumerate(frame["path"]):
        with Image.open(path) as picture:
            CHANGES[change](picture.convert("RGB")).save(folder / f"{number}.png")
        paths.append(str(folder / f"{number}.png"))
    return frame.assign(path=paths)


@dataclass(frozen=True)
class Opened:
    """A row with its pictures drawn, and a laboratory on them."""

    row: Row
    listed: Listing
    lab: Lab
    options: SearchOptions


@dataclass(frozen=True)
class Sources:
    """Where the pictures lie, and the weights of the second family."""

    data: Path
    weights: Path | None


def opened(sources: Sources, row: Row, folder: Path, without: str = "") -> Opened:
    """Draw the pictures of a row, and open a laboratory on them that has never seen the set `without`.

    They become square as `train` makes them: by evidence of the training part.
    """
    listed = listing(sources.data, row.data)
    rng = np.random.default_rng([SEED, row.draw, zlib.crc32(f"{row.data} {row.per_class} {row.n_classes}".encode())])
    table = folder / "table.csv"
    changed(draw(listed, row, rng), row.change, folder).to_csv(table, index=False)
    own = {} if sources.weights is None or row.backbone == LITE0 else {row.backbone: sources.weights}
    options = SearchOptions(
        seed=row.draw, group_column="group", backbones=(row.backbone,), weights=own, trials=1, out=folder / "run",
        without_set=without,
    )  # fmt: skip
    return Opened(row, listed, with_best_fit(open_lab(table, options)), options)
