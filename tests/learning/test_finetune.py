from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_backbone import TinyBackbone
from torch import Tensor, nn
from trainable import CPU, STRONG, coloured, make_cache, noise, tiny_network, token_network, zero_head

from automl_tl.backbones.contract import FineTuning
from automl_tl.backbones.stages import Network, build_network
from automl_tl.errors import ShortageError
from automl_tl.learning import callbacks as callbacks_module
from automl_tl.learning import finetune as module
from automl_tl.learning import retreat
from automl_tl.learning.activations import PLAIN, ActivationCache, Activations
from automl_tl.learning.callbacks import Callback, Deadline, Progress
from automl_tl.learning.finetune import Targets, Trained, TrainingError, _Run, finetune
from automl_tl.learning.recipe import Recipe
from automl_tl.learning.retreat import DIVERGED, Retreat, Retreats
from automl_tl.learning.schedule import Schedule
from automl_tl.learning.tunable import Tunable, copy_network
from automl_tl.monitor import Epoch

N = 24
RECIPE = Recipe(unfrozen=2, epochs=3, head_lr=1e-2, lr_ratio=2.0)
State = dict[str, Tensor]


class Run:
    """A network that learns to tell two colours apart, what it was before and what it is now."""

    def __init__(self, folder: Path, network: Network | None = None, **options: Any) -> None:
        self.origin = network or tiny_network()
        data: tuple[np.ndarray, np.ndarray] = options.pop("data", None) or coloured(N)
        self.pixels, self.y = data
        self.folder, self.options = folder, options
        self.network = copy_network(self.origin)
        self.head = zero_head(self.origin.channels[-1], **options.pop("layers", {}))

    def cache(self, unfrozen: int, seed: int = 0) -> ActivationCache:
        policy = {"policy": self.options["policy"]} if "policy" in self.options else {}
        return make_cache(self.origin, self.pixels, self.origin.n_stages - unfrozen, self.folder, seed=seed, **policy)

    def train(
        self, recipe: Recipe = RECIPE, *, seed: int = 0, class_weights: np.ndarray | None = None, **more: Any
    ) -> Trained:
        self.used = self.cache(recipe.unfrozen, seed)
        rows = np.arange(len(self.y))
        return finetune(
            self.tunable(self.used), Targets(self.y, class_weights), rows, recipe, **{"batch_size": 8, **more}
        )

    def tunable(self, cache: ActivationCache) -> Tunable:
        return Tunable(self.network, self.head, cache)

    def scores(self) -> np.ndarray:
        return self.tunable(self.used).scores(np.arange(len(self.y)))


def state(stage: nn.Module, *, buffers: bool | None = None) -> State:
    """Return copies of a stage's parameters (False), buffers (True), or both (None)."""
    named = [*(stage.named_parameters() if buffers is not True else ())]
    named += [*(stage.named_buffers() if buffers is not False else ())]  # type: ignore[list-item]
    return {name: value.detach().clone() for name, value in named}


def same(one: State, other: State) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("batchnorm", ["frozen", "adapting"])
@pytest.mark.parametrize("unfrozen", [1, 2, 3])
def test_frozen_stages_stay_as_they_are_to_the_bit_and_the_others_learn(
    tmp_path: Path, unfrozen: int, batchnorm: Any
) -> None:
    run = Run(tmp_path)
    before = [state(stage) for stage in run.network.stages]
    buffers = [state(stage, buffers=True) for stage in run.network.stages]
    run.train(replace(RECIPE, unfrozen=unfrozen, batchnorm=batchnorm))
    for position, stage in enumerate(run.network.stages):
        learns = position >= run.network.n_stages - unfrozen
        assert same(before[position], state(stage)) is not learns
        assert not learns or not same(state(stage, buffers=False), before[position])
        assert same(buffers[position], state(stage, buffers=True)) is not (learns and batchnorm == "adapting")
    assert not run.network.module.training
    assert not run.head.training


