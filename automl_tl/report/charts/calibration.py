"""Whether confidences are what they say: accuracy against confidence."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from automl_tl.report.charts.drawing import ACCENT, MUTED, drawn, percent

BINS = 10


def calibration_chart(right: np.ndarray, confidence: np.ndarray) -> Markup:
    """Return accuracy by confidence, in bins of equal width; a dot's area is its share of the pictures.

    Args:
        right: bool (n,), whether the most probable class is the true one.
        confidence: float (n,), its probability.
    """
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    filled = np.unique(place)
    n = np.array([(place == one).sum() for one in filled])
    accuracy = np.array([right[place == one].mean() for one in filled])
    mean = np.array([confidence[place == one].mean() for one in filled])
    error = np.sqrt(np.maximum(accuracy * (1 - accuracy), 0.25 / n) / n)
    bars = np.minimum(error, [accuracy, 1 - accuracy])  # nothing is less than never right, nor more than always

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=1)
        axes.errorbar(mean, accuracy, bars, fmt="none", ecolor=ACCENT, elinewidth=1)
        axes.scatter(mean, accuracy, s=20 + 300 * n / n.sum(), color=ACCENT, alpha=0.8, linewidths=0)
        axes.set(xlim=(0, 1.03), ylim=(-0.03, 1.06), xlabel="confidence", ylabel="accuracy")
        percent(axes)
        percent(axes, "x")

    return drawn("Accuracy against confidence", draw, height=3.6)
