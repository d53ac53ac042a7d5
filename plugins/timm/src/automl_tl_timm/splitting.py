"""Take a timm network apart into stages that compose.

A recipe says which attributes of a network follow one another. It is only believed if the stages give what
`forward_features` gives on a random picture; a network that no recipe fits is one single stage.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn

from automl_tl_timm.parts import RotatedBlock, TokenEmbedding, WholeNetwork

SMALL = 96
"""Side of the picture on which stages are checked, pixels: it need not be large to tell them apart."""

MOST_BLOCKS = 12
"""Stages that the blocks of a network make: more of them are joined, so that cuts stay about a dozen."""

Named = list[tuple[str, nn.Module]]
Recipe = Callable[[nn.Module], "list[nn.Module] | None"]


@dataclass(frozen=True)
class Chain:
    """Attributes of a network in the order in which they run."""

    first: tuple[str, ...]
    """Together they are the first stage."""
    each: tuple[str, ...] = ()
    """Modules that are a stage each."""
    inside: str = ""
    """A container whose children are a stage each, or a few of them where they are many."""
    last: tuple[str, ...] = ()
    """What follows: a stage of its own if it holds a convolution, else part of the last stage."""

    def __call__(self, net: nn.Module) -> list[nn.Module] | None:
        """Return the stages, or None where the network lacks a part."""
        body = _present(net, self.each)
        if self.inside:
            container = getattr(net, self.inside, None)
            body = list(container.named_children()) if isinstance(container, nn.Module) else []
        first = _present(net, self.first)
        if not first or not body or (self.each and len(body) < len(self.each)):
            return None
        return _with_last([_joined(first), *_grouped([part for _, part in body])], _present(net, self.last))


def transformer(net: nn.Module) -> list[nn.Module] | None:
    """Return the stages of a plain vision transformer: its embedding, then its blocks, norm with the last.

    The blocks of a long one are joined to a dozen stages of one after the other, as many in each as can be alike.
    """
    blocks = getattr(net, "blocks", None)
    if not isinstance(blocks, nn.Module) or not callable(getattr(type(net), "_pos_embed", None)):
        return None
    parts = list(blocks.children())
    rope = getattr(net, "rope", None)
    if isinstance(rope, nn.Module):
        if next(rope.parameters(), None) is not None:  # learned, one for each block: no stage could own it
            return None
        parts = [RotatedBlock(part, rope, getattr(net, "num_prefix_tokens", 0)) for part in parts]
    return _with_last([TokenEmbedding(net), *_grouped(parts)], _present(net, ("norm",)))


def _grouped(blocks: list[nn.Module]) -> list[nn.Module]:
    """Return blocks as at most `MOST_BLOCKS` modules, the first ones longer where they do not divide evenly."""
    if len(blocks) <= MOST_BLOCKS:
        return blocks
    each, longer = divmod(len(blocks), MOST_BLOCKS)
    ends = [each * number + min(number, longer) for number in range(MOST_BLOCKS + 1)]
    return [nn.Sequential(*blocks[start:end]) for start, end in pairwise(ends)]


def flat_features(net: nn.Module) -> list[nn.Module] | None:
    """Return the stages of a flat `features`, cut after every pooling (VGG) or transition (DenseNet)."""
    features = getattr(net, "features", None)
    if not isinstance(features, nn.Module):
        return None
    groups: list[Named] = [[]]
    for name, part in features.named_children():
        groups[-1].append((name, part))
        if isinstance(part, nn.MaxPool2d) or name.startswith(("pool", "transition")):
            groups.append([])
    stages = [_joined(group) for group in groups if group]
    return stages if len(stages) > 1 else None


RECIPES: tuple[Recipe, ...] = (
    transformer,
    # EfficientNet, MobileNetV2 and kin; MobileNetV3's head convolution comes after the pooling
    Chain(first=("conv_stem", "bn1"), inside="blocks", last=("conv_head", "bn2")),
    Chain(first=("conv_stem", "bn1"), inside="blocks"),
    # ResNet and kin
    Chain(first=("conv1", "bn1", "act1", "maxpool"), each=("layer1", "layer2", "layer3", "layer4")),
    Chain(first=("layer0",), each=("layer1", "layer2", "layer3", "layer4")),
    # RegNet
    Chain(first=("stem",), each=("s1", "s2", "s3", "s4"), last=("final_conv",)),
    # ConvNeXt, the second ResNet, NFNet, RepVGG and many more
    Chain(first=("stem",), inside="stages", last=("norm_pre", "final_conv", "final_act", "norm")),
    Chain(first=("stem",), inside="stages"),
    # Swin and kin
    Chain(first=("patch_embed",), inside="layers", last=("norm",)),
    Chain(first=("patch_embed",), inside="stages", last=("norm",)),
    Chain(first=("stem",), inside="blocks", last=("norm",)),
    flat_features,
)


def split(net: nn.Module, input_size: int) -> list[nn.Module]:
    """Return the stages of `net`, checked on a random picture.

    `input_size` is its side in pixels, where the network is not tied to one itself.
    """
    with evaluating(net), torch.no_grad():
        picture, expected, ran = _tried(net, input_size)
        for recipe in RECIPES:
            stages = recipe(net)
            if stages is not None and _composes(stages, picture, expected):
                return stages
    return [WholeNetwork(net, ran)]


def random_picture(net: nn.Module, input_size: int) -> Tensor:
    """Return (1, 3, S, S) noise from a seed of its own, on the network's device and in its dtype."""
    fixed = getattr(getattr(net, "patch_embed", None), "img_size", None)
    side = getattr(net, "built_for", input_size)  # `loading._create` notes it: not every network that is bound says so
    height, width = fixed or (side, side)
    picture = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return picture.to(next(net.parameters()))


