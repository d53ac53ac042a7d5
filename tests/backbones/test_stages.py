"""What is done to a list of stages: build and check, run, pool, cut, freeze."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from automl_tl.backbones.stages import (
    Network,
    build_network,
    cut,
    freeze,
    normalise,
    pool,
    stage_outputs,
    tokens,
    train_mode,
)
from automl_tl.errors import BackboneError, WeightsError


class Toy:
    """Three stages with BatchNorm, 16 pixels."""

    api_version = 1
    input_size = 16
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    pretrained_on = "none"

    def build(self, *, pretrained: bool = True) -> nn.Module:
        torch.manual_seed(0)
        widths = (3, 4, 6, 8)
        return nn.Sequential(*(self._stage(a, b) for a, b in itertools.pairwise(widths)))

    def stages(self, module: nn.Module) -> list[nn.Module]:
        return list(module.children())

    def _stage(self, before: int, after: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU())


class TokenToy(Toy):
    """As if a class token came before the positions."""

    def _stage(self, before: int, after: int) -> nn.Module:
        return _Tokens(before, after) if before == 3 else nn.Linear(before, after)

    def tokens(self, output: Tensor) -> Tensor:
        return output[:, 1:]

    def pooled(self, output: Tensor) -> Tensor:
        return output[:, 0]


class _Tokens(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(before, after, 4, 4)
        self.first = nn.Parameter(torch.ones(1, 1, after))

    def forward(self, x: Tensor) -> Tensor:
        x = self.proj(x).flatten(2).transpose(1, 2)
        return torch.cat([self.first.expand(len(x), -1, -1), x], 1)


class _Into(nn.Module):
    """A stage that does something else to its input."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def _with(**members: Any) -> Toy:
    return type("Changed", (Toy,), members)()


def _ending_in(function: Any) -> Toy:
    return _with(stages=lambda self, module: [*module.children(), _Into(function)])


def _raise(error: BaseException) -> Any:
    raise error


@pytest.fixture
def network() -> Network:
    return build_network("toy", Toy())


