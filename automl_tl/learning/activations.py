"""What the frozen first stages put out, run once per variant of a picture and kept at the boundary.

The suffix of a ConvNet that learns is a small part of its cost. The prefix is the same at every epoch, so its
output for a picture in one random variant is kept, in half precision, and training goes round a few of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from automl_tl.augment.policy import AugmentationPolicy, Variation, apply, vary
from automl_tl.backbones.stages import Layout, Network, pool_stage
from automl_tl.devices import to_device, to_host
from automl_tl.errors import EngineError
from automl_tl.features.engine import Engine
from automl_tl.features.pixels import Pixels
from automl_tl.features.runtimes import folded
from automl_tl.features.scratch import scratch_array

PLAIN = 0
"""The variant without any variation."""
MAX_BYTES = 2 * 1024**3
HALF_PRECISION = 2
"""Bytes of a number that is kept."""
_HALF = float(torch.finfo(torch.float16).max)


@dataclass(frozen=True, eq=False)
class Activations:
    """Pictures as the suffix sees them, on the engine's device."""

    output: Tensor
    """(m, ...) float32, the output of the last frozen stage; normalised pixels (m, 3, S, S) where none is frozen."""
    pooled: dict[int, Tensor]
    """By cut within the frozen stages, the pooled columns (m, d) float32 that the head reads of it."""


