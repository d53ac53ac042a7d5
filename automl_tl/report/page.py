"""A page as one HTML file that needs nothing else: styles, scripts and pictures lie in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from automl_tl.output import appearing
from automl_tl.report.parts import Page
from automl_tl.wording import clean

SEARCHED = 12
"""Rows from which a table has a field to search it."""


def render(page: Page) -> str:
    """Return the page as HTML: every text is escaped, and what is invisible in it written out."""
    environment = Environment(
        loader=PackageLoader("automl_tl.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(page=page, searched=SEARCHED)


def write(page: Page, path: Path, option: str = "--report") -> None:
    """Write the page to `path`, which `option` named, under a temporary name first.

    Raises:
        OptionError: it cannot be written there.
    """
    with appearing(path, option) as new:
        new.write_text(render(page), encoding="utf-8")


def _visible(value: Any) -> Any:
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value
