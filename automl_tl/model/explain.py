"""Why a model takes a picture for a class: what each place in it adds, as a map over the picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from automl_tl.backbones.stages import normalise
from automl_tl.data.decode import Preprocessing
from automl_tl.model.contributions import contributions
from automl_tl.model.decoding import Images
from automl_tl.model.forward import normalisation
from automl_tl.model.member import Member
from automl_tl.model.resampling import places

LONGEST_SIDE = 512
"""Pixels of a map: more would only be interpolated."""


def heat_map(members: Sequence[Member], images: Images, target: int, shape: tuple[int, int]) -> Tensor:
    """Return what each place of a picture adds to the score of class number `target`, (h, w) float32 on the CPU.

    Every member's contributions, of all its cuts, are laid over the picture and added with the members' shares. Parts
    of the picture that a member does not see, as cropping cut them off, add nothing to it.

    Args:
        members: of a model.
        images: one picture for each preprocessing, uint8 (1, S, S, 3).
        target: column of the scores.
        shape: h, w, whose ratio is that of the upright picture.
    """
    total = torch.zeros(shape)
    for member in members:
        network, how = member.network, member.preprocessing
        inputs = normalise(images[how].to(network.device), *normalisation(network))
        maps = contributions(member, inputs, target)
        total += member.weight * torch.stack([_over_picture(one, how, shape) for one in maps]).sum(0)
    return total


def _over_picture(values: Tensor, how: Preprocessing, shape: tuple[int, int]) -> Tensor:
    """Return a map (1, h', w') of the square that a network sees as (h, w) of the picture, bilinear, 0 where unseen."""
    height, width = shape
    down, across = places(height, width, how), places(width, height, how)
    grid = torch.stack([across.expand(height, -1), down[:, None].expand(-1, width)], dim=2)
    spread = grid_sample(values[None], grid[None], padding_mode="border", align_corners=False)[0, 0]
    return spread * (grid.abs() <= 1).all(dim=2)
