"""Small networks with pictures that they can learn, and what training them takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny_backbone import TinyBackbone, tiny_network
from torch import Tensor, nn

from automl_tl.augment.policy import AugmentationPolicy
from automl_tl.backbones.stages import Network, build_network
from automl_tl.features.engine import Engine
from automl_tl.learning.activations import ActivationCache
from automl_tl.learning.network_head import NetworkHead

CPU = Engine("cpu", "float32")
STRONG = AugmentationPolicy(0.5, 0.5, 30, (0.8, 1.3), 0.4, 0.4, 0.5)
SIDE = 32


class TinyTokens(TinyBackbone):
    """Two stages whose outputs are (N, P, C): 16 patches of a picture, and a block on each of them."""

    def build(self, *, pretrained: bool = True) -> nn.Module:
        state = torch.random.get_rng_state()
        torch.manual_seed(self.seed)
        module = nn.Sequential(_Patches(), nn.Sequential(nn.LayerNorm(12), nn.Linear(12, 10), nn.GELU()))
        torch.random.set_rng_state(state)
        module[0].register_forward_pre_hook(self._count)
        return module


class _Patches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Conv2d(3, 12, 8, 8)

    def forward(self, x: Tensor) -> Tensor:
        tokens: Tensor = self.embedding(x).flatten(2).transpose(1, 2)
        return tokens


def token_network() -> Network:
    return build_network("tokens", TinyTokens())


def noise(n: int, seed: int = 0) -> np.ndarray:
    """Return pictures without any sense, uint8 (n, SIDE, SIDE, 3), coarse enough to survive a rotation."""
    small = np.random.default_rng(seed).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    return small.repeat(4, axis=1).repeat(4, axis=2)


def coloured(n: int, n_classes: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy pictures that are brighter in the colour of their class, and the classes, int (n,)."""
    y = np.arange(n) % n_classes
    pixels = noise(n, seed).astype(np.float64) * 0.5
    pixels[np.arange(n), :, :, y] += 60
    return pixels.astype(np.uint8), y


def make_cache(network: Network, pixels: np.ndarray, boundary: int, folder: Path, **options: Any) -> ActivationCache:
    """Return a cache that reads the last stage's means in unvaried views, but for what `options` says."""
    values: dict[str, Any] = {
        "cuts": (network.n_stages,), "pooling": "mean", "policy": AugmentationPolicy(), "engine": CPU,
        "seed": 0, **options,
    }  # fmt: skip
    return ActivationCache(network, pixels, boundary, folder=folder, **values)


def zero_head(d: int, n_classes: int = 2, **layers: int) -> NetworkHead:
    """Return a head whose scores are zeros, with added layers that are the same every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = NetworkHead(d, n_classes, **layers)
    nn.init.zeros_(head.linear.weight)
    nn.init.zeros_(head.linear.bias)
    return head


def row_counter(network: Network) -> list[int]:
    """Return a list that gets the number of pictures of every pass through the first stage."""
    seen: list[int] = []
    network.stages[0].register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    return seen


__all__ = [
    "CPU",
    "SIDE",
    "STRONG",
    "TinyTokens",
    "coloured",
    "make_cache",
    "noise",
    "row_counter",
    "tiny_network",
    "token_network",
    "zero_head",
]
