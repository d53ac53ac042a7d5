"""Frozen BatchNorms of stages that learn, folded into the convolutions before them at every step.

A BatchNorm whose statistics stay is a scale and a shift per channel, made of two parameters that learn. Weights of a
convolution can carry both (Jacob et al. 2018, section 3.2): y = conv(x, W * s) + (beta - mean * s), where
s = gamma / sqrt(var + eps). Gradients go through these small tensors to W, gamma and beta: what learns, and what is
kept of it, stays as it is, while the maps between are neither written nor kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from automl_tl.backbones.batchnorm_pairs import find_pairs, rest_of
from automl_tl.learning.convolution import Convolving, convolve, geometry_of, shifted
from automl_tl.learning.rewriting import Forward, is_untouched, run


def folded(stages: Sequence[nn.Module], inputs: Tensor) -> dict[nn.Module, Forward]:
    """Return what modules may compute instead of what they do; a BatchNorm in training mode computes as ever.

    Whether something else reads what lies between a convolution and its BatchNorm is not seen: compare both.

    Args:
        stages: that learn, in eval mode.
        inputs: of the first one, a few pictures.
    """
    modules = [module for stage in stages for module in stage.modules()]
    with torch.no_grad():
        pairs = find_pairs(modules, lambda: run(stages, inputs))
    found: dict[nn.Module, Forward] = {}
    for convolution, batchnorm in pairs:
        if is_untouched(convolution) and is_untouched(batchnorm):
            found |= {convolution: _with(convolution, batchnorm), batchnorm: _after(batchnorm)}
    if found:
        found |= {module: _relu6 for module in modules if _is_relu6(module)}
    return found


def _is_relu6(module: nn.Module) -> bool:
    return type(module) is nn.ReLU6 and module.inplace and is_untouched(module)


def _with(convolution: nn.Conv2d, batchnorm: nn.BatchNorm2d) -> Forward:
    """Return the convolution that does the BatchNorm's work."""
    before, geometry = convolution.forward, geometry_of(convolution)

    def forward(x: Tensor) -> Tensor:
        if batchnorm.training:
            return before(x)
        scale, shift = _scale_and_shift(batchnorm)
        if geometry is not None:
            return convolve(x, convolution.weight, shifted(convolution.bias, scale, shift), geometry, scale)
        with Convolving(scale, shift):
            return before(x)

    return forward


def _scale_and_shift(batchnorm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return what a BatchNorm's inputs are multiplied with and what is added then, both (K,)."""
    assert batchnorm.running_mean is not None
    assert batchnorm.running_var is not None
    scale = torch.rsqrt(batchnorm.running_var + batchnorm.eps)
    if batchnorm.weight is not None:
        scale = scale * batchnorm.weight
    shift = -batchnorm.running_mean * scale
    if batchnorm.bias is not None:
        shift = shift + batchnorm.bias
    return scale, shift


def _after(batchnorm: nn.BatchNorm2d) -> Forward:
    """Return what is left to a BatchNorm, whose convolution does the rest."""
    before, rest = batchnorm.forward, rest_of(batchnorm)

    def forward(x: Tensor) -> Tensor:
        found: Tensor = before(x) if batchnorm.training else rest(x)
        return found

    return forward


def _relu6(x: Tensor) -> Tensor:
    found: Tensor = _Relu6.apply(x)
    return found


class _Relu6(torch.autograd.Function):
    """In place, and nothing else is kept for the gradient; torch's keeps a copy of what it was before."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x.clamp_(0, 6)
        ctx.mark_dirty(x)
        ctx.save_for_backward(x)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (result,) = ctx.saved_tensors
        found: Tensor = torch.ops.aten.hardtanh_backward(gradient, result, 0, 6)
        return found
