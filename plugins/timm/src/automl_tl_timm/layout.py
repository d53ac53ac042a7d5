"""How an architecture lays out its outputs: what is a position, what a channel, what a class token."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import timm
import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Of every stage's output of one architecture."""

    prefix_tokens: int = 0
    """Class, distillation and register tokens before the positions of (N, P, C)."""
    class_token: bool = False
    """Whether timm's own classifier reads the first token."""
    channels_last: bool = False
    """(N, H, W, C) in place of (N, C, H, W)."""

    def tokens(self, output: Tensor) -> Tensor:
        """Return (N, P, C) of (N, C, H, W), (N, H, W, C), (N, P, C) or (N, C)."""
        if output.ndim == 4:
            return output.flatten(1, 2) if self.channels_last else output.flatten(2).transpose(1, 2)
        return output[:, self.prefix_tokens :] if output.ndim == 3 else output.unsqueeze(1)

    def pooled(self, output: Tensor) -> Tensor:
        """Return (N, D) of the last stage's output."""
        if self.class_token and output.ndim == 3:
            return output[:, 0]
        return self.tokens(output).mean(dim=1)


@lru_cache(maxsize=256)
def layout_of(arch: str) -> Layout:
    """Return the layout of an architecture, read from an instance without memory."""
    try:
        with torch.device("meta"):
            net = cast(Any, timm.create_model(arch, pretrained=False, num_classes=0))
    except Exception:  # a few architectures compute with their initial values
        net = cast(Any, timm.create_model(arch, pretrained=False, num_classes=0))
    prefix = int(getattr(net, "num_prefix_tokens", 0) or 0)
    return Layout(
        prefix_tokens=prefix,
        class_token=prefix > 0 and getattr(net, "global_pool", "") == "token",
        channels_last=getattr(net, "output_fmt", "NCHW") == "NHWC",
    )
