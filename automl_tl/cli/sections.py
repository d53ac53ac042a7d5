"""The parts that pages for people are made of: titled sections, named facts, lists of sentences."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from automl_tl.cli.render import literal

INDENT = (0, 0, 0, 2)


def facts(lines: Iterable[tuple[str, str]]) -> RenderableType:
    """Return names and sentences in two columns."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column()
    for name, sentence in lines:
        grid.add_row(name, literal(sentence))
    return grid


def items(sentences: Iterable[str]) -> RenderableType:
    """Return sentences as a list."""
    grid = Table.grid(padding=(0, 1))
    for sentence in sentences:
        grid.add_row("-", literal(sentence))
    return grid


def first_items(sentences: Iterable[str], most: int | None) -> RenderableType | None:
    """Return the first few sentences, `most` of them or all, and how many more there are; None where there is none."""
    every = list(sentences)
    shown = every[:most]
    if len(shown) < len(every):
        shown.append(f"... and {len(every) - len(shown)} more; --verbose shows all")
    return items(shown) if shown else None


def section(title: str, body: RenderableType | None) -> RenderableType | None:
    """Return a titled section, or None where there is nothing in it."""
    return None if body is None else Group(literal(title, style="bold"), Padding(body, INDENT), Text(""))
