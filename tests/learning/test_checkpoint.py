"""A run that is broken off goes on from its checkpoint, and comes to what it would have come to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from in_processes import together
from safetensors.torch import load_file, safe_open, save_file
from trainable import STRONG, coloured, make_cache, tiny_network, zero_head

from automl_tl.learning import checkpoint as module
from automl_tl.learning.callbacks import Callback
from automl_tl.learning.checkpoint import Checkpoint
from automl_tl.learning.finetune import Targets, Trained, finetune
from automl_tl.learning.recipe import Recipe
from automl_tl.learning.tunable import Tunable, copy_network
from automl_tl.monitor import Epoch

N = 24
PLAIN = torch.contiguous_format
RECIPE = Recipe(unfrozen=2, epochs=4, head_lr=1e-2, lr_ratio=2.0, policy=STRONG, mixup=0.3, head_epochs=1)


class BrokenError(Exception):
    """What ends a run."""


class Breaking(Callback):
    """Ends a run after some epoch; keeps what is told before."""

    def __init__(self, after: int) -> None:
        self.after, self.heard = after, list[int]()

    def on_epoch_end(self, epoch: Epoch) -> Epoch:
        self.heard.append(epoch.number)
        if epoch.number == self.after:
            raise BrokenError
        return epoch


def run(
    folder: Path, *callbacks: Callback, recipe: Recipe = RECIPE, hidden: int = 8, layout: torch.memory_format = PLAIN
) -> tuple[Trained, np.ndarray]:
    """Train a small network in which everything random takes part; return how it went, and every parameter."""
    pixels, y = coloured(N)
    origin = tiny_network()
    origin.module.to(memory_format=layout)
    cache = make_cache(origin, pixels, 1, folder, policy=recipe.policy)
    tunable = Tunable(copy_network(origin), zero_head(origin.channels[-1], hidden=hidden), cache)
    trained = finetune(tunable, Targets(y), np.arange(N), recipe, batch_size=8, callbacks=callbacks)
    state = [*tunable.network.module.state_dict().values(), *tunable.head.state_dict().values()]
    return trained, torch.cat([value.flatten().float() for value in state]).numpy()


def broken_after(n: int, folder: Path, recipe: Recipe = RECIPE, layout: torch.memory_format = PLAIN) -> Path:
    """Return the checkpoint of a run that was broken off after `n` epochs."""
    file = folder / "state.safetensors"
    with pytest.raises(BrokenError):
        run(folder, Checkpoint(file), Breaking(n), recipe=recipe, layout=layout)
    return file


@pytest.mark.parametrize(
    "change",
    [{}, {"batchnorm": "adapting"}, {"head_lr": 100.0, "lr_ratio": 1e5}, {"lr_ratio": 1e-4}],
    ids=["plain", "adapting", "diverging", "diverging later"],
)
@pytest.mark.parametrize("n", [1, 3, 5])
def test_a_run_that_goes_on_comes_to_the_same_to_the_bit(tmp_path: Path, n: int, change: dict[str, Any]) -> None:
    recipe = replace(RECIPE, **change)
    whole, expected = run(tmp_path, recipe=recipe)
    file, listening = broken_after(n, tmp_path, recipe), Breaking(0)
    trained, parameters = run(tmp_path, Checkpoint(file), listening, recipe=recipe)
    np.testing.assert_array_equal(parameters, expected)
    assert trained.losses == whole.losses
    assert [epoch.number for epoch in trained.history] == listening.heard == [1, 2, 3, 4, 5]
    seconds = [epoch.seconds for epoch in trained.history]
    assert seconds == sorted(seconds)


@pytest.mark.parametrize("n", [1, 3])
def test_averages_lie_in_memory_as_their_kernels_do(tmp_path: Path, n: int) -> None:
    """On a GPU kernels are channels last, and a fused step refuses averages that are not, or mixes them up."""
    last = torch.channels_last
    _, expected = run(tmp_path, layout=last)
    file = broken_after(n, tmp_path, layout=last)
    _, parameters = run(tmp_path, Checkpoint(file), layout=last)
    np.testing.assert_array_equal(parameters, expected)


def test_what_is_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "state.safetensors"
    whole, expected = run(tmp_path, Checkpoint(file))
    monkeypatch.setattr("automl_tl.learning.finetune._Run.epoch", lambda *_: pytest.fail("trained again"))
    trained, parameters = run(tmp_path, Checkpoint(file))
    np.testing.assert_array_equal(parameters, expected)
    assert trained == whole


def rewrite(file: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Change the facts and tensors of a checkpoint."""
    with safe_open(file, "pt") as opened:
        facts = json.loads(opened.metadata()["facts"])
    tensors = load_file(file)
    change(facts, tensors)
    save_file(tensors, file, {"facts": json.dumps(facts)})


