"""Where a data set lies in the strategy matrix, with known data sets as landmarks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import dist, log
from statistics import NormalDist

from markupsafe import Markup
from matplotlib.axes import Axes

from automl_tl.domain.similarity import Domain
from automl_tl.lab.matrix import Matrix, Size
from automl_tl.report.charts.drawing import ACCENT, INK, LINE, MUTED, PAPER, drawn, tell
from automl_tl.report.charts.names import Box, around, places, text_box
from automl_tl.report.landmarks import Landmark
from automl_tl.strategies import Strategy

_FARTHEST = 3.3
"""Standard deviations from the border at the chart's lower and upper end."""
_LEAST, _MOST = 0.05, 200.0
"""Multiples of the size's border that are always shown."""
_TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
MOST_NAMED = 8
"""Known data sets whose names stand in the chart; the others are dots."""
_WIDTH, _HEIGHT, _OWN, _DOT = 4.1, 3.6, 1.4, 0.03
"""Inches, about: of the axes, of what is written at the data set, and a dot's radius."""
_CELLS: dict[Strategy, tuple[float, float]] = {
    "feature_extractor": (0.02, 0.48),
    "early_feature_extractor": (0.02, 0.52),
    "fine_tuning": (0.98, 0.48),
    "pretrained_initialization": (0.98, 0.52),
}
"""Where the names stand, shares of width and height, were the border at the middle: away from most data sets."""


def matrix_chart(size: Size, domain: Domain, matrix: Matrix, known: Sequence[Landmark]) -> Markup:
    """Return the matrix: how many pictures against how sure it is that they are different.

    Args:
        size: of the data set.
        domain: of the chosen backbone; without a verdict the data set is a line from bottom to top.
        matrix: where the data set lies in it.
        known: data sets to compare with.
    """

    def draw(axes: Axes) -> None:
        shown = [size.ratio, *(one.ratio for one in known)]
        least, most = min(_LEAST, min(shown) / 2), max(_MOST, max(shown) * 2)
        axes.set(xscale="log", xlim=(least, most), ylim=(-_FARTHEST, _FARTHEST))
        _draw_cells(axes, matrix, least, most)
        _draw_landmarks(axes, matrix, known, size, domain)
        _draw_data_set(axes, size, domain)
        axes.set_xlabel("training pictures; 1× is the border between small and large")
        axes.set_ylabel("probability of being different")
        axes.set_yticks([_height(tick) for tick in _TICKS], [f"{100 * tick:g}%" for tick in _TICKS])
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
        axes.minorticks_off()

    where = f"in the cell {matrix.cell}" if matrix.cell else "in no cell: the domain is unknown"
    return drawn(f"The strategy matrix; the data set lies {where}", draw, height=4.2)


def _height(different: float) -> float:
    """Return a probability in standard deviations from the border, within the chart."""
    return max(-3.1, min(3.1, NormalDist().inv_cdf(min(max(different, 1e-6), 1 - 1e-6))))


def _draw_cells(axes: Axes, matrix: Matrix, least: float, most: float) -> None:
    border = _height(matrix.border)
    for name, x, y in _cell_names(matrix):
        here, below = name == matrix.cell, _CELLS[name][1] < 0.5
        left, right = (least, 1.0) if x < 0.5 else (1.0, most)
        bottom, top = (-_FARTHEST, border) if below else (border, _FARTHEST)
        if here:
            axes.fill_between([left, right], bottom, top, color=ACCENT, alpha=0.12, linewidth=0)
        axes.text(
            x, y, name.replace("_", " "), transform=axes.transAxes, color=ACCENT if here else MUTED,
            ha="left" if x < 0.5 else "right", va="top" if below else "bottom",
            fontweight="bold" if here else "normal", fontsize=9,
        )  # fmt: skip
    axes.axvline(1.0, color=MUTED, linewidth=1)
    axes.axhline(border, color=MUTED, linewidth=1)


