"""Build a backbone and check it on one batch, before anything relies on it."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from automl_tl.backbones import validation
from automl_tl.backbones.blame import blaming
from automl_tl.backbones.contract import Backbone, WeightsInfo
from automl_tl.backbones.network import Layout, Network, layout_of, normalise, shown, stage_outputs, tokens
from automl_tl.backbones.registry import weights_info
from automl_tl.backbones.tuning import fine_tuning_of
from automl_tl.errors import BackboneError


def build_network(
    name: str, backbone: Backbone, *, pretrained: bool = True, device: torch.device | str = "cpu"
) -> Network:
    """Build `backbone`, move it to `device`, put it in eval mode and check it on one batch of two pictures.

    Raises:
        WeightsError: Its weights are not on this machine, or cannot be read or fetched.
        BackboneError: Any other fault: it raises, its stages do not compose, shapes are wrong, NaN comes out.
    """
    with blaming(name, "could not be built"):
        return _built(name, backbone, pretrained=pretrained, device=device)


def _built(name: str, backbone: Backbone, *, pretrained: bool, device: torch.device | str) -> Network:
    fault = validation.backbone_fault(backbone)
    if fault is not None:
        raise BackboneError(f"{name}: {fault}")
    with blaming(name, "could not be built"):
        module = backbone.build(pretrained=pretrained)
    if not isinstance(module, nn.Module):
        raise BackboneError(f"{name}: build() must return an nn.Module, but returned {type(module).__name__}")
    with blaming(name, f"could not be moved to {device}"):
        module = _laid_out(module.to(device).eval())
    stages = _listed_stages(name, backbone, module)
    weights = weights_info(name, backbone) if pretrained else _random_weights()
    said = fine_tuning_of(name, backbone, module)
    network = Network(name, backbone, module, stages, weights, (), (), fine_tuning=said)
    return _preflighted(network)


def _laid_out(module: nn.Module) -> nn.Module:
    """Lay the kernels of a network on a GPU out as its maps are, channels last, so that no pass has to do it."""
    for parameter in module.parameters():
        if parameter.device.type == "cuda" and parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return module


def _listed_stages(name: str, backbone: Backbone, module: nn.Module) -> tuple[nn.Module, ...]:
    with blaming(name, "could not list its stages"):
        stages = backbone.stages(module)
    good = isinstance(stages, list | tuple) and all(isinstance(stage, nn.Module) for stage in stages)
    if not good or not stages:
        found = [type(one).__name__ for one in stages] if isinstance(stages, list | tuple) else type(stages).__name__
        raise BackboneError(f"{name}: stages() must return a list of one or more nn.Module, but returned {found}")
    for stage in stages:  # wrappers that only the list holds are not reached by module.eval()
        stage.eval()
    return tuple(stages)


def _random_weights() -> WeightsInfo:
    return WeightsInfo(identity=f"random/{uuid.uuid4().hex}", address="none: initialised at random")


def _preflighted(network: Network) -> Network:
    """Run two seeded random pictures through; return the network with what was found out."""
    side = network.backbone.input_size
    noise = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)).mul(255).byte()
    x = normalise(noise, network.backbone.mean, network.backbone.std).to(network.device)
    channels: list[int] = []
    layouts: list[Layout] = []
    sizes: list[int] = []
    outputs = stage_outputs(network, x)
    # no_grad, not inference_mode: what a network caches at its first run must still be usable in training.
    with torch.no_grad():
        for number in range(1, network.n_stages + 1):
            output = next(outputs)
            channels.append(_checked_output(network, number, output))
            layouts.append(layout_of(network, output))
            sizes.append(output[0].numel())
        own = _own_vector(network, output)
    return replace(
        network, channels=tuple(channels), layouts=tuple(layouts), sizes=tuple(sizes), has_own_vector=own
    )  # fmt: skip


def _checked_output(network: Network, number: int, output: Any) -> int:
    """Check one stage's output for a batch of two; return its number of channels."""
    where = f"{network.name}: stage {number} of {network.n_stages}"
    if not isinstance(output, Tensor):
        raise BackboneError(f"{where} must return a tensor, but returned {type(output).__name__}")
    if not output.is_floating_point() or not bool(torch.isfinite(output).all()):
        what = "NaN or infinite values" if output.is_floating_point() else str(output.dtype)
        raise BackboneError(f"{where} must return finite floating-point values, but returned {what}")
    with blaming(network.name, f"could not read the tokens of stage {number}"):
        found = tokens(network, output)
    if not isinstance(found, Tensor) or found.ndim != 3 or found.shape[0] != 2 or 0 in found.shape:
        given = shown(found) if isinstance(found, Tensor) else type(found).__name__
        made = f"{given} for an output {shown(output)}"
        raise BackboneError(f"{where}: tokens must be (2, P, C) for two pictures, but are {made}")
    return int(found.shape[2])


def _own_vector(network: Network, output: Tensor) -> bool:
    """Check the backbone's own vector of its last stage; return whether it has one that is not the mean."""
    if not hasattr(network.backbone, "pooled"):
        return False
    with blaming(network.name, "could not pool its last stage"):
        found = network.backbone.pooled(output)
    if not isinstance(found, Tensor) or found.ndim != 2 or found.shape[0] != 2:
        given = shown(found) if isinstance(found, Tensor) else type(found).__name__
        raise BackboneError(f"{network.name}: pooled() must return (2, D) for two pictures, but returned {given}")
    mean = tokens(network, output).mean(dim=1)
    return found.shape != mean.shape or not torch.allclose(found, mean, rtol=1e-3, atol=1e-3 * float(mean.abs().max()))
