"""Stages that learn in bfloat16 on a CPU: what differs is rounding, and what cannot be computed so is float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from trainable import CPU, coloured, make_cache, tiny_network, zero_head

from automl_tl.backbones.stages import Network
from automl_tl.features.engine import Engine
from automl_tl.learning.callbacks import Progress
from automl_tl.learning.convolution import convolve, geometry_of
from automl_tl.learning.fast_stages import FastStages
from automl_tl.learning.finetune import Targets, finetune
from automl_tl.learning.recipe import Recipe
from automl_tl.learning.tunable import Tunable, copy_network

HALF = replace(CPU, learning="bfloat16")
CHANNELS, SIDE = 8, 12


class Positions(nn.Module):
    """Tokens of a map, as transformers take them, and a linear layer between norms."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(CHANNELS), nn.Linear(CHANNELS, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        added: Tensor = tokens + self.linear(self.norm(tokens))
        return added


class Single(nn.Module):
    """It takes float32 alone."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.weight = nn.Conv2d(CHANNELS, CHANNELS, 1), nn.Parameter(torch.eye(SIDE))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            found: Tensor = torch.matmul(self.convolution(x), self.weight)
        return found


class Choosy(nn.Module):
    """It says itself that it takes float32 alone."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(CHANNELS, CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype != torch.float32:
            raise TypeError(f"I take no {x.dtype}")
        found: Tensor = self.convolution(x)
        return found