def _cell_names(matrix: Matrix) -> Iterator[tuple[Strategy, float, float]]:
    """Yield the cells with where their names stand: beside the border, wherever that lies."""
    for name, (x, y) in _CELLS.items():
        yield name, x, y + _height(matrix.border) / (2 * _FARTHEST)


def _draw_landmarks(axes: Axes, matrix: Matrix, known: Sequence[Landmark], size: Size, domain: Domain) -> None:
    """Draw every known data set as dots from its smallest to its largest size, and name the nearest few."""
    sets: dict[str, list[Landmark]] = defaultdict(list)
    for landmark in sorted(known, key=lambda one: one.ratio):
        sets[landmark.name].append(landmark)
    for name, sizes in sets.items():
        (dots,) = axes.plot(
            [one.ratio for one in sizes], [_height(one.different) for one in sizes], "o-", color=LINE,
            markerfacecolor=MUTED, markeredgewidth=0, markersize=3.5, linewidth=1,
        )  # fmt: skip
        tell(dots, [f"{name}, {one.n_images:,} pictures" for one in sizes])
    _name_landmarks(axes, matrix, known, size, domain)


def _name_landmarks(axes: Axes, matrix: Matrix, known: Sequence[Landmark], size: Size, domain: Domain) -> None:
    """Name those whose names cover nothing, beside their largest size, the nearest to the data set first."""
    largest = {one.name: one for one in sorted(known, key=lambda one: one.ratio)}
    here = _inches(axes, size.ratio, _height(0.5 if domain.different is None else domain.different))
    ends = {name: _inches(axes, one.ratio, _height(one.different)) for name, one in largest.items()}
    nearest = sorted(ends, key=lambda name: dist(ends[name], here))
    every = [_inches(axes, one.ratio, _height(one.different)) for one in known]
    taken = [*_own_boxes(here), *_cell_boxes(matrix), *(around(point, _DOT) for point in every)]
    for place in places([(*ends[name], name) for name in nearest], taken, (_WIDTH, _HEIGHT), MOST_NAMED):
        name = nearest[place.index]
        right, at = place.side == "right", (largest[name].ratio, _height(largest[name].different))
        axes.annotate(
            name, at, (3 if right else -3, 2 if place.above else -2), textcoords="offset points", color=MUTED,
            fontsize=8, ha="left" if right else "right", va="bottom" if place.above else "top",
        )  # fmt: skip


def _own_boxes(here: tuple[float, float]) -> Iterator[Box]:
    """Yield the room of the data set's dot, and of what is written above it."""
    yield around(here, 0.1)
    yield around((here[0], here[1] + 0.2), _OWN / 2, 0.1)


def _cell_boxes(matrix: Matrix) -> Iterator[Box]:
    for name, x, y in _cell_names(matrix):
        side, above = "right" if x < 0.5 else "left", _CELLS[name][1] > 0.5
        yield text_box(x * _WIDTH, y * _HEIGHT, name, side, above=above, scale=1.3)


def _inches(axes: Axes, ratio: float, height: float) -> tuple[float, float]:
    """Return where a point lies, about: inches from the lower left corner of the axes."""
    low, high = axes.get_xlim()
    return _WIDTH * log(ratio / low) / log(high / low), _HEIGHT * (height + _FARTHEST) / (2 * _FARTHEST)


def _draw_data_set(axes: Axes, size: Size, domain: Domain) -> None:
    if domain.different is None:
        axes.axvline(size.ratio, color=ACCENT, linewidth=2.5)
        return
    height = _height(domain.different)
    axes.plot(size.ratio, height, "o", color=ACCENT, markersize=11)
    up = height < 2
    axes.annotate(
        f"your {size.n_images:,} pictures", (size.ratio, height), (0, 9 if up else -9), textcoords="offset points",
        ha="center", va="bottom" if up else "top", color=INK, fontweight="bold",
        bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 1},
    )  # fmt: skip
