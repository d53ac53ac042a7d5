"""Batches and gradients shared among processes come to what one process comes to."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from in_processes import in_group, together
from trainable import STRONG, coloured, make_cache, tiny_network, zero_head

from automl_tl.learning.callbacks import Callback
from automl_tl.learning.finetune import Targets, finetune
from automl_tl.learning.recipe import Recipe
from automl_tl.learning.sharing import Alone, find_sharing
from automl_tl.learning.tunable import Tunable, copy_network
from automl_tl.monitor import Epoch

N = 25  # batches of 8, 8 and 9
RECIPE = Recipe(unfrozen=2, epochs=3, head_lr=1e-2, lr_ratio=2.0, label_smoothing=0.1, policy=STRONG)


@dataclass(frozen=True)
class Case:
    """A training run, and what its processes have that others do not."""

    recipe: Recipe = RECIPE
    weights: tuple[float, float] | None = None
    batch_size: int = 8
    reads: int | None = None
    n: int = N
    options: dict[str, Any] = field(default_factory=dict)
    spoiled: bool = False
    """Whether every process but the first begins with another head."""


CASES = {
    "plain": Case(),
    "weighed": Case(weights=(1.8, 0.2)),
    "phases": Case(replace(RECIPE, head_epochs=2, epochs=2, weight_decay=0.1)),
    "added layers": Case(options={"hidden": 8, "channels": 16}, recipe=replace(RECIPE, epochs=2)),
    "less than processes": Case(n=3, batch_size=2),
    "single": Case(n=1),
    "mixed": Case(replace(RECIPE, mixup=0.3, cutmix=0.3)),
    "another start": Case(spoiled=True),
    "no time": Case(reads=0),
    "little time": Case(replace(RECIPE, epochs=3000), reads=200),
}


@dataclass(frozen=True)
class Result:
    """What a process has when it is done."""

    parameters: np.ndarray
    losses: tuple[float, ...]
    rate: float
    shortened: bool
    read: int
    """Pictures of all steps."""


class CountingClock(Callback):
    """A clock that goes on whenever it is read, so often."""

    def __init__(self, reads: int) -> None:
        self.reads, self.read = reads, 0

    def spent(self) -> float:
        self.read += 1
        return self.read / self.reads if self.reads else 1.0


class SlowClock(Callback):
    """A clock that is behind: in the second process, whose clock must not count."""

    def spent(self) -> float:
        return 0.0


def train(cases: dict[str, Case], folder: Path) -> dict[str, Result]:
    """Run all of them in this process, one after the other."""
    return {name: run(case, folder) for name, case in cases.items()}


def run(case: Case, folder: Path) -> Result:
    pixels, y = coloured(case.n)
    origin = tiny_network()
    network, head = copy_network(origin), zero_head(origin.channels[-1], **case.options)
    rank = find_sharing("cpu").rank
    if case.spoiled and rank:
        torch.nn.init.ones_(head.linear.weight)
    cache = make_cache(origin, pixels, origin.n_stages - case.recipe.unfrozen, folder, policy=case.recipe.policy)
    read, real = [0], cache.batch

    def batch(variant: int, rows: np.ndarray) -> Any:
        read[0] += len(rows)
        return real(variant, rows)

    cache.batch = batch  # type: ignore[method-assign]
    weights = None if case.weights is None else np.array(case.weights)
    clocks = [] if case.reads is None else [SlowClock() if rank else CountingClock(case.reads)]
    if case.options:  # dropout draws other numbers in every process
        head.fully_connected[2].p = 0.0  # type: ignore[index, union-attr]
    trained = finetune(
        Tunable(network, head, cache), Targets(y, weights), np.arange(case.n), case.recipe,
        batch_size=case.batch_size, callbacks=clocks,
    )  # fmt: skip
    state = [*network.module.state_dict().values(), *head.state_dict().values()]
    last = trained.history[-1].rate if trained.history else 0.0
    parameters = torch.cat([value.flatten().float() for value in state]).numpy()
    return Result(parameters, trained.losses, last, trained.shortened, read[0])


def lose_one(folder: Path) -> None:
    """Let the second process die after an epoch; write down how the first one hears of it."""

    class Dying(Callback):
        def on_epoch_end(self, epoch: Epoch) -> Epoch:
            if find_sharing("cpu").rank:
                os._exit(1)
            return epoch

    pixels, y = coloured(N)
    origin = tiny_network()
    tunable = Tunable(copy_network(origin), zero_head(16), make_cache(origin, pixels, 1, folder))
    try:
        finetune(tunable, Targets(y), np.arange(N), RECIPE, batch_size=8, callbacks=[Dying()])
    except ConnectionError as error:
        (folder / "heard").write_text(str(error))


@pytest.fixture(scope="module")
def in_two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Result]]:
    """Return what each of two processes comes to; they do everything in one go, as starting them takes seconds."""
    folder = tmp_path_factory.mktemp("two")
    return together(train, CASES, folder, store=folder / "store")


@pytest.fixture(scope="module")
def found(in_two: list[dict[str, Result]], tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Result]]:
    """Return what one process comes to, and each of two."""
    torch.set_num_threads(1)
    return [train(CASES, tmp_path_factory.mktemp("one")), *in_two]


EXACT = [name for name in CASES if name not in ("mixed", "little time")]


@pytest.mark.parametrize("name", EXACT)
def test_two_processes_come_to_what_one_comes_to(found: list[dict[str, Result]], name: str) -> None:
    alone, *shared = (one[name] for one in found)
    for other in shared:
        np.testing.assert_allclose(other.parameters, alone.parameters, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(other.losses, alone.losses, rtol=1e-4)
        assert other.rate == alone.rate
        assert other.shortened == alone.shortened
    assert (name == "no time") is (not alone.losses)


@pytest.mark.parametrize("name", CASES)
def test_all_processes_hold_the_same_and_share_out_the_work(found: list[dict[str, Result]], name: str) -> None:
    alone, first, second = (one[name] for one in found)
    np.testing.assert_array_equal(first.parameters, second.parameters)
    assert first.losses == second.losses
    if name != "little time":
        assert first.read + second.read == alone.read
        assert name == "single" or abs(first.read - second.read) <= len(alone.losses) * 3  # one picture of a batch


def test_the_first_process_s_clock_ends_the_schedule_of_all(found: list[dict[str, Result]]) -> None:
    first, second = (one["little time"] for one in found[1:])
    assert first.shortened
    assert second.shortened
    assert len(first.losses) == len(second.losses) > 1
    assert first.rate == second.rate < 0.05 * RECIPE.head_lr


def test_a_process_that_dies_is_heard_of_at_once(tmp_path: Path) -> None:
    ways = [(rank, 2, tmp_path / "store", lose_one, (tmp_path,)) for rank in range(2)]
    processes = [get_context("spawn").Process(target=in_group, args=way) for way in ways]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)  # less than the group's patience
    first, second = (process.exitcode for process in processes)
    assert second == 1
    assert first is not None  # rarely not 0: torch's own threads may abort an interpreter that ends (pytorch#179291)
    assert "was lost" in (tmp_path / "heard").read_text()


def test_without_a_group_a_process_is_alone() -> None:
    assert isinstance(find_sharing("cpu"), Alone)
    assert torch.equal(Alone().gather(torch.arange(3)), torch.arange(3)[None])
