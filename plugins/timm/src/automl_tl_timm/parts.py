"""Stages that are not modules of the network itself: they share its parameters and add none.

They hold no reference to a network beyond the modules and parameters that they own, so that moving, copying,
training and exporting a stage does what it says.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

from torch import Tensor, nn


class TokenEmbedding(nn.Module):
    """From pictures to tokens: what a vision transformer does before its first block.

    (N, 3, S, S) -> (N, P + prefix, C). The network's own `_pos_embed` runs on this module, which has the same
    attributes, parameters and submodules under the same names.
    """

    MODULES = ("patch_embed", "pos_drop", "patch_drop", "norm_pre", "rope")

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        for key, value in vars(net).items():
            if not key.startswith("_") and key != "training":
                setattr(self, key, value)
        _share_own_tensors(self, net)
        for key in self.MODULES:
            if isinstance(part := getattr(net, key, None), nn.Module):
                self.add_module(key, part)
        self.embed: Callable[..., Any] = cast(Any, type(net))._pos_embed

    def forward(self, x: Tensor) -> Tensor:
        """Return the tokens of normalised pictures."""
        x = self.embed(self, self.get_submodule("patch_embed")(x))
        if isinstance(x, tuple):  # with the rotary embedding, which every block asks for itself
            x = x[0]
        for name in ("patch_drop", "norm_pre"):
            if name in self._modules:
                x = getattr(self, name)(x)
        return x


class RotatedBlock(nn.Module):
    """A transformer block with its network's rotary position embedding: (N, P, C) -> (N, P, C)."""

    def __init__(self, block: nn.Module, rope: nn.Module, prefix_tokens: int) -> None:
        super().__init__()
        self.block = block
        self.rope = rope
        self.prefix_tokens = prefix_tokens

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        rope = cast(Any, self.rope)
        if getattr(rope, "feat_shape", None) is not None:  # made for one size of picture
            return cast(Tensor, self.block(x, rope=rope.get_embed()))
        side = math.isqrt(x.shape[1] - self.prefix_tokens)
        return cast(Tensor, self.block(x, rope=rope.get_embed(shape=(side, side))))


class WholeNetwork(nn.Module):
    """A network that no recipe takes apart, as one stage: its whole `forward_features`.

    `parts` are the names of its children that take part in that.
    """

    def __init__(self, net: nn.Module, parts: list[str]) -> None:
        super().__init__()
        self.__dict__["net"] = net  # not a submodule: the classifier is no part of this stage
        for key in parts:
            self.add_module(key, net.get_submodule(key))
        _share_own_tensors(self, net)

    def forward(self, x: Tensor) -> Tensor:
        """Return the network's last feature map."""
        return cast(Tensor, self.__dict__["net"].forward_features(x))

    def train(self, mode: bool = True) -> WholeNetwork:
        """Set the mode of the network itself too, which is not a submodule."""
        self.__dict__["net"].training = mode
        return super().train(mode)


def _share_own_tensors(stage: nn.Module, net: nn.Module) -> None:
    """Register on `stage` what the network itself holds outside its submodules."""
    for key, parameter in net._parameters.items():
        stage.register_parameter(key, parameter)
    for key, buffer in net._buffers.items():
        stage.register_buffer(key, buffer)


def own_heads(net: nn.Module) -> list[nn.Module]:
    """Return the network's own classifier; two of them in distilled networks."""
    try:
        found = cast(Any, net).get_classifier()
    except Exception:  # an optional method of timm's networks
        return []
    parts = found if isinstance(found, tuple | list) else (found,)
    return [part for part in parts if isinstance(part, nn.Module)]
