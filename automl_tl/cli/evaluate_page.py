"""An evaluation as a page for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from rich.console import RenderableType
from rich.table import Table

from automl_tl.cli.render import literal
from automl_tl.cli.sections import facts, items, rest, section
from automl_tl.data.dataset import ImageDataset
from automl_tl.model.evaluation import Evaluation
from automl_tl.report.facts.evaluation import about_evaluation
from automl_tl.wording import clean, label_text

MOST_CLASSES = 20
MOST_FILES = 10
MOST_PAIRS = 10
WIDEST_MATRIX = 8
LABEL_WIDTH = 32
HEADING_WIDTH = 9


def evaluation_page(result: Evaluation, dataset: ImageDataset, *, verbose: bool = False) -> list[RenderableType]:
    """Return the page's sections; with `verbose` every class, pair and file instead of the first few."""
    sections = (
        section(f"Evaluation on {clean(dataset.root)}", facts(about_evaluation(result))),
        section("Classes", *_classes(result, None if verbose else MOST_CLASSES)),
        section("Mistakes", *_mistakes(result, None if verbose else MOST_PAIRS)),
        section("Left out", *_left_out(result, dataset, None if verbose else MOST_FILES)),
        section("Worth knowing", items(result.notes)),
    )
    return [one for one in sections if one is not None]


def _classes(result: Evaluation, most: int | None) -> list[RenderableType | None]:
    """Return a table of the classes, those that are recognised worst first."""
    table = _columns("class", ("recall", "precision", "F1", "pictures"))
    ordered = sorted(result.per_class, key=lambda one: (math.isnan(one.recall), one.recall))
    for one in ordered[:most]:
        numbers = (_share(one.recall), _share(one.precision), _share(one.f1), f"{one.n:,}")
        table.add_row(literal(label_text(one.label)), *numbers)
    return [table, rest(len(ordered), most, "class", "classes")]


def _mistakes(result: Evaluation, most: int | None) -> list[RenderableType | None]:
    """Return the matrix where it is small, else the most frequent pairs."""
    wrong = result.confusion - np.diag(np.diag(result.confusion))
    if not wrong.any():
        return []
    if len(result.classes) <= WIDEST_MATRIX:
        return [_matrix(result)]
    pairs = [(int(wrong[a, b]), int(a), int(b)) for a, b in np.argwhere(wrong)]
    pairs.sort(key=lambda pair: (-pair[0], *pair[1:]))
    names = [label_text(label) for label in result.classes]
    told = [f"{names[a]} taken for {names[b]}: {count:,} of {result.per_class[a].n:,}" for count, a, b in pairs[:most]]
    return [items(told), rest(len(pairs), most, "pair")]


def _matrix(result: Evaluation) -> Table:
    table = _columns("true class, taken for:", [label_text(label) for label in result.classes])
    for label, row in zip(result.classes, result.confusion, strict=True):
        table.add_row(literal(label_text(label)), *(f"{count:,}" if count else "." for count in row))
    return table


def _columns(first: str, others: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(first, max_width=LABEL_WIDTH, no_wrap=True, overflow="ellipsis")
    for name in others:
        table.add_column(literal(name), justify="right", max_width=HEADING_WIDTH, no_wrap=True, overflow="ellipsis")
    return table


def _left_out(result: Evaluation, dataset: ImageDataset, most: int | None) -> list[RenderableType | None]:
    skipped = [*result.errors, *dataset.skipped]
    named = [f"{dataset.short(one.path)}: {clean(one.reason)}" for one in skipped[:most]]
    return [items(named), rest(len(skipped), most, "file")]


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1%}"
