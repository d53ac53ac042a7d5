"""How trained trials learned: loss and validation score, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from automl_tl.monitor import Epoch
from automl_tl.report.charts.drawing import SERIES, drawn, legend_below

MOST_RUNS = len(SERIES)
Runs = Mapping[str, Sequence[Epoch]]
"""Epochs by name of the training run, MOST_RUNS at most."""


def loss_chart(runs: Runs) -> Markup:
    """Return the mean loss of every epoch."""

    def draw(axes: Axes) -> None:
        for (name, epochs), colour in zip(runs.items(), SERIES, strict=False):
            axes.plot([one.number for one in epochs], [one.loss for one in epochs], color=colour, label=name)
        _finish(axes, "loss")

    return drawn("Loss by epoch", draw)


def score_chart(runs: Runs, metric: str) -> Markup | None:
    """Return the score on the validation part wherever it was looked at; None where it nowhere was."""
    scored = {name: [(e.number, e.score) for e in epochs if e.score is not None] for name, epochs in runs.items()}
    if not any(scored.values()):
        return None

    def draw(axes: Axes) -> None:
        for (name, scores), colour in zip(scored.items(), SERIES, strict=False):
            axes.plot([n for n, _ in scores], [score for _, score in scores], "o-", color=colour, label=name)
        _finish(axes, metric.replace("_", " "))

    return drawn("Validation score by epoch", draw)


def _finish(axes: Axes, measured: str) -> None:
    axes.set(xlabel="epoch", ylabel=measured)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(axes, 3)
