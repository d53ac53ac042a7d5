"""The study of a run is what Optuna's own tools read, optuna-dashboard among them."""

from __future__ import annotations

from pathlib import Path

import optuna
import pandas as pd
import pytest
from generated_pictures import MakePictures
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from tasks import install
from tiny_backbone import TinyBackbone

import automl_tl

DOCS = Path(__file__).parents[2] / "docs" / "watching.md"


@pytest.fixture
def run(make_pictures: MakePictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    install(monkeypatch, tiny=TinyBackbone())
    monkeypatch.setattr("automl_tl.lab.recommended.epochs_for", lambda n: 5)
    automl_tl.search(make_pictures(per_class=8), out=tmp_path / "RUN", device="cpu", trials=2)
    return tmp_path / "RUN"


def test_optuna_opens_the_file_that_the_docs_name(run: Path) -> None:
    assert "optuna-dashboard RUN/study.journal" in DOCS.read_text(encoding="utf-8")
    storage = JournalStorage(JournalFileBackend(str(run / "study.journal")))  # as optuna-dashboard opens a file
    study = optuna.load_study(study_name=None, storage=storage)  # there is one study
    trials = [one for one in study.trials if one.state is not TrialState.WAITING]  # what comes next is there as well
    board = pd.read_csv(run / "leaderboard.csv")
    assert study.direction is optuna.study.StudyDirection.MAXIMIZE
    assert len(trials) == len(board)
    assert all(one.state is TrialState.COMPLETE for one in trials)
    assert {name for one in trials for name in one.params} >= {"training", "backbone", "depth", "classifier"}
    assert {"kind", "configuration"} <= set(trials[0].user_attrs)
    trained = [one for one in trials if one.params["training"] == "fine_tuning"]
    assert trained
    assert all(one.intermediate_values for one in trained)  # the dashboard's learning curves
    assert study.best_value == pytest.approx(board["accuracy"].max(), abs=1e-4)
