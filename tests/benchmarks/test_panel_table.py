"""What the panel's table is counted by: the floor within a budget, coverage beside a noisy test part, clusters."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import panel_table

    yield panel_table
    for name in ("panel_table", "calibrate"):
        sys.modules.pop(name, None)


ALL = ("feature_extractor", "early_feature_extractor", "fine_tuning", "pretrained_initialization")
TRUE = dict(zip(ALL, (0.8, 0.7, 0.9, 0.85), strict=True))


def row(stderr: float) -> pd.Series:
    values = {f"true_{name}": value for name, value in TRUE.items()}
    return pd.Series({**values, **{f"true_stderr_{name}": stderr for name in ALL}, "oracle": 0.88})


def test_within_a_budget_the_floor_is_the_best_that_fits(table: ModuleType) -> None:
    frozen = ALL[:2]
    assert table.oracle_within(row(0.05), ALL) == 0.88  # as it was counted
    assert table.oracle_within(row(1e-6), frozen) == pytest.approx(0.8, abs=1e-4)
    assert table.oracle_within(row(0.3), ALL[:1]) == pytest.approx(0.8)
    assert 0.7 < table.oracle_within(row(0.08), frozen) < 0.79  # which of the two is better is hardly known


def test_what_fits_a_budget(table: ModuleType) -> None:
    seconds = dict(zip(ALL, (5.0, 6.0, 60.0, 600.0), strict=True))
    assert table.fitting(seconds, None) == ALL
    assert table.fitting(seconds, 100) == ALL[:3]
    assert table.fitting(seconds, 1) == ALL[:2]


def test_an_interval_covers_a_noisy_test_part_more_often(table: ModuleType) -> None:
    expected, true = pd.Series([0.8, 0.8]), pd.Series([0.72, 0.72])
    found = table.covers(expected, expected - 0.01, expected + 0.01, true, pd.Series([40, 4000]))
    assert found.tolist() == [True, False]


def test_rows_of_one_set_count_as_one_observation(table: ModuleType) -> None:
    values = pd.Series(np.repeat([0.0, 1.0], 50))
    alone = table.clustered(values, pd.Series(range(100)))
    together = table.clustered(values, pd.Series(np.repeat(["a", "b"], 50)))
    assert alone[0] == together[0] == 0.5
    assert together[1] > 5 * alone[1]


def test_probabilities_are_scored_against_the_strategy_that_was_best(table: ModuleType) -> None:
    one = {f"true_{name}": [value] for name, value in TRUE.items()}
    for name, right in (("pooled", 1.0), ("alone", 0.5), ("usual", 0.25)):
        one |= {
            f"best {name} {strategy}": [right if strategy == "fine_tuning" else (1 - right) / 3] for strategy in ALL
        }
    rows = pd.concat([pd.DataFrame(one).assign(set=name) for name in "ab"], ignore_index=True)
    scores = table.being_best(rows)["Brier score"]
    assert [float(scores[name]) for name in ("pooled", "alone", "usual")] == pytest.approx([0, 1 / 3, 0.75], abs=1e-3)
