"""Sections about what was known before anything was trained: `recommend` and `search` both show them."""

from __future__ import annotations

from collections.abc import Sequence

from automl_tl.domain.similarity import Domain
from automl_tl.durations import format_need
from automl_tl.lab.decision import FrontRow
from automl_tl.lab.findings import Screened
from automl_tl.lab.matrix import Matrix, Size
from automl_tl.learning.curve import LearningCurve
from automl_tl.report.charts.bars import bar_chart
from automl_tl.report.charts.depth import depth_chart
from automl_tl.report.charts.front import front_chart
from automl_tl.report.charts.learning import learning_chart
from automl_tl.report.charts.matrix import matrix_chart
from automl_tl.report.charts.probe import MOST_BACKBONES, probe_chart
from automl_tl.report.facts.recommendation import origin
from automl_tl.report.landmarks import landmarks
from automl_tl.report.parts import Chart, Grid, Number, Section
from automl_tl.strategies import Strategy

MOST_SOURCES = 200
"""Rows of the table of screened sources."""


def where_it_lies(size: Size, domain: Domain, matrix: Matrix) -> Chart:
    """Return the matrix with the data set in it."""
    caption = (
        "Few pictures are left, many right; pictures like those of the backbone's pretraining below, different ones "
        "above. Grey dots are known data sets at several sizes, measured with one small "
        "backbone; the nearest are named."
    )
    return Chart(matrix_chart(size, domain, matrix, landmarks(size)), caption)


def strategies(front: Sequence[FrontRow], chosen: Strategy) -> Section:
    """Return what each strategy reaches and costs."""
    rows = tuple(_strategy(row) for row in front)
    lead = (
        "What each strategy should reach on new pictures, with the 90% interval, and the training time that it costs. "
        "Filled dots rest on measurements on these pictures, hollow ones on what training gained on other data sets."
    )
    grid = Grid(("strategy", "accuracy", "90% interval", "time", "rests on", "how"), rows)
    return Section("The four strategies", (Chart(front_chart(front, chosen), ""), grid), lead)


def domain_section(domain: Domain, domains: Sequence[Domain]) -> Section | None:
    """Return what the pictures look like to the backbone, and how far they lie stage by stage."""
    parts = []
    if domain.looks_like:
        caption = f"What {domain.backbone}'s own classifier takes most pictures for, whatever they are."
        parts.append(Chart(bar_chart("What the pictures look like", domain.looks_like, shares=True), caption))
    if (svg := depth_chart(domains, domain.backbone)) is not None:
        caption = "How unusual the pictures are to each stage; above the border they are different to it."
        parts.append(
            Chart(svg, caption if domain.depth_distance is not None else "How unusual they are to each stage.")
        )
    return Section("How the backbones see the pictures", tuple(parts)) if parts else None


def evidence_section(probe: Sequence[Screened], backbone: str, curve: LearningCurve, n_training: int) -> Section:
    """Return what frozen features reach by cut, and what more pictures would bring."""
    n_backbones = len({candidate.backbone for candidate in probe})
    left = f" The best {MOST_BACKBONES} of {n_backbones} backbones." if n_backbones > MOST_BACKBONES else ""
    of_each = f"The best source whose last stage is the cut; bars are one standard error.{left}"
    cuts = Chart(probe_chart(probe, backbone), of_each)
    more = Chart(learning_chart(curve, n_training), "Dots are measured, the line is a power law with its 90% band.")
    rows = tuple(_source(candidate) for candidate in probe[:MOST_SOURCES])
    caption = f"The best {MOST_SOURCES} of {len(probe):,}." if len(probe) > MOST_SOURCES else ""
    grid = Grid(("backbone", "cuts", "pooling", "classifier", "accuracy", "standard error"), rows, caption)
    lead = "A linear classifier on frozen features, scored on pictures that it did not learn from."
    return Section("Frozen features", (cuts, more, grid), lead)


def _strategy(row: FrontRow) -> tuple[str | Number, ...]:
    low, high = row.interval
    accuracy = Number(f"{row.accuracy:.1%}", row.accuracy)
    time = Number(format_need(row.seconds), row.seconds)
    return row.strategy, accuracy, f"{low:.1%} to {high:.1%}", time, origin(row), row.how


def _source(one: Screened) -> tuple[str | Number, ...]:
    numbers = Number(f"{one.accuracy:.1%}", one.accuracy), Number(f"{one.stderr:.1%}", one.stderr)
    return one.backbone, "+".join(map(str, one.cuts)), one.pooling, one.classifier, *numbers
