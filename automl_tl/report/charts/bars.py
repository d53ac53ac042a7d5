"""Bars: a number for each name."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.axes import Axes

from automl_tl.report.charts.drawing import ACCENT, drawn, told_apart


def bar_chart(label: str, rows: Sequence[tuple[str, float]], *, shares: bool = False) -> Markup:
    """Return horizontal bars, the first on top; `shares` are written in per cent."""
    names, values = told_apart([name for name, _ in rows]), [value for _, value in rows]

    def draw(axes: Axes) -> None:
        places = range(len(rows))
        bars = axes.barh(places, values, color=ACCENT, height=0.7)
        axes.bar_label(bars, [f"{value:.0%}" if shares else f"{value:,.0f}" for value in values], padding=3)
        axes.set_yticks(places, names)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(0, 1.15 * max(values))
        axes.grid(visible=False)
        axes.xaxis.set_visible(False)

    return drawn(label, draw, height=0.4 + 0.22 * len(rows))
