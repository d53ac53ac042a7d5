"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from automl_tl.report.charts.drawing import ACCENT, INK, SECOND, drawn, told_apart

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
    names = told_apart(classes, _LABEL)

    def draw(axes: Axes) -> None:
        for (true, predicted), n in np.ndenumerate(counts):
            if n:
                colour, alpha = ACCENT if true == predicted else SECOND, opacity(float(shares[true, predicted]))
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


def opacity(share: float) -> float:
    """Return how much of its colour a cell has, so little that the count on it can be read, in the dark as well."""
    return 0.12 + 0.38 * share


def confused_pairs(counts: np.ndarray, classes: Sequence[str], most: int) -> list[tuple[str, str, int, int]]:
    """Return the most frequent mistakes: true class, taken for, how often, pictures of the true class."""
    true, predicted = np.nonzero(counts)  # far fewer than there are pairs of many classes
    wrong = true != predicted
    true, predicted = true[wrong], predicted[wrong]
    order = np.argsort(-counts[true, predicted], kind="stable")[:most]
    pairs = zip(true[order], predicted[order], strict=True)
    return [(classes[a], classes[b], int(counts[a, b]), int(counts[a].sum())) for a, b in pairs]
