"""How tools compare over the same cells: geometric means of ratios of their errors, and paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from automl_tl.wording import plural

CELL = ["data", "per_class", "draw"]


@dataclass(frozen=True)
class Ratio:
    """A geometric mean over cells; below 1 the first of two makes fewer errors."""

    mean: float
    low: float
    """A standard error, clustered by data set, below the mean."""
    high: float
    n_cells: int
    n_sets: int

    def __str__(self) -> str:
        """Say it with its standard error's span, where there are sets enough for one."""
        span = f"{self.low:.2f} to {self.high:.2f}; " if np.isfinite(self.low) else ""
        return f"{self.mean:.2f} ({span}{plural(self.n_cells, 'cell')} of {plural(self.n_sets, 'set')})"


def errors(accuracy: pd.Series, n_test: pd.Series) -> pd.Series:
    """Return shares of wrong pictures, half a picture more of one more: none wrong has a logarithm too.

    >>> errors(pd.Series([1.0, 0.5]), pd.Series([99, 99])).tolist()
    [0.005, 0.5]
    """
    return ((1 - accuracy) * n_test + 0.5) / (n_test + 1)


def within(table: pd.DataFrame, budget: int) -> pd.DataFrame:
    """Return the rows that hold at a budget: those of it, and those of tools without one that took no longer."""
    return table[(table["budget"] == budget) | ((table["budget"] == 0) & (table["seconds"] <= budget))]


def by_tool(table: pd.DataFrame, value: str, budget: int) -> pd.DataFrame:
    """Return a value at a budget, a row per cell, a column per tool."""
    rows = within(table.assign(error=errors(table["accuracy"], table["n_test"])), budget)
    return rows.pivot(index=CELL, columns="tool", values=value)


def best_of(wide: pd.DataFrame, tools: Sequence[str]) -> pd.Series:
    """Return the smallest value among some tools, cell by cell; where a tool is missing, that of the others."""
    return wide.reindex(columns=list(tools)).min(axis=1)


def ratio(ours: pd.Series, theirs: pd.Series) -> Ratio | None:
    """Return the geometric mean of ours : theirs over the cells that both have, None where there are none.

    Its standard error takes data sets as the independent units: draws and sizes of one are alike.

    Args:
        ours, theirs: errors above 0, by cell (the first level of the index is the data set).
    """
    logs = np.log(ours / theirs).dropna()
    if logs.empty:
        return None
    sets = logs.index.get_level_values(0)
    mean, error = clustered(logs, sets)
    low, high = np.exp([mean - error, mean + error])
    return Ratio(float(np.exp(mean)), float(low), float(high), len(logs), sets.nunique())


def clustered(values: pd.Series, sets: pd.Index) -> tuple[float, float]:
    """Return the mean, and its standard error with data sets as the independent units; nan for one set."""
    mean = float(values.mean())
    sums = (values - mean).groupby(sets).sum()
    spread = (sums**2).sum() * len(sums) / (len(sums) - 1) if len(sums) > 1 else np.nan
    return mean, float(np.sqrt(spread) / len(values))


def difference(ours: Sequence[str], theirs: Sequence[str]) -> tuple[float, float]:
    """Return by how much the first are right more often on the same pictures, and its paired standard error.

    Args:
        ours, theirs: texts of 0 and 1, one per draw, a character per picture.
    """
    pairs = zip(ours, theirs, strict=True)
    each = np.concatenate([np.array([*map(int, a)]) - np.array([*map(int, b)]) for a, b in pairs])
    return float(each.mean()), float(each.std() / np.sqrt(len(each)))
