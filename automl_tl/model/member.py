"""One network with its head, and what that reads of the stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from automl_tl.backbones.stages import Network, Pooled
from automl_tl.data.decode import Preprocessing
from automl_tl.learning.network_head import NetworkHead


@dataclass(frozen=True, eq=False)
class Member:
    """A backbone up to its last cut, the way it is pooled, and the head on that."""

    network: Network
    """Its first `max(cuts)` stages are used, with whatever weights they carry."""
    cuts: tuple[int, ...]
    """Stages, counted from 1, whose pooled outputs are joined."""
    pooling: str
    """Of POOLINGS."""
    head: NetworkHead
    kind: str
    """Of the head: "ridge", "softmax", "ovr_logistic", "linear_svm", "linear", "fully_connected" or "convolution"."""
    preprocessing: Preprocessing
    weight: float = 1.0
    """Share of this member in the model's scores."""


def join(pooled: Mapping[int, Pooled], cuts: Sequence[int], pooling: str) -> Tensor:
    """Return the features of stages `cuts`, joined, (N, d) float32: the columns of `Features.matrix`."""
    parts = [pooled[cut].columns(pooling) for cut in cuts]
    return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
