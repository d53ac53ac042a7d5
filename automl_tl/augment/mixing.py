"""Mixing two training pictures into one, with both labels: mixup and cutmix, for where the data are many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from automl_tl.backbones.network import Layout
from automl_tl.devices import to_device

NOTHING: Mapping[int, Tensor] = MappingProxyType({})


@dataclass(frozen=True)
class Mixing:
    """Strengths of the Beta(alpha, alpha) distributions of the shares; 0 for none, of two one is drawn per batch."""

    mixup: float = 0.0
    """alpha of mixup (Zhang et al. 2018, arXiv 1710.09412)."""
    cutmix: float = 0.0
    """alpha of cutmix (Yun et al. 2019, arXiv 1905.04899)."""


def mix(
    batch: Tensor,
    targets: Tensor,
    mixing: Mixing,
    generator: torch.Generator,
    pooled: Mapping[int, Tensor] = NOTHING,
    layout: Layout = "map",
) -> tuple[Tensor, Tensor, dict[int, Tensor]]:
    """Return a batch, its soft targets and its pooled columns, each picture mixed with another one of the batch.

    Args:
        batch: (N, ...) floating point; cutmix needs pictures or a map, elsewhere mixup is used in its place.
        targets: (N, C) float32, rows sum to 1.
        mixing: how strongly; without any the batch comes back as it is.
        generator: a CPU generator.
        pooled: columns (N, d) that were read of the same pictures before; they are mixed by the same shares.
        layout: of the batch, so that a rectangle is one of positions; pictures are a "map".
    """
    kinds = [kind for kind in ("mixup", "cutmix") if getattr(mixing, kind) > 0]
    if not kinds or len(batch) < 2:
        return batch, targets, dict(pooled)
    kind = kinds[int(torch.randint(len(kinds), (1,), generator=generator))]
    share = _beta(getattr(mixing, kind), generator)
    partner = torch.randperm(len(batch), generator=generator)
    partner = to_device(partner, batch.device)
    if kind == "cutmix" and batch.ndim == 4 and layout != "tokens":
        last = layout == "map_last"
        maps = batch.permute(0, 3, 1, 2) if last else batch
        mixed, share = _paste(maps, maps[partner], share, generator)
        mixed = mixed.permute(0, 2, 3, 1) if last else mixed
    else:
        mixed = share * batch + (1 - share) * batch[partner]
    columns = {cut: share * values + (1 - share) * values[partner] for cut, values in pooled.items()}
    return mixed, share * targets + (1 - share) * targets[partner], columns


def _beta(alpha: float, generator: torch.Generator) -> float:
    """Return a draw from Beta(alpha, alpha), reproducible through the generator.

    As a ratio of two gamma draws, in logarithms: for a small alpha both are mostly below the least positive number.
    Gamma(a) is Gamma(a + 1) U^(1/a) with a uniform U (Marsaglia and Tsang 2000, section 6).
    """
    larger = torch._standard_gamma(torch.full((2,), alpha + 1.0, dtype=torch.float64), generator=generator)
    uniform = torch.rand(2, generator=generator, dtype=torch.float64).clamp_min(torch.finfo(torch.float64).tiny)
    first, second = larger.log() + uniform.log() / alpha
    return float(torch.sigmoid(first - second))


def _paste(batch: Tensor, other: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, float]:
    """Paste a rectangle of 1 - share of the area of `other` into `batch`; return it and the share that is left."""
    height, width = batch.shape[2:]
    side = (1 - share) ** 0.5
    h, w = round(height * side), round(width * side)
    top = int(torch.randint(height - h + 1, (1,), generator=generator))
    left = int(torch.randint(width - w + 1, (1,), generator=generator))
    mixed = batch.clone()
    mixed[:, :, top : top + h, left : left + w] = other[:, :, top : top + h, left : left + w]
    return mixed, 1 - h * w / (height * width)
