"""A data set in named facts."""

from __future__ import annotations

from collections.abc import Iterable

from automl_tl.data.dataset import ImageDataset
from automl_tl.data.quality import QualityReport
from automl_tl.data.split import straddling_groups
from automl_tl.data.value_range import EIGHT_BITS
from automl_tl.wording import plural

FITS = {
    "squash": "squash (both sides resized to the backbone's size)",
    "pad": "pad (the whole picture kept, the rest filled)",
    "crop": "crop (the centre cut out)",
}


def understood(dataset: ImageDataset, report: QualityReport) -> str:
    """Return in one line what the data was taken for: "10 classes in folders, no split given; 8-bit RGB"."""
    parts = "/".join(part for part in ("train", "val", "test") if part in set(dataset.frame["split"]))
    split = f"split {parts} as given" if dataset.has_given_splits else "no split given"
    groups = ", in groups" if dataset.frame["group"].any() else ""
    return f"{plural(report.n_classes, 'class', 'classes')} in {dataset.form}, {split}{groups}; {_pixels(report)}"


def _pixels(report: QualityReport) -> str:
    """Return depth and colours: "8-bit RGB, of 1 picture 12 bits (0 to 4,095)"."""
    colours, own = "grey" if report.is_grey else "RGB", report.value_range
    if some := _deeper(report):
        return f"8-bit {colours}, {some}"
    return f"{own.bits}-bit {colours}" if own.bits else f"{own.describe()}, {colours}"


def _deeper(report: QualityReport) -> str:
    """Return the range of those pictures that have more than 8 bits where others have 8, or nothing."""
    if not 0 < report.n_deep < report.n_images:
        return ""
    return f"of {plural(report.n_deep, 'picture')} {report.value_range.describe()}"


def looked_at(report: QualityReport) -> str:
    """Return how many pictures there are, and of how many they are a sample: "20,000 of 100,000 (stratified)"."""
    return f"{report.n_images:,}" + (f" of {report.drawn.of:,} (stratified)" if report.drawn else "")


def about_data(dataset: ImageDataset, report: QualityReport) -> Iterable[tuple[str, str]]:
    """Yield the numbers that describe a data set."""
    yield "pictures", f"{looked_at(report)} in {plural(report.n_classes, 'class', 'classes')}"
    yield "per class", _per_class(report)
    if dataset.has_given_splits:
        counts = dataset.frame["split"].value_counts()
        given = [f"{counts[name]:,} {name}" for name in ("train", "val", "test") if name in counts]
        yield "given split", ", ".join(given)
        for part, n in report.leaks.items():
            yield "it leaks", f"{n:,} of {counts[part]:,} pictures in '{part}' have copies in a later part"
    if dataset.frame["group"].any():
        yield "groups", _groups(dataset)
    yield "size", _sizes(report)
    some = _deeper(report)
    yield "depth", f"{EIGHT_BITS.describe()}, {some}" if some else report.value_range.describe()
    yield "fit", f"{FITS.get(report.fit, report.fit)}: {report.fit_reason}"
    yield "duplicates", f"{report.n_duplicates:,}" if report.n_duplicates else "none"
    yield "unreadable", f"{report.n_unreadable:,}" if report.n_unreadable else "none"


def could_go(report: QualityReport) -> str:
    """Return in a sentence how many duplicates there are and on which sides of a split."""
    where = "the given split has them in several parts" if report.leaks else "they stay on one side of every split"
    return f"{plural(report.n_duplicates, 'picture')} could go without losing one; {where}."


def _groups(dataset: ImageDataset) -> str:
    groups = dataset.frame["group"]
    number, straddling = f"{groups[groups != ''].nunique():,}", straddling_groups(dataset.frame)
    if straddling:
        return f"{number}, {straddling:,} of them in several parts of the given split"
    return f"{number}, each kept on one side of every split"


def _times(ratio: float) -> str:
    return f"{ratio:.3g}" if ratio < 100 else f"{ratio:,.0f}"


def _per_class(report: QualityReport) -> str:
    low, middle, high = report.class_sizes
    if low == high:
        return f"{low:,} each"
    return f"{low:,} to {high:,}, median {middle:g}; the largest is {report.imbalance:.3g} times the smallest"


def _sizes(report: QualityReport) -> str:
    width, height = report.median_size
    low, high = report.sizes[0.05], report.sizes[0.95]
    spread = "" if round(low) == round(high) else f"; 9 in 10 have the area of a square of {low:.0f} to {high:.0f}"
    return f"median {width} x {height} pixels{spread}; longer to shorter side up to {_times(report.aspects[1.0])}"
