"""What a page is made of. Every text may come from outside: the template escapes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from markupsafe import Markup


class Number(NamedTuple):
    """A cell that is shown as text and sorted as a number."""

    text: str
    value: float


Cell = str | Number


@dataclass(frozen=True)
class Facts:
    """Names and sentences in two columns."""

    kind: ClassVar[str] = "facts"
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Sentences:
    """A list."""

    kind: ClassVar[str] = "sentences"
    items: tuple[str, ...]


@dataclass(frozen=True)
class Chart:
    """An inline SVG of this package with what it shows."""

    kind: ClassVar[str] = "chart"
    svg: Markup
    caption: str


@dataclass(frozen=True)
class Grid:
    """A table that can be sorted by its headings and, where it is long, searched."""

    kind: ClassVar[str] = "grid"
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""


@dataclass(frozen=True)
class Thumbnail:
    """A small picture."""

    uri: str
    """With the picture in it, "data:..."."""
    caption: str


@dataclass(frozen=True)
class Gallery:
    """A few pictures."""

    kind: ClassVar[str] = "gallery"
    pictures: tuple[Thumbnail, ...]
    caption: str
    strips: bool = False
    """Whether each is several pictures side by side."""


Part = Facts | Sentences | Chart | Grid | Gallery


@dataclass(frozen=True)
class Section:
    """A titled part of a page."""

    title: str
    parts: tuple[Part, ...]
    lead: str = ""
    """What is to be seen here, for whoever sees it for the first time."""


@dataclass(frozen=True)
class Page:
    """A whole page."""

    title: str
    decision: str
    """The result in one sentence."""
    picture: Chart | None
    sections: tuple[Section | None, ...]
    """None where there is nothing to show."""
