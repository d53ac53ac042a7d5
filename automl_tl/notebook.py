"""Results in a notebook: a small table in HTML, whose texts are escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from automl_tl.wording import clean


def html_table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """Return names and sentences in two columns below a title.

    >>> html_table("a & b", [("n", "<1>")])
    '<table><caption>a &amp; b</caption><tr><th>n</th><td>&lt;1&gt;</td></tr></table>'
    """
    cells = "".join(f"<tr><th>{_safe(name)}</th><td>{_safe(text)}</td></tr>" for name, text in rows)
    return f"<table><caption>{_safe(title)}</caption>{cells}</table>"


def accuracy_words(accuracy: float, interval: tuple[float, float]) -> str:
    """Return an accuracy with its 90% interval.

    >>> accuracy_words(0.658, (0.544, 0.755))
    '65.8% (90% interval 54.4% to 75.5%)'
    """
    return f"{accuracy:.1%} (90% interval {interval[0]:.1%} to {interval[1]:.1%})"


def _safe(text: str) -> str:
    return escape(clean(text))
