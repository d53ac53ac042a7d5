"""The best so far over the time that a search spent on candidates."""

from __future__ import annotations

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from automl_tl.report.charts.drawing import ACCENT, INK, MUTED, SECOND, drawn, legend_below, tell

_UNITS = ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))
_FROZEN = ("feature_extractor", "early_feature_extractor")


def progress_chart(table: pd.DataFrame, metric: str) -> Markup | None:
    """Return every scored candidate when it was done, and the best so far; None where none was scored.

    Time is what was spent on candidates, one after the other, so a run that was resumed has no gaps.

    Args:
        table: the leaderboard.
        metric: its name; log_loss is the one that is good where it is low.
    """
    scored = table[table[metric].notna()].sort_values("number")
    if scored.empty:
        return None
    values = scored[metric].to_numpy(float)
    best = best_so_far(scored, metric)
    spent = table.sort_values("number").set_index("number")["seconds"].astype(float).fillna(0.0).cumsum()
    unit, named = next((size, name) for size, name in _UNITS if size <= max(spent.max(), 1))
    done = spent[scored["number"]].to_numpy() / unit
    swept = (scored["kind"] == "sweep").to_numpy(bool)
    frozen = scored["strategy"].isin(_FROZEN).to_numpy(bool)
    groups = (
        ("the sweep", swept, MUTED),
        ("frozen trial", ~swept & frozen, ACCENT),
        ("trained trial", ~swept & ~frozen, SECOND),
    )

    low, high = _focus(values, best)
    shown = (low <= values) & (values <= high)
    texts = [
        f"{row.kind} {row.number}, {row.strategy}: {row.value:.4g}" for row in scored.assign(value=values).itertuples()
    ]

    def draw(axes: Axes) -> None:
        for label, group, colour in groups:
            some = np.flatnonzero(group & shown)
            if len(some):
                (dots,) = axes.plot(done[some], values[some], "o", color=colour, alpha=0.7, markersize=3.5,
                                    markeredgewidth=0, label=label)  # fmt: skip
                tell(dots, [texts[place] for place in some])
        axes.step(done, best, where="post", color=INK, linewidth=1.4, label="best so far")
        axes.set_ylim(low, high)
        axes.set(xlabel=f"{named} spent on candidates", ylabel=metric.replace("_", " "))
        legend_below(axes, 4)

    return drawn("The best so far over time", draw)


def best_so_far(scored: pd.DataFrame, metric: str) -> np.ndarray:
    """Return the best value up to each candidate among those of its sample, float (n,), in the order of the rows."""
    samples = scored[metric].groupby(scored["pictures"] if "pictures" in scored else np.zeros(len(scored)))
    return (samples.cummin() if metric == "log_loss" else samples.cummax()).to_numpy(float)


def _focus(values: np.ndarray, best: np.ndarray) -> tuple[float, float]:
    """Return limits that show nine in ten candidates and the best: a failure or two must not flatten the rest."""
    shown = np.concatenate([np.quantile(values, [0.05, 0.95]), best[[0, -1]]])
    low, high = float(shown.min()), float(shown.max())
    margin = max(0.06 * (high - low), 1e-3)
    return low - margin, high + margin
