"""What has been measured: a CSV file with a row per cell, budget and tool, to which rows are added."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

RESULTS = Path(__file__).parents[1] / "results" / "peers.csv"
KEY = ["data", "per_class", "draw", "budget", "tool"]
Key = tuple[str, int, int, int, str]


def read(path: Path) -> pd.DataFrame:
    """Return what is known so far."""
    return pd.read_csv(path, dtype={"right": str}) if path.exists() else pd.DataFrame(columns=KEY)


def known(table: pd.DataFrame) -> set[Key]:
    """Return what need not be measured again."""
    return set(table[KEY].itertuples(index=False, name=None))


def add(path: Path, row: dict[str, Any]) -> None:
    """Add a row; the file is replaced as a whole."""
    table = pd.DataFrame([*read(path).to_dict("records"), row])
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    table.round(4).to_csv(temporary, index=False)
    temporary.replace(path)