def first(tensors: dict[str, Any], kind: str) -> str:
    return next(name for name in sorted(tensors) if name.startswith(kind) and not name.endswith("step"))


DAMAGED: dict[str, Callable[[dict[str, Any], dict[str, Any]], Any]] = {
    "no facts": lambda facts, tensors: facts.clear(),
    "steps that are none": lambda facts, tensors: facts.update(done=10**6),
    "epochs that are none": lambda facts, tensors: facts.update(history=[{"number": 1}]),
    "more epochs than steps": lambda facts, tensors: facts.update(history=50 * facts["history"]),
    "retreats that are none": lambda facts, tensors: facts["retreats"].update(times=9),
    "a loss that is a text": lambda facts, tensors: facts["history"][0].update(loss="low"),
    "a tensor that is missing": lambda facts, tensors: tensors.pop(first(tensors, "learned.")),
    "a tensor too many": lambda facts, tensors: tensors.update({"learned.x": torch.zeros(1)}),
    "another shape": lambda facts, tensors: tensors.update({first(tensors, "learned."): torch.zeros(3, 3)}),
    "another type": lambda facts, tensors: tensors.update({(n := first(tensors, "learned.")): tensors[n].double()}),
    "moments of another shape": lambda facts, tensors: tensors.update({first(tensors, "moments."): torch.zeros(2)}),
    "moments of no parameter": lambda facts, tensors: tensors.update({"moments.999.step": torch.zeros(())}),
    "moments without a name": lambda facts, tensors: tensors.update({"moments.x": torch.zeros(())}),
    "no random state": lambda facts, tensors: tensors.pop("random.cpu"),
    "random states that are none": lambda facts, tensors: tensors.update(
        {"random.cpu": torch.full_like(tensors["random.cpu"], 255)}
    ),
}


@pytest.mark.parametrize("damage", [*DAMAGED, "cut off", "empty", "a folder"])
def test_a_damaged_checkpoint_counts_as_none(tmp_path: Path, damage: str) -> None:
    file = broken_after(2, tmp_path)
    if damage in DAMAGED:
        rewrite(file, DAMAGED[damage])
    elif damage == "a folder":
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(file.read_bytes()[:1000] if damage == "cut off" else b"")
    _, expected = run(tmp_path)
    trained, parameters = run(tmp_path, Checkpoint(file))
    np.testing.assert_array_equal(parameters, expected)
    assert trained.epochs == 5


def test_one_that_is_larger_than_it_could_be_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = broken_after(2, tmp_path)
    os.truncate(file, 10**8)  # it takes no room on the disk
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("it was read"))
    assert run(tmp_path, Checkpoint(file))[0].epochs == 5
    (said,) = caplog.messages
    assert said.startswith("state.safetensors is damaged, or of another training run, which begins anew: ")
    assert "has 100,000,000 bytes, more than" in said


def test_one_of_another_network_counts_as_none(tmp_path: Path) -> None:
    file = broken_after(2, tmp_path)
    _, expected = run(tmp_path, hidden=0)
    np.testing.assert_array_equal(run(tmp_path, Checkpoint(file), hidden=0)[1], expected)


def test_it_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full half way leaves the state of before, and training goes on."""
    file = broken_after(2, tmp_path)
    before = file.read_bytes()

    def full(new: Path, tensors: Any, facts: Any) -> None:
        new.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_tensors", full)
    trained, _ = run(tmp_path, Checkpoint(file))
    assert trained.epochs == 5
    assert file.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == [file.name]


def go_on(folder: Path, recipe: Recipe) -> tuple[tuple[float, ...], np.ndarray]:
    """Begin, break off after two epochs, and go on."""
    file = folder / "state.safetensors"
    with suppress(BrokenError):
        run(folder, Checkpoint(file), Breaking(2), recipe=recipe)
    trained, parameters = run(folder, Checkpoint(file), recipe=recipe)
    return trained.losses, parameters


def test_processes_go_on_together_and_one_goes_on_from_what_they_left(tmp_path: Path) -> None:
    recipe = replace(RECIPE, mixup=0.0)
    (folder := tmp_path / "run").mkdir()
    first, second = together(go_on, folder, recipe, store=tmp_path / "store")
    np.testing.assert_array_equal(first[1], second[1])
    assert first[0] == second[0]
    assert len(load_file(folder / "state.safetensors")["random.cpu"]) == 2
    trained, _ = run(folder, Checkpoint(folder / "state.safetensors"), recipe=recipe)
    assert trained.losses == first[0]
