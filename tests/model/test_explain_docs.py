"""What docs/explain.md says was measured is what was measured."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "explain.md").read_text(encoding="utf-8")
MEASURED = pd.read_csv(ROOT / "benchmarks" / "results" / "deletion.csv")


def test_the_table_is_of_the_measurement() -> None:
    rows = re.findall(
        r"^\| (\w+), ([\w -]+), stages? .*? \| \*\*([\d.]+)\*\* \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", TEXT, re.M
    )
    assert len(rows) == 4
    shown = MEASURED[(MEASURED["share"] == 0.2) & (MEASURED["fill"] == "mean")].set_index(["data", "model"])
    for data, model, *points in rows:
        found = shown.loc[(data, model), ["hottest", "shifted", "scattered", "central"]]
        assert [float(one) / 100 for one in points] == pytest.approx(list(found), abs=5e-4)


def test_the_hottest_cells_always_matter_most() -> None:
    assert (MEASURED["hottest"] > MEASURED[["shifted", "scattered", "central"]].max(axis=1)).all()
    assert ((MEASURED["gain"] / MEASURED["standard_error"]).between(3.3, 7.35)).all()
    assert ((MEASURED["hottest"] / MEASURED["shifted"]).between(1.9, 6.1)).all()
