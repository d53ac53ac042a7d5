"""Every trial and every solved candidate of the sweep, as one table."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from automl_tl.learning.configuration import Configuration
from automl_tl.learning.recipe import Recipe
from automl_tl.output import whole
from automl_tl.searcher.trials.attributes import (
    CONFIGURATION,
    EARLIER,
    EPOCHS,
    FOLDS,
    KIND,
    PICTURES,
    REASON,
    SECONDS,
    STATES,
    TRIAL,
)


def leaderboard(trials: Iterable[FrozenTrial], metric: str, *, greater_is_better: bool = True) -> pd.DataFrame:
    """Return one row per trial that was begun, the best first, those without a score last.

    Columns: `number`, `kind` ("sweep" or "trial"), `state`, `strategy`, `backbone`, `cuts`, `pooling`, `head`,
    the metric's name, `seconds`, `epochs`, `folds`, `reason`, then one column `param.NAME` per parameter. Where the
    sample grew, `pictures` is the size of the one that a candidate was scored on, and the largest sample comes first:
    scores of different samples cannot be compared.
    """
    rows = [row for row in (_row(trial, metric) for trial in trials) if row["state"] != "waiting"]
    fixed = ["number", "kind", "state", "strategy", "backbone", "cuts", "pooling", "head", metric, "seconds"]
    fixed += ["epochs", "folds", "reason"]
    table = pd.DataFrame(rows)
    grew = "pictures" in table and table["pictures"].nunique() > 1
    fixed += ["pictures"] if grew else []
    names = [*fixed, *sorted(column for column in table.columns if column.startswith("param."))]
    table = table.reindex(columns=names)
    keys, ascending = [metric, "number"], [not greater_is_better, True]
    if grew:
        table["pictures"] = table["pictures"].fillna(table["pictures"].max()).astype(int)
        keys, ascending = ["pictures", *keys], [False, *ascending]
    return table.sort_values(keys, ascending=ascending).reset_index(drop=True)


def write_leaderboard(table: pd.DataFrame, path: Path) -> None:
    """Write the table as CSV."""
    with whole(path) as new:
        table.to_csv(new, index=False, float_format="%.6g")


def _row(trial: FrozenTrial, metric: str) -> dict[str, Any]:
    attributes = trial.user_attrs
    value = trial.value if trial.state == TrialState.COMPLETE else None
    row: dict[str, Any] = {
        "number": trial.number,
        "kind": attributes.get(KIND, TRIAL),
        **attributes.get(EARLIER, {"state": STATES[trial.state], "value": value}),
        "pictures": attributes.get(PICTURES),
        "seconds": attributes.get(SECONDS),
        "epochs": attributes.get(EPOCHS),
        "folds": attributes.get(FOLDS),
        "reason": attributes.get(REASON, ""),
    }
    row[metric] = row.pop("value")
    row |= {f"param.{name}": value for name, value in trial.params.items()}
    if CONFIGURATION in attributes:
        row |= _described(Configuration.from_dict(attributes[CONFIGURATION]))
    return row


def _described(configuration: Configuration) -> dict[str, Any]:
    row: dict[str, Any] = {
        "strategy": configuration.strategy,
        "backbone": configuration.backbone,
        "cuts": "+".join(map(str, configuration.cuts)),
        "pooling": configuration.pooling,
        "head": configuration.head,
    }
    if isinstance(configuration.how, Recipe):
        row["param.unfrozen_stages"] = configuration.how.unfrozen
        row["param.epochs"] = configuration.how.epochs  # fewer than were proposed where time was short
    return row
