"""A convolution whose gradients are computed the way that is fast on a CPU, equal to torch's up to rounding.

Two things that oneDNN, which torch computes convolutions with, does slowly (3.12, AVX-512, one thread, 16 pictures):
the gradient of the bias within that of the weights (16 to 96 channels of 112 x 112: 17 ms instead of 7, the sum alone
takes 4), and that of depthwise weights wider than three (5 x 5, 1,152 channels of 7 x 7: 6.5 ms, 3 x 3 takes 0.2).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_WIDEST = 3
"""Columns of a depthwise kernel for which oneDNN has a kernel of its own for gradients, channels last."""


class Geometry(NamedTuple):
    """How a kernel goes over a map, rows before columns."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


def geometry_of(convolution: nn.Conv2d) -> Geometry | None:
    """Return it, or None of what may compute something else: a subclass, or another padding than with zeros."""
    padding = convolution.padding
    if type(convolution) is not nn.Conv2d or convolution.padding_mode != "zeros" or isinstance(padding, str):
        return None
    stride, padding, dilation = ((int(n[0]), int(n[1])) for n in (convolution.stride, padding, convolution.dilation))
    return Geometry(stride, padding, dilation, convolution.groups)


def convolve(x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor, geometry: Geometry) -> Tensor:
    """Return a convolution whose weights are scaled, (N, K, H', W').

    Args:
        x: (N, C, H, W).
        weight: (K, C / groups, h, w).
        scale: (K,), of every output's weights.
        bias: (K,), not scaled.
        geometry: of the convolution.
    """
    found: Tensor = _Convolution.apply(x, weight, scale, bias, geometry)
    return found


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor, geometry: Geometry) -> Tensor:
        scaled = weight * scale.view(-1, 1, 1, 1)
        ctx.save_for_backward(x, weight, scale, scaled)
        ctx.geometry = geometry
        return torch.conv2d(x, scaled, bias, *geometry)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor, Tensor, None]:
        x, weight, scale, scaled = ctx.saved_tensors
        for_x = ctx.needs_input_grad[0]
        if _is_slow(scaled, ctx.geometry):
            of_x = _gradients(gradient, x, scaled, ctx.geometry, (True, False))[0] if for_x else None
            of_scaled = _by_columns(gradient, x, scaled, ctx.geometry)
        else:
            of_x, of_scaled = _gradients(gradient, x, scaled, ctx.geometry, (for_x, True))
        of_scale = torch.linalg.vecdot(of_scaled.flatten(1), weight.flatten(1))
        return of_x, of_scaled.mul_(scale.view(-1, 1, 1, 1)), of_scale, gradient.sum((0, 2, 3)), None


def _is_slow(weight: Tensor, how: Geometry) -> bool:
    depthwise = how.groups == len(weight) and weight.shape[1] == 1
    return depthwise and weight.shape[3] > _WIDEST and how.dilation == (1, 1)


def _by_columns(gradient: Tensor, x: Tensor, weight: Tensor, how: Geometry) -> Tensor:
    """Return the gradient of a wide kernel, a few columns at a time: of a narrow kernel on inputs that are moved."""
    parts = []
    for first in range(0, weight.shape[3], _WIDEST):
        columns = weight[..., first : first + _WIDEST]
        left = how.padding[1] - first
        right = (gradient.shape[3] - 1) * how.stride[1] + columns.shape[3] - x.shape[3] - left
        narrow = how._replace(padding=(how.padding[0], 0))
        parts.append(_gradients(gradient, nn.functional.pad(x, (left, right)), columns, narrow, (False, True))[1])
    return torch.cat(parts, dim=3)


def _gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, how: Geometry, asked: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    """Return those of `x` and of `weight`; of what is not asked for, None."""
    found = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, how.stride, how.padding, how.dilation, False, (0, 0), how.groups, (*asked, False)
    )
    return found[0], found[1]
