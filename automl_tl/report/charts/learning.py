"""The learning curve: what more pictures would bring."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from automl_tl.learning.curve import LearningCurve
from automl_tl.report.charts.drawing import ACCENT, INK, MUTED, drawn, percent

_POINTS = 60


def learning_chart(curve: LearningCurve, n_training: int) -> Markup:
    """Return measured accuracies and the power law through them, to four times as many pictures as there are."""
    sizes = np.geomspace(curve.sizes[0], 4 * n_training, _POINTS)

    ticks = [factor * n_training for factor in (0.25, 0.5, 1, 2, 4)]

    def draw(axes: Axes) -> None:
        low, high = np.array([curve.interval_at(n) for n in sizes]).T
        axes.fill_between(sizes, low, high, color=ACCENT, alpha=0.18, linewidth=0)
        axes.plot(sizes, [curve.at(n) for n in sizes], color=ACCENT)
        axes.plot(curve.sizes, curve.accuracy, "o", color=INK)
        axes.axvline(n_training, color=MUTED, linewidth=1, linestyle="--")
        axes.annotate("what there is", (n_training, 0.02), (4, 0), xycoords=("data", "axes fraction"),
                      textcoords="offset points", color=MUTED)  # fmt: skip
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
        axes.set_xlabel("training pictures")
        axes.set_ylabel("accuracy")
        percent(axes)

    return drawn("Accuracy against the number of training pictures", draw)