class Wrapping(TinyBackbone):
    """Its last stage is a wrapper with a dropout of its own, which only the list of stages holds."""

    def stages(self, module: nn.Module) -> list[nn.Module]:
        *others, last = super().stages(module)
        return [*others, nn.Sequential(last, nn.Dropout(0.5))]


def test_what_only_a_stage_holds_is_in_eval_mode_after_training(tmp_path: Path) -> None:
    run = Run(tmp_path, network=build_network("tiny", Wrapping()))
    run.train()
    assert not any(module.training for stage in run.network.stages for module in stage.modules())


def test_the_copy_learns_and_the_original_does_not(tmp_path: Path) -> None:
    run = Run(tmp_path)
    before = [state(stage) for stage in run.origin.stages]
    run.train()
    assert all(same(old, state(stage)) for old, stage in zip(before, run.origin.stages, strict=True))
    assert run.network.backbone is run.origin.backbone


@pytest.mark.parametrize("layers", [{}, {"hidden": 8}, {"hidden": 8, "channels": 16}])
def test_what_can_be_learned_is_learned(tmp_path: Path, layers: dict[str, int]) -> None:
    run = Run(tmp_path, layers=layers)
    trained = run.train(replace(RECIPE, epochs=8))
    assert trained.losses[0] > 0.3
    assert trained.losses[-1] < 0.5 * trained.losses[0]
    assert (run.scores().argmax(1) == run.y).all()
    assert trained.epochs == len(trained.losses) == 8
    assert not trained.shortened


def test_tokens_are_learned_from_as_well(tmp_path: Path) -> None:
    run = Run(tmp_path, token_network())
    before = [state(stage) for stage in run.network.stages]
    trained = run.train(replace(RECIPE, unfrozen=1, epochs=10))
    assert trained.losses[-1] < 0.8 * trained.losses[0]
    assert same(before[0], state(run.network.stages[0]))
    assert not same(before[1], state(run.network.stages[1]))
    assert run.scores().shape == (N, 2)


def test_the_same_seed_gives_the_same_model_and_another_one_another(tmp_path: Path) -> None:
    recipe = replace(RECIPE, mixup=0.2, cutmix=0.5)
    results = []
    for seed in (0, 0, 1):
        torch.rand(3)  # what was drawn before does not matter
        run = Run(tmp_path, layers={"hidden": 8}, policy=STRONG)
        results.append((run.train(recipe, seed=seed).losses, run.scores()))
    assert results[0][0] == results[1][0]
    np.testing.assert_array_equal(results[0][1], results[1][1])
    assert results[0][0] != results[2][0]


def test_training_draws_nothing_from_the_generator_of_others(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    run = Run(tmp_path, layers={"hidden": 8})
    torch.random.set_rng_state(before)
    run.train()
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("heavy", [0, 1])
def test_a_class_that_weighs_more_is_predicted_more(tmp_path: Path, heavy: int) -> None:
    run = Run(tmp_path, data=(noise(N), np.arange(N) % 2))
    run.train(replace(RECIPE, epochs=4), class_weights=np.where(np.arange(2) == heavy, 1.9, 0.1))
    assert (run.scores().argmax(1) == heavy).mean() > 0.8


def test_a_loss_that_is_no_number_ends_training_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"the loss became nan at a head learning rate of .*e\+1"):
        Run(tmp_path).train(replace(RECIPE, head_lr=1e20))


