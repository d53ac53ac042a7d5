"""A convolution whose gradients are computed the way that is fast on a CPU, equal to torch's up to rounding.

Three things that oneDNN, which torch computes convolutions with, does slowly (3.12, AVX-512, 16 pictures): the gradient
of the bias within that of the weights (16 to 96 channels of 112 x 112: 17 ms instead of 7, the sum alone takes 4), that
of depthwise weights wider than three (5 x 5, 1,152 channels of 7 x 7: 6.5 ms, in bfloat16 20; 3 x 3 takes 0.2), and in
bfloat16 that of the inputs of strided depthwise convolutions (96 channels of 112 x 112: 61 ms, in float32 8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

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
    return _geometry(convolution.stride, padding, convolution.dilation, convolution.groups)


def _geometry(stride: Any, padding: Any, dilation: Any, groups: int) -> Geometry:
    stride, padding, dilation = (_two(numbers) for numbers in (stride, padding, dilation))
    return Geometry(stride, padding, dilation, groups)


def _two(numbers: int | Iterable[int]) -> tuple[int, int]:
    first, *others = (numbers,) if isinstance(numbers, int) else numbers
    return int(first), int(others[0] if others else first)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, scale: Tensor | None = None) -> Tensor:
    """Return a convolution whose weights are scaled, (N, K, H', W'); under autocast in that number format.

    Args:
        x: (N, C, H, W).
        weight: (K, C / groups, h, w).
        bias: (K,), not scaled.
        geometry: of the convolution.
        scale: (K,), of every output's weights; None: 1.
    """
    found: Tensor = _Convolution.apply(x, weight, bias, geometry, scale)
    return found


class Convolving(TorchFunctionMode):
    """Within it `torch.conv2d` is `convolve`, and what it gives is scaled and shifted.

    So a subclass of `nn.Conv2d` does with its inputs and weights what it does, such as padding.

    Args:
        scale: (K,), None: 1.
        shift: (K,), None: 0.
    """

    def __init__(self, scale: Tensor | None = None, shift: Tensor | None = None) -> None:
        super().__init__()
        self._scale, self._shift = scale, shift

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        run = self._conv2d if func is torch.conv2d else func
        return run(*args, **(kwargs or {}))

    def _conv2d(
        self, input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1,
    ) -> Tensor:  # fmt: skip
        bias = shifted(bias, self._scale, self._shift)
        if input.ndim == 4 and not isinstance(padding, str):
            return convolve(input, weight, bias, _geometry(stride, padding, dilation, groups), self._scale)
        weight = _scaled(weight, self._scale)
        return torch.conv2d(input, weight, bias, stride, padding, dilation, groups)


def shifted(bias: Tensor | None, scale: Tensor | None, shift: Tensor | None) -> Tensor | None:
    """Return `bias * scale + shift`, (K,), None where there is nothing to add."""
    if bias is None or shift is None:
        return shift if bias is None else bias
    return shift + (bias if scale is None else bias * scale)


def _scaled(weight: Tensor, scale: Tensor | None) -> Tensor:
    return weight if scale is None else weight * scale.view(-1, 1, 1, 1)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, scale: Tensor | None
    ) -> Tensor:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        scaled, inputs = _scaled(weight, scale).to(dtype), x.to(dtype)
        ctx.save_for_backward(inputs, weight, scale, scaled)
        ctx.geometry, ctx.of_x = geometry, x.dtype
        return torch.conv2d(inputs, scaled, None if bias is None else bias.to(dtype), *geometry)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None, None, Tensor | None]:
        x, weight, scale, scaled = ctx.saved_tensors
        for_x, _, for_bias = ctx.needs_input_grad[:3]
        of_x = _of_inputs(gradient, x, scaled, ctx.geometry).to(ctx.of_x) if for_x else None
        of_weight = _of_weights(gradient, x, scaled, ctx.geometry).to(weight.dtype)
        of_bias = gradient.sum((2, 3)).to(weight.dtype).sum(0) if for_bias else None
        if scale is None:
            return of_x, of_weight, of_bias, None, None
        of_scale = torch.linalg.vecdot(of_weight.flatten(1), weight.flatten(1))
        return of_x, of_weight.mul_(scale.view(-1, 1, 1, 1)), of_bias, None, of_scale


def _of_inputs(gradient: Tensor, x: Tensor, weight: Tensor, how: Geometry) -> Tensor:
    if x.dtype == torch.bfloat16 and _is_depthwise(weight, how) and how.stride != (1, 1):
        gradient, weight, x = gradient.float(), weight.float(), torch.empty_like(x, dtype=torch.float32)
    return _gradients(gradient, x, weight, how, (True, False))[0]


def _of_weights(gradient: Tensor, x: Tensor, weight: Tensor, how: Geometry) -> Tensor:
    if _is_depthwise(weight, how) and weight.shape[3] > _WIDEST and how.dilation == (1, 1):
        return _by_columns(gradient, x, weight, how)
    return _gradients(gradient, x, weight, how, (False, True))[1]


def _is_depthwise(weight: Tensor, how: Geometry) -> bool:
    return how.groups == len(weight) and weight.shape[1] == 1


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
