"""What is written about planted label errors is what was measured."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[2]
MEASURED = pd.read_csv(ROOT / "benchmarks" / "results" / "planted_labels.csv")
COLUMNS = ["listed", "precision", "recall", "average precision"]


def test_the_table_has_the_means_of_the_measured_rows() -> None:
    text = (ROOT / "docs" / "labels.md").read_text(encoding="utf-8")
    ours = MEASURED[(MEASURED["method"] == "automl-tl") & (MEASURED["planted"] > 0)]
    for name, row in ours.groupby("data set")[COLUMNS].mean().iterrows():
        written = re.search(rf"^\| {name} \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", text, flags=re.M)
        assert written, name
        assert all(abs(float(said) - value) <= 0.51 * 10**-digits for said, value, digits in zip(
            written.groups(), row, (0, 2, 2, 2), strict=True
        ))  # fmt: skip


def test_the_readme_says_the_same() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    recall, precision = map(int, re.findall(r"`labels` finds (\d+)%, and (\d+)% of what it lists", text)[0])
    ours = MEASURED[(MEASURED["method"] == "automl-tl") & (MEASURED["planted"] > 0)]
    assert (recall, precision) == (round(100 * ours["recall"].mean()), round(100 * ours["precision"].mean()))
