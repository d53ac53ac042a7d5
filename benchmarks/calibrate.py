"""Fit what `recommend` takes from the panel, once on all of it and once without each of its sets.

    python benchmarks/calibrate.py [--panel datasets_meta/panel.csv]      # writes datasets_meta/calibration.json

Rows of one data set leave together with what was made of it (other sizes, draws, classes, changed pictures, other
backbones). `panel_table.py` says what that is worth on sets that were left out.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from automl_tl.lab.calibration import Calibration, ShortRun, UsualGain, to_dict
from automl_tl.lab.matrix import Borders
from automl_tl.lab.neighbours import known_row
from automl_tl.recommender.short_training import ShortTraining
from automl_tl.strategies import STRATEGIES, Strategy

META = Path(__file__).parents[1] / "datasets_meta"
BASE = "feature_extractor"
MEAN_SD = 0.4
"""How far a mean gain may lie from zero before anything is measured, in units of `MetaFeatures.room`: some ten points
where four of five pictures are right (.25)."""
SPREAD = 0.25
"""Around which the spread of gains lies before anything is measured, within some e times."""
SHORT_SPREAD, DISAGREEMENT = 0.1, 1.0
"""`ShortRun` before anything is measured: the spread lies around the first, within some e times; the second counts as
one row."""

SIZES = np.geomspace(20, 5000, 60)
UNLIKE = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
"""`Domain.different` is never above .9987, so that the column of the different is there for every panel."""
LEAST_DOUBT, AS_GOOD = 0.3, 0.001
"""The borders are in the middle of all that lose no more than a tenth of a point to the best ones."""


def weights(rows: pd.DataFrame) -> np.ndarray:
    """Return what every row counts: a set of many rows counts as the root of their number."""
    counts = rows.groupby("set")["set"].transform("size").to_numpy(float)
    return 1 / np.sqrt(counts) / np.mean(1 / np.sqrt(counts))


def usual_gain(rows: pd.DataFrame, strategy: Strategy) -> UsualGain:
    """Fit what a strategy gains, in units of its room: empirical Bayes, the spread by the largest evidence."""
    room = np.array([known_row(row).room for _, row in rows.iterrows()])
    y = ((rows[f"true_{strategy}"] - rows[f"true_{BASE}"]) / room).to_numpy(float)
    noise = (rows[f"true_stderr_{strategy}"] / room).to_numpy(float) ** 2
    count = weights(rows)

    def mean_at(spread: float) -> tuple[float, float, np.ndarray]:
        """Return the mean, its precision, and the variance of every row around it."""
        variances = (spread**2 + noise) / count
        precision = MEAN_SD**-2 + (1 / variances).sum()
        return float((y / variances).sum() / precision), float(precision), variances

    def loss(log: float) -> float:
        """Return minus the logarithm of evidence and prior, up to a constant."""
        mean, precision, variances = mean_at(float(np.exp(log)))
        evidence = np.log(variances).sum() + np.log(precision) + (y**2 / variances).sum() - mean**2 * precision
        return float(evidence + (log - np.log(SPREAD)) ** 2) / 2

    spread = float(np.exp(minimize_scalar(loss, np.log([SPREAD, 2 * SPREAD])).x))
    mean, precision, _ = mean_at(spread)
    return UsualGain(mean, precision**-0.5, spread)


def tried(row: pd.Series) -> ShortTraining:
    """Return the short fine-tuning of a row, `tried_runs` of which is above 0."""
    return ShortTraining(
        *(float(row[f"tried_{name}"]) for name in ("frozen", "tuned", "stderr")),
        *(int(row[f"tried_{name}"]) for name in ("n_trained", "n_available", "n_scored", "epochs")),
        unfrozen=int(row["unfrozen"]), seconds=0.0, n_runs=int(row["tried_runs"]),
    )  # fmt: skip


def short_run(rows: pd.DataFrame) -> ShortRun:
    """Fit how far whole fine-tunings lie from short ones of the same rows, the spread by the largest evidence."""
    rows = rows[rows["tried_runs"] > 0] if "tried_runs" in rows else rows.iloc[:0]
    if rows.empty:
        return ShortRun(SHORT_SPREAD, DISAGREEMENT)
    runs = [tried(row) for _, row in rows.iterrows()]
    known = [known_row(row) for _, row in rows.iterrows()]
    room, variance = (np.array([getattr(one, name) for one in known]) for name in ("room", "variance"))
    short = np.array([run.gain(seen) for run, seen in zip(runs, rows[f"optimism_{BASE}"], strict=True)])
    whole = (rows["true_fine_tuning"] - rows[f"true_{BASE}"]).to_numpy(float)
    apart, counting = ((whole - short) / room) ** 2, rows["tried_stderr"].to_numpy(float) ** 2
    shortness, count = np.array([run.shortness for run in runs]), weights(rows)
    noise = (counting + rows["true_stderr_fine_tuning"].to_numpy(float) ** 2) / room**2

    def loss(log: float) -> float:
        """Return minus the logarithm of evidence and prior, up to a constant."""
        variances = (np.exp(2 * log) * shortness + noise) / count
        return float((np.log(variances) + apart / variances).sum() + (log - np.log(SHORT_SPREAD)) ** 2) / 2

    spread = float(np.exp(minimize_scalar(loss, np.log([SHORT_SPREAD, 2 * SHORT_SPREAD])).x))
    shares = counting / variance * rows["tried_n_scored"].to_numpy(float)
    return ShortRun(spread, float((DISAGREEMENT + (count * shares).sum()) / (1 + count.sum())))


def borders(rows: pd.DataFrame) -> Borders:
    """Return the borders whose cells lose least on the panel, time no object, each set counting as `weights` says.

    The doubt of the size's border is its spread over panels without one set each: how much hangs on which sets.
    """
    rows = rows.dropna(subset=[f"true_{strategy}" for strategy in STRATEGIES])
    best = _borders(rows)
    others = [np.log(_borders(rows[rows["set"] != name])[0]) for name in rows["set"].unique()]
    doubt = max(float(np.std(others)) * np.sqrt(len(others) - 1), LEAST_DOUBT)
    return Borders(float(round(best[0], -1)), round(doubt, 2), best[1], largest=int(rows["n_train"].max()))


def _borders(rows: pd.DataFrame) -> tuple[float, float]:
    different, count, n = rows["different"].fillna(0.5).to_numpy(), weights(rows), rows["n_train"].to_numpy()
    true = rows[[f"true_{strategy}" for strategy in STRATEGIES]].to_numpy()
    reached = {}
    for large, unlike in product(SIZES, UNLIKE):
        cells = 2 * (n >= large) + (different > unlike)  # in the order of STRATEGIES
        reached[large, unlike] = float(np.average(true[np.arange(len(n)), cells], weights=count))
    most = max(reached.values())
    good = np.array([key for key, value in reached.items() if value >= most - AS_GOOD])
    middle = np.log(good[:, 0]) - np.median(np.log(good[:, 0])), good[:, 1] - np.median(good[:, 1])
    nearest = good[np.hypot(*middle).argmin()]
    return float(nearest[0]), float(nearest[1])


def usual(rows: pd.DataFrame) -> dict[Strategy, float]:
    """Return how often each strategy is the best of the four, each set counting as `weights` says; ties are shared."""
    rows = rows.dropna(subset=[f"true_{strategy}" for strategy in STRATEGIES])
    true = rows[[f"true_{strategy}" for strategy in STRATEGIES]].to_numpy()
    best = true == true.max(axis=1, keepdims=True)
    shares = np.average(best / best.sum(axis=1, keepdims=True), axis=0, weights=weights(rows))
    return dict(zip(STRATEGIES, map(float, shares), strict=True))


def calibrated(rows: pd.DataFrame) -> Calibration:
    """Return everything that is fitted on some rows."""
    gains = {name: usual_gain(rows.dropna(subset=[f"true_{name}"]), name) for name in STRATEGIES if name != BASE}
    sets = tuple(sorted(rows["set"].unique()))
    trainer = int(rows["trainer"].min())
    return Calibration(gains, short_run(rows), usual(rows), borders(rows), len(rows), sets, trainer)


def left_out(rows: pd.DataFrame) -> dict[str, Calibration]:
    """Return the calibrations that have not seen one set each."""
    return {name: calibrated(rows[rows["set"] != name]) for name in sorted(rows["set"].unique())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--panel", type=Path, default=META / "panel.csv")
    parser.add_argument("--out", type=Path, default=META / "calibration.json")
    arguments = parser.parse_args()
    rows = pd.read_csv(arguments.panel)
    whole = calibrated(rows)
    fits = {"all": to_dict(whole), "without": {k: to_dict(v) for k, v in left_out(rows).items()}}
    temporary = arguments.out.with_suffix(".tmp")
    temporary.write_text(json.dumps(fits, indent=1) + "\n", encoding="utf-8")
    temporary.replace(arguments.out)
    for strategy, gain in whole.gains.items():
        print(f"{strategy}: {gain.mean:+.3f} +- {gain.stderr:.3f}, spread {gain.spread:.2f}")
    print(f"a short fine-tuning: spread {whole.short_run.spread:.2f}, disagreement {whole.short_run.disagreement:.2f}")


if __name__ == "__main__":
    main()