def test_a_backbone_that_puts_out_nan_ends_training(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.network.stages[2].register_forward_hook(lambda _, __, output: output * torch.nan)
    with pytest.raises(TrainingError, match="the loss became nan"):
        run.train()


def test_a_retreat_is_to_the_start_with_fresh_averages() -> None:
    layer = nn.Linear(3, 2)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    one = Retreat(layer, optimizer, n_classes=2)

    def step() -> dict[str, Tensor]:
        layer(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()
        return {name: value.clone() for name, value in layer.state_dict().items()}

    first = step()
    assert not one.take_if_due(np.log(2) + 0.9, first=0.5)
    assert one.take_if_due(np.log(2) + 1.1, first=9.0)  # the first step of the first epoch counts
    assert one.factor == pytest.approx(1 / 3)
    assert same(layer.state_dict(), before)
    optimizer.zero_grad()
    assert same(step(), first)


def test_a_head_that_is_sure_and_wrong_at_first_has_not_diverged() -> None:
    layer = nn.Linear(3, 2)
    one = Retreat(layer, torch.optim.AdamW(layer.parameters()), n_classes=2)
    assert not one.take_if_due(3.0, first=4.0)
    assert not one.take_if_due(4.9, first=2.0)
    assert one.take_if_due(5.1, first=2.0)


def test_a_retreat_is_taken_three_times_and_a_loss_that_is_none_is_counted() -> None:
    layer = nn.Linear(3, 2)
    one = Retreat(layer, torch.optim.AdamW(layer.parameters()), n_classes=2)
    assert [one.take_if_due(loss, first=0.5) for loss in (math.nan, 9.0, math.nan, 9.0)] == [True, True, True, False]
    assert one.so_far == Retreats(np.log(2) + DIVERGED, times=3, untold=2)
    assert Retreats.from_dict(json.loads(json.dumps(asdict(one.so_far)))) == one.so_far


def test_training_that_diverges_begins_again_at_a_third_of_the_rates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[float] = []
    real = Retreat.take_if_due
    monkeypatch.setattr(Retreat, "take_if_due", lambda self, *args: taken.append(self.factor) or real(self, *args))
    trained = Run(tmp_path).train(replace(RECIPE, epochs=12, head_lr=100.0, lr_ratio=1e5))
    assert taken[:3] == pytest.approx([1.0, 1 / 3, 1 / 9])
    assert trained.epochs == 12


def test_what_begins_again_after_its_added_layers_have_learned_begins_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[State] = []
    real = Retreat.begin_with
    monkeypatch.setattr(Retreat, "begin_with", lambda self, start: real(self, start) or kept.append(self.start))
    run = Run(tmp_path, layers={"hidden": 8})
    run.train(replace(RECIPE, head_epochs=2, epochs=1))
    before, after = kept
    stages = [name for name in before if name.startswith("1.")]
    assert stages
    assert all(torch.equal(before[name], after[name]) for name in stages)
    assert not same(before, after)


class Patient(Callback):
    """Says that no time is spent for some questions, then that a share of it is."""

    def __init__(self, patient: int, share: float) -> None:
        self.patient, self.share, self.heard = patient, share, list[int]()

    def spent(self) -> float:
        self.patient -= 1
        return 0.0 if self.patient >= 0 else self.share

    def on_epoch_end(self, epoch: Epoch) -> Epoch:
        self.heard.append(epoch.number)
        return epoch


def test_an_epoch_without_a_step_is_none(tmp_path: Path) -> None:
    """The time is over between the question whether it is and the first batch."""
    patient = Patient(2, 1.0)
    trained = Run(tmp_path).train(RECIPE, callbacks=[patient])
    assert trained.epochs == len(patient.heard) == 0
    assert trained.shortened


def test_where_the_clock_ends_the_first_phase_within_an_epoch_the_stages_learn_from_there_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone: list[tuple[bool, bool]] = []
    real = _Run._set_rates

    def watched(self: _Run, schedule: Schedule) -> None:
        alone.append((self.head_only, schedule.head_only))
        real(self, schedule)

    monkeypatch.setattr(_Run, "_set_rates", watched)
    kept: list[bool] = []
    monkeypatch.setattr(Retreat, "keep", lambda self: kept.append(True))
    Run(tmp_path, layers={"hidden": 8}).train(replace(RECIPE, head_epochs=2, epochs=2), callbacks=[Patient(7, 0.8)])
    assert {ours for ours, theirs in alone} == {True, False}
    assert all(ours == theirs for ours, theirs in alone)
    assert kept == [True]


def test_training_that_does_not_diverge_never_retreats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Run(tmp_path).train(RECIPE).losses
    monkeypatch.setattr(retreat, "MOST", 0)
    assert Run(tmp_path).train(RECIPE).losses == plain


CPU_SHORTAGE = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes. Error code 12"
SHORTAGES = [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError(CPU_SHORTAGE), MemoryError()]


def refuse_more_than(most: int, monkeypatch: pytest.MonkeyPatch, error: Exception = SHORTAGES[0]) -> list[int]:
    """Let memory suffice for so many pictures at once; return the sizes of the passes that went through."""
    sizes: list[int] = []
    real = Tunable.forward

    def forward(self: Tunable, batch: Activations, **kw: Any) -> Tensor:
        if len(batch.output) > most:
            raise error
        sizes.append(len(batch.output))
        return real(self, batch, **kw)

    monkeypatch.setattr(Tunable, "forward", forward)
    return sizes


def parameters(run: Run) -> Tensor:
    return torch.cat([p.detach().flatten() for p in [*run.network.module.parameters(), *run.head.parameters()]])


@pytest.mark.parametrize("error", SHORTAGES, ids=["cuda", "cpu", "numpy"])
@pytest.mark.parametrize("weights", [None, (1.8, 0.2)])
def test_where_memory_does_not_suffice_smaller_parts_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: tuple[float, float] | None, error: Exception
) -> None:
    pixels, _ = coloured(N)
    y = (np.random.default_rng(0).random(N) < 0.3).astype(np.int64)
    recipe, heavy = replace(RECIPE, label_smoothing=0.1), None if weights is None else np.array(weights)
    whole = Run(tmp_path, data=(pixels, y))
    expected = whole.train(recipe, class_weights=heavy).losses
    sizes = refuse_more_than(4, monkeypatch, error)
    split = Run(tmp_path, data=(pixels, y))
    losses = split.train(recipe, class_weights=heavy).losses
    assert set(sizes) == {4}
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    torch.testing.assert_close(parameters(split), parameters(whole), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("error", SHORTAGES, ids=["cuda", "cpu", "numpy"])
def test_pictures_are_scored_in_smaller_parts_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    run = Run(tmp_path)
    run.train()
    expected = run.scores()
    sizes = refuse_more_than(5, monkeypatch, error)
    np.testing.assert_allclose(run.scores(), expected, rtol=1e-5, atol=1e-6)
    assert max(sizes) <= 5
    refuse_more_than(0, monkeypatch, error)
    with pytest.raises(ShortageError, match="one picture at a time"):
        run.scores()


def test_memory_that_is_short_once_costs_one_step_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    real = Tunable.forward

    def forward(self: Tunable, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise MemoryError
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Tunable, "forward", forward)
    run = Run(tmp_path)
    assert len(run.train().losses) == 3
    assert len(calls) == 1 + 1 + 2 * 8  # a whole batch, the one that failed, then eight batches in two parts


def test_one_picture_that_does_not_fit_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_more_than(0, monkeypatch)
    with pytest.raises(ShortageError, match="one picture at a time does not fit into memory"):
        Run(tmp_path).train()


class Clock:
    """A clock that every pass moves on by `seconds`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.now = 0.0
        real = Tunable.forward

        def forward(tunable: Tunable, *args: Any, **kwargs: Any) -> Any:
            self.now += seconds
            return real(tunable, *args, **kwargs)

        monkeypatch.setattr(Tunable, "forward", forward)
        monkeypatch.setattr(callbacks_module, "time", SimpleNamespace(perf_counter=lambda: self.now))


def watch_rates(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, ...]]:
    """Return a list that gets the learning rates of every step, of the head first and of the stages last."""
    rates: list[tuple[float, ...]] = []
    real = module.make_optimizer

    def optimizer(*args: Any) -> torch.optim.AdamW:
        made = real(*args)
        made.register_step_pre_hook(lambda it, *_: rates.append(tuple(g["lr"] for g in it.param_groups)))
        return made

    monkeypatch.setattr(module, "make_optimizer", optimizer)
    return rates


def test_a_limit_ends_the_schedule_early_with_small_rates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, rates = Clock(monkeypatch, seconds=1.0), watch_rates(monkeypatch)
    trained = Run(tmp_path).train(replace(RECIPE, epochs=20), callbacks=[Deadline(12.0)])
    assert clock.now == 12.0
    assert trained.shortened
    assert len(rates) == 12
    assert rates[-1][0] < 0.1 * RECIPE.head_lr
    assert max(rate[0] for rate in rates) > 0.9 * RECIPE.head_lr
    assert trained.epochs == len(trained.losses) == 4


def test_a_limit_that_is_not_reached_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = Run(tmp_path).train()
    Clock(monkeypatch, seconds=0.01)
    trained = Run(tmp_path).train(callbacks=[Deadline(1000.0)])
    assert trained.losses == free.losses
    assert not trained.shortened


def test_within_a_limit_no_clock_decides(tmp_path: Path) -> None:
    """By a real clock, which stands elsewhere each time."""
    trained = Run(tmp_path).train(callbacks=[Deadline(60.0)])
    assert trained.losses == Run(tmp_path).train().losses


def test_without_a_limit_no_clock_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = Run(tmp_path).train()
    Clock(monkeypatch, seconds=1e9)
    trained = Run(tmp_path).train()
    assert trained.losses == free.losses
    assert not trained.shortened


def test_no_time_at_all_leaves_everything_as_it_was(tmp_path: Path) -> None:
    run = Run(tmp_path)
    before = state(run.network.module)
    trained = run.train(callbacks=[Deadline(0.0)])
    assert (trained.losses, trained.epochs, trained.shortened) == ((), 0, True)
    assert same(before, state(run.network.module))


def test_rates_rise_then_fall_and_stand_in_their_ratio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = watch_rates(monkeypatch)
    Run(tmp_path).train(replace(RECIPE, epochs=10, warmup=0.2, lr_ratio=5.0))
    head = np.array([rate[0] for rate in rates])
    assert head.argmax() == 6  # a fifth of 30 steps
    assert (np.diff(head[:7]) > 0).all()
    assert (np.diff(head[6:]) < 0).all()
    np.testing.assert_allclose(head / np.array([rate[-1] for rate in rates]), 5.0)


def test_an_earlier_stage_learns_slower_by_the_decay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = watch_groups(monkeypatch)
    run = Run(tmp_path)
    run.train(replace(RECIPE, unfrozen=3, epochs=1, layer_decay=0.5))
    rates = {id(p): group["highest"] for group in groups for p in group["params"]}
    for depth, stage in enumerate(reversed(run.network.stages)):
        assert {rates[id(p)] for p in stage.parameters()} == {RECIPE.head_lr / RECIPE.lr_ratio * 0.5**depth}
    assert {rates[id(p)] for p in run.head.parameters()} == {RECIPE.head_lr}


def test_weight_decay_spares_what_the_plugin_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = watch_groups(monkeypatch)
    run = Run(tmp_path, replace(tiny_network(), fine_tuning=FineTuning(undecayed=("1.0.weight",))))
    run.train(replace(RECIPE, epochs=1, weight_decay=0.1))
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    spared = {name: decays[id(p)] == 0 for name, p in run.network.module.named_parameters() if id(p) in decays}
    assert [name for name, free in spared.items() if name.endswith("0.weight") and free] == ["1.0.weight"]


def test_what_two_stages_share_learns_once(tmp_path: Path) -> None:
    network = tiny_network(widths=(8, 8, 8))
    network.stages[2][0].weight = network.stages[1][0].weight  # type: ignore[index, union-attr]
    trained = Run(tmp_path, network).train(replace(RECIPE, epochs=1, layer_decay=0.5))
    assert trained.epochs == 1


def test_in_the_first_phase_the_head_learns_alone(tmp_path: Path) -> None:
    run = Run(tmp_path, layers={"hidden": 8})
    stages, head = state(run.network.module), state(run.head)
    seen: list[bool] = []

    def tell(epoch: Epoch) -> None:
        seen.append(same(stages, state(run.network.module)))

    recipe = replace(RECIPE, head_epochs=2, epochs=1, batchnorm="adapting")
    trained = run.train(recipe, callbacks=[Progress(tell)])
    assert seen == [True, True, False]
    assert trained.epochs == 3
    assert not same(head, state(run.head))


def test_a_first_phase_alone_leaves_the_network_to_the_bit(tmp_path: Path) -> None:
    run = Run(tmp_path)
    before = state(run.network.module)
    run.train(replace(RECIPE, head_epochs=3, epochs=0, batchnorm="adapting"))
    assert same(before, state(run.network.module))


def watch_groups(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return a list that gets the optimiser's groups of parameters."""
    groups: list[dict[str, Any]] = []
    real = module.make_optimizer
    monkeypatch.setattr(module, "make_optimizer", lambda *a: (made := real(*a), groups.extend(made.param_groups))[0])
    return groups


def test_weight_decay_spares_biases_and_norms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = watch_groups(monkeypatch)
    Run(tmp_path).train(replace(RECIPE, weight_decay=0.03))
    assert {(p.ndim > 1, group["weight_decay"]) for group in groups for p in group["params"]} == {
        (True, 0.03),
        (False, 0.0),
    }


def sizes_of_batches(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    asked: list[list[int]] = []
    real: Callable[..., Activations] = ActivationCache.batch

    def batch(self: ActivationCache, variant: int, rows: np.ndarray) -> Activations:
        asked.append([variant, *rows.tolist()])
        return real(self, variant, rows)

    monkeypatch.setattr(ActivationCache, "batch", batch)
    return asked


@pytest.mark.parametrize(("n", "sizes"), [(8, [4, 4]), (9, [4, 5]), (10, [4, 4, 2]), (3, [3]), (1, [1])])
def test_a_picture_that_is_left_over_joins_the_batch_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int, sizes: list[int]
) -> None:
    asked = sizes_of_batches(monkeypatch)
    Run(tmp_path, data=coloured(n)).train(replace(RECIPE, epochs=1), batch_size=4)
    assert [len(some) - 1 for some in asked] == sizes
    assert sorted(row for some in asked for row in some[1:]) == list(range(n))


@pytest.mark.parametrize(("most", "sizes"), [(None, [8, 8, 8]), (3, [3, 3, 2] * 3), (100, [8, 8, 8])])
def test_a_step_of_more_pictures_than_go_through_at_once_goes_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int | None, sizes: list[int]
) -> None:
    asked = sizes_of_batches(monkeypatch)
    run = Run(tmp_path)
    cache = make_cache(run.origin, run.pixels, 1, tmp_path, engine=replace(CPU, batch_size=most))
    finetune(run.tunable(cache), Targets(run.y), np.arange(N), replace(RECIPE, epochs=1), batch_size=8)
    assert [len(some) - 1 for some in asked] == sizes


def test_every_epoch_sees_every_picture_once_in_a_view_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = sizes_of_batches(monkeypatch)
    Run(tmp_path).train()
    for epoch in range(3):
        own = [some for some in asked if some[0] == epoch + 1]
        assert sorted(row for some in own for row in some[1:]) == list(range(N))
    orders = [[row for some in asked if some[0] == view for row in some[1:]] for view in (1, 2)]
    assert orders[0] != orders[1]
    assert PLAIN not in {some[0] for some in asked}


def test_only_the_named_pictures_are_learned_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = sizes_of_batches(monkeypatch)
    run, rows = Run(tmp_path), np.array([1, 4, 9, 16, 20])
    finetune(run.tunable(run.cache(2)), Targets(run.y), rows, RECIPE, batch_size=8)
    assert {row for some in asked for row in some[1:]} == set(rows.tolist())


def test_scores_are_those_of_the_plain_network(tmp_path: Path) -> None:
    run = Run(tmp_path, policy=STRONG)
    run.train()
    x = (torch.from_numpy(run.pixels).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    with torch.no_grad():
        expected = run.head(run.network.module(x).mean((2, 3))).numpy()
    np.testing.assert_allclose(run.scores(), expected, rtol=1e-2, atol=1e-2)
