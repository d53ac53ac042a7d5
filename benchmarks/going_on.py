"""Whether a refit should begin anew or go on from its trial's weights, and then go on once more.

    python -m benchmarks.going_on ../shared/data [--sets NAME ...] [--draws 0 1] [--long]

Fine-tuning of the last three stages of EfficientNet-Lite0, ten pictures a class, as a search does it in a minute: a
trial learns from four fifths, then everything is learned for as many epochs again, anew or from there, and in a second
round from where that ended, for a third of the epochs or all of them; the weights of both rounds are averaged. `--long`
takes the epochs for which a search has time in five minutes, and goes on for a third of them as well, in one round.
Tested on pictures that nothing has seen, alone and averaged with the frozen reference (35%). Log losses are at each
model's own best temperature. Prints what every way gains over a new beginning, with standard errors over the draws that
have it, and writes `results/going_on.csv`. Draws that are there are not measured again.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from automl_tl.lab.lab import open_lab
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.recipe import epochs_for, long_epochs_for
from automl_tl.learning.scores import best_temperature
from automl_tl.learning.trainer import Start
from automl_tl.model.member import Member
from automl_tl.model.model import Model
from automl_tl.options import ConfigurationOptions, SearchOptions
from automl_tl.searcher.asked import configuration_asked_for
from automl_tl.searcher.delivery.members import averaged, frozen_member, kept_member
from automl_tl.searcher.preparation import prepare
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.session import Prepared, Session
from automl_tl.searcher.space.limits import Limits
from automl_tl.searcher.trials.deadline import Deadline
from automl_tl.searcher.trials.trained import learn, score_fold
from benchmarks.peers.cells import DRAWS, SIZES, Cell, drawn

RESULTS = Path(__file__).parent / "results" / "going_on.csv"
BACKBONE, STAGES, PER_CLASS, FROZEN_SHARE = "efficientnet_lite0", 3, 10, 0.35


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(SIZES))
    parser.add_argument("--draws", type=int, nargs="+", default=list(DRAWS))
    parser.add_argument("--long", action="store_true")
    asked = parser.parse_args()
    rows = pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame(columns=["data", "draw", "long"])
    done = set(rows[["data", "draw", "long"]].itertuples(index=False, name=None))
    for cell in (Cell(data, PER_CLASS, draw) for draw in asked.draws for data in asked.sets):
        if (cell.data, cell.draw, asked.long) not in done:
            rows = pd.concat([rows, pd.DataFrame(measured(asked.data.resolve(), cell, asked.long))])
            rows.round(4).to_csv(RESULTS.with_suffix(".tmp"), index=False)
            RESULTS.with_suffix(".tmp").replace(RESULTS)
    for long, part in rows.groupby("long"):
        print(f"{'long' if long else 'short'} schedules\n{gains(part).to_string()}\n")


def measured(root: Path, cell: Cell, long: bool) -> Iterator[dict[str, Any]]:
    """Yield a row for every way of learning from everything, for the trial, and for the frozen reference."""
    train, test = drawn(root, cell)
    with tempfile.TemporaryDirectory() as name:
        prepared = prepared_on(train, test, cell, Path(name))
        task = prepared.task
        y = np.searchsorted(np.array(task.sample.classes), test["label"].astype(str).to_numpy())
        paths = list(test["path"])
        probabilities = {
            way: Model((member,), task.sample.classes, 1.0, task.fit).probabilities(paths)
            for way, member in members(prepared, long)
        }
    frozen = at_its_temperature(probabilities["frozen"], y)
    for way, answers in probabilities.items():
        own = at_its_temperature(answers, y)
        together = at_its_temperature(FROZEN_SHARE * frozen + (1 - FROZEN_SHARE) * own, y)
        yield {"data": cell.data, "draw": cell.draw, "long": long, "way": way, **scores("alone", own, y),
               **scores("together", together, y)}  # fmt: skip


def prepared_on(train: pd.DataFrame, test: pd.DataFrame, cell: Cell, folder: Path) -> Prepared:
    """Return what a search knows of the training pictures before its trials."""
    table, run = folder / "table.csv", RunFolder(folder / "run")
    pd.concat([train.assign(split="train"), test.assign(split="test")]).to_csv(table, index=False)
    options = SearchOptions(
        seed=cell.draw + 1, backbones=(BACKBONE,), trials=1, out=run.path, without_set=cell.data
    )  # fmt: skip
    with run.claimed():
        session = Session(open_lab(table, options), options, run, Deadline(None), Limits())
        return prepare(session, lambda task, backbone: None)


def members(prepared: Prepared, long: bool) -> Iterator[tuple[str, Member]]:
    """Yield the models that are compared, each with its name."""
    task, reference = prepared.task, prepared.sweep.reference
    yield "frozen", frozen_member(task, reference.outcome.configuration)
    asked = configuration_asked_for(prepared, ConfigurationOptions(strategy="fine_tuning"))
    n = task.sample.n_training

    def of(epochs: int) -> Configuration:
        return replace(asked, how=replace(asked.tuned, epochs=epochs, unfrozen=STAGES))

    def going_on(configuration: Configuration, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return learn(task, configuration, Start(reference.l2, state)).state

    whole = of(long_epochs_for(n) if long else epochs_for(n))
    trial = score_fold(task, whole, reference, 0).learned.state
    yield "trial", kept_member(task, whole, trial)
    yield "anew", kept_member(task, whole, learn(task, whole, Start(reference.l2)).state)
    once = going_on(whole, trial)
    yield "going on", kept_member(task, whole, once)
    if long:
        third = of(epochs_for(n))
        yield "going on, a third", kept_member(task, third, going_on(third, trial))
        return
    for name, second in (("a third", of(epochs_for(n) // 3)), ("whole", whole)):
        again = going_on(second, once)
        yield f"second round, {name}", kept_member(task, whole, again)
        yield f"second round, {name}, averaged", kept_member(task, whole, averaged(once, again))


def at_its_temperature(probabilities: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return probabilities (n, C) at the temperature at which the labels y (n,) are likeliest."""
    logits = np.log(probabilities.clip(1e-9))
    scaled = np.exp(logits / best_temperature(y, logits))
    result: np.ndarray = scaled / scaled.sum(axis=1, keepdims=True)
    return result


