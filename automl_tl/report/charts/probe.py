"""What a linear classifier on frozen features reaches, by the stage that they come from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from automl_tl.lab.findings import Screened
from automl_tl.report.charts.drawing import SERIES, drawn, legend_below, percent, shortened, tell

MOST_BACKBONES = len(SERIES)


def probe_chart(probe: Sequence[Screened], chosen: str) -> Markup:
    """Return the best source's accuracy up to each cut, and its error, for the chosen backbone and the best others.

    Args:
        probe: every screened source, the best first.
        chosen: backbone.
    """
    names = [chosen, *(name for name in dict.fromkeys(c.backbone for c in probe) if name != chosen)][:MOST_BACKBONES]

    def draw(axes: Axes) -> None:
        for place, (name, colour) in enumerate(zip(names, SERIES, strict=False)):
            best = _best_by_cut(probe, name)
            shift = 0.012 * (place - (len(names) - 1) / 2)  # so that no error bar covers another
            depth = [cut / candidate.n_stages + shift for cut, candidate in best.items()]
            accuracy, error = np.array([(c.accuracy, c.stderr) for c in best.values()]).T
            bars = np.array([error, np.minimum(error, 1 - accuracy)])  # nothing is more than always right
            line, *_ = axes.errorbar(depth, accuracy, bars, fmt="o-", color=colour, capsize=2, label=shortened(name),
                                     linewidth=2.6 if name == chosen else 1.2, elinewidth=1, markersize=4)  # fmt: skip
            tell(line, [_source(candidate) for candidate in best.values()])
        axes.set_xlabel("cut: share of the stages kept")
        axes.set_ylabel("accuracy out of fold")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        percent(axes)
        legend_below(axes)

    return drawn(f"Accuracy of frozen features by cut; {chosen} is chosen", draw)


def _best_by_cut(probe: Sequence[Screened], backbone: str) -> dict[int, Screened]:
    best: dict[int, Screened] = {}
    for candidate in probe:  # the best first
        if candidate.backbone == backbone:
            best.setdefault(max(candidate.cuts), candidate)
    return dict(sorted(best.items()))


def _source(one: Screened) -> str:
    cuts = "+".join(map(str, one.cuts))
    return f"{one.backbone}, cut {cuts} of {one.n_stages}, {one.pooling}: {one.accuracy:.1%}"
