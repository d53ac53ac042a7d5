"""A small real vision transformer of three stages, patches of 8 pixels and a class token; always the same weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

WIDTH = 16


class TokenBackbone:
    """Random but fixed weights; `extra` adds further tokens that `tokens()` takes for positions."""

    api_version = 1
    input_size = 32
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    pretrained_on = "tiny"

    def __init__(self, *, class_token: bool = True, extra: int = 0) -> None:
        self.class_token, self.extra = class_token, extra

    def weights(self) -> dict[str, Any]:
        return {"identity": "tokens", "local": True}

    def build(self, *, pretrained: bool = True) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            last = nn.Sequential(_block(), nn.LayerNorm(WIDTH))
            return nn.Sequential(_Embedding(1 + self.extra), _block(), last).eval()

    def stages(self, module: nn.Module) -> list[nn.Module]:
        return list(module.children())

    def tokens(self, output: Tensor) -> Tensor:
        return output[:, 1:]

    def pooled(self, output: Tensor) -> Tensor:
        return output[:, 0] if self.class_token else output[:, 1:].mean(dim=1)


class _Embedding(nn.Module):
    def __init__(self, n_prefix: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 8, 8)
        self.prefix = nn.Parameter(torch.randn(1, n_prefix, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        positions = self.patches(x).flatten(2).transpose(1, 2)
        return torch.cat([self.prefix.expand(x.shape[0], -1, -1), positions], dim=1)


def _block() -> nn.Module:
    return nn.TransformerEncoderLayer(WIDTH, 2, 32, dropout=0.0, batch_first=True, norm_first=True)
