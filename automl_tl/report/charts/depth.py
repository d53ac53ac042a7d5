"""How far the pictures lie from each backbone's pretraining domain, stage by stage."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from automl_tl.domain.similarity import DEPTH_BORDERS, Domain
from automl_tl.report.charts.drawing import MUTED, SERIES, drawn, legend_below, shortened


def depth_chart(domains: Sequence[Domain], chosen: str) -> Markup | None:
    """Return the distance by depth of the chosen backbone and a few others; None where nothing was measured.

    Backbones with BatchNorm are in units of the kept variance and share an axis; one without is drawn alone.
    """
    shown = _comparable(domains, chosen)
    if not shown:
        return None

    def draw(axes: Axes) -> None:
        if shown[0].depth_distance is not None:
            low, high = DEPTH_BORDERS
            axes.axhspan(low, high, color=MUTED, alpha=0.18, linewidth=0, label="the border")
        for domain, colour in zip(shown, SERIES, strict=False):
            depth = np.arange(1, len(domain.by_depth) + 1) / len(domain.by_depth)
            bold = domain.backbone == chosen
            axes.plot(depth, domain.by_depth, "o-", color=colour, label=shortened(domain.backbone),
                      linewidth=2.6 if bold else 1.2, markersize=5 if bold else 3)  # fmt: skip
        axes.set_ylim(bottom=0)
        axes.set_xlabel("depth: share of the stages passed")
        axes.set_ylabel("distance")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        legend_below(axes)

    return drawn(f"Distance to the pretraining domain of {chosen} by depth", draw)


def _comparable(domains: Sequence[Domain], chosen: str) -> list[Domain]:
    known = [domain for domain in domains if not all(map(math.isnan, domain.by_depth))]
    first = [domain for domain in known if domain.backbone == chosen]
    alike = [d for d in known if d.backbone != chosen and d.depth_distance is not None]
    return first + alike[: len(SERIES) - 1] if first and first[0].depth_distance is not None else first
