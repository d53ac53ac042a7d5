"""Accuracy against time: a point per tool and budget, the mean over the cells that all of them have."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import matplotlib
import pandas as pd

from benchmarks.peers.compare import CELL

LEAST_SHARE = 0.5
"""A tool's budget is drawn where it was measured in so many of the cells: what was tried once is no mean."""


def points(table: pd.DataFrame) -> pd.DataFrame:
    """Return mean seconds and accuracy by tool and budget, over the cells that all of them have."""
    n_cells = len(table[CELL].drop_duplicates())
    counted = table.groupby(["tool", "budget"], sort=False)["seconds"].transform("size")
    table = table[counted >= LEAST_SHARE * n_cells]
    n_points = len(table[["tool", "budget"]].drop_duplicates())
    in_cell = table.groupby(CELL)["seconds"].transform("size")
    shared = table[in_cell == n_points]
    return shared.groupby(["tool", "budget"], sort=False)[["seconds", "accuracy"]].mean().reset_index()


def draw(table: pd.DataFrame, files: Iterable[Path]) -> None:
    """Write the figure to every file, in the format of its suffix."""
    matplotlib.use("agg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "peers"  # the same rows make the same file
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for tool, rows in points(table).sort_values("budget", kind="stable").groupby("tool", sort=False):
        axes.plot(rows["seconds"], rows["accuracy"], marker="o", label=tool)
    axes.set_xscale("log")
    axes.set_xticks(ticks := [10, 30, 60, 120, 300, 600], [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("seconds from the start of the process to the written model")
    axes.set_ylabel("mean test accuracy")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    for file in files:
        figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None, dpi=150)
    pyplot.close(figure)
