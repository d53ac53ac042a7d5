"""timm's main families: their stages compose, own their parameters, and leave the network as it was."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from fake_plugins import isolate_hub
from timm.models.vision_transformer import Block
from torch import nn

from automl_tl.backbones.overrides import configure
from automl_tl.backbones.registry import get_backbone
from automl_tl.backbones.stages import Network, build_network, freeze, pool, stage_outputs, tokens, train_mode

FAMILIES = {
    # name: (stages, input size in place of timm's own, prefix tokens)
    "efficientnet_lite0": (9, 64, 0),
    "mobilenetv2_050": (9, 64, 0),
    "mobilenetv3_small_050": (7, 64, 0),
    "resnet10t": (5, 64, 0),
    "seresnext26d_32x4d": (5, 64, 0),
    "vgg11_bn": (5, 64, 0),
    "densenet121": (5, 64, 0),
    "convnext_atto": (5, 64, 0),
    "regnety_002": (5, 64, 0),
    "vit_tiny_patch16_224": (13, 64, 1),
    "deit_tiny_distilled_patch16_224": (13, 64, 2),
    "vit_little_patch16_reg4_gap_256": (13, 64, 4),  # of 14 blocks
    "resmlp_24_224": (13, 224, 0),  # of 24
    "vit_small_patch14_dinov2": (13, 56, 1),
    "vit_small_patch14_reg4_dinov2": (13, 56, 5),
    "eva02_tiny_patch14_224": (13, 56, 1),
    "swin_tiny_patch4_window7_224": (5, 112, 0),
    "mambaout_femto": (5, 64, 0),
    "ghostnet_050": (1, 64, 0),  # no recipe: one stage
}


@pytest.fixture(autouse=True)
def empty_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    return isolate_hub(monkeypatch, tmp_path)


def _network(arch: str) -> Network:
    name = f"timm:{arch}"
    backbone = configure(name, get_backbone(name), input_size=FAMILIES[arch][1])
    return build_network(name, backbone, pretrained=False)


@pytest.mark.parametrize("arch", FAMILIES)
def test_family(arch: str) -> None:
    torch.manual_seed(0)
    network = _network(arch)
    n_stages, side, prefix = FAMILIES[arch]
    assert network.n_stages == n_stages
    names = list(network.module.state_dict())
    x = torch.randn(2, 3, side, side)
    with torch.no_grad():
        expected = cast(Any, network.module).forward_features(x)
        outputs = list(stage_outputs(network, x))
        assert torch.allclose(outputs[-1], expected, rtol=1e-4, atol=1e-4)
        _check_positions(network, outputs, prefix)
    _check_ownership(network)
    _check_training(network, x)
    assert list(network.module.state_dict()) == names


def _check_positions(network: Network, outputs: list[torch.Tensor], prefix: int) -> None:
    """Tokens leave the prefix out; the last stage's vector is what timm's classifier reads."""
    for output, channels in zip(outputs, network.channels, strict=True):
        n_positions = output.shape[1] - prefix if output.ndim == 3 else output[0].numel() // channels
        assert tokens(network, output).shape == (2, n_positions, channels)
        assert torch.isfinite(pool(network, output, last=False).std).all()
    assert network.channels[-1] == cast(Any, network.module).num_features
    last = pool(network, outputs[-1], last=True).mean
    if prefix and cast(Any, network.module).global_pool == "token":
        assert torch.equal(last, outputs[-1][:, 0])
    else:
        assert torch.allclose(last, tokens(network, outputs[-1]).mean(1), atol=1e-5)


def _check_ownership(network: Network) -> None:
    """Every parameter belongs to one stage and to the network; a copied stage is independent of it."""
    own = {id(parameter) for parameter in network.module.parameters()}
    seen: set[int] = set()
    for stage in network.stages:
        mine = {id(parameter) for parameter in stage.parameters()}
        assert mine <= own
        assert not mine & seen
        seen |= mine
    assert seen == own  # the classifier was left out
    other = copy.deepcopy(network.stages[0])
    assert not {id(parameter) for parameter in other.parameters()} & own


def _check_training(network: Network, x: torch.Tensor) -> None:
    """Freezing the first half keeps it as it is through a step; gradients reach the rest."""
    k = network.n_stages // 2
    freeze(network, k)
    train_mode(network, k, batchnorm="adapting")
    frozen = nn.ModuleList(network.stages[:k]).state_dict()
    before = {name: tensor.clone() for name, tensor in frozen.items()}
    *_, output = stage_outputs(network, x)
    output.square().mean().backward()
    trained = [p for stage in network.stages[k:] for p in stage.parameters()]
    reached = sum(p.numel() for p in trained if p.grad is not None)
    assert reached > 0.9 * sum(p.numel() for p in trained)
    torch.optim.SGD(trained, 0.1).step()
    assert all(torch.equal(tensor, before[name]) for name, tensor in frozen.items())
    network.module.eval()


@pytest.mark.parametrize("arch", ["vit_tiny_patch16_224", "resnet10t"])
def test_stages_move_with_the_network_and_alone(arch: str) -> None:
    network = _network(arch)
    network.module.to(torch.float64)
    side = FAMILIES[arch][1]
    with torch.no_grad():
        *_, output = stage_outputs(network, torch.randn(1, 3, side, side, dtype=torch.float64))
        assert output.dtype == torch.float64
        for stage in network.stages:
            stage.to(torch.float32)
        *_, output = stage_outputs(network, torch.randn(1, 3, side, side))
    assert {parameter.dtype for parameter in network.module.parameters()} == {torch.float32}


def test_many_blocks_are_joined_evenly() -> None:
    stages = _network("vit_little_patch16_reg4_gap_256").stages[1:]
    blocks = [sum(isinstance(module, Block) for module in stage.modules()) for stage in stages]
    assert blocks == [2, 2, *[1] * 10]


def test_taking_apart_keeps_every_mode() -> None:
    network = _network("resnet10t")
    network.module.train()
    cast(Any, network.module).layer1.eval()
    modes = [module.training for module in network.module.modules()]
    network.backbone.stages(network.module)
    assert [module.training for module in network.module.modules()] == modes
