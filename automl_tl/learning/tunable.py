"""A copy of a network with a head: what is trained."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from automl_tl.backbones.stages import Network
from automl_tl.features.halving import halving
from automl_tl.learning.activations import PLAIN, ActivationCache, Activations
from automl_tl.learning.network_head import NetworkHead

_AT_ONCE = 64


def copy_network(network: Network) -> Network:
    """Return a network with parameters of its own; the backbone object is shared."""
    memo = {id(network.backbone): network.backbone}
    module, stages = copy.deepcopy((network.module, network.stages), memo)
    return replace(network, module=module, stages=stages)


@dataclass(frozen=True, eq=False)
class Tunable:
    """A copy of a network with a head, on what its frozen stages put out."""

    network: Network
    """`copy_network`'s: its first `cache.boundary` stages stay as they are."""
    head: NetworkHead
    cache: ActivationCache
    """Of the same network's prefix."""

    def forward(self, batch: Activations, *, frozen: bool = False) -> Tensor:
        """Return scores (m, C) float32 of a batch at the boundary; with `frozen` no gradient reaches the stages."""
        features = self.read(batch, frozen=frozen)
        with torch.autocast(features.device.type, enabled=False):
            scores: Tensor = self.head(features)
        return scores

    def read(self, batch: Activations, *, frozen: bool = False) -> Tensor:
        """Return what the head reads of a batch at the boundary, (m, d) float32."""
        cache, last = self.cache, max(self.cache.cuts)
        x, pooled = batch.output, dict(batch.pooled)
        with cache.engine.autocast():
            with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
                for number in range(cache.boundary + 1, last + 1):
                    x = self.network.stages[number - 1](x)
                    if number in cache.cuts:
                        pooled[number] = cache.columns(x, number)
            if self.head.convolution is not None:
                pooled[last] = cache.columns(self.head.refine(x), last)
        return torch.cat([pooled[cut].float() for cut in cache.cuts], dim=1)

    def eval(self) -> None:
        """Let every module be in eval mode, also those that only stages hold."""
        self.network.module.eval()
        for module in (*self.network.stages, self.head):
            module.eval()

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Return the scores (m, C) float32 of the pictures `rows` as they are; modules must be in eval mode.

        Raises:
            ShortageError: one picture at a time does not fit into memory.
        """
        return self._of_rows(self.forward, rows)

    def features(self, rows: np.ndarray) -> np.ndarray:
        """Return what the head reads of the pictures `rows` as they are, (m, d) float32; see `scores`."""
        return self._of_rows(self.read, rows)

    def _of_rows(self, run: Callable[[Activations], Tensor], rows: np.ndarray) -> np.ndarray:
        found, size = [], self.cache.engine.batch_size or _AT_ONCE
        with torch.inference_mode():
            for start in range(0, len(rows), size):
                some = rows[start : start + size]
                found.append(halving(partial(self._in_parts, run, some), len(some))[0])
        return np.concatenate(found)

    def _in_parts(self, run: Callable[[Activations], Tensor], rows: np.ndarray, parts: int) -> np.ndarray:
        some = np.array_split(rows, min(parts, len(rows)))
        return np.concatenate([run(self.cache.batch(PLAIN, part)).cpu().numpy() for part in some])
