"""A look at every picture: which cannot be read, which are duplicates, and what else is noticeable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from automl_tl.data.dataset import Drawn, ImageDataset, for_training, label_counts, training_counts
from automl_tl.data.duplicates import MAX_PICTURES, clusters
from automl_tl.data.fit import choose_fit, elongation
from automl_tl.data.listing import Skipped
from automl_tl.data.measure import extents
from automl_tl.data.measurements import Measurements, MeasurementStore, Progress, measure_all
from automl_tl.data.names import natural, printable, quoted
from automl_tl.data.remarks import are_grey, remarks, value_remarks
from automl_tl.data.source import sources_of
from automl_tl.data.split import leaks_by_part
from automl_tl.data.stored import fetched_once
from automl_tl.data.value_range import ValueRange, common_range
from automl_tl.errors import DataError
from automl_tl.notebook import html_table

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True)
class Conflict:
    """Duplicates with different labels."""

    paths: tuple[str, ...]
    labels: tuple[str, ...]
    """Of each of `paths`."""
    identical: bool
    """Whether the files agree byte for byte; these are left out of training, the others are kept."""


@dataclass(frozen=True)
class QualityReport:
    """What `scan` found. All numbers are about the pictures that are kept, unless said otherwise."""

    n_images: int
    n_classes: int
    unreadable: tuple[Skipped, ...]
    """Picture files that could not be decoded."""
    exact: tuple[tuple[str, ...], ...]
    """Groups of paths whose files agree byte for byte."""
    near: tuple[tuple[str, ...], ...]
    """Groups of paths of near-identical pictures, the byte-identical ones among them included."""
    n_duplicates: int
    """Pictures that could go without losing one: the sizes of all groups, each less one."""
    conflicts: tuple[Conflict, ...]
    """Duplicates with different labels, those that were left out included."""
    leaks: Mapping[str, int]
    """Pictures with a copy in a later part of the given split, by their part, "train" or "val"."""
    images_per_class: Mapping[str, int]
    """In the order of the classes; where a sample was drawn, as many as were listed."""
    median_size: tuple[int, int]
    """Width and height, pixels, each its own median."""
    sizes: Mapping[float, float]
    """Quantiles (`QUANTILES`) of the square root of width times height, pixels."""
    aspects: Mapping[float, float]
    """Quantiles (`QUANTILES`) of the longer side over the shorter one."""
    fit: str
    """ "squash", "pad" or "crop"."""
    fit_reason: str
    value_range: ValueRange
    """What is black and white in pictures of more than 8 bits, by those that no given split holds aside."""
    n_deep: int
    """Pictures of more than 8 bits."""
    warnings: tuple[str, ...] = ()
    """Sentences for the user."""
    is_grey: bool = False
    """Whether nearly all pictures are grey."""
    drawn: Drawn | None = None
    """What the pictures are a sample of; None where all were looked at."""

    @property
    def n_unreadable(self) -> int:
        """Number of picture files that could not be decoded."""
        return len(self.unreadable)

    @property
    def class_sizes(self) -> tuple[int, float, int]:
        """Smallest, median and largest number of pictures in a class."""
        sizes = list(self.images_per_class.values())
        return min(sizes), float(np.median(sizes)), max(sizes)

    @property
    def imbalance(self) -> float:
        """Pictures of the largest class for each one of the smallest."""
        return self.class_sizes[2] / self.class_sizes[0]

    def _repr_html_(self) -> str:
        low, middle, high = self.class_sizes
        rows = [
            ("pictures", f"{self.n_images:,} in {self.n_classes:,} classes"),
            ("per class", f"{low:,} to {high:,}, median {middle:g}"),
            ("median size", f"{self.median_size[0]} x {self.median_size[1]} pixels"),
            ("duplicates", f"{self.n_duplicates:,}"),
            ("unreadable", f"{self.n_unreadable:,}"),
            *(("worth knowing", sentence) for sentence in self.warnings),
        ]
        return html_table("Data", rows)


def scan(
    dataset: ImageDataset,
    *,
    cache_dir: Path | None,
    progress: Progress | None = None,
    threads: int | None = None,
    train: bool = True,
) -> tuple[ImageDataset, QualityReport]:
    """Decode every picture once and return the data set with what was found, and the report.

    The frame gains `sha256`, `width`, `height` and `cluster`. Pictures that cannot be read are left
    out with the reason. With `train`, so are byte-identical pictures with different labels, all copies of
    them, and the rest must be fit for training (`dataset.for_training`); without, they stay.
    Measurements are kept below `cache_dir`, one file for each root, so a second scan of unchanged files
    opens none of them; what is fetched from an object store is kept there while this process needs it. None keeps
    nothing. `progress` is called in this thread with (done, total).
    """
    sample = dataset.drawn is not None
    store = MeasurementStore.of(dataset.root, cache_dir, of_sample=sample) if cache_dir is not None else None
    if cache_dir is not None:
        dataset = dataset.with_frame(fetched_once(dataset.frame, cache_dir))
    measurements = measure_all(sources_of(dataset.frame), store, progress, threads)
    everything = _measured_frame(dataset.frame, measurements)
    conflicting = _has_conflict(everything) if train else np.zeros(len(everything), bool)
    skipped = measurements.unreadable + _conflicts_skipped(everything[conflicting])
    usable = dataset.with_frame(everything[~conflicting], skipped=skipped)
    _require_pictures(usable)
    usable = for_training(usable) if train else usable
    records = _of_rows(measurements.records, usable.frame["row"].to_numpy())
    compare = store.near_pairs if store else None
    cluster, crowded = clusters(records, usable.frame["label"].to_numpy(object), compare)
    notes = (f"The scan could not be kept for the next time: {store.failure}.",) if store and store.failure else ()
    scanned = usable.with_frame(usable.frame.drop(columns="row").assign(cluster=cluster), notes=notes)
    left_out = _conflicts(everything[conflicting], "sha256")
    return scanned, _report(scanned, records, measurements.unreadable, left_out, crowded)


def _measured_frame(frame: pd.DataFrame, measurements: Measurements) -> pd.DataFrame:
    """Return the readable pictures, with what was measured and their `row` in the records."""
    records = measurements.records
    return frame[measurements.readable].assign(
        sha256=[sha.decode("ascii") for sha in records["sha256"]],
        width=records["width"].astype(np.int64),
        height=records["height"].astype(np.int64),
        row=np.arange(len(records)),
    )


def _of_rows(records: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the records of sorted, different rows, int (m,); all of them are no copy, as there may be gigabytes."""
    return records if len(rows) == len(records) else records[rows]


