"""What the trials of a search came to: the best so far, how they learned, what they say, and all of them as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from automl_tl.learning.configuration import Configuration
from automl_tl.monitor import Epoch
from automl_tl.report.charts.bars import bar_chart
from automl_tl.report.charts.epochs import MOST_RUNS, loss_chart, score_chart
from automl_tl.report.charts.progress import progress_chart
from automl_tl.report.parts import Chart, Facts, Grid, Number, Part, Section
from automl_tl.reviewer.parameters import LEAST_TRIALS, Parameter, TrainingReview
from automl_tl.wording import plural

MOST_TRIALS = 2000
_PARAMETER = "param."
_BARS = 12


def progress(table: pd.DataFrame, metric: str, facts: Facts) -> Section:
    """Return the best so far over time, with what was tried and spent."""
    svg = progress_chart(table, metric)
    chart = () if svg is None else (Chart(svg, "Every dot is a candidate; the line is the best so far."),)
    return Section("The search", (*chart, facts))


def curves(
    histories: Mapping[int, tuple[Configuration, tuple[Epoch, ...]]], table: pd.DataFrame, metric: str
) -> Section | None:
    """Return how the best trained trials learned; None where none was trained."""
    best = [number for number in table["number"] if number in histories][:MOST_RUNS]
    if not best:
        return None
    of_how_many = f"the best {len(best)} of {len(histories)}" if len(histories) > len(best) else "all"
    lead = f"The first fold of each trained trial: {of_how_many}."
    return Section("How trained trials learned", learned({f"trial {n}": histories[n][1] for n in best}, metric), lead)


def learned(runs: Mapping[str, Sequence[Epoch]], metric: str) -> tuple[Chart, ...]:
    """Return the loss and the validation score of training runs."""
    scores = score_chart(runs, metric)
    loss = Chart(loss_chart(runs), "Mean loss of each epoch, on the pictures as they were learned from.")
    return (loss,) if scores is None else (loss, Chart(scores, "On pictures that were not learned from."))


def parameters(reviews: Sequence[TrainingReview]) -> Section | None:
    """Return what the trials say about each parameter, by way of training; None without trials."""
    parts = tuple(part for review in reviews for part in _reviewed(review))
    lead = (
        "How far the best tenth of the trials differ from all of them in each parameter (PED-ANOVA, by Optuna): what "
        "mattered within the ranges that were tried. With few trials this is a hint, no more."
    )
    return Section("What the trials say about each parameter", parts, lead) if parts else None


def leaderboard(table: pd.DataFrame, metric: str) -> Section | None:
    """Return every candidate, the best first, its score in front; None where there is none."""
    columns = [name for name in table.columns if table[name].notna().any()]
    columns.sort(key=lambda name: ("number", metric, name).index(name))
    rows = table[columns].head(MOST_TRIALS).to_dict("records")
    heads = tuple(name.removeprefix(_PARAMETER).replace("_", " ") for name in columns)
    cut = f"The best {MOST_TRIALS:,} of {len(table):,}." if len(table) > MOST_TRIALS else ""
    grid = Grid(heads, tuple(tuple(_cell(row[name]) for name in columns) for row in rows), cut)
    lead = "Every candidate, the best first. Click a heading to sort; type to search."
    return Section("Leaderboard", (grid,), lead) if rows else None


def text(value: Any) -> str:
    """Return a parameter's value for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if math.isfinite(value) and value == round(value) else f"{value:.4g}"


def _reviewed(review: TrainingReview) -> tuple[Part, ...]:
    name, n = review.training.replace("_", " "), plural(review.n_trials, "scored trial")
    if not review.parameters:
        return (Facts(((name, f"{n}: too few to tell parameters apart; {LEAST_TRIALS} are needed"),)),)
    known = [(one.name, one.importance) for one in review.parameters if one.importance is not None]
    bars = bar_chart(f"Importance of parameters, {name}", known[:_BARS], shares=True) if known else None
    chart = () if bars is None else (Chart(bars, f"{name.capitalize()}: {n}."),)
    heads = ("parameter", "importance", "tried", "best quarter", "the best")
    some = any(one.importance is None for one in review.parameters)
    caption = "Those without a number belong to some of the trials alone." if some else ""
    return (*chart, Grid(heads, tuple(map(_parameter, review.parameters)), caption))


def _parameter(one: Parameter) -> tuple[str | Number, ...]:
    importance = "" if one.importance is None else Number(f"{one.importance:.0%}", one.importance)
    return one.name.replace("_", " "), importance, _values(one.tried), _values(one.good), text(one.tried[0])


def _values(values: Sequence[Any]) -> str:
    """Return numbers as a range, else the values, the most frequent one first."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        low, high = min(values), max(values)
        return text(low) if low == high else f"{text(low)} to {text(high)}"
    counts = pd.Series([text(value) for value in values]).value_counts()
    return ", ".join(f"{name} ({n})" for name, n in counts.items())


def _cell(value: Any) -> str | Number:
    if value is None or pd.isna(value):
        return ""
    return Number(text(value), float(value)) if isinstance(value, int | float) else str(value)
