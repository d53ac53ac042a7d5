"""The front of the four strategies: what each is expected to reach, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.axes import Axes

from automl_tl.durations import format_duration
from automl_tl.lab.decision import FrontRow
from automl_tl.report.charts.drawing import PAPER, SERIES, drawn, legend_below, percent
from automl_tl.strategies import STRATEGIES, Strategy

_TICKS = (0.1, 1, 10, 60, 600, 3600, 36000, 360000)
"""Seconds."""
_APART = 1.25
"""Strategies of nearly the same cost are drawn this factor apart, so that no interval covers another."""


def front_chart(front: Sequence[FrontRow], chosen: Strategy) -> Markup:
    """Return accuracy with its 90 % interval against seconds, on a log axis."""

    def draw(axes: Axes) -> None:
        axes.set_xscale("log")
        x = 0.0
        for row in sorted(front, key=lambda one: one.seconds):
            x = max(row.seconds, x * _APART)
            _draw_row(axes, row, x, row.strategy == chosen)
        axes.set_xlabel("training time on this machine")
        axes.set_ylabel("accuracy on new pictures")
        axes.set_xticks(_TICKS, [format_duration(tick) for tick in _TICKS])
        axes.set_xlim(min(row.seconds for row in front) / 3, 3 * x)
        axes.minorticks_off()
        percent(axes)
        legend_below(axes)

    return drawn(f"Accuracy against training time of the strategies; {chosen} is recommended", draw, height=3.6)


def _draw_row(axes: Axes, row: FrontRow, x: float, chosen: bool) -> None:
    colour, (low, high) = SERIES[STRATEGIES.index(row.strategy)], row.interval
    below, above = max(row.accuracy - low, 0.0), max(high - row.accuracy, 0.0)
    axes.errorbar(
        x, row.accuracy, [[below], [above]], fmt="o", color=colour, capsize=3, markersize=9 if chosen else 6,
        markerfacecolor=colour if row.measured or row.tried else PAPER, elinewidth=2.5 if chosen else 1.3,
        label=row.strategy.replace("_", " ") + (" (recommended)" if chosen else ""),
    )  # fmt: skip