class Cancelling(nn.Module):
    """What is left of its numbers is lost in bfloat16."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(CHANNELS, CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        shifted: Tensor = self.convolution(x) + 1000.0
        return shifted - 1000.0


def batchnorm(channels: int = CHANNELS) -> nn.BatchNorm2d:
    made = nn.BatchNorm2d(channels)
    nn.init.uniform_(made.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return made


def depthwise(width: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(CHANNELS, CHANNELS, width, stride, width // 2, groups=CHANNELS)


STAGES: dict[str, Callable[[], list[nn.Module]]] = {
    "a convolution": lambda: [nn.Conv2d(CHANNELS, CHANNELS, 3)],
    "folded": lambda: [nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 3), batchnorm(), nn.ReLU6(inplace=True))],
    "depthwise": lambda: [nn.Sequential(depthwise(5, 2), batchnorm(), nn.ReLU()), nn.Sequential(depthwise(3, 2))],
    "tokens": lambda: [Positions()],
    "grouped": lambda: [nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 3, groups=2), nn.GELU())],
}


def stages(name: str) -> list[nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return [stage.eval() for stage in STAGES[name]()]


def inputs(n: int = 3) -> Tensor:
    given = torch.randn(n, CHANNELS, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    return given.contiguous(memory_format=torch.channels_last)


def computed(some: list[nn.Module]) -> tuple[Tensor, list[Tensor]]:
    x = inputs()
    for stage in some:
        x = stage(x)
    return x.detach(), list(torch.autograd.grad(x.square().mean(), [p for stage in some for p in stage.parameters()]))


@pytest.mark.parametrize("name", STAGES)
def test_outputs_and_gradients_differ_by_rounding_and_are_float32(name: str) -> None:
    some, seen = stages(name), list[torch.dtype]()
    expected, gradients = computed(some)
    with FastStages(some, HALF) as fast:
        fast.see(inputs())
        assert fast.halves
        assert fast.folds == any(isinstance(m, nn.BatchNorm2d) for stage in some for m in stage.modules())
        last = some[-1]
        handle = next(m for m in last.modules() if not list(m.children())).register_forward_hook(
            lambda module, inputs, output: seen.append(output.dtype)
        )
        output, others = computed(some)
        handle.remove()
    assert torch.bfloat16 in seen or name in ("a convolution", "tokens")  # a stage's own output; a norm's
    assert output.dtype == torch.float32
    assert not torch.equal(output, expected)
    torch.testing.assert_close(output, expected, rtol=0.05, atol=0.05)
    for one, other in zip(gradients, others, strict=True):
        assert other.dtype == torch.float32
        assert float((one - other).norm()) <= 0.05 * float(one.norm()) + 1e-3
    again, _ = computed(some)
    assert torch.equal(again, expected)  # afterwards they are what they were


@pytest.mark.parametrize("build", [Single, Choosy, Cancelling])
def test_what_bfloat16_would_change_stays_float32(build: Callable[[], nn.Module]) -> None:
    first = nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 1), batchnorm(), nn.ReLU())
    some = [first.eval(), build().eval()]
    expected, gradients = computed(some)
    with FastStages(some, HALF) as fast:
        fast.see(inputs())
        assert (fast.folds, fast.halves) == (True, False)
        output, others = computed(some)
    torch.testing.assert_close(output, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(others, gradients, rtol=1e-3, atol=1e-3)


def test_a_stage_with_a_forward_of_its_own_keeps_it() -> None:
    some = stages("folded")
    own = some[0].forward
    some[0].forward = lambda x: 2 * own(x)  # type: ignore[method-assign]
    mine = some[0].forward
    with FastStages(some, HALF) as fast:
        fast.see(inputs())
        assert (fast.folds, fast.halves) == (True, False)
    assert some[0].forward is mine


def test_while_it_is_paused_stages_are_what_they_were() -> None:
    some = stages("folded")
    expected = computed(some)[0]
    with FastStages(some, HALF) as fast:
        fast.see(inputs())
        with fast.paused():
            assert torch.equal(computed(some)[0], expected)
        assert not torch.equal(computed(some)[0], expected)
    assert torch.equal(computed(some)[0], expected)


def test_epochs_are_scored_in_float32(tmp_path: Path) -> None:
    recipe = Recipe(unfrozen=2, epochs=2, head_lr=1e-3, lr_ratio=1.0)
    tunable, y = tunable_of(tiny_network(), recipe, HALF, tmp_path)
    seen = list[np.ndarray]()
    watching = Progress(lambda epoch: seen.append(tunable.scores(np.arange(24))))
    finetune(tunable, Targets(y), np.arange(24), recipe, batch_size=8, callbacks=[watching])
    assert len(seen) == 2
    np.testing.assert_array_equal(seen[-1], tunable.scores(np.arange(24)))


@pytest.mark.parametrize("engine", [CPU, replace(HALF, device="cuda"), replace(HALF, dtype="bfloat16")])
def test_it_is_for_cpus_that_have_it(engine: Engine) -> None:
    with FastStages(stages("a convolution"), engine) as fast:
        fast.see(inputs())
        assert not fast.halves


@pytest.mark.parametrize(
    ("capabilities", "learning"),
    [({"avx512_bf16": True}, "bfloat16"), ({"amx_bf16": True}, "bfloat16"), ({"avx512_f": True}, None), ({}, None)],
)
def test_the_engine_for_training_says_so(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], learning: str | None
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    engine = Engine("cpu", "bfloat16", runtime="folded").for_training
    assert (engine.dtype, engine.runtime, engine.learning) == ("float32", "eager", learning)
    assert Engine("cuda", "bfloat16").for_training == Engine("cuda", "bfloat16")


@settings(deadline=None, max_examples=40)
@given(width=st.integers(1, 7), stride=st.integers(1, 3), groups=st.sampled_from([1, 2, 8]), side=st.integers(9, 14))
def test_gradients_of_any_kernel_are_float32s_up_to_rounding(width: int, stride: int, groups: int, side: int) -> None:
    generator = torch.Generator().manual_seed(0)
    layer = nn.Conv2d(CHANNELS, CHANNELS, width, stride, width // 2, groups=groups)
    geometry = geometry_of(layer)
    assert geometry is not None
    x = torch.randn(2, CHANNELS, side, side, generator=generator)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    asked, expected = [x, *layer.parameters()], layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        found = convolve(x, layer.weight, layer.bias, geometry)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.05)
    weights = torch.randn(expected.shape, generator=generator)
    gradients, others = (torch.autograd.grad((weights * y).sum(), asked) for y in (expected, found))
    for one, other in zip(gradients, others, strict=True):
        assert other.dtype == torch.float32
        assert float((one - other).norm()) <= 0.02 * float(one.norm())


@pytest.mark.parametrize("mode", ["frozen", "adapting"])
def test_training_ends_near_where_it_ends_in_float32(tmp_path: Path, mode: Any) -> None:
    recipe = Recipe(unfrozen=2, epochs=4, head_lr=1e-3, lr_ratio=1.0, batchnorm=mode)
    network = tiny_network()
    one, other = (scores(network, recipe, engine, tmp_path / engine.name) for engine in (CPU, HALF))
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(one, other, atol=0.05 * np.abs(one).max())


def scores(network: Network, recipe: Recipe, engine: Engine, folder: Path) -> np.ndarray:
    """Return the scores of the pictures that a tiny network has learned from, in float32 afterwards."""
    tunable, y = tunable_of(network, recipe, engine, folder)
    finetune(tunable, Targets(y), np.arange(24), recipe, batch_size=8)
    return tunable.scores(np.arange(24))


def tunable_of(network: Network, recipe: Recipe, engine: Engine, folder: Path) -> tuple[Tunable, np.ndarray]:
    folder.mkdir(exist_ok=True)
    pixels, y = coloured(24)
    cache = make_cache(network, pixels, network.n_stages - recipe.unfrozen, folder, engine=engine)
    return Tunable(copy_network(network), zero_head(network.channels[-1]), cache), y