def _require_pictures(dataset: ImageDataset) -> None:
    if len(dataset) == 0:
        last = dataset.skipped[-1]
        raise DataError(
            f"None of the pictures of '{printable(dataset.root)}' can be used; "
            f"'{dataset.short(last.path)}', for example: {last.reason}."
        )


def _has_conflict(frame: pd.DataFrame) -> np.ndarray:
    """Return which pictures have a byte-identical copy of another label: bool (n,)."""
    return (frame.groupby("sha256")["label"].transform("nunique") > 1).to_numpy(bool)


def _conflicts_skipped(frame: pd.DataFrame) -> tuple[Skipped, ...]:
    labels = frame.groupby("sha256")["label"].agg(lambda group: quoted(natural(set(group))))
    return tuple(
        Skipped(path, f"identical pictures have different labels: {labels[sha]}")
        for path, sha in zip(frame["path"], frame["sha256"], strict=True)
    )


def _conflicts(frame: pd.DataFrame, by: str) -> tuple[Conflict, ...]:
    return tuple(
        Conflict(tuple(group["path"]), tuple(group["label"]), group["sha256"].nunique() == 1)
        for _, group in _several(frame, by, "label").groupby(by, sort=False)
    )


def _several(frame: pd.DataFrame, by: str, values: str) -> pd.DataFrame:
    """Return the pictures of the groups in which different values occur."""
    alike = frame[frame.duplicated(by, keep=False)]  # few, and each group that is looked at costs
    return alike[alike.groupby(by)[values].transform("nunique") > 1]


