"""Which pruner: trained candidates run to their end once, then each pruner is replayed on what they reported.

    python benchmarks/pruning.py TABLE [--trials 16] [--seed 0]

Random configurations of fine-tuning are scored on two folds of TABLE (columns path, label, split); each reports after
every quarter of the first fold and after the second, as the search's trials do. The reports are kept in
`results/pruning.csv`; then every pruner sees the same trials in many random orders. Prints, for each, the share of the
training that it saves and what the best trial that it lets finish has less than the best of all.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pandas as pd

from automl_tl.lab.lab import open_lab
from automl_tl.learning.configuration import Configuration
from automl_tl.options import PARTS, SearchOptions
from automl_tl.searcher.preparation import prepare
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.session import Session
from automl_tl.searcher.space.limits import Limits
from automl_tl.searcher.space.search_space import suggest
from automl_tl.searcher.space.space_for import space_for
from automl_tl.searcher.trials.deadline import Deadline
from automl_tl.searcher.trials.observer import Observer
from automl_tl.searcher.trials.trained import score_trained
from automl_tl.work import ThisProcess

RESULTS = Path(__file__).parent / "results" / "pruning.csv"
ORDERS = 200
SHARES = {1: 0.125, 2: 0.25, 3: 0.375, 4: 0.5, 5: 1.0}
"""Share of a trial's training that is done at each step: four quarters of one fold, then another fold."""
PRUNERS = {
    "none": optuna.pruners.NopPruner(),
    "median after 4": optuna.pruners.MedianPruner(n_startup_trials=0, n_warmup_steps=1, n_min_trials=4),
    "quartile after 4": optuna.pruners.PercentilePruner(25.0, n_startup_trials=0, n_warmup_steps=1, n_min_trials=4),
    "halving": optuna.pruners.SuccessiveHalvingPruner(min_resource=2, reduction_factor=2),
}


def measure(table: Path, trials: int, seed: int) -> pd.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        options = SearchOptions(trials=1, backbones=("efficientnet_lite0",), seed=seed)
        session = Session(open_lab(table, options), options, RunFolder(Path(folder)), Deadline(None), Limits())
        prepared = prepare(session, lambda task, name: None)
        task = replace(prepared.task, n_folds=2)
        space = space_for(task, prepared.assessment, parts=dict.fromkeys(PARTS, True))
        sampler = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        rows = []
        while len(rows) < trials:
            trial = sampler.ask()
            trial.suggest_categorical("training", space.training)
            configuration: Configuration = suggest(trial, space)
            sampler.tell(trial, 0.0)
            if configuration.training != "fine_tuning":
                continue
            values: dict[int, float] = {}
            observer = Observer(report=values.__setitem__)
            score_trained(task, configuration, prepared.sweep.reference, ThisProcess(), observer=observer)
            rows.append({"trial": len(rows), **{f"step{step}": values.get(step) for step in SHARES}})
            print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def replay(table: pd.DataFrame, pruner: optuna.pruners.BasePruner, rng: np.random.Generator) -> tuple[float, float]:
    """Return the share of training saved and the regret, over random orders of the trials."""
    saved, regret = [], []
    for _ in range(ORDERS):
        study = optuna.create_study(direction="maximize", pruner=pruner)
        work, best = 0.0, -np.inf
        for values in table.sample(frac=1, random_state=int(rng.integers(2**31))).itertuples(index=False):
            trial, done = study.ask(), 1.0
            for step, share in SHARES.items():
                value = getattr(values, f"step{step}")
                if pd.isna(value):
                    continue
                trial.report(value, step)
                if share < 1 and trial.should_prune():
                    done = share
                    break
            if done < 1:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            else:
                study.tell(trial, values.step5)
                best = max(best, values.step5)
            work += done
        saved.append(1 - work / len(table))
        regret.append(table["step5"].max() - best)
    return float(np.mean(saved)), float(np.mean(regret))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if not RESULTS.exists():
        RESULTS.parent.mkdir(exist_ok=True)
        measure(arguments.table, arguments.trials, arguments.seed).to_csv(RESULTS, index=False)
    table, rng = pd.read_csv(RESULTS), np.random.default_rng(0)
    rows = [
        {"pruner": name, **dict(zip(("saved", "regret"), replay(table, p, rng), strict=True))}
        for name, p in PRUNERS.items()
    ]
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
