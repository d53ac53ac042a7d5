"""The papers say what the search does: its numbers, and every parameter with its range."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from automl_tl.searcher.space import search_space as space

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = re.findall(
    r"^\| `([\w.]+)\.(\w+)` \| ([\d.]+) \|", (ROOT / "docs" / "search.md").read_text("utf-8"), flags=re.M
)
SPACE = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## The search space")[2].partition("\n## ")[0]
ROWS = {name: row for row in SPACE.splitlines() if row.startswith("| `") for name in re.findall(r"`(\w+)`", row)}
RANGES = ("penalty", "l2", "head_lr", "lr_ratio", "whole_lr_ratio", "weight_decay")


def test_there_are_numbers_and_rows() -> None:
    assert len(NUMBERS) >= 15
    assert len(ROWS) >= 25


@pytest.mark.parametrize(("module", "name", "value"), NUMBERS, ids=[name for _, name, _ in NUMBERS])
def test_a_number_is_the_one_in_the_code(module: str, name: str, value: str) -> None:
    assert getattr(import_module(f"automl_tl.{module}"), name) == float(value)


def test_every_parameter_of_the_space_has_a_row_and_no_other() -> None:
    source = Path(space.__file__).read_text("utf-8")
    asked = re.findall(r'\.suggest_\w+\(f?"(\{apart\})?(\w+)"', source)
    assert {name for _, name in asked} | {f"tuned_{name}" for apart, name in asked if apart} == set(ROWS)


@pytest.mark.parametrize("name", RANGES)
def test_a_range_is_the_one_in_the_code(name: str) -> None:
    low, high = re.search(r"\| ([\d.e-]+) to ([\d.e-]+)", ROWS[name]).groups()  # type: ignore[union-attr]
    assert (float(low), float(high)) == getattr(space, name.upper())


def test_epochs_and_borders() -> None:
    assert (
        f"{space.FEWEST_EPOCHS} to {space.MOST_EPOCHS}, of few pictures to {space.MOST_LONG_EPOCHS}" in ROWS["epochs"]
    )
    assert f"from {space.MANY_PICTURES:,} pictures" in ROWS["mixup"]
    assert f"{space.IMBALANCED:g} times" in ROWS["balanced"]
