"""Pillow's resizing in plain tensor operations: squares of one size out of pictures of any size, on any device.

Resizing is linear, and an axis at a time: a resized picture is `down @ picture @ across.T`, where a row of such a
matrix holds what one new pixel takes of every old one. The weights are Pillow's (`precompute_coeffs` of its
`Resample.c`): the filter, widened where the picture shrinks, around the centre of the new pixel. As the matrices have S
rows whatever the pictures' size is, squashing, padding and cropping are the same two products, and in an exported graph
height and width stay free.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from automl_tl.data.decode import MAX_CROP_ASPECT, Preprocessing
from automl_tl.errors import OptionError

_ONE = 2.0**22
"""What a weight of 1 is in Pillow's whole numbers."""
Filter = Callable[[Tensor], Tensor]
"""The weight of an old pixel at a distance from a new one's centre, in pixels of the coarser of the two grids."""


def resample(pictures: Tensor, how: Preprocessing) -> Tensor:
    """Return pictures as `data.decode.preprocess` makes them, (N, 3, S, S) float32 from 0 to 255.

    Args:
        pictures: (N, H, W, 3), RGB, upright, all of one size: uint8, or floating point from 0 to 1.
        how: of which interpolations "nearest", "bilinear" and "bicubic" are known.

    uint8 pixels are Pillow's: weights are whole numbers, as there, whose products float64 adds up exactly, and what
    comes out is rounded after each axis, across first, as `preprocess` does. (Apple's GPUs have no float64, and there
    ties may differ.) Others are not rounded, so that gradients pass.

    Raises:
        OptionError: Another interpolation.
    """
    if how.interpolation not in FILTERS:
        raise OptionError(f"interpolation must be one of {', '.join(FILTERS)} here, but is {how.interpolation!r}")
    whole = pictures.dtype == torch.uint8
    exact = torch.float32 if pictures.device.type == "mps" else torch.float64
    x = pictures.permute(0, 3, 1, 2).to(exact if whole else torch.float32)
    x = x if whole else x * 255
    height, width = x.shape[2:]
    down, across = (_weights(*sides, how) for sides in ((height, width), (width, height)))
    if whole:
        x = _settled(x @ _whole_numbers(across).to(x).T)
        x = _settled(_whole_numbers(down).to(x) @ x)
    else:
        x = down.to(x) @ (x @ across.to(x).T)
    x = x.to(torch.float32)
    return _filled(x, down.to(x), across.to(x), how.fill) if how.fit == "pad" else x


def places(side: int, other: int, how: Preprocessing) -> Tensor:
    """Return where an axis' pixels lie in the square, (side,) float32: from -1 to 1, beyond where they were cut off.

    Args:
        side: of the picture along the axis, pixels.
        other: its other side, pixels.
        how: how it became a square.
    """
    own, across = (torch.scalar_tensor(n, dtype=torch.float64) for n in (side, other))
    place = _place(own, across, how)
    old = torch.arange(side, dtype=torch.float64) + 0.5
    new = (old - place.start) * place.resized / place.used - place.offset
    return (2 * new / how.size - 1).float()


@dataclass(frozen=True)
class _Place:
    """How the pixels of an axis lie: old ones from `start`, `used` of them, become `resized` new ones, and the output
    begins at number `offset` of these. Scalars, float64 on the CPU, whose values a traced graph does not know."""

    start: Tensor
    used: Tensor
    resized: Tensor
    offset: Tensor


def _place(side: Tensor, other: Tensor, how: Preprocessing) -> _Place:
    """Return what `data.decode` does along a side (pixels) of a picture whose other side is `other`."""
    start, used, resized = torch.zeros_like(side), side, torch.full_like(side, how.size)
    if how.fit == "pad":
        scale = torch.full_like(side, how.size) / torch.maximum(side, other)  # a number by a tensor is less exact
        resized = (side * scale).round().clamp_min(1)
    elif how.fit == "crop":
        shorter = torch.minimum(side, other)
        used = torch.minimum(side, shorter * MAX_CROP_ASPECT)
        start = ((side - used) / 2).floor()
        resized = (math.floor(how.size / how.crop_pct) * used / shorter).floor()
    return _Place(start, used, resized, ((resized - how.size) / 2).round())


def _weights(side: int, other: int, how: Preprocessing) -> Tensor:
    """Return the matrix (S, side) of an axis, float64; its rows sum to 1, those of padding to 0."""
    own, across = (torch.scalar_tensor(n, dtype=torch.float64) for n in (side, other))
    place = _place(own, across, how)
    new = torch.arange(how.size, dtype=torch.float64)[:, None] + place.offset
    old = torch.arange(side, dtype=torch.float64) + 0.5
    step = place.used / place.resized
    centre = place.start + (new + 0.5) * step
    if how.interpolation == "nearest":
        centre, step = centre.floor() + 0.5, torch.ones_like(step)
    weights = FILTERS[how.interpolation](((old - centre) / step.clamp_min(1)).abs())
    inside = (old > place.start) & (old < place.start + place.used) & (new >= 0) & (new < place.resized)
    weights = torch.where(inside, weights, torch.zeros_like(weights))
    return weights / weights.sum(1, keepdim=True).clamp_min(1e-12)


def _filled(x: Tensor, down: Tensor, across: Tensor, fill: tuple[int, int, int]) -> Tensor:
    """Return the pictures with the padding in its colour."""
    picture = (down.sum(1) > 0.5)[:, None] & (across.sum(1) > 0.5)
    return torch.where(picture, x, torch.tensor(fill).to(x).view(3, 1, 1))


def _whole_numbers(weights: Tensor) -> Tensor:
    """Return weights in units of 1 / _ONE, rounded half away from zero (`normalize_coeffs_8bpc` of Pillow)."""
    return weights.sign() * ((weights * _ONE).abs() + 0.5).floor()


def _settled(x: Tensor) -> Tensor:
    """Return sums of pixels by whole weights as pixels: whole numbers from 0 to 255."""
    return ((x + _ONE / 2) / _ONE).floor().clamp(0, 255)


def _box(x: Tensor) -> Tensor:
    return (x < 0.5).to(x)


def _triangle(x: Tensor) -> Tensor:
    return (1 - x).clamp_min(0)


def _cubic(x: Tensor) -> Tensor:
    """Keys' cubic convolution with a = -0.5, as in Pillow."""
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


FILTERS: dict[str, Filter] = {"nearest": _box, "bilinear": _triangle, "bicubic": _cubic}
"""By their names in `Preprocessing`; "nearest" takes the one pixel that the centre lies in."""
