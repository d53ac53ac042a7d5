"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from automl_tl.report.charts.drawing import ACCENT, INK, SECOND, drawn, shortened

LARGEST = 20
"""Classes of the largest matrix that can be read; of more, pairs are listed."""
_LABEL = 14


def confusion_chart(counts: np.ndarray, classes: Sequence[str]) -> Markup:
    """Return the confusion matrix.

    Args:
        counts: int (C, C), pictures by true class (rows) and predicted class (columns); C <= LARGEST.
        classes: C labels.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [shortened(name, _LABEL) for name in classes]

    def draw(axes: Axes) -> None:
        for (true, predicted), n in np.ndenumerate(counts):
            if n:
                colour, alpha = ACCENT if true == predicted else SECOND, 0.12 + 0.6 * float(shares[true, predicted])
                axes.add_patch(
                    Rectangle((predicted - 0.48, true - 0.48), 0.96, 0.96, color=colour, alpha=alpha, linewidth=0)
                )
                axes.text(
                    predicted, true, f"{n}", ha="center", va="center", color=INK, fontsize=8 if len(names) < 13 else 6
                )
        places = range(len(names))
        axes.set(xlim=(-0.6, len(names) - 0.4), ylim=(len(names) - 0.4, -0.6), aspect="equal")
        axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(places, names)
        axes.set(xlabel="taken for", ylabel="true class")
        axes.grid(visible=False)

    return drawn("Confusion matrix", draw, height=4.6)


def confused_pairs(counts: np.ndarray, classes: Sequence[str], most: int) -> list[tuple[str, str, int, int]]:
    """Return the most frequent mistakes: true class, taken for, how often, pictures of the true class."""
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(place), len(classes)) for place in order]
    return [(classes[a], classes[b], int(wrong[a, b]), int(counts[a].sum())) for a, b in pairs if wrong[a, b]]
