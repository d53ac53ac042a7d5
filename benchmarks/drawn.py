"""What training that a search's sampler draws reaches on test pictures, beside the training that is recommended.

    python -m benchmarks.drawn ../shared/data [--sets NAME ...] [--draws 0] [--trials 6]

Fine-tuning of the last three stages of EfficientNet-Lite0, ten pictures a class, is what is recommended; then the
sampler, which knows of it and of the frozen candidates, draws until so many of its draws were trained. Each learns
from four fifths, is scored on the rest as a trial is, and tested on pictures that nothing has seen. Prints what draws
gain in units of sqrt(p (1 - p)) at the accuracy p of the recommended one, as one normal and as two of which one is for
those that fail, fitted with the noise of the test part; writes `results/drawn.csv`. What is there is not measured
again.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import norm

from automl_tl.model.model import Model
from automl_tl.options import ConfigurationOptions, SearchOptions
from automl_tl.searcher.asked import configuration_asked_for
from automl_tl.searcher.delivery.members import kept_member
from automl_tl.searcher.session import Prepared
from automl_tl.searcher.space.space_for import space_for
from automl_tl.searcher.trials.frozen import score_frozen, too_much
from automl_tl.searcher.trials.journal import open_storage
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.study import Study
from automl_tl.searcher.trials.trained import score_trained
from automl_tl.work import ThisProcess
from benchmarks.going_on import PER_CLASS, STAGES, prepared_on
from benchmarks.peers.cells import SIZES, Cell, drawn

RESULTS = Path(__file__).parent / "results" / "drawn.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(SIZES))
    parser.add_argument("--draws", type=int, nargs="+", default=[0])
    parser.add_argument("--trials", type=int, default=6)
    asked = parser.parse_args()
    rows = pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame(columns=["data", "draw"])
    done = set(rows[["data", "draw"]].itertuples(index=False, name=None))
    for cell in (Cell(data, PER_CLASS, draw) for draw in asked.draws for data in asked.sets):
        if (cell.data, cell.draw) not in done:
            rows = pd.concat([rows, pd.DataFrame(measured(asked.data.resolve(), cell, asked.trials))])
            rows.round(4).to_csv(RESULTS.with_suffix(".tmp"), index=False)
            RESULTS.with_suffix(".tmp").replace(RESULTS)
    print(rows.drop(columns="configuration").to_string(index=False))
    print(fitted(rows))


def measured(root: Path, cell: Cell, wanted: int) -> Iterator[dict[str, Any]]:
    """Yield a row for every draw that was trained."""
    train, test = drawn(root, cell)
    with tempfile.TemporaryDirectory() as name:
        prepared = prepared_on(train, test, cell, Path(name))
        classes, paths = prepared.task.sample.classes, list(test["path"])
        y = np.searchsorted(np.array(classes), test["label"].astype(str).to_numpy())

        def right(outcome: Outcome) -> np.ndarray:
            member = kept_member(prepared.task, outcome.configuration, outcome.state)
            answers: np.ndarray = Model((member,), classes, 1.0, prepared.task.fit).probabilities(paths).argmax(1) == y
            return answers

        first, *others = trained(prepared, cell.draw + 1, wanted)
        recommended = right(first)
        for one in others:
            gain = right(one).astype(float) - recommended
            yield {
                "data": cell.data, "draw": cell.draw, "recommended": recommended.mean(), "gain": gain.mean(),
                "stderr": gain.std() / np.sqrt(len(gain)), "n_test": len(gain), "scored": one.value - first.value,
                "n_scored": len(one.rows), "configuration": one.configuration.describe(),
            }  # fmt: skip


def trained(prepared: Prepared, seed: int, wanted: int) -> Iterator[Outcome]:
    """Yield the recommended training, then what is drawn of trainings, each scored on one fold."""
    task, reference = replace(prepared.task, n_folds=1), prepared.sweep.reference
    space = space_for(task, prepared.assessment, parts=SearchOptions().parts)
    study = Study(open_storage(None), space, seed, pictures=task.sample.n)
    study.add_sweep(prepared.sweep.outcomes)
    asked = configuration_asked_for(prepared, ConfigurationOptions(strategy="fine_tuning"))
    study.enqueue(replace(asked, how=replace(asked.tuned, unfrozen=STAGES)))
    found = 0
    while found <= wanted:
        trial, configuration = study.ask()
        if fault := too_much(task, configuration):
            study.refuse(trial, fault, worst=0.0)
            continue
        if not configuration.is_trained:
            study.complete(trial, score_frozen(task, configuration))
            continue
        outcome = score_trained(task, configuration, reference, ThisProcess())
        study.complete(trial, outcome)
        found += 1
        yield outcome


def fitted(rows: pd.DataFrame) -> str:
    """Return the likeliest mean and spread of the gains, of one normal and of the nearer one of two."""
    scale = np.sqrt(rows["recommended"] * (1 - rows["recommended"])).to_numpy()
    gains, noise = rows["gain"].to_numpy() / scale, rows["stderr"].to_numpy() / scale

    def one(at: np.ndarray) -> float:
        return -float(norm.logpdf(gains, at[0], np.hypot(noise, at[1])).sum())

    def two(at: np.ndarray) -> float:
        near, failed = (norm.pdf(gains, at[i], np.hypot(noise, at[i + 1])) for i in (1, 3))
        return -float(np.log(expit(at[0]) * near + (1 - expit(at[0])) * failed).sum())

    single = minimize(one, [-0.2, 0.2], method="Nelder-Mead").x
    mixed = minimize(two, [logit(0.9), -0.1, 0.1, -1.0, 0.5], method="Nelder-Mead", options={"maxfev": 10_000}).x
    return (
        f"one normal: {single[0]:.2f} +- {abs(single[1]):.2f}; of two: {expit(mixed[0]):.0%} at {mixed[1]:.2f} +- "
        f"{abs(mixed[2]):.2f}, the others at {mixed[3]:.2f} +- {abs(mixed[4]):.2f} ({len(rows)} draws)"
    )


if __name__ == "__main__":
    main()