def _pictures(n: int = 5, seed: int = 1) -> Tensor:
    return torch.randn(n, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def test_a_network_knows_its_stages(network: Network) -> None:
    assert (network.n_stages, network.channels) == (3, (4, 6, 8))
    assert set(network.layouts) == {"map"}
    assert network.device == torch.device("cpu")
    assert not any(module.training for module in network.module.modules())
    with torch.no_grad():
        *_, last = stage_outputs(network, _pictures())
        assert torch.equal(last, network.module(_pictures()))


FAULTS: dict[str, tuple[Toy, str]] = {
    "build raises": (
        _with(build=lambda self, pretrained: 1 / 0),
        "toy could not be built: it raised ZeroDivisionError",
    ),
    "build exits": (_with(build=lambda self, pretrained: _raise(SystemExit("x"))), "SystemExit: x"),
    "build returns a dict": (_with(build=lambda self, pretrained: {}), "but returned dict"),
    "stages raises": (
        _with(stages=lambda self, module: module.blocks),
        "toy could not list its stages: it raised AttributeError",
    ),
    "no stages": (_with(stages=lambda self, module: []), "but returned []"),
    "stages is a module": (_with(stages=lambda self, module: module[0]), "but returned Sequential"),
    "a stage is a function": (_with(stages=lambda self, module: [module[0], len]), "builtin_function"),
    "stages do not compose": (
        _with(stages=lambda self, module: [module[0], module[2]]),
        "toy could not run stage 2 of 2: it raised RuntimeError",
    ),
    "a tuple": (_ending_in(lambda x: (x, x)), "stage 4 of 4 must return a tensor, but returned tuple"),
    "NaN": (_ending_in(lambda x: x * float("nan")), "but returned NaN"),
    "infinite": (_ending_in(lambda x: x / 0), "but returned NaN or infinite"),
    "integers": (_ending_in(lambda x: x.long()), "torch.int64"),
    "a vector": (_ending_in(lambda x: x.mean((2, 3))), "is (2, 8); add a tokens(output)"),
    "the batch is lost": (_ending_in(lambda x: x.mean(0, keepdim=True)), "are (1, 4, 8) for an output (1, 8, 2, 2)"),
    "tokens has four axes": (_with(tokens=lambda self, x: x), "tokens must be (2, P, C)"),
    "tokens raises": (
        _with(tokens=lambda self, x: x[9]),
        "toy could not read the tokens of stage 1: it raised IndexError",
    ),
    "pooled is a map": (_with(pooled=lambda self, x: x), "must return (2, D) for two pictures"),
    "wrong member": (_with(mean=(128, 128, 128)), "divide it by 255"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_every_fault_names_the_backbone_and_what_came(kind: str) -> None:
    backbone, expected = FAULTS[kind]
    with pytest.raises(BackboneError) as caught:
        build_network("toy", backbone)
    assert str(caught.value).startswith(("toy: ", "toy could not "))
    assert expected in str(caught.value)


def test_missing_weights_are_a_weights_error() -> None:
    backbone = _with(build=lambda self, pretrained: _raise(FileNotFoundError("no weights; pip install them")))
    with pytest.raises(WeightsError, match="pip install them"):
        build_network("toy", backbone)


def test_random_weights_are_another_identity_at_every_build() -> None:
    first, second = (build_network("toy", Toy(), pretrained=False).weights for _ in range(2))
    assert first.identity != second.identity


def test_building_leaves_the_random_numbers_alone() -> None:
    class Still(Toy):
        def build(self, *, pretrained: bool = True) -> nn.Module:
            return nn.Sequential(nn.AvgPool2d(2))

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_network("toy", Still())
    assert torch.equal(torch.rand(3), expected)


def test_statistics_of_a_map(network: Network) -> None:
    output = torch.randn(3, 4, 6, 6)
    pooled = pool(network, output, last=True)
    assert torch.allclose(pooled.mean, output.mean((2, 3)), atol=1e-6)
    assert torch.allclose(pooled.std, output.flatten(2).std(2, correction=0), atol=1e-6)
    assert pooled.grid is not None
    assert pooled.grid.shape == (3, 16)
    quarters = [output[:, 1, y : y + 3, x : x + 3].mean((1, 2)) for y in (0, 3) for x in (0, 3)]
    assert torch.allclose(pooled.grid[:, 4:8], torch.stack(quarters, 1), atol=1e-6)


@pytest.mark.parametrize("side", [1, 2, 7])
def test_small_and_odd_maps(network: Network, side: int) -> None:
    pooled = pool(network, torch.randn(2, 4, side, side), last=False)
    assert (pooled.grid is None) == (side == 1)
    assert torch.isfinite(pooled.std).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_statistics_are_float32(network: Network, dtype: torch.dtype) -> None:
    output = (torch.randn(2, 4, 56, 56) * 0.01 + 30).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = pool(network, output, last=False)
    assert {pooled.mean.dtype, pooled.std.dtype, pooled.grid.dtype} == {torch.float32}  # type: ignore[union-attr]
    assert torch.allclose(pooled.mean, output.double().mean((2, 3)).float(), rtol=1e-5)
    assert torch.allclose(pooled.std, output.double().flatten(2).std(2, correction=0).float(), atol=1e-4)


def test_gradients_of_a_dead_channel_are_finite(network: Network) -> None:
    output = torch.zeros(2, 4, 5, 5, requires_grad=True)
    pool(network, output, last=False).std.sum().backward()
    assert output.grad is not None
    assert torch.isfinite(output.grad).all()


def test_tokens_and_the_class_token() -> None:
    network = build_network("toy", TokenToy())
    assert network.layouts == ("tokens",) * 3
    *_, output = stage_outputs(network, _pictures(2))
    assert tokens(network, output).shape == (2, 16, 8)
    inner, last = (pool(network, output, last=flag) for flag in (False, True))
    assert torch.allclose(inner.mean, output[:, 1:].mean(1), atol=1e-6)
    assert torch.equal(last.mean, output[:, 0])
    assert torch.equal(inner.std, last.std)
    assert network.has_own_vector
    assert inner.patches is None
    assert last.patches is not None
    assert torch.equal(last.columns("mean+patches"), torch.cat([output[:, 0], inner.mean], 1))


def test_a_vector_that_is_the_mean_is_none_of_its_own(network: Network) -> None:
    averaged = build_network("toy", _with(pooled=lambda self, x: x.mean((2, 3))))
    assert not averaged.has_own_vector
    assert not network.has_own_vector
    assert pool(averaged, torch.randn(2, 8, 2, 2), last=True).patches is None


def test_a_square_of_tokens_is_pooled_in_quarters() -> None:
    network = build_network("toy", TokenToy())
    square = torch.arange(16.0).reshape(4, 4)
    output = torch.cat([torch.full((2, 1, 8), 99.0), square.reshape(1, 16, 1).expand(2, 16, 8)], dim=1)
    grid = pool(network, output, last=False).grid
    assert grid is not None
    assert torch.equal(grid[:, :4], square.reshape(2, 2, 2, 2).mean((1, 3)).reshape(1, 4).expand(2, 4))


@pytest.mark.parametrize("n", [1, 2, 12])
def test_tokens_that_are_no_square_have_no_quarters(n: int) -> None:
    network = build_network("toy", TokenToy())
    assert pool(network, torch.randn(2, 1 + n, 8), last=False).grid is None


def test_a_channels_last_map_has_a_grid_too() -> None:
    class Last(Toy):
        def _stage(self, before: int, after: int) -> nn.Module:
            return _Channels(before, after)

        def tokens(self, output: Tensor) -> Tensor:
            return output.flatten(1, 2)

    class _Channels(nn.Module):
        def __init__(self, before: int, after: int) -> None:
            super().__init__()
            self.first = before == 3
            self.linear = nn.Linear(before, after)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x.permute(0, 2, 3, 1) if self.first else x)

    network = build_network("toy", Last())
    assert (set(network.layouts), network.channels) == ({"map_last"}, (4, 6, 8))
    output = torch.randn(2, 4, 4, 6)
    pooled = pool(network, output, last=True)
    assert torch.allclose(pooled.mean, output.mean((1, 2)), atol=1e-6)
    assert pooled.grid is not None
    assert torch.allclose(pooled.grid[:, 0], output[:, :2, :2, 0].mean((1, 2)), atol=1e-6)


def test_cut_keeps_the_first_stages(network: Network) -> None:
    with torch.no_grad():
        outputs = list(stage_outputs(network, _pictures()))
        for k in (1, 2, 3):
            assert torch.equal(cut(network, k)(_pictures()), outputs[k - 1])
    for k in (0, 4):
        with pytest.raises(BackboneError, match="has 3 stages"):
            cut(network, k)


@pytest.mark.parametrize("k", [0, 1, 2, 3])
@pytest.mark.parametrize("batchnorm", ["frozen", "adapting"])
def test_a_training_step_leaves_frozen_stages_untouched(network: Network, k: int, batchnorm: Any) -> None:
    network.module.train()
    freeze(network, k)
    train_mode(network, k, batchnorm=batchnorm)
    before = {name: tensor.clone() for name, tensor in network.module.state_dict().items()}
    trained = [p for p in network.module.parameters() if p.requires_grad]
    loss = network.module(_pictures()).square().mean()
    if trained:
        loss.backward()
        torch.optim.SGD(trained, 0.5).step()
    for name, tensor in network.module.state_dict().items():
        frozen = int(name.split(".")[0]) < k
        is_buffer = "running" in name or "tracked" in name
        changed = not torch.equal(tensor, before[name])
        expected = not frozen and (batchnorm == "adapting" if is_buffer else True)
        assert changed == expected, name


def test_what_stages_do_not_reach_stays_frozen() -> None:
    class Headed(Toy):
        def stages(self, module: nn.Module) -> list[nn.Module]:
            return list(module.children())[:2]

    network = build_network("toy", Headed())
    freeze(network, 1)
    assert [any(p.requires_grad for p in part.parameters()) for part in network.module] == [False, True, False]
    with pytest.raises(BackboneError):
        freeze(network, 3)


@pytest.mark.parametrize("layout", ["last", "first"])
def test_normalise(layout: str) -> None:
    picture = torch.randint(0, 256, (2, 8, 8, 3), dtype=torch.uint8)
    given = picture if layout == "last" else picture.permute(0, 3, 1, 2).contiguous()
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    expected = (picture.permute(0, 3, 1, 2) / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    found = normalise(given, mean, std)
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected, atol=1e-5)
    with pytest.raises(ValueError, match="uint8"):
        normalise(expected, mean, std)
    with pytest.raises(ValueError, match="uint8"):
        normalise(picture[0], mean, std)
