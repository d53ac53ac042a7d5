"""What runs of one's own add to the panel: each data set plays the user's, of whose kind the panel has nothing.

    python benchmarks/own_runs.py

Every row of a set is foreseen by the calibration without that set, and by the same after the set's other rows were
added as runs. Printed is the mean absolute error of the expected gain, in points of accuracy, each set counting alike.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from automl_tl.lab.calibration import Calibration, OwnRun, calibration
from automl_tl.lab.neighbours import known_row
from automl_tl.strategies import Strategy

PANEL = Path(__file__).parents[1] / "datasets_meta" / "panel.csv"
TRAINED: tuple[Strategy, ...] = ("fine_tuning", "pretrained_initialization")
LEAST_ROWS = 4
"""Of a set, so that all others are more than one."""
LEAST_STDERR = 0.01
"""A search's own standard error is larger."""


def gain(row: pd.Series, strategy: Strategy) -> float:
    """Return what a strategy gained over the feature extractor."""
    return float(row[f"true_{strategy}"] - row["true_feature_extractor"])


def as_run(row: pd.Series) -> OwnRun:
    """Return a row of the panel as if a user's search had measured it."""
    gains = {name: (gain(row, name), max(float(row[f"true_stderr_{name}"]), LEAST_STDERR)) for name in TRAINED}
    return OwnRun(str(row["set"]), str(row.name), str(row["backbone"]), known_row(row), gains)


def errors(row: pd.Series, experience: Calibration) -> dict[Strategy, float]:
    """Return how far each expected gain is from the true one."""
    known = known_row(row)
    expected = experience.expect(known)
    return {name: abs(expected[name].mean - gain(row, name)) for name in TRAINED}


def main() -> None:
    rows = pd.read_csv(PANEL).dropna(subset=[f"true_{name}" for name in TRAINED])
    rows = rows[rows.groupby("set")["set"].transform("size") >= LEAST_ROWS]
    found = []
    for name, part in rows.groupby("set"):
        before, order = calibration(str(name)), np.random.default_rng(0).permutation(len(part))
        for _, row in part.iterrows():
            others = [as_run(part.iloc[place]) for place in order if part.index[place] != row.name]
            for added in (0, 1, len(others)):
                for strategy, error in errors(row, before.with_own(others[:added])).items():
                    runs = "all others" if added > 1 else str(added)
                    found.append({"set": name, "strategy": strategy, "runs": runs, "error": 100 * error})
    by_set = pd.DataFrame(found).groupby(["strategy", "runs", "set"])["error"].mean()
    print(by_set.groupby(["strategy", "runs"]).mean().unstack().round(2).to_string())


if __name__ == "__main__":
    main()
