"""Stages that learn with folded BatchNorms and in bfloat16 learn what they learn otherwise."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from trainable import CPU, coloured, make_cache, tiny_network, zero_head

from automl_tl.features.engine import Engine
from automl_tl.learning import finetune as module
from automl_tl.learning.convolution import convolve, geometry_of
from automl_tl.learning.fast_stages import FastStages
from automl_tl.learning.finetune import Targets, finetune
from automl_tl.learning.optimizer import adamw
from automl_tl.learning.recipe import Recipe
from automl_tl.learning.tunable import Tunable, copy_network

SIDE = 12


def batchnorm(channels: int, **options: Any) -> nn.BatchNorm2d:
    """Return a BatchNorm that has seen something."""
    made = nn.BatchNorm2d(channels, **options)
    for values, low in ((made.running_var, 0.5), (made.running_mean, -1.0), (made.weight, 0.5), (made.bias, -1.0)):
        if values is not None:
            nn.init.uniform_(values, low, low + 1.0)
    return made


class WithActivation(nn.BatchNorm2d):
    """As timm's: the activation is a part of it."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.drop, self.act = nn.Identity(), nn.ReLU6(inplace=True)

    def forward(self, input: Tensor) -> Tensor:
        activated: Tensor = self.act(self.drop(super().forward(input)))
        return activated


class Same(nn.Conv2d):
    """As timm's: a subclass that pads by itself."""

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(nn.functional.pad(input, (0, 1, 0, 1)), self.weight, self.bias)


class Standardised(nn.Conv2d):
    """As timm's: a subclass that changes its weights before it uses them."""

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return nn.functional.conv2d(input, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), batchnorm(4))

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.inner(x)
        return added


class Shared(nn.Module):
    """One convolution before two BatchNorms."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.first, self.second = nn.Conv2d(4, 4, 1), batchnorm(4), batchnorm(4)

    def forward(self, x: Tensor) -> Tensor:
        done: Tensor = self.second(self.convolution(self.first(self.convolution(x))))
        return done


class ReadTwice(nn.Module):
    """What lies between a convolution and a BatchNorm is read by something else, too."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(4, 4, 1), batchnorm(4)

    def forward(self, x: Tensor) -> Tensor:
        between = self.convolution(x)
        added: Tensor = between + self.norm(between)
        return added


class WrittenInto(nn.Module):
    """What a ReLU6 has given is changed in place."""

    def __init__(self) -> None:
        super().__init__()
        self.block = FOLDABLE["relu6"]()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        y += 1
        return y


class Silent(ReadTwice):
    """It is read, but what reads it counts for nothing yet: the outputs are equal, the gradients are not."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        between = self.convolution(x)
        added: Tensor = self.gate * between + self.norm(between)
        return added


FOLDABLE: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: nn.Sequential(nn.Conv2d(4, 6, 3, bias=False), batchnorm(6), nn.ReLU()),
    "bias": lambda: nn.Sequential(nn.Conv2d(4, 6, 3, 2, 1), batchnorm(6)),
    "without scale and shift": lambda: nn.Sequential(nn.Conv2d(4, 6, 1), batchnorm(6, affine=False)),
    "grouped": lambda: nn.Sequential(nn.Conv2d(4, 6, 3, groups=2, padding=1), batchnorm(6)),
    "dilated": lambda: nn.Sequential(nn.Conv2d(4, 4, 5, groups=4, dilation=2), batchnorm(4)),
    "wide depthwise": lambda: nn.Sequential(nn.Conv2d(4, 4, 5, 2, 2, groups=4, bias=False), batchnorm(4)),
    "relu6": lambda: nn.Sequential(nn.Conv2d(4, 6, 1), batchnorm(6), nn.ReLU6(inplace=True)),
    "its own activation": lambda: nn.Sequential(nn.Conv2d(4, 6, 1), filled(WithActivation(6))),
    "its own weights": lambda: nn.Sequential(Standardised(4, 6, 3), batchnorm(6)),
    "its own padding": lambda: nn.Sequential(Same(4, 6, 2, bias=False), batchnorm(6)),
    "padding by name": lambda: nn.Sequential(nn.Conv2d(4, 6, 3, padding="same"), batchnorm(6)),
    "reflected": lambda: nn.Sequential(nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), batchnorm(6)),
    "residual": Residual,
}
UNFOLDABLE: dict[str, Callable[[], nn.Module]] = {
    "no batchnorm": lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU()),
    "transposed": lambda: nn.Sequential(nn.ConvTranspose2d(4, 6, 3), batchnorm(6)),
    "batchnorm first": lambda: nn.Sequential(batchnorm(4), nn.Conv2d(4, 6, 3)),
    "synchronised": lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.SyncBatchNorm(6)),
    "no statistics": lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6, track_running_stats=False)),
    "shared": Shared,
    "read twice": ReadTwice,
    "read silently": Silent,
    "written into": WrittenInto,
}


def filled(made: nn.BatchNorm2d) -> nn.BatchNorm2d:
    made.load_state_dict(batchnorm(made.num_features).state_dict())
    return made


def stage(build: Callable[[], nn.Module], *, double: bool = True) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = build().eval()
    return made.double() if double else made


def inputs(n: int = 3, *, double: bool = True) -> Tensor:
    given = torch.randn(n, 4, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    return (given.double() if double else given).contiguous(memory_format=torch.channels_last)


def computed(module: nn.Module, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return the output, and the gradients for the inputs and every parameter."""
    x = x.clone().requires_grad_()
    output: Tensor = module(x.clone(memory_format=torch.channels_last))
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view(output.shape)
    return output.detach(), list(torch.autograd.grad((weights * output).sum(), [x, *module.parameters()]))


