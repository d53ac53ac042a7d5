"""What every position of a member's maps adds to the score of a class.

A head reads statistics over positions, so gradient times activation says, to first order, what each position adds.
For a linear head on means this is class activation mapping (Zhou et al. 2016, "Learning Deep Features for
Discriminative Localization", arXiv 1512.04150). Means, deviations and quarters' means of a map all double where the
map doubles, so by Euler's theorem nothing is left over: the contributions to a linear head add up to its score, but
for what is the same for every picture.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from automl_tl.backbones.blame import blaming
from automl_tl.backbones.network import Network, tokens
from automl_tl.backbones.stages import Pooled, pool_stage
from automl_tl.errors import BackboneError
from automl_tl.model.member import Member, join


def contributions(member: Member, inputs: Tensor, target: int) -> list[Tensor]:
    """Return a map (N, h, w) for every cut, float32 on the CPU: what its positions add to the score of class `target`.

    The mean of a map over its positions is what the cut adds as a whole. Cuts that are joined count on their own, not
    through one another. A position that several quarters share, in the middle of an odd number of rows or columns,
    counts once, for else the middle would shine in every picture. Layers beyond a linear one are taken as linear
    around the picture's features. Where the head reads a class token, which lies at no position, the map is of the last
    stage from whose positions the token learns, and what the token knew before is in none.

    Args:
        member: in eval mode.
        inputs: as its network takes them, normalised float32 (N, 3, S, S), on its device.
        target: column of the scores.

    Raises:
        BackboneError: A stage fails, or puts out tokens that are no square of positions, or a token alone is read.
    """
    outputs = _outputs(member, inputs)
    depths = [_deepest_read(member, outputs, cut) for cut in member.cuts]
    leaves = [outputs[depth].detach().requires_grad_() for depth in depths]
    with torch.enable_grad():
        starts = zip(member.cuts, depths, leaves, strict=True)
        pooled = {cut: _pooled(member, leaf, depth, cut) for cut, depth, leaf in starts}
        score = member.head(join(pooled, member.cuts, member.pooling))[:, target].sum()
        gradients = torch.autograd.grad(score, leaves)
    parts = zip(depths, leaves, gradients, strict=True)
    maps = [_by_position(member.network, leaf.detach() * gradient, depth) for depth, leaf, gradient in parts]
    return [one / _quarters(*one.shape[1:]) for one in maps] if member.pooling == "grid" else maps


def _outputs(member: Member, inputs: Tensor) -> list[Tensor]:
    """Return the inputs and then the output of every stage up to the last cut, that one refined by the head."""
    outputs = [inputs]
    with torch.no_grad():
        for done in range(max(member.cuts)):
            outputs.append(_onwards(member, outputs[-1], done, done + 1))
    return outputs


def _onwards(member: Member, x: Tensor, done: int, end: int) -> Tensor:
    """Return the output of stage `end`, as the head takes it, where `x` is that of stage `done`."""
    for number in range(done, end):
        with blaming(member.network.name, "could not explain this picture"):
            x = member.network.stages[number](x.clone())  # a stage may write into what it is given
        if number + 1 == max(member.cuts):
            x = member.head.refine(x)
    return x


def _pooled(member: Member, x: Tensor, done: int, cut: int) -> Pooled:
    return pool_stage(member.network, _onwards(member, x, done, cut), cut, member.pooling)


def _deepest_read(member: Member, outputs: list[Tensor], cut: int) -> int:
    """Return the last stage, at most `cut`, on whose positions the pooled vector of `cut` depends."""
    for depth in range(cut, 0, -1):
        leaf = outputs[depth].detach().requires_grad_()
        with torch.enable_grad():
            mean = _pooled(member, leaf, depth, cut).mean
            uneven = torch.linspace(1, 2, mean.shape[1], device=mean.device)  # a plain sum is constant after LayerNorm
            (gradient,) = torch.autograd.grad((mean * uneven).sum(), leaf)
        if bool(_by_position(member.network, gradient.abs(), depth).any()):
            return depth
    raise BackboneError(
        f"{member.network.name} cannot be explained: stage {cut} depends on no position of any stage; explain a model "
        "with another backbone"
    )


def _by_position(network: Network, values: Tensor, depth: int) -> Tensor:
    """Return values of a stage's shape, summed over channels and times the number of positions, as (N, h, w)."""
    layout = network.layouts[depth - 1]
    if layout == "tokens":
        flat = tokens(network, values).sum(2)
        side = math.isqrt(flat.shape[1])
        if side * side != flat.shape[1]:
            raise BackboneError(
                f"{network.name} cannot be explained: stage {depth} puts out {flat.shape[1]} tokens, which are no "
                "square of positions; explain a model with another backbone"
            )
        summed = flat.reshape(-1, side, side)
    else:
        summed = values.sum(1 if layout == "map" else 3)
    return summed.float().cpu() * summed.shape[1] * summed.shape[2]


def _quarters(height: int, width: int) -> Tensor:
    """Return in how many of the four quarters of a map each position is, (h, w): in two or four on a middle line."""
    down, across = (torch.tensor([1 + (2 * place + 1 == side) for place in range(side)]) for side in (height, width))
    return down[:, None] * across
