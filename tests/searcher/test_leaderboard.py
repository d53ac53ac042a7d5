from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from optuna.trial import FrozenTrial
from tasks import RIDGE, SOFTMAX, TUNED, bare_task, outcome, space

from automl_tl.searcher.trials.journal import open_storage
from automl_tl.searcher.trials.leaderboard import leaderboard, write_leaderboard
from automl_tl.searcher.trials.study import Study

FIXED = [
    "number", "kind", "state", "strategy", "backbone", "cuts", "pooling", "head", "accuracy", "seconds", "epochs",
    "folds", "reason",
]  # fmt: skip
HOSTILE = 'it raised "x",\n=1+1 [red] \x1b[31m ü'


def trials() -> list[FrozenTrial]:
    task = bare_task(np.arange(20) % 2)
    study = Study(open_storage(None), space(), 0)
    study.add_sweep([outcome(task, 0.5, value=0.7), outcome(task, 0.5, configuration=SOFTMAX, value=0.8)])
    for configuration in (TUNED, replace(TUNED, backbone="wide", n_stages=5), RIDGE, replace(RIDGE, cuts=(1,))):
        study.enqueue(configuration)
    done, configuration = study.ask()
    study.complete(
        done, outcome(task, 0.5, configuration=configuration, value=0.9, seconds=1.23456, epochs=10, n_folds=2)
    )
    study.give_up(study.ask()[0], HOSTILE, 0.5, worst=0.0)
    study.abandon(study.ask()[0], "interrupted")
    return study.trials  # the last one still waits


def test_every_trial_that_was_begun_is_there_the_best_first() -> None:
    table = leaderboard(trials(), "accuracy")
    assert list(table.columns[: len(FIXED)]) == FIXED
    assert all(column.startswith("param.") for column in table.columns[len(FIXED) :])
    assert table["number"].tolist() == [2, 1, 0, 3, 4]
    assert table["state"].tolist() == ["complete", "complete", "complete", "pruned", "failed"]
    assert table["kind"].tolist() == ["trial", "sweep", "sweep", "trial", "trial"]
    assert table["accuracy"].tolist()[:3] == [0.9, 0.8, 0.7]
    assert table["accuracy"].isna().tolist() == [False] * 3 + [True] * 2


def test_of_a_loss_the_least_comes_first() -> None:
    table = leaderboard(trials(), "log_loss", greater_is_better=False)
    assert table["log_loss"].dropna().tolist() == [0.7, 0.8, 0.9]
    assert table["log_loss"].isna().tolist() == [False] * 3 + [True] * 2


def test_a_row_says_what_was_tried_and_what_came_of_it() -> None:
    table = leaderboard(trials(), "accuracy").set_index("number")
    first = table.loc[2]
    assert first[["strategy", "backbone", "cuts", "pooling", "head"]].tolist() == [
        "fine_tuning", "tiny", "3", "mean", "linear",
    ]  # fmt: skip
    assert (first["seconds"], first["epochs"], first["folds"]) == (1.235, 10, 2)
    assert first["param.unfrozen_stages"] == 2
    assert first["param.epochs"] == 5
    assert table.loc[1, "cuts"] == "2+3"
    assert table.loc[3, "reason"] == HOSTILE
    assert table.loc[4, "reason"] == "interrupted"


def test_the_file_is_the_table(tmp_path: Path) -> None:
    table = leaderboard(trials(), "accuracy")
    path = tmp_path / "leaderboard.csv"
    path.write_text("an older one")
    write_leaderboard(table, path)
    read = pd.read_csv(path, keep_default_na=False, dtype=str)
    assert list(read.columns) == list(table.columns)
    assert read["reason"].tolist() == table["reason"].tolist()
    assert [float(v) for v in read["accuracy"][:3]] == [0.9, 0.8, 0.7]
    assert [file.name for file in tmp_path.iterdir()] == ["leaderboard.csv"]


@pytest.mark.parametrize("greater", [True, False])
def test_equals_stand_in_the_order_of_their_trials(greater: bool) -> None:
    task = bare_task(np.arange(20) % 2)
    study = Study(open_storage(None), space(), 0, greater_is_better=greater)
    study.add_sweep([outcome(task, 0.5, value=0.7) for _ in range(4)])
    assert leaderboard(study.trials, "x", greater_is_better=greater)["number"].tolist() == [0, 1, 2, 3]
