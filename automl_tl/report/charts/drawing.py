"""Drawings by matplotlib as inline SVG whose colours are variables of the page, so that light and dark share one."""

from __future__ import annotations

import io
import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote, unquote

from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from automl_tl.wording import clean

WIDTH = 5.0
"""Inches, 72 units of the SVG each: narrow, so that its text can still be read on a phone."""
LONGEST = 24
"""Characters of a name in a chart; longer ones are cut."""

# Colours that nothing else has: each stands for the variable of its name in the page's style sheet.
INK, MUTED, LINE, PAPER = "#fe0001", "#fe0002", "#fe0003", "#fe0004"
ACCENT, SECOND, THIRD, FOURTH, FIFTH, SIXTH = "#fe0011", "#fe0012", "#fe0013", "#fe0014", "#fe0015", "#fe0016"
SERIES = (ACCENT, SECOND, THIRD, FOURTH, FIFTH, SIXTH)
_VARIABLES = {
    INK: "ink", MUTED: "muted", LINE: "line", PAPER: "paper", ACCENT: "accent", SECOND: "second", THIRD: "third",
    FOURTH: "fourth", FIFTH: "fifth", SIXTH: "sixth",
}  # fmt: skip
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "font.size": 10.0,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.0,
}
_NO_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}
_UNNEEDED, _NAME = (
    re.compile(r"<metadata>.*?</metadata>|<style.*?</style>", re.DOTALL),
    re.compile(r' id="[A-Za-z0-9]+_\d+"'),
)
"""What a drawing within a page does not need: who made it, its own style sheet, names that nothing refers to."""
_TAG = re.compile(r"(<[^>]*>)")
_TOLD, _MARK = re.compile(r'(?<=<g) id="told:([^"]*)"'), re.compile(r"(<use [^>]*?)/>")


def drawn(label: str, draw: Callable[[Axes], None], *, height: float = 3.2) -> Markup:
    """Return what `draw` draws, as inline SVG.

    Args:
        label: what the chart shows, for those who cannot see it.
        draw: is given the axes.
        height: inches.
    """
    out = io.StringIO()
    with rc_context({**_STYLE, "svg.hashsalt": label}), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # letters that matplotlib's font lacks: the browser has them
        figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="none")
        draw(figure.add_subplot())
        figure.savefig(out, format="svg", metadata=_NO_METADATA)
    return Markup(_inline(out.getvalue(), label))


def shortened(name: str, most: int = LONGEST) -> str:
    """Return a name from outside for a chart: visible characters alone, cut where it is long."""
    shown = clean(name)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def told_apart(names: Sequence[str], most: int = LONGEST) -> list[str]:
    """Return names from outside for a chart as `shortened` does, but none like another: those keep their ends.

    >>> told_apart(["Tomato___Tomato_mosaic_virus", "Tomato___Tomato_leaf_mold", "Apple"], 14)
    ['Tomato_…c_virus', 'Tomato_…af_mold', 'Apple']
    """
    short = [shortened(name, most) for name in names]
    half = (most - 1) // 2
    ends = [
        f"{shown[: half + 1]}…{shown[-half - 1 :]}" if len(shown := clean(name)) > most else shown for name in names
    ]
    alike = {name for name, n in Counter(short).items() if n > 1}
    found = [end if own in alike else own for own, end in zip(short, ends, strict=True)]
    twice = Counter(found)
    return [f"{own} ({place})" if twice[own] > 1 else own for place, own in enumerate(found, 1)]


def tell(dots: Line2D, texts: Sequence[str]) -> None:
    """Let each marker of a line, all of them within the chart, say its text where a pointer rests on it."""
    dots.set_gid("told:" + "|".join(quote(clean(text), safe="") for text in texts))


def percent(axes: Axes, which: str = "y") -> None:
    """Label an axis of shares in per cent."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")


def legend_below(axes: Axes, columns: int = 2) -> None:
    """Explain the series beneath the chart, where nothing is covered."""
    axes.get_figure().legend(loc="outside lower center", ncols=columns)  # type: ignore[union-attr]


def _inline(svg: str, label: str) -> str:
    svg = _with_titles(_within_tags(_without_names, _UNNEEDED.sub("", svg[svg.index("<svg") :])))
    head, _, rest = svg.partition(">")
    head = re.sub(r' (width|height|version|xmlns\S*)="[^"]*"', "", head)
    text = f'{head} role="img" aria-label="{escape(clean(label))}">{rest}'
    return _within_tags(_with_variables, text)


def _within_tags(change: Callable[[str], str], svg: str) -> str:
    """Return a drawing with its tags changed and its texts as they are, which may look like parts of tags."""
    return "".join(change(part) if part.startswith("<") else part for part in _TAG.split(svg))


def _without_names(tag: str) -> str:
    return _NAME.sub("", tag)


def _with_variables(tag: str) -> str:
    for placeholder, name in _VARIABLES.items():
        tag = tag.replace(placeholder, f"var(--{name})")
    return tag


def _with_titles(svg: str) -> str:
    """Give the markers of what was told something their titles: browsers show them."""
    before, *rest = _TOLD.split(svg)
    return before + "".join(_titled(after, told.split("|")) for told, after in zip(rest[::2], rest[1::2], strict=True))


def _titled(svg: str, titles: Sequence[str]) -> str:
    left = iter(titles)
    return _MARK.sub(lambda mark: f"{mark[1]}><title>{escape(unquote(next(left)))}</title></use>", svg, len(titles))
