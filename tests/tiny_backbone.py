"""A small real backbone for fast tests: three stages with BatchNorm, 32 pixels, the same weights every time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from automl_tl.backbones.stages import Network, build_network


class TinyBackbone:
    """Random but fixed weights; counts its forward passes."""

    api_version = 1
    input_size = 32
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    pretrained_on = "tiny"

    def __init__(self, widths: tuple[int, ...] = (8, 12, 16), seed: int = 0, batchnorm: bool = True) -> None:
        self.widths, self.seed, self.batchnorm = widths, seed, batchnorm
        self.passes = 0

    def weights(self) -> dict[str, Any]:
        return {"identity": f"tiny/{self.widths}/{self.seed}/{self.batchnorm}", "local": True}

    def build(self, *, pretrained: bool = True) -> nn.Module:
        state = torch.random.get_rng_state()
        torch.manual_seed(self.seed)
        stages = []
        for before, after in zip((3, *self.widths), self.widths, strict=False):
            norm = nn.BatchNorm2d(after) if self.batchnorm else nn.Identity()
            stages.append(nn.Sequential(nn.Conv2d(before, after, 3, 2, 1), norm, nn.ReLU()))
        torch.random.set_rng_state(state)
        module = nn.Sequential(*stages)
        stages[0].register_forward_pre_hook(self._count)
        return module

    def stages(self, module: nn.Module) -> list[nn.Module]:
        return list(module.children())

    def _count(self, module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self.passes += 1


def tiny_network(**options: Any) -> Network:
    return build_network("tiny", TinyBackbone(**options))


def counting(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        wrapped.calls += 1  # type: ignore[attr-defined]
        return function(*args, **kwargs)

    wrapped.calls = 0  # type: ignore[attr-defined]
    return wrapped
