"""What is trained in `train` and `search` is tracked, and a package that is missing is said before the work."""

from __future__ import annotations

from pathlib import Path

import fake_trackers
import pytest
from click.testing import CliRunner
from generated_pictures import MakePictures
from tasks import install
from tiny_backbone import TinyBackbone

import automl_tl
from automl_tl.cli import main


@pytest.fixture
def data(make_pictures: MakePictures, monkeypatch: pytest.MonkeyPatch) -> Path:
    install(monkeypatch, tiny=TinyBackbone())
    monkeypatch.setattr("automl_tl.lab.recommended.epochs_for", lambda n: 5)
    return make_pictures(per_class=8)


def test_both_runs_of_a_training_are_tracked(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = fake_trackers.install(monkeypatch)
    arguments = ["train", str(data), "--out", str(tmp_path / "run"), "--strategy", "fine_tuning", "--device", "cpu"]
    result = CliRunner().invoke(main, [*arguments, "--tensorboard", str(tmp_path / "board"), "--mlflow", "known"])
    assert result.exit_code == 0, result.output
    first, second = "001 Training without the validation part", "002 Training on every training picture"
    board = [str(tmp_path / "board" / name.replace(" ", "_")) for name in (first, second)]
    assert set(told.ended) == set(told.values) == {*board, f"7/{first}", f"7/{second}"}
    assert [step for name, _, step in told.values[board[1]] if name == "loss"] == [1, 2, 3, 4, 5]
    assert any(name == "score" for name, _, _ in told.values[board[0]])


def test_trials_are_tracked_by_what_they_try(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = fake_trackers.install(monkeypatch)
    automl_tl.search(data, out=tmp_path / "run", device="cpu", trials=1, mlflow="known")
    assert any(run.startswith("7/001 Trial 1: ") for run in told.values)
    assert set(told.ended) == set(told.values)


def test_a_missing_package_is_said_before_the_work(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_trackers.uninstall(monkeypatch)
    for command in ("train", "search"):
        result = CliRunner().invoke(main, [command, str(data), "--out", str(tmp_path / "run"), "--mlflow", "x"])
        assert result.exit_code == 2
        assert result.stderr == "Error: --mlflow needs a package that is missing: pip install 'automl-tl[mlflow]'\n"
    assert not (tmp_path / "run").exists()
