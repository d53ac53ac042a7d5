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


def item(sentence: str, style: str = "") -> RenderableType:
    """Return a sentence of a list."""
    row = Table.grid(padding=(0, 1))
    row.add_row("-", literal(sentence, style))
    return row


def items(sentences: Iterable[str]) -> RenderableType | None:
    """Return sentences as a list, None where there is none."""
    every = [item(sentence) for sentence in sentences]
    return Group(*every) if every else None


def rest(n: int, most: int | None, noun: str, many: str = "", what: str = "") -> RenderableType | None:
    """Return that there are more than the first `most` of n, and `what` they are; None where all are shown."""
    hidden = 0 if most is None else max(0, n - most)
    more = f"... and {hidden:,} more {noun if hidden == 1 else many or noun + 's'}{what}; --verbose shows all"
    return literal(more, style="dim") if hidden else None


def first_items(sentences: Iterable[str], most: int | None) -> RenderableType | None:
    """Return the first few sentences, `most` of them or all, and how many more there are; None where there is none."""
    every = list(sentences)
    shown = every[:most]
    if len(shown) < len(every):
        shown.append(f"... and {len(every) - len(shown)} more; --verbose shows all")
    return items(shown)


def section(title: str, *parts: RenderableType | None) -> RenderableType | None:
    """Return a titled section, or None where there is nothing in it."""
    there = [part for part in parts if part is not None]
    return Group(literal(title, style="bold"), Padding(Group(*there), INDENT), Text("")) if there else None
