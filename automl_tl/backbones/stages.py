"""All that is done to a backbone's list of stages: run, pool, cut, freeze.

Because the stages compose, everything follows from one list: cutting after stage k, freezing the first k,
collecting statistics at every depth in one pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from automl_tl.backbones.building import build_network
from automl_tl.backbones.network import Layout, Network, layout_of, normalise, stage_outputs, standardise, tokens
from automl_tl.errors import BackboneError

__all__ = [
    "POOLINGS",
    "BatchNormMode",
    "Layout",
    "Network",
    "Pooled",
    "build_network",
    "cut",
    "freeze",
    "has_batchnorm",
    "normalise",
    "pool",
    "pool_stage",
    "stage_outputs",
    "standardise",
    "tokens",
    "train_mode",
]

BatchNormMode = Literal["frozen", "adapting"]
POOLINGS = {"mean": ("mean",), "mean+std": ("mean", "std"), "mean+patches": ("mean", "patches"), "grid": ("grid",)}
"""By pooling, the statistics of `Pooled` that are its columns."""
_EVERY = frozenset(name for names in POOLINGS.values() for name in names)
_BATCHNORM = nn.modules.batchnorm._BatchNorm


@dataclass(frozen=True, eq=False)
class Pooled:
    """Statistics over the positions of one stage's output, float32."""

    mean: Tensor
    """(N, C); of the last stage (N, D), the backbone's own vector, where it has one."""
    std: Tensor | None
    """(N, C), the population standard deviation, at least 1e-6; None where it was not asked for."""
    grid: Tensor | None
    """(N, 4 * C), means of the four quarters of a map with H, W >= 2, as C runs of top left, top right,
    bottom left, bottom right; None where it was not asked for or the output is neither a map nor a square of tokens."""
    patches: Tensor | None
    """(N, C), of the last stage the mean over positions, where `mean` is another vector; else None."""

    def columns(self, pooling: str) -> Tensor:
        """Return the features (N, d) float32 of a pooling."""
        parts = [getattr(self, name) for name in POOLINGS[pooling]]
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]


def pool(
    network: Network, output: Tensor, *, last: bool, layout: Layout | None = None, pooling: str | None = None
) -> Pooled:
    """Return mean, standard deviation and 2x2 grid over the positions of a stage's output, in float32.

    Statistics are taken in float32 whatever the output's dtype is, also under autocast.

    Args:
        network: The network that made `output`.
        output: Output of one of its stages, any float dtype.
        last: Whether that stage is the last; then `mean` is the backbone's own pooled vector if it has one.
        layout: Of that stage, where it is known; else it is found out from the output's values, for which a GPU is
            waited for, and which a graph that is traced for export does not have.
        pooling: Of POOLINGS, what alone is asked for beside the mean; default: everything.
    """
    asked = _EVERY if pooling is None else POOLINGS[pooling]
    with torch.autocast(output.device.type, enabled=False):
        output = output.float()
        found = _as_map(output, layout or layout_of(network, output))
        x = tokens(network, output).float() if found is None else found
        over = (1,) if found is None else (2, 3)
        centre = x.mean(over, keepdim=True)
        mean = patches = centre.flatten(1)
        own = getattr(network.backbone, "pooled", None) if last else None
        if own is not None:
            mean = cast(Tensor, own(output)).float()
        return Pooled(
            mean,
            _deviation(x, centre, over) if "std" in asked else None,
            _grid(x) if "grid" in asked else None,
            patches if last and network.has_own_vector else None,
        )


def pool_stage(network: Network, output: Tensor, number: int, pooling: str | None = None) -> Pooled:
    """Return `pool` of the output of stage `number`, laid out as the preflight has found: no value is looked at."""
    last, layout = number == network.n_stages, network.layouts[number - 1]
    return pool(network, output, last=last, layout=layout, pooling=pooling)


def cut(network: Network, k: int) -> nn.Sequential:
    """Return the first `k` stages as one module, sharing the network's parameters.

    Raises:
        BackboneError: `k` is not between 1 and the number of stages.
    """
    _check_count(network, k, least=1)
    return nn.Sequential(*network.stages[:k])


def freeze(network: Network, k: int) -> None:
    """Let exactly the parameters of the stages after the first `k` require gradients.

    Everything else, a source classifier too, does not. Modes are not touched here: call `train_mode`
    wherever you would call `module.train()`, which alone would let the BatchNorm of frozen stages drift.

    Raises:
        BackboneError: `k` is not between 0 and the number of stages.
    """
    _check_count(network, k, least=0)
    network.module.requires_grad_(False)
    for position, stage in enumerate(network.stages):
        for parameter in stage.parameters():
            if parameter.is_floating_point():
                parameter.requires_grad_(position >= k)


def train_mode(network: Network, k: int, *, batchnorm: BatchNormMode = "frozen") -> None:
    """Put the stages after the first `k` in training mode and everything else in eval mode.

    Args:
        network: Its modules' modes are set; no hook is left behind, so call this at every start of training.
        k: Number of frozen stages; their BatchNorm statistics and dropout stay still.
        batchnorm: "frozen" keeps the trained stages' running statistics too, "adapting" lets them learn.
    """
    _check_count(network, k, least=0)
    network.module.eval()
    for position, stage in enumerate(network.stages):
        stage.train(position >= k)
    if batchnorm == "frozen":
        for stage in network.stages:
            for module in stage.modules():
                if isinstance(module, _BATCHNORM):
                    module.eval()


def has_batchnorm(network: Network) -> bool:
    """Return whether any stage holds a BatchNorm layer."""
    return any(isinstance(module, _BATCHNORM) for stage in network.stages for module in stage.modules())


def _as_map(output: Tensor, layout: Layout) -> Tensor | None:
    """Return a stage's output as (N, C, H, W) if that is what it is."""
    if layout == "tokens":
        return None
    return output if layout == "map" else output.permute(0, 3, 1, 2)


def _square(positions: Tensor) -> Tensor | None:
    """Return tokens (N, P, C) as the map (N, C, H, W) that they are row by row, where P is a square number."""
    _, n, channels = positions.shape
    side = math.isqrt(n)
    return positions.transpose(1, 2).reshape(-1, channels, side, side) if side**2 == n else None


def _deviation(x: Tensor, mean: Tensor, positions: tuple[int, ...]) -> Tensor:
    """Return the population standard deviation over the axes `positions`, whose `mean` is known.

    Two passes: as exact as `torch.std_mean` and three to ten times as fast on a CPU. The floor keeps the
    gradient of a channel that is constant, such as one that a ReLU has cut off, finite.
    """
    return (x - mean).square().mean(positions).clamp_min(1e-12).sqrt()


def _grid(x: Tensor) -> Tensor | None:
    output = x if x.ndim == 4 else _square(x)
    if output is None or min(output.shape[2:]) < 2:
        return None
    return nn.functional.adaptive_avg_pool2d(output, 2).flatten(1)


def _check_count(network: Network, k: int, *, least: int) -> None:
    if not least <= k <= network.n_stages:
        raise BackboneError(f"{network.name} has {network.n_stages} stages, so {least} to that many, but got {k}")
