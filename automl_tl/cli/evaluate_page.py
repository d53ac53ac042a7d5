"""An evaluation as a page for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from automl_tl.cli.render import literal
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
INDENT = (0, 0, 0, 2)


def evaluation_page(result: Evaluation, dataset: ImageDataset, *, verbose: bool = False) -> list[RenderableType]:
    """Return the page's sections; with `verbose` every class, pair and file instead of the first few."""
    sections = (
        _section(f"Evaluation on {clean(dataset.root)}", [_facts(result)]),
        _section("Classes", _classes(result, None if verbose else MOST_CLASSES)),
        _section("Mistakes", _mistakes(result, None if verbose else MOST_PAIRS)),
        _section("Left out", _left_out(result, dataset, None if verbose else MOST_FILES)),
        _section("Worth knowing", [_item(note) for note in result.notes]),
    )
    return [section for section in sections if section is not None]


def _facts(result: Evaluation) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column()
    for name, sentence in about_evaluation(result):
        grid.add_row(name, literal(sentence))
    return grid


def _classes(result: Evaluation, most: int | None) -> list[RenderableType]:
    """Return a table of the classes, those that are recognised worst first."""
    table = _columns("class", ("recall", "precision", "F1", "pictures"))
    ordered = sorted(result.per_class, key=lambda one: (math.isnan(one.recall), one.recall))
    for one in ordered[:most]:
        numbers = (_share(one.recall), _share(one.precision), _share(one.f1), f"{one.n:,}")
        table.add_row(literal(label_text(one.label)), *numbers)
    return [table, *_rest(len(ordered), most, "class", "classes")]


def _mistakes(result: Evaluation, most: int | None) -> list[RenderableType]:
    """Return the matrix where it is small, else the most frequent pairs."""
    wrong = result.confusion - np.diag(np.diag(result.confusion))
    if not wrong.any():
        return []
    if len(result.classes) <= WIDEST_MATRIX:
        return [_matrix(result)]
    pairs = [(int(wrong[a, b]), int(a), int(b)) for a, b in np.argwhere(wrong)]
    pairs.sort(key=lambda pair: (-pair[0], *pair[1:]))
    names = [label_text(label) for label in result.classes]
    items = [_item(f"{names[a]} taken for {names[b]}: {count:,} of {result.per_class[a].n:,}") for count, a, b in pairs]
    return [*islice(items, most), *_rest(len(items), most, "pair", "")]


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


def _left_out(result: Evaluation, dataset: ImageDataset, most: int | None) -> list[RenderableType]:
    shown: Iterable[RenderableType] = (
        _item(f"{dataset.short(one.path)}: {clean(one.reason)}") for one in islice(result.errors, most)
    )
    return [*shown, *_rest(len(result.errors), most, "file", "")]


def _rest(n: int, most: int | None, noun: str, many: str) -> list[RenderableType]:
    hidden = n - (n if most is None else min(n, most))
    more = noun if hidden == 1 else many or noun + "s"
    return [literal(f"... and {hidden:,} more {more}; --verbose shows all", style="dim")] if hidden else []


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1%}"


def _item(sentence: str) -> RenderableType:
    row = Table.grid(padding=(0, 1))
    row.add_row("-", literal(sentence))
    return row


def _section(title: str, parts: Sequence[RenderableType]) -> RenderableType | None:
    """Return a titled section, or None where there is nothing in it."""
    if not parts:
        return None
    return Group(literal(title, style="bold"), Padding(Group(*parts), INDENT), Text(""))
