"""TensorBoard and MLflow hear of every epoch, each training run under a name of its own, and never end one."""

from __future__ import annotations

from pathlib import Path

import fake_trackers
import pytest
from fake_trackers import Told

from automl_tl.errors import OptionError
from automl_tl.learning.trackers import MLflow, TensorBoard
from automl_tl.learning.tracking import tracked, trackers_asked_for
from automl_tl.monitor import Epoch, Silent, Status
from automl_tl.options import TrackingOptions

FIRST = Epoch(1, 2, progress=0.5, loss=0.9, rate=1e-3, seconds=1.0)
SECOND = Epoch(2, 2, progress=1.0, loss=0.5, rate=1e-4, seconds=2.0, score=0.75)
VALUES = [("loss", 0.9, 1), ("rate", 1e-3, 1), ("loss", 0.5, 2), ("rate", 1e-4, 2), ("score", 0.75, 2)]


class Noting(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.epochs: list[Epoch] = []

    def say(self, line: str) -> None:
        self.said.append(line)

    def learned(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    return fake_trackers.install(monkeypatch)


def test_each_gets_every_value_of_every_epoch(told: Told, tmp_path: Path) -> None:
    for tracker in (TensorBoard(tmp_path / "run"), MLflow("mine", "a run"), MLflow("known", "a run")):
        assert tracker.on_epoch_end(FIRST) is FIRST
        tracker.on_epoch_end(SECOND)
        tracker.on_train_end()
    runs = [str(tmp_path / "run"), "new mine/a run", "7/a run"]
    assert told.values == dict.fromkeys(runs, VALUES)
    assert told.ended == runs


def test_runs_are_called_by_what_is_trained(told: Told, tmp_path: Path) -> None:
    options, monitor = TrackingOptions(tensorboard=tmp_path / "board", mlflow="known"), Noting()
    with tracked(monitor, trackers_asked_for(options)) as watching:
        with watching.activity("Training on / everything"):
            watching.learned(FIRST)
            watching.learned(SECOND)
        watching.show(Status(None, 4, 9, running="fine_tuning: tiny"))
        watching.learned(FIRST)
    board = [str(tmp_path / "board" / name) for name in ("001_Training_on_everything", "002_Trial_5_fine_tuning_tiny")]
    mlflow = ["7/001 Training on / everything", "7/002 Trial 5: fine_tuning: tiny"]
    assert set(told.values) == {*board, *mlflow}
    assert told.values[board[0]] == told.values[mlflow[0]] == VALUES
    assert told.values[board[1]] == VALUES[:2]
    assert set(told.ended) == set(told.values)
    assert monitor.epochs == [FIRST, SECOND, FIRST]


def test_without_trackers_the_monitor_stays_the_same() -> None:
    monitor = Noting()
    with tracked(monitor, trackers_asked_for(TrackingOptions())) as watching:
        assert watching is monitor


def test_one_that_fails_is_said_once_and_left_out_and_no_other(told: Told, tmp_path: Path) -> None:
    def fail(name: str) -> MLflow:
        raise ConnectionError("no server")

    monitor = Noting()
    begin = {"MLflow": fail, **trackers_asked_for(TrackingOptions(tensorboard=tmp_path))}
    with tracked(monitor, begin) as watching:
        for _ in range(2):
            watching.learned(FIRST)
            watching.learned(SECOND)
    assert monitor.said == ["No further epoch goes to MLflow, since that failed: ConnectionError: no server"]
    assert len(monitor.epochs) == 4
    assert list(told.values.values()) == [VALUES, VALUES]
    assert told.ended == list(told.values)


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    fake_trackers.uninstall(monkeypatch)
    with pytest.raises(OptionError, match=rf"--{name} needs a package .* pip install 'automl-tl\[{name}\]'"):
        trackers_asked_for(TrackingOptions(**{name: "x"}))
    assert trackers_asked_for(TrackingOptions()) == {}


def test_tensorboard_itself_writes_event_files(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed: pip install 'automl-tl[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracker = TensorBoard(tmp_path)
    tracker.on_epoch_end(FIRST)
    tracker.on_epoch_end(SECOND)
    tracker.on_train_end()
    found = EventAccumulator(str(tmp_path)).Reload()
    assert [(one.step, one.value) for one in found.Scalars("loss")] == [
        (1, pytest.approx(0.9)),
        (2, pytest.approx(0.5)),
    ]
    assert [one.step for one in found.Scalars("score")] == [2]


def test_mlflow_itself_keeps_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'automl-tl[mlflow]'")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "runs").as_uri())
    tracker = MLflow("mine", "a run")
    tracker.on_epoch_end(FIRST)
    tracker.on_epoch_end(SECOND)
    tracker.on_train_end()
    run = mlflow.MlflowClient().get_run(tracker.run)
    assert (run.info.run_name, run.info.status) == ("a run", "FINISHED")
    assert run.data.metrics == pytest.approx({"loss": 0.5, "rate": 1e-4, "score": 0.75})
