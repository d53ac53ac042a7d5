"""Torch with every frozen BatchNorm folded into the convolution before it.

In eval mode a BatchNorm is a scale and a shift per channel, which the convolution's weights can carry (Jacob et al.
2018, section 3.2). Which convolution feeds which BatchNorm is seen on a pass of two pictures, and a second one shows
that nothing else read what lies between them.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from automl_tl.backbones.batchnorm_pairs import find_pairs, rest_of
from automl_tl.backbones.stages import Network, stage_outputs
from automl_tl.errors import EngineError
from automl_tl.features.runtimes.pooled_stages import PooledStages

_TOLERANCE = 1e-4
"""Of a stage's output, relative to its largest value; measured on EfficientNet-Lite: 5e-6."""


def folded(network: Network) -> Network:
    """Return a copy of a network without the BatchNorms that follow a convolution, its weights channels last.

    Raises:
        EngineError: none follows one, or the copy does not compute the same.
    """
    stages = copy.deepcopy(nn.ModuleList(network.stages)).to(memory_format=torch.channels_last)
    found = replace(network, stages=tuple(stages))
    side = network.backbone.input_size
    noise = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0)).to(network.device)
    with torch.no_grad():
        pairs = find_pairs(stages.modules(), lambda: list(stage_outputs(found, noise)))
        if not pairs:
            raise EngineError(f"{network.name} has no BatchNorm that follows a convolution")
        for convolution, batchnorm in pairs:
            _fold(stages, convolution, batchnorm)
        if not _agree(network, found, noise):
            raise EngineError(f"{network.name} computes something else with its BatchNorms folded")
    return found


class Folded:
    """The statistics of a `folded` network's stages; raises EngineError where it cannot be folded."""

    def __init__(self, network: Network) -> None:
        self._stages = PooledStages(folded(network))

    def __call__(self, inputs: Tensor) -> dict[str, Tensor]:
        """See `Runtime`."""
        found: dict[str, Tensor] = self._stages(inputs)
        return found


def _fold(stages: nn.ModuleList, convolution: nn.Conv2d, batchnorm: nn.BatchNorm2d) -> None:
    assert batchnorm.running_mean is not None
    assert batchnorm.running_var is not None
    convolution.weight, convolution.bias = fuse_conv_bn_weights(  # type: ignore[assignment]
        convolution.weight, convolution.bias, batchnorm.running_mean, batchnorm.running_var, batchnorm.eps,
        batchnorm.weight, batchnorm.bias,
    )  # fmt: skip
    name = next(name for name, module in stages.named_modules() if module is batchnorm)
    parent, _, attribute = name.rpartition(".")
    setattr(stages.get_submodule(parent), attribute, rest_of(batchnorm))


def _agree(network: Network, folded: Network, inputs: Tensor) -> bool:
    pairs = zip(stage_outputs(network, inputs), stage_outputs(folded, inputs), strict=True)
    return all(float((a - b).abs().max()) <= _TOLERANCE * float(a.abs().max()) for a, b in pairs)
