"""Distance from the pretraining domain at every depth, from the weights alone.

BatchNorm layers keep the mean M and variance V that every channel had over the pretraining set. With the
mean m and variance v of the same channels over the user's pictures, the distance of a layer is the average
over channels of the Fréchet distance of the two Gaussians in units of V:
((m - M)^2 + v + V - 2 sqrt(v V)) / V, with v and V floored and each term clipped (cf. arXiv 2107.00191).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from automl_tl.backbones.stages import Network, normalise, stage_outputs
from automl_tl.devices import to_device
from automl_tl.features.halving import halving

PROFILE_VERSION = 2
"""Of the formula: what was computed by another one is not taken from a cache."""
_FLOOR = 1e-3
_CLIP = 25.0


@dataclass(frozen=True)
class DepthProfile:
    """Distance by depth; `by_depth` has one value per stage, nan where a stage holds no BatchNorm layer."""

    by_depth: tuple[float, ...]
    distance: float
    """Mean over all BatchNorm layers; nan where the network has none."""


@dataclass
class _Moments:
    """Running sums of one layer's input, per channel, float64; of how far it is from the mean that the layer keeps.

    About that mean sums of squares keep their digits, which far from zero they would not in float32.
    """

    centre: Tensor
    count: int = 0
    total: Tensor = field(default_factory=lambda: torch.zeros(()))
    squares: Tensor = field(default_factory=lambda: torch.zeros(()))

    def add(self, inputs: Tensor) -> None:
        values = inputs.detach().float()
        values = values - self.centre.view(1, -1, *[1] * (values.dim() - 2))
        dims = [d for d in range(values.dim()) if d != 1]
        self.count += values.numel() // values.shape[1]
        self.total = self.total + _double(values.sum(dims))
        self.squares = self.squares + _double(values.square().sum(dims))

    def restore(self, other: _Moments) -> None:
        """Become what another one is."""
        self.count, self.total, self.squares = other.count, other.total, other.squares


def _double(values: Tensor) -> Tensor:
    """Return values in float64, where they are; Apple's GPUs have none."""
    return values.cpu().double() if values.device.type == "mps" else values.double()


Layers = Mapping[nn.Module, _Moments]


def depth_profile(network: Network, image_batches: Iterable[Tensor]) -> DepthProfile:
    """Return how far pictures lie from the pretraining set, stage by stage.

    Args:
        network: a built backbone in eval mode.
        image_batches: batches of (N, S, S, 3) uint8 on the CPU; some thirty pictures in all are enough.
    """
    layers = [[m for m in stage.modules() if _keeps_statistics(m)] for stage in network.stages]
    if not any(layers):
        return DepthProfile((float("nan"),) * network.n_stages, float("nan"))
    moments = {layer: _Moments(cast(Tensor, layer.running_mean).float()) for stage in layers for layer in stage}
    with ExitStack() as hooks, torch.inference_mode():
        for layer, seen in moments.items():
            hooks.callback(layer.register_forward_pre_hook(_recorder(seen)).remove)
        for images in image_batches:
            before = {layer: replace(seen) for layer, seen in moments.items()}
            halving(partial(_observe, network, images, moments, before), len(images))
    distances = [[_frechet(layer, moments[layer]) for layer in stage if moments[layer].count] for stage in layers]
    every = [value for stage in distances for value in stage]
    return DepthProfile(tuple(_mean(stage) for stage in distances), _mean(every))


def _observe(network: Network, images: Tensor, moments: Layers, before: Layers, parts: int) -> None:
    """Run a batch in so many parts, whose layers' inputs are added to what was known `before` it."""
    for layer, seen in moments.items():  # a try that failed for lack of memory has left a part of its sums
        seen.restore(before[layer])
    backbone = network.backbone
    for part in images.tensor_split(min(parts, len(images))):
        inputs = normalise(to_device(part, network.device), backbone.mean, backbone.std)
        for _ in stage_outputs(network, inputs.contiguous(memory_format=torch.channels_last)):
            pass


def _keeps_statistics(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_var is not None


def _recorder(seen: _Moments) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def record(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.add(inputs[0])

    return record


def _frechet(layer: nn.Module, seen: _Moments) -> float:
    shift = seen.total.cpu() / seen.count
    variance = (seen.squares.cpu() / seen.count - shift.square()).clamp_min(_FLOOR)
    kept_variance = cast(Tensor, layer.running_var).cpu().double().clamp_min(_FLOOR)
    spread = variance + kept_variance - 2 * (variance * kept_variance).sqrt()
    terms = (shift.square() + spread) / kept_variance
    return float(terms.clamp_max(_CLIP).mean())


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
