"""Take a torchvision network apart into stages that compose.

A recipe lists a network's parts in the order in which they run. It is only believed if they give what the
network's own classifier reads, tried on a random picture; a network that no recipe fits is one single stage.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchvision.models.densenet import DenseNet, _Transition
from torchvision.models.vision_transformer import VisionTransformer

SMALL = 96
"""Side of the picture on which stages are tried, pixels: it need not be large to tell them apart."""
HEADS = ("fc", "classifier", "head", "heads")
AFTER = ("permute", "avgpool", "flatten", "dropout", *HEADS)
"""What follows the last feature map."""
CONTAINERS = ("features", "layers", "blocks", "trunk_output")
MOST_BLOCKS = 12
"""Stages that the blocks of a transformer make: more of them are joined, so that cuts stay about a dozen."""


class Embedding(nn.Module):
    """From pictures to tokens: what a vision transformer does before its first block.

    (N, 3, S, S) -> (N, 1 + P, C), the class token first.
    """

    def __init__(self, net: VisionTransformer) -> None:
        super().__init__()
        self.conv_proj = net.conv_proj
        self.class_token = net.class_token
        self.pos_embedding = net.encoder.pos_embedding
        self.dropout = net.encoder.dropout

    def forward(self, x: Tensor) -> Tensor:
        """Return the tokens of normalised pictures."""
        x = self.conv_proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], dim=1)
        return cast(Tensor, self.dropout(x + self.pos_embedding))


def split(net: nn.Module, input_size: int) -> list[nn.Module]:
    """Return the stages of `net`, tried on a random picture of at most `input_size` pixels a side."""
    whole = headless(net)
    with evaluating(net, whole), torch.no_grad():
        picture, expected = tried(whole, input_size)
        for stages in (transformer(net), sequence(net)):
            if stages and _compose(net, stages, picture, expected):
                return stages
    return [whole]


def headless(net: nn.Module) -> nn.Module:
    """Return `net` without its classifier, as a module that shares everything else with it."""
    whole = copy.copy(net)
    whole._modules = dict(net._modules)
    name = head_name(net)
    if name:
        whole._modules[name] = nn.Identity()
    return whole


def head_name(net: nn.Module) -> str:
    """Return the name of a network's own classifier; empty where it has none that is known."""
    return next((name for name, _ in net.named_children() if name in HEADS), "")


def transformer(net: nn.Module) -> list[nn.Module]:
    """Return a vision transformer's stages: its embedding, then its blocks, the norm with the last one.

    The blocks of a long one are joined to a dozen stages, as many in each as can be alike.
    """
    if not isinstance(net, VisionTransformer):
        return []
    blocks = _grouped(list(net.encoder.layers.children()))
    return [Embedding(net), *blocks[:-1], nn.Sequential(blocks[-1], net.encoder.ln)]


def _grouped(blocks: list[nn.Module]) -> list[nn.Module]:
    """Return blocks as at most `MOST_BLOCKS` modules, the first ones longer where they do not divide evenly."""
    if len(blocks) <= MOST_BLOCKS:
        return blocks
    each, longer = divmod(len(blocks), MOST_BLOCKS)
    ends = [each * number + min(number, longer) for number in range(MOST_BLOCKS + 1)]
    return [nn.Sequential(*blocks[start:end]) for start, end in pairwise(ends)]


def sequence(net: nn.Module) -> list[nn.Module]:
    """Return the stages of a network whose parts run one after the other.

    A new one begins after the stem, after a pooling or a dense network's transition, and where the number of
    channels changes.
    """
    groups: list[list[nn.Module]] = []
    width = None
    for part in _in_order(net):
        new = _width(part)
        changes = new is not None and width is not None and new != width
        if not groups or (_has_parameters(part) and (changes or _is_closed(groups))):
            groups.append([])
        groups[-1].append(part)
        width = new or width
    return [group[0] if len(group) == 1 else nn.Sequential(*group) for group in groups]


def tokens(arch: str, output: Tensor) -> Tensor:
    """Return (N, P, C): positions by channels, without the class token."""
    if output.ndim == 4:
        return output.flatten(1, 2) if arch.startswith("swin") else output.flatten(2).transpose(1, 2)
    return output[:, 1:] if output.ndim == 3 else output.unsqueeze(1)


def pooled(arch: str, output: Tensor) -> Tensor:
    """Return (N, D) of the last stage's output."""
    return output[:, 0] if output.ndim == 3 else tokens(arch, output).mean(dim=1)


def tried(net: nn.Module, input_size: int) -> tuple[Tensor, Tensor]:
    """Return a random picture (1, 3, S, S) and what `net` makes of it; a small one where the network takes it."""
    size = int(getattr(net, "image_size", input_size))
    picture = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    picture = picture.to(next(net.parameters()))
    small = picture[:, :, :SMALL, :SMALL]
    try:
        return small, cast(Tensor, net(small))
    except (AssertionError, RuntimeError, ValueError):  # bound to its own size
        return picture, cast(Tensor, net(picture))


def equal(found: Tensor, expected: Tensor) -> bool:
    """Say whether two outputs (N, ...) are the same but for rounding."""
    found, expected = found.flatten(1), expected.flatten(1)
    tolerance = 1e-3 * float(expected.abs().max())
    return found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-3, atol=tolerance)


@contextmanager
def evaluating(*nets: nn.Module) -> Iterator[None]:
    """Put networks in eval mode for a while; every module gets its own mode back."""
    modes = {module: module.training for net in nets for module in net.modules()}
    for net in nets:
        net.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _in_order(net: nn.Module) -> Iterator[nn.Module]:
    for name, child in net.named_children():
        if name in AFTER:
            break
        if name in CONTAINERS:
            yield from child.children()
        else:
            yield child
    if isinstance(net, DenseNet):  # a function call there, not a module
        yield nn.ReLU()


def _width(part: nn.Module) -> int | None:
    """Return the number of channels that a part puts out; None where it keeps what it gets."""
    if isinstance(part, _Transition):  # the end of its dense block
        return None
    layers = [m for m in part.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    if not layers:
        return None
    return layers[-1].out_channels if isinstance(layers[-1], nn.Conv2d) else layers[-1].out_features


def _has_parameters(part: nn.Module) -> bool:
    return next(part.parameters(), None) is not None


def _is_closed(groups: list[list[nn.Module]]) -> bool:
    """Say whether nothing but layers without parameters may join the last group any more."""
    stem = len(groups) == 1 and next(groups[0][0].children(), None) is not None
    return stem or isinstance(groups[-1][-1], nn.MaxPool2d | _Transition)


def _compose(net: nn.Module, stages: list[nn.Module], picture: Tensor, expected: Tensor) -> bool:
    """Say whether the stages, one after the other, give what the network's classifier reads."""
    found: Any = picture
    try:
        for stage in stages:
            found = stage.eval()(found)
        return any(equal(read, expected) for read in _read(net, found))
    except Exception:  # parts that are not what the recipe takes them for
        return False


def _read(net: nn.Module, output: Tensor) -> Iterator[Tensor]:
    """Yield the ways in which a classifier may read the last stage's output."""
    yield output
    if output.ndim == 3:
        yield output[:, 0]
    else:
        yield output.mean(dim=(2, 3))
        yield output.mean(dim=(1, 2))
        if isinstance(pool := getattr(net, "avgpool", None), nn.Module):
            yield pool(output)
