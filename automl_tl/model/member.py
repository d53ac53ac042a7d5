"""One network with its head: pixels in, scores out, in float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from automl_tl.backbones.blame import blaming
from automl_tl.backbones.stages import Network, Pooled, normalise, pool
from automl_tl.data.decode import Preprocessing
from automl_tl.training.network_head import NetworkHead


@dataclass(frozen=True, eq=False)
class Member:
    """A backbone up to its last cut, the way it is pooled, and the head on that."""

    network: Network
    """Its first `max(cuts)` stages are used, with whatever weights they carry."""
    cuts: tuple[int, ...]
    """Stages, counted from 1, whose pooled outputs are joined."""
    pooling: str
    """ "mean", "mean+std" or "grid"."""
    head: NetworkHead
    kind: str
    """Of the head: "ridge", "softmax", "ovr_logistic", "linear_svm", "linear", "fully_connected" or "convolution"."""
    preprocessing: Preprocessing
    weight: float = 1.0
    """Share of this member in the model's scores."""

    def evaluate(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores (N, C) and embeddings (N, D), float32 on the CPU, of pictures uint8 (N, S, S, 3).

        The embedding is the mean-pooled output of the last cut, by which unusual pictures are known. Network and head
        must be in eval mode; nothing is autocast.
        """
        network, device = self.network, self.network.device
        with torch.inference_mode():
            x = normalise(images.to(device), network.backbone.mean, network.backbone.std)
            x = x.contiguous(memory_format=torch.channels_last)
            pooled = {}
            for number, stage in enumerate(network.stages[: max(self.cuts)], 1):
                with blaming(network.name, "could not classify these pictures"):
                    x = stage(x)
                if number == max(self.cuts):
                    x = self.head.refine(x)
                if number in self.cuts:
                    pooled[number] = pool(network, x, last=number == network.n_stages)
            scores = self.head(join(pooled, self.cuts, self.pooling))
        return scores.float().cpu(), pooled[max(self.cuts)].mean.float().cpu()


def join(pooled: Mapping[int, Pooled], cuts: Sequence[int], pooling: str) -> Tensor:
    """Return the features of stages `cuts`, joined, (N, d) float32: the columns of `Features.matrix`."""
    parts: list[Tensor] = []
    for cut in cuts:
        if pooling == "grid":
            grid = pooled[cut].grid
            assert grid is not None
            parts.append(grid)
        else:
            parts += [pooled[cut].mean, *([pooled[cut].std] if pooling == "mean+std" else [])]
    return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