@dataclass(eq=False)
class ActivationCache:
    """The outputs of the first `boundary` stages of a network for n pictures and a few variants.

    Args:
        network: its first `boundary` stages are run in eval mode and must not change.
        pixels: uint8 (n, S, S, 3).
        boundary: number of frozen stages; 0 keeps nothing and varies the pixels anew in every variant.
        cuts: stages that the head reads; those within the boundary are pooled here.
        pooling: of POOLINGS, how they are pooled.
        policy: how pictures are varied in every variant but the plain one.
        engine: where and in which number format.
        seed: of the variants, and of what is trained on them.
        folder: for the memory-mapped files.
        n_variants: variants besides the plain one; `batch` goes round them. 0: all are the plain one.
        max_bytes: a bound on what is kept. Of variants that do not fit, the plain one the first, the prefix is run anew
            every time, and each time in another variation: pictures vary no less for want of room.
    """

    network: Network
    pixels: Pixels
    boundary: int
    cuts: tuple[int, ...]
    pooling: str
    policy: AugmentationPolicy
    engine: Engine
    seed: int
    folder: Path
    n_variants: int = 4
    max_bytes: int = MAX_BYTES
    _variants: dict[int, _Kept] = field(default_factory=dict, init=False)
    _row_bytes: int = field(default=0, init=False)
    _last: tuple[int, Variation] | None = field(default=None, init=False)

    def batch(self, variant: int, rows: np.ndarray) -> Activations:
        """Return the pictures `rows`, int (m,), in a variant: 0 is plain, higher ones are varied at random.

        The same seed, variant and row give the same picture, whatever the batch. Where its output is kept, a variant
        beyond `n_variants` is one of the first again.
        """
        if self.boundary == 0:
            return Activations(self._pixels(self._variation(variant), rows), {})
        kept = self._kept(variant)
        if kept is None:
            return self._run(self._variation(variant), rows)
        missing = rows[~kept.filled[rows]]
        if len(missing):
            kept.store(missing, self._run(kept.variation, missing))
        return kept.load(rows, self.engine.device)

    def columns(self, output: Tensor, cut: int) -> Tensor:
        """Return the columns (m, d) float32 that the head reads of a cut's output."""
        return pool_stage(self.network, output, cut, self.pooling).columns(self.pooling)

    @property
    def layout(self) -> Layout:
        """Of what `batch` gives: pictures are a map."""
        return self.network.layouts[self.boundary - 1] if self.boundary else "map"

    @cached_property
    def _prefix(self) -> tuple[nn.Module, ...]:
        return frozen_stages(self.network, self.boundary, self.engine)

    def _kept(self, variant: int) -> _Kept | None:
        number = PLAIN if variant == PLAIN or not self.n_variants else 1 + (variant - 1) % self.n_variants
        if not self._row_bytes:
            self._row_bytes = self._measure_row()
        room = self.max_bytes // (self._row_bytes * len(self.pixels))
        if (number if number != PLAIN else self.n_variants + 1) > room:
            return None
        if number not in self._variants:
            self._variants[number] = _Kept(len(self.pixels), self._variation(number), self.folder)
        return self._variants[number]

    def _measure_row(self) -> int:
        one = self._run(None, np.zeros(1, np.int64))
        return HALF_PRECISION * one.output.numel() + sum(4 * values.numel() for values in one.pooled.values())

    def _variation(self, variant: int) -> Variation | None:
        """Return what a variant does to every picture; the last one is kept, as its batches follow one another."""
        if variant == PLAIN or not self.policy.varies:
            return None
        if self._last is None or self._last[0] != variant:
            self._last = (variant, self._draw(variant))
        return self._last[1]

    def _draw(self, variant: int) -> Variation:
        digest = hashlib.sha256(f"{self.seed} {variant}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        n, height, width, _ = self.pixels.shape
        return vary(self.policy, n, height, width, generator)

    def _pixels(self, variation: Variation | None, rows: np.ndarray) -> Tensor:
        """Return normalised pixels (m, 3, S, S), varied."""
        backbone, device = self.network.backbone, self.engine.device
        images = to_device(torch.from_numpy(self.pixels[rows]), device).permute(0, 3, 1, 2).float() / 255
        if variation is not None:
            images = apply(images, variation.take(torch.from_numpy(rows)))
        mean, std = (to_device(torch.tensor(v), device).view(1, 3, 1, 1) for v in (backbone.mean, backbone.std))
        return ((images - mean) / std).contiguous(memory_format=torch.channels_last)

    def _run(self, variation: Variation | None, rows: np.ndarray) -> Activations:
        x, pooled = self._pixels(variation, rows), {}
        with torch.no_grad(), self.engine.autocast():
            for number, stage in enumerate(self._prefix, 1):
                x = stage(x)
                if number in self.cuts:
                    pooled[number] = self.columns(x, number)
        return Activations(x.float(), pooled)


class _Kept:
    """One variant of n pictures; rows are filled as they are asked for."""

    def __init__(self, n: int, variation: Variation | None, folder: Path) -> None:
        self.variation, self.folder = variation, folder
        self.filled = np.zeros(n, bool)
        self.output: np.ndarray | None = None
        self.pooled: dict[int, np.ndarray] = {}

    def store(self, rows: np.ndarray, batch: Activations) -> None:
        half = _as_kept(batch.output).clamp(-_HALF, _HALF).to(torch.float16).cpu()
        if self.output is None:
            n = len(self.filled)
            self.output = scratch_array(self.folder, (n, *half.shape[1:]), np.float16)
            self.pooled = {cut: np.zeros((n, v.shape[1]), np.float32) for cut, v in batch.pooled.items()}
        self.output[rows] = half.numpy()
        for cut, values in (to_host(batch.pooled) if batch.pooled else {}).items():
            self.pooled[cut][rows] = values
        self.filled[rows] = True

    def load(self, rows: np.ndarray, device: str) -> Activations:
        assert self.output is not None
        output = to_device(torch.from_numpy(self.output[rows]), device).float()
        if output.ndim == 4:
            output = output.permute(0, 3, 1, 2)
        return Activations(
            output, {cut: to_device(torch.from_numpy(v[rows]), device) for cut, v in self.pooled.items()}
        )


def _as_kept(output: Tensor) -> Tensor:
    """Return maps with their channels last, as the suffix reads them, anything else as it is."""
    return output.permute(0, 2, 3, 1) if output.ndim == 4 else output


def frozen_stages(network: Network, k: int, engine: Engine) -> tuple[nn.Module, ...]:
    """Return the first `k` stages as training runs them where they do not learn.

    On a CPU in float32 these are copies with their BatchNorms folded, where that computes the same.
    """
    stages = network.stages[:k]
    if not stages or engine.kind != "cpu" or engine.dtype != "float32":
        return stages
    try:
        return folded(replace(network, stages=stages)).stages
    except EngineError:
        return stages
