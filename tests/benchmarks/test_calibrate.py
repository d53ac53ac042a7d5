"""What is fitted on the panel comes out as what was put in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from automl_tl.lab.calibration import calibration
from automl_tl.lab.neighbours import known_row
from automl_tl.resources import meta_path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
N_SCORED = 100
PANEL = pd.read_csv(meta_path("panel.csv"))


@pytest.fixture
def calibrate(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import calibrate

    yield calibrate
    sys.modules.pop("calibrate", None)


def tried(spread: float, disagreement: float, n: int = 300) -> pd.DataFrame:
    """Return rows whose whole and short fine-tunings lie so far apart; every other run had few of its pictures."""
    rng = np.random.default_rng(0)
    learned = np.where(np.arange(n) % 2, 160, 40)
    rows = pd.DataFrame(
        {
            "set": [f"set {number % 12}" for number in range(n)], "n_train": 200, "n_classes": 5, "different": 0.2,
            "expected_feature_extractor": rng.uniform(0.3, 0.95, n), "optimism_feature_extractor": 0.1,
            "true_feature_extractor": 0.5, "true_stderr_fine_tuning": 0.02, "tried_runs": 3.0, "tried_frozen": 0.6,
            "tried_n_scored": N_SCORED, "tried_n_trained": learned, "tried_n_available": 160, "tried_epochs": 12,
            "unfrozen": 3,
        }
    )  # fmt: skip
    known = [known_row(row) for _, row in rows.iterrows()]
    room, variance = (np.array([getattr(one, name) for one in known]) for name in ("room", "variance"))
    rows["tried_stderr"] = np.sqrt(variance * disagreement / N_SCORED)
    short = 0.05 + rng.normal(size=n) * rows["tried_stderr"]
    whole = 0.05 + rng.normal(size=n) * np.hypot(0.02, spread * room * np.sqrt(160 / learned))
    rows["tried_tuned"] = rows["tried_frozen"] + short - 0.1
    rows["true_fine_tuning"] = rows["true_feature_extractor"] + whole
    return rows


def test_what_a_short_run_says_of_a_whole_one_is_found_again(calibrate: ModuleType) -> None:
    for spread, disagreement in ((0.2, 1.5), (0.4, 0.5)):
        found = calibrate.short_run(tried(spread, disagreement))
        assert found.spread == pytest.approx(spread, rel=0.15)
        assert found.disagreement == pytest.approx(disagreement, rel=0.02)


def test_before_anything_is_tried_a_short_run_says_what_it_may(calibrate: ModuleType) -> None:
    rows = tried(0.4, 0.5)
    for none in (rows.drop(columns="tried_runs"), rows.assign(tried_runs=np.nan)):
        found = calibrate.short_run(none)
        assert (found.spread, found.disagreement) == (calibrate.SHORT_SPREAD, calibrate.DISAGREEMENT)


def test_the_kept_short_run_is_what_the_kept_panel_says(calibrate: ModuleType) -> None:
    assert vars(calibration().short_run) == pytest.approx(vars(calibrate.short_run(PANEL)), abs=1e-5)
    name = str(PANEL["set"].iloc[0])
    without = calibrate.short_run(PANEL[PANEL["set"] != name])
    assert vars(calibration(name).short_run) == pytest.approx(vars(without), abs=1e-5)
