"""Every callback in one sweep: it hears of the run, changes nothing that is learned, and ends it if it raises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import fake_trackers
import numpy as np
import pytest
import torch
from torch import Tensor
from trainable import coloured, make_cache, tiny_network, zero_head

from automl_tl.errors import AutomlTlError
from automl_tl.learning.callbacks import (
    Callback,
    Deadline,
    History,
    Memory,
    Progress,
    Pruning,
    Validation,
    part_of,
)
from automl_tl.learning.checkpoint import Checkpoint
from automl_tl.learning.finetune import Targets, Trained, finetune
from automl_tl.learning.recipe import Recipe
from automl_tl.learning.trackers import MLflow, TensorBoard
from automl_tl.learning.tunable import Tunable, copy_network
from automl_tl.monitor import Epoch

EPOCHS = 8
ROWS, HELD_OUT = np.arange(16), np.arange(16, 24)


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_trackers.install(monkeypatch)
    monkeypatch.chdir(tmp_path)  # where callbacks write what they are given no folder for


class StopError(Exception):
    """Raised by what watches."""


def stop(*_: object) -> None:
    raise StopError


def ignore(*_: object) -> None:
    pass


def score(tunable: Tunable) -> float:
    return float(tunable.scores(HELD_OUT)[:, 0].mean())


MADE: dict[type[Callback], Callable[[], Callback]] = {
    Deadline: lambda: Deadline(1e15),
    Memory: lambda: Memory(1 << 50),
    Validation: lambda: Validation(score, parts=4),
    Pruning: lambda: Pruning(ignore, parts=4),
    Progress: lambda: Progress(ignore),
    History: History,
    Checkpoint: lambda: Checkpoint(Path("training/state.safetensors")),
    TensorBoard: lambda: TensorBoard(Path("run")),
    MLflow: lambda: MLflow("experiment", "run"),
}
"""Every callback as it lets a run go on."""
STOPPING: dict[type[Callback], tuple[Callable[[], Sequence[Callback]], type[Exception]]] = {
    Memory: (lambda: [Memory(1000)], AutomlTlError),
    Validation: (lambda: [Validation(stop, parts=4)], StopError),  # type: ignore[arg-type]
    Pruning: (lambda: [Validation(score, parts=4), Pruning(stop, parts=4)], StopError),
    Progress: (lambda: [Progress(stop)], StopError),
}


def run(folder: Path, callbacks: Sequence[Callback]) -> tuple[Trained, list[Tensor]]:
    """Train a tiny network that everything random in it takes part in; return how it went and what was learned."""
    network, (pixels, y) = tiny_network(), coloured(24)
    cache = make_cache(network, pixels, 1, folder)
    tunable = Tunable(copy_network(network), zero_head(network.channels[-1], hidden=8), cache)
    recipe = Recipe(2, EPOCHS, head_lr=1e-2, lr_ratio=2.0, batchnorm="adapting")
    trained = finetune(tunable, Targets(y), ROWS, recipe, batch_size=8, callbacks=callbacks)
    learned = [*tunable.network.module.state_dict().values(), *tunable.head.state_dict().values()]
    return trained, [value.detach().clone() for value in learned]


def test_none_is_left_out() -> None:
    own = {kind for kind in Callback.__subclasses__() if kind.__module__.startswith("automl_tl.")}  # tests have others
    assert set(MADE) == own


@pytest.mark.parametrize("kind", [Callback, *MADE], ids=lambda kind: kind.__name__)
def test_a_callback_changes_nothing_that_is_learned(tmp_path: Path, kind: type[Callback]) -> None:
    plain, expected = run(tmp_path, [])
    trained, learned = run(tmp_path, [MADE.get(kind, kind)()])
    assert trained.losses == plain.losses
    assert all(torch.equal(one, other) for one, other in zip(learned, expected, strict=True))
    assert not trained.shortened


@pytest.mark.parametrize("kind", STOPPING, ids=lambda kind: kind.__name__)
def test_what_a_callback_raises_ends_the_run(tmp_path: Path, kind: type[Callback]) -> None:
    callbacks, error = STOPPING[kind]
    history = History()
    with pytest.raises(error):
        run(tmp_path, [history, *callbacks()])
    assert 1 <= len(history.epochs) <= EPOCHS // 4


def test_every_hook_is_called_in_order(tmp_path: Path) -> None:
    calls: list[str] = []

    class Watching(Callback):
        def on_train_begin(self, tunable: Tunable) -> None:
            calls.append("begin")

        def on_epoch_end(self, epoch: Epoch) -> Epoch:
            calls.append(f"epoch {epoch.number} of {epoch.planned}")
            return epoch

        def on_train_end(self) -> None:
            calls.append("end")

    run(tmp_path, [Watching()])
    assert calls == ["begin", *(f"epoch {number} of {EPOCHS}" for number in range(1, EPOCHS + 1)), "end"]
    calls.clear()
    with pytest.raises(StopError):
        run(tmp_path, [Watching(), Progress(stop)])
    assert calls == ["begin", f"epoch 1 of {EPOCHS}", "end"]


def test_a_history_has_loss_rate_and_score_of_every_epoch(tmp_path: Path) -> None:
    history = History()
    trained, _ = run(tmp_path, [Validation(score, parts=4), history])
    assert tuple(history.epochs) == trained.history
    assert [epoch.loss for epoch in trained.history] == list(trained.losses)
    assert [epoch.number for epoch in trained.history if epoch.score is not None] == [2, 4, 6]
    rates = [epoch.rate for epoch in trained.history]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] > 0
    assert trained.history[-1].progress == 1.0
    assert trained.history[-1].left == 0.0


def test_a_later_callback_hears_what_an_earlier_one_found_out(tmp_path: Path) -> None:
    asked: list[int] = []
    run(tmp_path, [Validation(score, parts=4), Pruning(lambda part, value: asked.append(part), parts=4)])
    assert asked == [1, 2, 3]
    asked.clear()
    run(tmp_path, [Pruning(lambda part, value: asked.append(part), parts=4), Validation(score, parts=4)])
    assert asked == []


def test_the_earliest_of_several_deadlines_counts(tmp_path: Path) -> None:
    trained, _ = run(tmp_path, [Deadline(1000.0), Deadline(0.0)])
    assert (trained.epochs, trained.shortened) == (0, True)


def test_parts_of_a_schedule_are_whole_ones() -> None:
    epoch = Epoch(1, 4, progress=0.0, loss=1.0, rate=1.0, seconds=1.0)
    shares = (0.0, 0.24, 0.25, 0.99, 1.0)
    assert [part_of(replace(epoch, progress=share), 4) for share in shares] == [0, 0, 1, 3, 4]
