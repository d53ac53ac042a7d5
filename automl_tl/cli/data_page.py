"""The report on a data set as a page for people, in sections that a page of another command may use too."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from automl_tl.cli.render import bar, literal
from automl_tl.cli.sections import facts, item, items, rest, section
from automl_tl.data.dataset import ImageDataset
from automl_tl.data.quality import Conflict, QualityReport
from automl_tl.data.walk import is_picture_name
from automl_tl.report.facts.data import about_data, could_go, understood
from automl_tl.wording import clean, label_text, plural

MOST_CLASSES = 20
MOST_FILES = 10
MOST_GROUPS = 3
LABEL_WIDTH = 32


def data_page(dataset: ImageDataset, report: QualityReport, *, verbose: bool = False) -> list[RenderableType]:
    """Return the page's sections; with `verbose` every class, file and group instead of the first few."""
    sections = (
        section(
            f"Data: {clean(dataset.root)}", literal(understood(dataset, report)), Text(""),
            facts(about_data(dataset, report)),
        ),
        section("Classes", *_classes(report, None if verbose else MOST_CLASSES)),
        section("Duplicates", *_duplicates(dataset, report, None if verbose else MOST_GROUPS)),
        section("Left out", *_left_out(dataset, None if verbose else MOST_FILES)),
        section("Worth knowing", items((*report.warnings, *dataset.notes))),
    )  # fmt: skip
    return [one for one in sections if one is not None]


def _classes(report: QualityReport, most: int | None) -> list[RenderableType | None]:
    """Return a bar for each class, the largest first, at most `most` and then how many more."""
    ordered = sorted(report.images_per_class.items(), key=lambda item: -item[1])  # else in the classes' order
    table = Table.grid(padding=(0, 2))
    table.add_column(max_width=LABEL_WIDTH, no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right")
    table.add_column(style="cyan", no_wrap=True)
    for label, n in ordered[:most]:
        table.add_row(literal(label_text(label)), f"{n:,}", bar(n / ordered[0][1]))
    further = [n for _, n in ordered[len(ordered[:most]) :]]
    return [table, rest(len(ordered), most, "class", "classes", f", with {_range(further)}" if further else "")]


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{plural(low, 'picture')} each" if low == high else f"{low:,} to {high:,} pictures each"


def _duplicates(dataset: ImageDataset, report: QualityReport, most: int | None) -> list[RenderableType | None]:
    groups = [("identical", paths) for paths in report.exact] + [("nearly identical", paths) for paths in report.near]
    parts: list[RenderableType | None] = []
    if report.n_duplicates:
        parts.append(item(could_go(report)))
    parts += [item(f"{kind}: {_names(dataset, paths)}") for kind, paths in groups[:most]]
    parts.append(rest(len(groups), most, "group"))
    parts += [_conflict(dataset, conflict) for conflict in report.conflicts[:most]]
    return [*parts, rest(len(report.conflicts), most, "conflict")]


def _names(dataset: ImageDataset, paths: Sequence[str]) -> str:
    return ", ".join(dataset.short(path) for path in paths)


def _conflict(dataset: ImageDataset, conflict: Conflict) -> RenderableType:
    labelled = zip(conflict.paths, conflict.labels, strict=True)
    named = ", ".join(f"{dataset.short(path)} ({clean(label)})" for path, label in labelled)
    what = "identical, all left out" if conflict.identical else "nearly identical, kept"
    return item(f"different labels, {what}: {named}", style="yellow")


def _left_out(dataset: ImageDataset, most: int | None) -> list[RenderableType | None]:
    pictures_first = sorted(dataset.skipped, key=lambda one: not is_picture_name(one.path))
    shown = islice(pictures_first, most)
    named = [f"{dataset.short(one.path)}: {clean(one.reason)}" for one in shown]
    return [items(named), rest(len(dataset.skipped), most, "file")]
