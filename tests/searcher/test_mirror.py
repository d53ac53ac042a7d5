"""A study copied into a database: each trial once, whatever becomes of the database meanwhile."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from tasks import RIDGE, TUNED, bare_task, outcome, retuned, space

from automl_tl.errors import OptionError
from automl_tl.options import SearchOptions
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.trials import mirror as module
from automl_tl.searcher.trials.journal import open_storage
from automl_tl.searcher.trials.mirror import NUMBER, PASSWORD, Mirror
from automl_tl.searcher.trials.study import Study

TASK = bare_task(np.arange(40) % 2)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EVERY", 0.05)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Return a study with a sweep."""
    study = Study(open_storage(tmp_path / "study.journal"), space(), 0)
    study.add_sweep([outcome(TASK, 0.7, configuration=RIDGE)])
    return study


def try_one(study: Study) -> None:
    trial, configuration = study.ask()
    study.should_prune(trial, 1, 0.6)
    study.complete(trial, outcome(TASK, 0.8, configuration=configuration))


def mirrored(url: str, name: str = "run") -> Mirror:
    return Mirror(url, name, greater_is_better=True)


def copies(url: str, name: str = "run") -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(storage=url, study_name=name).trials


def same(url: str, study: Study) -> bool:
    """Return whether every ended trial is there, once, as it is."""

    def facts(trial: optuna.trial.FrozenTrial, number: int) -> Any:
        attributes = {k: v for k, v in trial.user_attrs.items() if k != NUMBER}
        return number, trial.state, trial.value, trial.params, trial.intermediate_values, attributes

    here = [facts(t, t.number) for t in study.trials if t.state.is_finished()]
    return sorted(here, key=str) == sorted((facts(t, t.user_attrs[NUMBER]) for t in copies(url)), key=str)


def test_trials_are_seen_there_while_the_search_goes_on(study: Study, tmp_path: Path) -> None:
    url, said = f"sqlite:///{tmp_path}/watched.db", list[str]()
    with mirrored(url).following(study, said.append):
        until = time.monotonic() + 60
        while not same(url, study):
            assert time.monotonic() < until
            time.sleep(0.05)
        study.enqueue(retuned(TUNED, epochs=7))
        try_one(study)
        trial, _ = study.ask()  # one that runs is not there yet
    assert same(url, study)
    study.abandon(trial, "interrupted")
    with mirrored(url).following(study, said.append):  # resumed
        try_one(study)
    assert same(url, study)
    assert len(copies(url)) == 4
    assert said == []


def test_a_database_that_goes_away_has_everything_in_the_end(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, said = f"sqlite:///{tmp_path}/watched.db", list[str]()
    real, calls = optuna.Study.add_trial, list[int]()

    def often_away(self: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        calls.append(1)
        if len(calls) % 3 == 1:
            raise ConnectionError("gone")
        real(self, trial)
        if len(calls) % 3 == 2:
            raise ConnectionError("gone before it said that it was done")

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "add_trial", often_away)
        with mirrored(url).following(study, said.append):
            for _ in range(3):
                try_one(study)
    assert same(url, study)
    assert len(calls) > 4
    assert said == []


def test_what_is_missing_in_the_end_is_said_and_copied_by_the_next_session(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, said = f"sqlite:///{tmp_path}/watched.db", list[str]()

    def gone(*_: Any) -> None:
        raise ConnectionError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_LAST", 0.3)
        patch.setattr(optuna.Study, "add_trial", gone)
        with mirrored(url).following(study, said.append):
            try_one(study)
    assert said == [
        "2 trials are not in --storage, which did not answer; they are in the run folder, and --resume copies them"
    ]
    with mirrored(url).following(study, said.append):
        pass
    assert same(url, study)


def test_a_password_is_neither_taken_nor_kept_nor_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="set AUTOML_TL_STORAGE_PASSWORD") as refused:
        SearchOptions(storage="postgresql+psycopg://me:geheim@host/db")
    assert "geheim" not in str(refused.value)
    monkeypatch.setenv(PASSWORD, "geheim")
    folder = RunFolder(tmp_path)
    with pytest.raises(
        OptionError, match=r"^--storage postgresql\+psycopg://me@127.0.0.1:1/db cannot be op"
    ) as refused:
        mirrored("postgresql+psycopg://me@127.0.0.1:1/db", folder.study_name())
    assert "geheim" not in str(refused.value)
    assert folder.study_name() == folder.study_name()
    assert not [file for file in tmp_path.rglob("*") if b"geheim" in file.read_bytes()]


@pytest.mark.parametrize("url", ["watched.db", "", "nonsense://x", "sqlite:////no/such/folder/x.db"])
def test_what_is_no_storage_is_refused(url: str) -> None:
    with pytest.raises(OptionError, match="--storage"):
        mirrored(SearchOptions(storage=url).storage or "")
