"""The page of `search`: the model, how good it is, and every candidate that was tried."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from automl_tl.report.assessment import domain_section, evidence_section, strategies, where_it_lies
from automl_tl.report.charts.progress import progress_chart
from automl_tl.report.data import notes
from automl_tl.report.evaluation import evaluation_sections
from automl_tl.report.facts.search import about_model, effort, notes_of, quality
from automl_tl.report.parts import Chart, Facts, Grid, Number, Page, Section, Sentences
from automl_tl.report.provenance import Provenance
from automl_tl.searcher.result import SearchResult

MOST_TRIALS = 2000
_PARAMETER = "param."


def search_page(result: SearchResult, next_steps: tuple[str, ...], provenance: Provenance) -> Page:
    """Return the page.

    Args:
        result: of the search.
        next_steps: sentences, what to do now.
        provenance: of the result.
    """
    found, front = result.assessment, result.assessment.expectations.front
    sections = (
        Section("The model", (Facts(tuple(about_model(result))),)),
        Section("How good it is", (Facts(tuple(quality(result))),)),
        _progress(result),
        _leaderboard(result),
        Section(
            "The model's parameters", (Facts(tuple((name, _text(value)) for name, value in result.params.items())),)
        ),
        *(evaluation_sections(result.test, "On the test pictures.") if result.test else ()),
        strategies(front, result.recommended),
        domain_section(found.domain, tuple(found.domains.values())),
        evidence_section(
            found.evidence.probe, found.evidence.backbone, found.expectations.curve, found.sample.n_training
        ),
        notes(tuple(notes_of(result))),
        Section("Next", (Sentences(next_steps),)),
        provenance.section(),
    )
    picture = where_it_lies(found.size, found.domain, found.matrix)
    return Page(f"Search on {result.path}", decision(result), picture, sections)


def decision(result: SearchResult) -> str:
    """Return what was found in one sentence."""
    together = ", together with another model" if len(result.members) > 1 else ""
    what = f"{result.best.backbone} with {result.best.strategy}{together}"
    low, high = result.validation.interval
    expected = f"{result.validation.accuracy:.1%} expected on new pictures (90% interval {low:.1%} to {high:.1%})"
    if result.test is None:
        return f"{what}; {expected}."
    return f"{what}; {result.test.accuracy:.1%} of {result.n_test:,} unseen test pictures are right; {expected}."


def _progress(result: SearchResult) -> Section:
    svg = progress_chart(result.table, result.metric)
    chart = () if svg is None else (Chart(svg, "Every dot is a candidate; the line is the best so far."),)
    return Section("The search", (*chart, Facts(tuple(effort(result)))))


def _leaderboard(result: SearchResult) -> Section:
    columns = [name for name in result.table.columns if result.table[name].notna().any()]
    rows = result.table[columns].head(MOST_TRIALS).to_dict("records")
    heads = tuple(name.removeprefix(_PARAMETER).replace("_", " ") for name in columns)
    cut = f"The best {MOST_TRIALS:,} of {len(result.table):,}." if len(result.table) > MOST_TRIALS else ""
    grid = Grid(heads, tuple(tuple(_cell(row[name]) for name in columns) for row in rows), cut)
    lead = "Every candidate, the best first. Click a heading to sort; type to search."
    return Section("Leaderboard", (grid,), lead)


def _cell(value: Any) -> str | Number:
    if value is None or pd.isna(value):
        return ""
    return Number(_text(value), float(value)) if isinstance(value, int | float) else str(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if math.isfinite(value) and value == round(value) else f"{value:.4g}"