def scores(name: str, probabilities: np.ndarray, y: np.ndarray) -> dict[str, float]:
    true = probabilities[np.arange(len(y)), y].clip(1e-6)
    return {
        f"accuracy_{name}": float((probabilities.argmax(1) == y).mean()),
        f"log_loss_{name}": float(-np.log(true).mean()),
    }


def gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what every way gains over a new beginning: points, the factor of errors, log loss."""
    table: dict[str, dict[str, str]] = {}
    base = rows[rows["way"] == "anew"].set_index(["data", "draw"])
    for way, part in rows[rows["way"] != "anew"].groupby("way", sort=False):
        own = part.set_index(["data", "draw"])
        same = base.loc[own.index]
        for name in ("alone", "together"):
            points = 100 * (own[f"accuracy_{name}"] - same[f"accuracy_{name}"])
            errors = np.log((1.002 - own[f"accuracy_{name}"]) / (1.002 - same[f"accuracy_{name}"]))
            loss = own[f"log_loss_{name}"] - same[f"log_loss_{name}"]
            table[f"{way}, {name}"] = {
                "draws": str(len(own)), "points": told(points, 1), "log loss": told(loss, 3),
                "errors": f"x{np.exp(errors.mean()):.2f} ({np.exp(errors.mean() - errors.sem()):.2f} to "
                f"{np.exp(errors.mean() + errors.sem()):.2f})",
            }  # fmt: skip
    return pd.DataFrame(table).T


def told(values: pd.Series, digits: int) -> str:
    return f"{values.mean():+.{digits}f}+-{values.sem():.{digits}f}"


if __name__ == "__main__":
    main()
