"""The report on a data set as sections, for its own page and for others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from automl_tl.data.dataset import ImageDataset, Skipped
from automl_tl.data.decode import Preprocessing
from automl_tl.data.quality import Conflict, QualityReport
from automl_tl.data.walk import is_picture_name
from automl_tl.report.charts.bars import bar_chart
from automl_tl.report.facts.data import about_data, could_go, understood
from automl_tl.report.parts import Chart, Facts, Gallery, Grid, Number, Page, Part, Section, Sentences
from automl_tl.report.provenance import Provenance
from automl_tl.report.thumbnails import as_seen, one_of_each
from automl_tl.wording import plural

MOST_BARS = 30
"""Classes of the largest bar chart; of more, there is only the table."""
MOST_FILES = 2000
"""Rows of the longest list of files."""
SHOWN_AT = 224
"""Pixels: the size that most networks take; without a network pictures are prepared for it."""


def data_page(dataset: ImageDataset, report: QualityReport, provenance: Provenance) -> Page:
    """Return the page of `inspect`."""
    how = Preprocessing(SHOWN_AT, report.fit, value_range=report.value_range)
    duplicates = plural(report.n_duplicates, "duplicate") if report.n_duplicates else "no duplicates"
    decision = (
        f"{understood(dataset, report)}. {plural(report.n_images, 'picture')} can be used; "
        f"{duplicates}, {plural(len(dataset.skipped), 'file')} left out."
    )
    worth_knowing = notes((*report.warnings, *dataset.notes))
    sections = (gallery(dataset, how), *data_sections(dataset, report), worth_knowing, provenance.section())
    return Page(f"Data: {dataset.root}", decision, None, sections)


def data_sections(dataset: ImageDataset, report: QualityReport) -> tuple[Section | None, ...]:
    """Return what there is, what is there twice, and what is left out."""
    return (
        Section("The data", (Facts(tuple(about_data(dataset, report))), *_classes(report))),
        duplicates(dataset, report),
        left_out(dataset, dataset.skipped),
    )


def gallery(dataset: ImageDataset, how: Preprocessing) -> Section | None:
    """Return a few pictures as a network sees them."""
    pictures = tuple(as_seen(one_of_each(dataset), how))
    caption = f"Made square by {how.fit}, {how.size} x {how.size} pixels; under each picture its class."
    return Section("Pictures as the model sees them", (Gallery(pictures, caption),)) if pictures else None


def notes(sentences: tuple[str, ...]) -> Section | None:
    """Return what is worth knowing, each sentence once."""
    once = tuple(dict.fromkeys(sentences))
    return Section("Worth knowing", (Sentences(once),)) if once else None


def left_out(dataset: ImageDataset, files: Sequence[Skipped]) -> Section | None:
    """Return which files do not count and why, pictures first."""
    pictures_first = sorted(files, key=lambda one: not is_picture_name(one.path))
    rows = tuple((dataset.short(one.path), one.reason) for one in pictures_first[:MOST_FILES])
    return Section("Left out", (Grid(("file", "why"), rows, _cut(len(pictures_first))),)) if rows else None


def _classes(report: QualityReport) -> Iterator[Part]:
    ordered = sorted(report.images_per_class.items(), key=lambda item: (-item[1], item[0]))
    if len(ordered) <= MOST_BARS:
        yield Chart(bar_chart("Pictures per class", ordered), "Pictures per class, the largest first.")
    rows = tuple((label, Number(f"{n:,}", n)) for label, n in ordered)
    yield Grid(("class", "pictures"), rows, "Pictures per class.")


def duplicates(dataset: ImageDataset, report: QualityReport) -> Section | None:
    """Return what is there twice, with the same label or with different ones."""
    groups = [("identical", paths) for paths in report.exact] + [("nearly identical", paths) for paths in report.near]
    rows = [(kind, ", ".join(map(dataset.short, paths))) for kind, paths in groups]
    rows += [_conflict(dataset, conflict) for conflict in report.conflicts]
    if not rows:
        return None
    grid = Grid(("kind", "files"), tuple(rows[:MOST_FILES]), _cut(len(rows)))
    return Section("Duplicates", (grid,), could_go(report) if report.n_duplicates else "")


def _conflict(dataset: ImageDataset, conflict: Conflict) -> tuple[str, str]:
    named = [f"{dataset.short(path)} ({label})" for path, label in zip(conflict.paths, conflict.labels, strict=True)]
    what = "all left out" if conflict.identical else "nearly identical, kept"
    return f"different labels, {what}", ", ".join(named)


def _cut(n: int) -> str:
    return f"The first {MOST_FILES:,} of {n:,}; automl-tl inspect --format json lists all." if n > MOST_FILES else ""