def _tried(net: nn.Module, input_size: int) -> tuple[Tensor, object, list[str]]:
    """Return a random picture and what `_watched` says of it; a small one where the network takes it."""
    try:
        picture = random_picture(net, min(SMALL, input_size))
        return picture, *_watched(net, picture)
    except Exception:  # bound to its own size in some other way
        picture = random_picture(net, input_size)
        return picture, *_watched(net, picture)


def _watched(net: nn.Module, picture: Tensor) -> tuple[object, list[str]]:
    """Return what `forward_features` gives, and the names of the children that took part in it."""
    called: set[nn.Module] = set()
    hooks = [part.register_forward_hook(lambda part, *_: called.add(part)) for part in net.modules()]
    try:
        features = cast(Any, net).forward_features(picture)
    finally:
        for hook in hooks:
            hook.remove()
    ran = [name for name, child in net.named_children() if not called.isdisjoint(child.modules())]
    return features, ran


def _composes(stages: list[nn.Module], picture: Tensor, expected: object) -> bool:
    """Say whether the stages, one after the other, give what the network gives."""
    found: Any = picture
    try:
        for stage in stages:
            found = stage.eval()(found)
    except Exception:  # parts that are not what the recipe takes them for
        return False
    if not isinstance(found, Tensor) or not isinstance(expected, Tensor) or found.shape != expected.shape:
        return False
    return torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Put a network in eval mode for a while; every module gets its own mode back."""
    modes = {module: module.training for module in net.modules()}
    net.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _present(net: nn.Module, names: tuple[str, ...]) -> Named:
    """Return the named parts that the network has and that do something."""
    found = [(name, getattr(net, name, None)) for name in names]
    return [(n, part) for n, part in found if isinstance(part, nn.Module) and not isinstance(part, nn.Identity)]


def _with_last(stages: list[nn.Module], last: Named) -> list[nn.Module]:
    if not last:
        return stages
    if any(isinstance(module, nn.Conv2d) for _, part in last for module in part.modules()):
        return [*stages, _joined(last)]
    return [*stages[:-1], _joined([("last", stages[-1]), *last])]


def _joined(parts: Named) -> nn.Module:
    return parts[0][1] if len(parts) == 1 else nn.Sequential(OrderedDict(parts))
