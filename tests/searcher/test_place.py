"""Where a candidate is refitted: which refits are kept, which are shared, and that they go on where they were."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from generated_pictures import MakePictures
from tasks import TUNED, install, retuned, tiny_task
from tiny_backbone import TinyBackbone

import automl_tl
from automl_tl.learning.checkpoint import Checkpoint
from automl_tl.learning.trainer import Start
from automl_tl.monitor import Epoch
from automl_tl.searcher.delivery import place as module
from automl_tl.searcher.delivery.place import LONG, Place
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.allowance import Allowance
from automl_tl.searcher.trials.trained import Learned, identity
from automl_tl.work import ThisProcess

START = Start(0.1)
HOUR = 3600.0
ADAPTING = retuned(TUNED, batchnorm="adapting")


class Several(ThisProcess):
    """Many workers; notes what they are asked to do together, and does it alone."""

    n_workers, per_machine = 100, 3

    def __init__(self) -> None:
        self.shared = list[dict[str, Any]]()
        self.alone = list[dict[str, Any]]()

    def submit(self, work: Callable[..., Any], /, *args: Any, report: Any = None, **options: Any) -> Future[Any]:
        self.alone.append({"work": work.__name__, **options})
        return super().submit(work, *args, report=report, **options)

    def together(
        self, work: Callable[..., Any], /, *args: Any, processes: int, folder: Path, report: Any = None, **options: Any
    ) -> Future[Any]:
        self.shared.append({"processes": processes, "folder": folder, "work": work.__name__, **options})
        return super().together(work, *args, processes=processes, folder=folder, report=report, **options)


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch, make_pictures: MakePictures, tmp_path: Path) -> Task:
    return tiny_task(monkeypatch, make_pictures(per_class=(8, 7, 6)), tmp_path / "scratch")


@pytest.fixture
def executor() -> Several:
    return Several()


def place_for(executor: ThisProcess, folder: Path, seconds: float = LONG) -> tuple[Place, list[str]]:
    """Return a place where a refit is planned to take so long, and what it says."""
    said: list[str] = []
    return Place(executor, lambda configuration, n: seconds, folder / "refits", said.append), said


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "refits").glob("*"))


def same(one: Learned, other: Learned) -> bool:
    return all(torch.equal(value, other.state[name]) for name, value in one.state.items())


def test_a_long_refit_is_shared_and_kept(task: Task, executor: Several, tmp_path: Path) -> None:
    place, said = place_for(executor, tmp_path)
    learned = place.learned(task, TUNED, START)
    (shared,) = executor.shared
    assert shared == {
        "processes": 4, "folder": tmp_path / "refits", "work": "learn", "allowance": Allowance(at_once=3),
        "checkpoints": tmp_path / "refits",
    }  # fmt: skip
    assert said == ["The refit is shared by 4 processes."]
    assert [file.stem for file in kept(tmp_path)] == [identity(task, TUNED, START)]
    assert same(learned, Place(ThisProcess()).learned(task, TUNED, START))


def test_a_short_one_and_one_that_goes_on_from_a_trial_are_neither(
    task: Task, executor: Several, tmp_path: Path
) -> None:
    place_for(executor, tmp_path, LONG - 1)[0].learned(task, TUNED, START)
    going_on = replace(START, state=Place(executor).learned(task, TUNED, START).state)
    place_for(executor, tmp_path)[0].learned(task, TUNED, going_on, allowance=Allowance(epochs=2))
    assert executor.shared == []
    assert kept(tmp_path) == []


def test_one_worker_keeps_it_and_shares_nothing(task: Task, tmp_path: Path) -> None:
    place, said = place_for(ThisProcess(), tmp_path)
    place.learned(task, TUNED, START)
    assert (len(kept(tmp_path)), said) == (1, [])


def test_batchnorms_that_adapt_stay_in_one_process_which_is_said(
    task: Task, executor: Several, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "has_batchnorm", lambda network: True)
    place, said = place_for(executor, tmp_path)
    place.learned(task, ADAPTING, START)
    assert executor.shared == []
    assert len(kept(tmp_path)) == 1
    assert said == ["The refit is done by one process: its BatchNorms learn the statistics of whole batches."]


class Elsewhere(Several):
    """Whoever shares the work begins on a machine whose time of day is another one."""

    def __init__(self, jump: float, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.jump, self.patch = jump, monkeypatch

    def together(self, *args: Any, **options: Any) -> Future[Any]:
        now = time.time
        self.patch.setattr(time, "time", lambda: now() + self.jump)
        return super().together(*args, **options)


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
@pytest.mark.parametrize(("seconds", "epochs"), [(1000.0, TUNED.tuned.all_epochs), (0.0, 0)])
def test_a_clock_that_is_set_neither_ends_a_shared_refit_nor_prolongs_it(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float, seconds: float, epochs: int
) -> None:
    place = place_for(Elsewhere(jump, monkeypatch), tmp_path)[0]
    learned = place.learned(task, TUNED, START, allowance=Allowance(seconds))
    assert len(learned.trained.losses) == epochs


@pytest.mark.parametrize("processes", [1, 4])
def test_whoever_begins_a_long_refit_again_has_what_is_left(
    task: Task, executor: Several, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    monkeypatch.setattr(Place, "_processes", lambda self, task, configuration: processes)
    place_for(executor, tmp_path)[0].learned(task, TUNED, START, allowance=Allowance(1000.0))
    (begun,) = executor.alone if processes == 1 else executor.shared
    left, now = begun["allowance"].countdown, time.monotonic
    assert left is not None
    assert 0 < left() < 1000
    monkeypatch.setattr(time, "monotonic", lambda: now() + 990)
    assert left() < 10


def test_its_name_changes_with_whatever_changes_the_result(task: Task) -> None:
    state = {"head.linear.bias": torch.zeros(3)}
    names = [
        identity(task, TUNED, START),
        identity(replace(task, seed=1), TUNED, START),
        identity(replace(task, fit="pad"), TUNED, START),
        identity(replace(task, sample=replace(task.sample, y=task.y[::-1].copy())), TUNED, START),
        identity(task, retuned(TUNED, epochs=6), START),
        identity(task, TUNED, Start(0.2)),
        identity(task, TUNED, Start(0.1, state)),
        identity(task, TUNED, Start(0.1, {"head.linear.bias": torch.ones(3)})),
    ]
    assert len(set(names)) == len(names)
    assert names[0] == identity(task, TUNED, START)


class Interrupting(Checkpoint):
    """Writes as ever, and ends the command after so many epochs."""

    after = 2

    def on_epoch_end(self, epoch: Epoch) -> Epoch:
        super().on_epoch_end(epoch)
        if epoch.number == self.after:
            raise KeyboardInterrupt
        return epoch


COMMANDS: dict[str, tuple[Callable[..., Any], dict[str, Any], dict[str, Any]]] = {
    "train": (automl_tl.train, {"strategy": "fine_tuning"}, {}),
    "search": (automl_tl.search, {"strategies": ["fine_tuning"], "trials": 1}, {"resume": True}),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_was_interrupted_goes_on_with_its_refit(
    make_pictures: MakePictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    install(monkeypatch, tiny=TinyBackbone())
    monkeypatch.setattr("automl_tl.lab.recommended.epochs_for", lambda n: 5)
    monkeypatch.setattr(module, "LONG", 0.0)
    pictures = make_pictures(tmp_path / "data", per_class=12)
    command, options, again = COMMANDS[name]

    def run(out: str, **more: Any) -> np.ndarray:
        command(pictures, out=tmp_path / out, device="cpu", backbones=["tiny"], **options, **more)
        assert kept(tmp_path / out) == []
        return np.asarray(automl_tl.load(tmp_path / out / "bundle").probabilities(sorted(pictures.rglob("*.png"))))

    expected = run("undisturbed")
    with monkeypatch.context() as patch:
        patch.setattr("automl_tl.searcher.trials.trained.Checkpoint", Interrupting)
        with pytest.raises(KeyboardInterrupt):
            run("run")
    assert len(kept(tmp_path / "run")) == 1
    begun: list[int] = []
    real = Checkpoint.on_state

    def on_state(self: Checkpoint, state: Any) -> None:
        real(self, state)
        begun.append(self.kept)

    monkeypatch.setattr(Checkpoint, "on_state", on_state)
    np.testing.assert_allclose(run("run", **again), expected, rtol=1e-5, atol=1e-6)
    assert begun[0] == 2


def test_a_process_that_hangs_is_ended_when_it_is_overdue(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hanging(Several):
        def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
            return never

        def cancel(self) -> None:
            never.cancel()

    never: Future[Any] = Future()
    monkeypatch.setattr(module, "OVERDUE", 0.1)
    place, _ = place_for(Hanging(), tmp_path, seconds=1.0)
    with pytest.raises(CancelledError):
        place.learned(task, TUNED, START, allowance=Allowance(0.1))