@pytest.mark.parametrize("name", FOLDABLE)
def test_outputs_and_gradients_are_those_of_the_network_as_it_is(name: str) -> None:
    one = stage(FOLDABLE[name])
    expected, gradients = computed(one, inputs())
    with FastStages([one], CPU) as fast:
        fast.see(inputs())
        assert fast.folds
        output, others = computed(one, inputs())
    torch.testing.assert_close(output, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(others, gradients, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", [*FOLDABLE, *UNFOLDABLE])
def test_afterwards_a_stage_is_what_it_was(name: str) -> None:
    one = stage({**FOLDABLE, **UNFOLDABLE}[name])
    before, keys = copy.deepcopy(one.state_dict()), [set(vars(m)) for m in one.modules()]
    one.train()
    with FastStages([one], CPU) as fast:
        fast.see(inputs())
        assert all(torch.equal(value, before[name]) for name, value in one.state_dict().items())
        assert all(m.training for m in one.modules())
    assert [set(vars(m)) for m in one.modules()] == keys
    one.eval()
    assert torch.equal(one(inputs()), stage({**FOLDABLE, **UNFOLDABLE}[name])(inputs()))


@pytest.mark.parametrize("name", UNFOLDABLE)
def test_what_would_compute_something_else_is_left_alone(name: str) -> None:
    one = stage(UNFOLDABLE[name], double=False)
    expected, gradients = computed(one, inputs(double=False))
    with FastStages([one], CPU) as fast:
        fast.see(inputs(double=False))
        assert not fast.folds
        output, others = computed(one, inputs(double=False))
    assert torch.equal(output, expected)
    assert all(torch.equal(a, b) for a, b in zip(gradients, others, strict=True))


def test_what_is_watched_is_left_alone() -> None:
    one, seen = stage(FOLDABLE["plain"]), list[Tensor]()
    one[0].register_forward_hook(lambda module, inputs, output: seen.append(output))  # type: ignore[index]
    with FastStages([one], CPU) as fast:
        fast.see(inputs())
        assert not fast.folds


@pytest.mark.parametrize("engine", [Engine("cpu", "bfloat16"), Engine("cuda", "float32"), Engine("mps", "float32")])
def test_nothing_is_folded_where_it_was_not_measured(engine: Engine) -> None:
    with FastStages([stage(FOLDABLE["plain"])], engine) as fast:
        fast.see(inputs())
        assert not fast.folds


def test_a_batchnorm_that_adapts_computes_as_ever() -> None:
    one, other = stage(FOLDABLE["relu6"]), stage(FOLDABLE["relu6"]).train()
    with FastStages([one], CPU) as fast:
        fast.see(inputs())
        assert fast.folds
        one.train()
        assert torch.equal(one(inputs()), other(inputs()))
    assert all(torch.equal(a, b) for a, b in zip(one.buffers(), other.buffers(), strict=True))


def test_what_fails_while_it_is_tried_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    one = stage(FOLDABLE["plain"])

    def fail(*arguments: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("automl_tl.learning.folding.convolve", fail)
    with FastStages([one], CPU) as fast:
        with pytest.raises(MemoryError):
            fast.see(inputs())
        assert not any("forward" in vars(m) for m in one.modules())


@settings(deadline=None, max_examples=40)
@given(
    width=st.integers(1, 9), height=st.integers(1, 5), stride=st.integers(1, 3), padding=st.integers(0, 4),
    side=st.integers(9, 14),
)  # fmt: skip
def test_gradients_of_depthwise_kernels_of_any_size_are_torchs(
    width: int, height: int, stride: int, padding: int, side: int
) -> None:
    layer = nn.Conv2d(3, 3, (height, width), stride, padding, groups=3).double()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, side, side, generator=generator, dtype=torch.double)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    geometry = geometry_of(layer)
    assert geometry is not None
    scale = torch.tensor([0.5, 1.0, 2.0], dtype=torch.double, requires_grad=True)
    assert layer.bias is not None
    asked = [x, scale, *layer.parameters()]
    scaled = layer.weight * scale.view(-1, 1, 1, 1)
    expected = torch.conv2d(x, scaled, layer.bias, stride, padding, groups=3)
    found = convolve(x, layer.weight, layer.bias, geometry, scale)
    torch.testing.assert_close(found, expected)
    weights = torch.randn(expected.shape, generator=generator, dtype=torch.double)
    gradients, others = (torch.autograd.grad((weights * y).sum(), asked) for y in (expected, found))
    torch.testing.assert_close(others, gradients)


def network_of_all() -> nn.Module:
    parts = ("wide depthwise", "relu6", "grouped")
    first, *others = (FOLDABLE[name]() for name in parts)
    return nn.Sequential(first, others[0], nn.Conv2d(6, 4, 1), others[1])


def test_a_few_steps_end_where_they_end_otherwise() -> None:
    states = []
    for stages in ([stage(network_of_all)], []):
        one = stages[0] if stages else stage(network_of_all)
        optimizer = adamw(one.parameters(), Engine("cpu" if stages else "mps", "float32"), lr=1e-2)
        with FastStages(stages, CPU) as fast:
            for step in range(5):
                fast.see(inputs())
                loss = (one(inputs(step + 2)) - 1).square().mean()
                torch.autograd.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
            assert fast.folds == bool(stages)
        states.append(one.state_dict())
    assert not torch.equal(states[0]["0.0.weight"], stage(network_of_all).state_dict()["0.0.weight"])
    torch.testing.assert_close(states[0], states[1], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("mode", "head_epochs"), [("frozen", 0), ("frozen", 1), ("adapting", 0)])
def test_the_trainer_folds_where_batchnorm_is_frozen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Any, head_epochs: int
) -> None:
    recipe = Recipe(unfrozen=2, epochs=2, head_lr=1e-3, lr_ratio=1.0, batchnorm=mode, head_epochs=head_epochs)
    folds = list[bool]()
    real = FastStages.__exit__
    monkeypatch.setattr(FastStages, "__exit__", lambda self, *error: (folds.append(self.folds), real(self, *error))[1])
    state = trained(tmp_path, recipe)
    assert folds == [mode == "frozen"]
    monkeypatch.setattr(module, "FastStages", lambda stages, engine, **options: FastStages((), engine))
    plain = trained(tmp_path, recipe)
    assert folds[1:] == [False]
    torch.testing.assert_close(state, plain, rtol=1e-3, atol=1e-4)


def trained(folder: Path, recipe: Recipe) -> dict[str, Tensor]:
    """Return all that a tiny network and its head are after training."""
    network, (pixels, y) = tiny_network(), coloured(24)
    cache = make_cache(network, pixels, network.n_stages - recipe.unfrozen, folder)
    tunable = Tunable(copy_network(network), zero_head(network.channels[-1]), cache)
    finetune(tunable, Targets(y), np.arange(24), recipe, batch_size=8)
    return {**tunable.network.module.state_dict(), **tunable.head.state_dict(prefix="head.")}
