"""The front of the four strategies in a terminal: accuracy with its interval drawn, and seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from automl_tl.durations import format_need
from automl_tl.lab.decision import FrontRow
from automl_tl.recommender.reasons import sure
from automl_tl.recommender.recommendation import Recommendation
from automl_tl.report.facts.recommendation import origin

CHANCE, MARK = "chance", "<-"
LEGEND = f"Chance: of being the best. Point and line: expected accuracy and 90% interval. {MARK}: recommended."
_WIDTH = 16


def front_table(result: Recommendation) -> RenderableType:
    """Return a row for every strategy: what it is expected to reach, what it costs, how likely it is the best."""
    table, front = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim"), result.front
    for name in ("strategy", "accuracy", "time", CHANCE, _scale(front), ""):
        table.add_column(name, justify="right" if name in ("accuracy", "time", CHANCE) else "left", no_wrap=bool(name))
    for row in front:
        mark = MARK if row.strategy == result.strategy else ""
        low, high = row.interval
        table.add_row(
            row.strategy, f"{row.accuracy:.1%} ({low:.0%} to {high:.0%})", format_need(row.seconds),
            sure(result.best[row.strategy]), drawn(row, front), f"{origin(row)} {mark}", style="bold" if mark else "",
        )  # fmt: skip
    return Group(table, Text(LEGEND, style="dim"))


def drawn(row: FrontRow, front: Sequence[FrontRow]) -> str:
    """Return the accuracy of a strategy as a point on its 90 % interval, on the scale that all rows share.

    >>> row = FrontRow("fine_tuning", 0.75, (0.6, 0.9), 1, False, 0.0, 0.0, "")
    >>> drawn(row, [row])
    '────────────●───────────'
    """
    low, high = _ends(front)
    left, point, right = (
        round((value - low) / max(high - low, 1e-9) * (_WIDTH - 1))
        for value in (row.interval[0], row.accuracy, row.interval[1])
    )
    return "".join("●" if at == point else "─" if left <= at <= right else " " for at in range(_WIDTH))


def _scale(front: Sequence[FrontRow]) -> str:
    low, high = _ends(front)
    return f"{low:<{_WIDTH - 4}.0%}{high:>4.0%}"


def _ends(front: Sequence[FrontRow]) -> tuple[float, float]:
    """Return the scale's ends, whole tens of per cent."""
    low, high = min(row.interval[0] for row in front), max(row.interval[1] for row in front)
    return math.floor(10 * low + 1e-9) / 10, math.ceil(10 * high - 1e-9) / 10