def _paths(frame: pd.DataFrame, by: str) -> tuple[tuple[str, ...], ...]:
    """Return the pictures of each group, in order of appearance."""
    return tuple(frame.groupby(by, sort=False)["path"].agg(tuple))


def _report(
    dataset: ImageDataset,
    records: np.ndarray,
    unreadable: tuple[Skipped, ...],
    left_out: tuple[Conflict, ...],
    crowded: bool,
) -> QualityReport:
    frame = dataset.frame
    widths, heights = records["width"], records["height"]
    # Pictures of a given part that is held aside decide nothing, not even how pictures become square.
    training = ~frame["split"].isin(["val", "test"]).to_numpy(bool)
    training = training if training.any() else np.ones(len(frame), bool)
    fit = choose_fit(widths[training], heights[training])
    drawn, values = dataset.drawn, extents(records)
    counts = _as_listed(training_counts(frame), drawn.for_training if drawn else {})
    value_range = common_range([one for one, own in zip(values, training, strict=True) if own and one is not None])
    return QualityReport(
        n_images=len(frame),
        n_classes=len(dataset.classes),
        unreadable=unreadable,
        exact=_paths(frame[frame.duplicated("sha256", keep=False)], "sha256"),
        near=_paths(_several(frame, "cluster", "sha256"), "cluster"),
        n_duplicates=len(frame) - frame["cluster"].nunique(),
        conflicts=left_out + _conflicts(frame, "cluster"),
        leaks=(leaks := leaks_by_part(frame)),
        images_per_class=_as_listed(label_counts(frame["label"]), drawn.per_class if drawn else {}),
        median_size=(round(float(np.median(widths))), round(float(np.median(heights)))),
        sizes=_quantiles(np.sqrt(widths * 1.0 * heights)),
        aspects=_quantiles(elongation(widths, heights)),
        fit=fit.mode,
        fit_reason=fit.reason,
        value_range=value_range,
        n_deep=sum(one is not None for one in values),
        warnings=_leak_remark(leaks, frame)
        + remarks(counts, widths, heights, records["colour"])
        + value_remarks(records, values, value_range, frame["path"], dataset.short)
        + _crowd_remark(crowded)
        + _many_remark(records),
        is_grey=are_grey(records["colour"]),
        drawn=drawn,
    )


def _as_listed(counts: Mapping[str, int], listed: Mapping[str, int]) -> dict[str, int]:
    """Return pictures by class: as many as were listed, where these are a sample of them."""
    return {label: listed.get(label, n) for label, n in counts.items()}


def _quantiles(values: np.ndarray) -> dict[float, float]:
    return dict(zip(QUANTILES, np.quantile(values, QUANTILES).tolist(), strict=True))


def _leak_remark(leaks: Mapping[str, int], frame: pd.DataFrame) -> tuple[str, ...]:
    """Return the sentence on copies in several parts of the given split: the one that matters most."""
    if not leaks:
        return ()
    sizes = frame["split"].replace("", "train").value_counts()
    shares = " and ".join(f"{n:,} of {sizes[part]:,} pictures in '{part}'" for part, n in leaks.items())
    return (
        f"The given split leaks: {shares} have copies in a later part, identical or nearly so, which flatters the "
        "test; recommend and search leave them out (--keep-leaks keeps them).",
    )


def _many_remark(records: np.ndarray) -> tuple[str, ...]:
    if len(records) <= MAX_PICTURES or len(np.unique(records["pixels"])) <= MAX_PICTURES:
        return ()
    return (
        f"Of more than {MAX_PICTURES:,} different pictures only copies with equal pixels are looked for, no near "
        "copies: give a table with a group column (place, day, object) if they come in series.",
    )


def _crowd_remark(crowded: bool) -> tuple[str, ...]:
    if not crowded:
        return ()
    return (
        "Many pictures look nearly alike, as before a fixed camera, and not all of them can be kept on one "
        "side of a split: give a table with a group column (place, day, object) if they come in series.",
    )
