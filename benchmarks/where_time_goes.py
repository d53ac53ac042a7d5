"""Where the budget of a search goes, part by part, and how well its trials were planned.

    python benchmarks/where_time_goes.py ../shared/data [--sets clothing weather] [--budgets 60 300] [--summary]

Every search has a feature cache of its own, empty at first. A row per search is appended to
`results/where_time_goes.csv` as soon as it is known, a row per trial with its planned and its true seconds to
`results/planned_seconds.csv`; what is there already is not done again. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import pandas as pd
from draws import Regime
from search_table import BACKBONE, known, table_of

from automl_tl import search
from automl_tl.searcher.result import SearchResult
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.trials.attributes import PLANNED, SECONDS
from automl_tl.searcher.trials.journal import open_storage
from automl_tl.searcher.trials.study import NAME

RESULTS = Path(__file__).parent / "results"
SEARCHES, TRIALS = RESULTS / "where_time_goes.csv", RESULTS / "planned_seconds.csv"
SETS = ("clothing", "trashnet", "weather", "sign_digits", "emoji_icons", "omniglot_alphabets")
BUDGETS = (60.0, 180.0, 300.0, 600.0)
KEY = ["set", "per_class", "budget"]


def measure(root: Path, regime: Regime, budget: float) -> tuple[dict[str, object], list[dict[str, object]]]:
    """Return the row of a search, and those of its trials."""
    folder = Path(tempfile.mkdtemp(prefix="where_time_goes_"))
    key: dict[str, object] = {"set": regime.data, "per_class": regime.per_class, "budget": budget}
    try:
        started = time.monotonic()
        result = search(
            table_of(root, regime, folder), budget=budget, out=folder / "run", group_column="group",
            backbones=[BACKBONE], seed=1, cache_dir=folder / "cache", without_set=regime.data, started=started,
        )  # fmt: skip
        trials = [{**key, **trial} for trial in planned(folder / "run")]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {**key, **row_of(result, budget)}, trials


def row_of(result: SearchResult, budget: float) -> dict[str, object]:
    test = result.test
    return {
        "accuracy": None if test is None else test.accuracy, "best": result.best.describe(),
        "members": len(result.members), "trials": result.n_trials, "stopped": result.stopped_because,
        "unused": budget - result.seconds,
        **{f"s_{part.replace(' ', '_')}": seconds for part, seconds in result.parts.items()},
    }  # fmt: skip


def planned(run: Path) -> list[dict[str, object]]:
    """Return planned and true seconds of every trained trial of a run."""
    import optuna

    study = optuna.load_study(study_name=NAME, storage=open_storage(RunFolder(run).journal))
    return [
        {"number": t.number, "planned": t.user_attrs[PLANNED], "true": t.user_attrs[SECONDS], "state": t.state.name}
        for t in study.trials
        if PLANNED in t.user_attrs and SECONDS in t.user_attrs
    ]


def append(rows: list[dict[str, object]], path: Path) -> None:
    """Add rows to a table, whole or not at all."""
    new = path.with_suffix(".tmp")
    pd.concat([known(path), pd.DataFrame(rows)]).to_csv(new, index=False)
    new.replace(path)


def summary() -> str:
    searches, trials = known(SEARCHES), known(TRIALS)
    parts = [column for column in searches.columns if column.startswith("s_")]
    shown = searches[[*KEY, "accuracy", "trials", "members", "unused", *parts]]
    lines = [shown.round(3).rename(columns=lambda c: c.removeprefix("s_")).to_string(index=False)]
    if len(trials):
        whole = trials[trials["state"] == "COMPLETE"]
        ratio = whole["true"] / whole["planned"]
        low, middle, high = ratio.quantile([0.1, 0.5, 0.9])
        lines.append(
            f"true over planned seconds of {len(ratio)} whole trials: median {middle:.2f}, 10 % {low:.2f}, "
            f"90 % {high:.2f}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--per-class", type=int, default=10)
    parser.add_argument("--budgets", nargs="+", type=float, default=BUDGETS)
    parser.add_argument("--summary", action="store_true")
    arguments = parser.parse_args()
    for budget in [] if arguments.summary else arguments.budgets:
        for name in arguments.sets:
            done = known(SEARCHES)
            if len(done) and (done[KEY] == [name, arguments.per_class, budget]).all(axis=1).any():
                continue
            row, trials = measure(arguments.data, Regime(name, arguments.per_class, 1), budget)
            append([row], SEARCHES)
            append(trials, TRIALS)
            print(row, flush=True)
    print(summary())


if __name__ == "__main__":
    main()
