"""A network's own classifier, and the names of what it tells apart."""

from __future__ import annotations

from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn
from torchvision import models

from automl_tl_torchvision.splitting import equal, evaluating, head_name, pooled, split, tried


class PooledHead(nn.Module):
    """The classifier of a network, which may want the pooled vector as a map: (N, D) -> (N, n_labels) logits."""

    def __init__(self, head: nn.Module, as_map: bool) -> None:
        super().__init__()
        self.head = head
        self.as_map = as_map

    def forward(self, vector: Tensor) -> Tensor:
        """Return the logits of pooled vectors."""
        return cast(Tensor, self.head(vector[:, :, None, None] if self.as_map else vector))


def classifier(arch: str, net: nn.Module, input_size: int) -> nn.Module | None:
    """Return a network's own classifier of its pooled vector, if that is how it classifies.

    Tried on a random picture against the network itself.
    """
    name = head_name(net)
    if not name or next(net.get_submodule(name).parameters(), None) is None:
        return None
    with evaluating(net), torch.no_grad():
        output, expected = tried(net, input_size)
        for stage in split(net, input_size):
            output = stage(output)
        heads = [PooledHead(net.get_submodule(name), as_map) for as_map in (False, True)]
        vector = pooled(arch, output)
        return next((head for head in heads if _gives(head, vector, expected)), None)


@lru_cache(maxsize=8)
def labels(arch: str, tag: str) -> tuple[str, ...]:
    """Return the names of a classifier's outputs; torchvision's differ from one another."""
    return tuple(models.get_model_weights(arch)[tag].meta["categories"])


def _gives(head: nn.Module, vector: Tensor, expected: Tensor) -> bool:
    try:
        found = head(vector)
    except (RuntimeError, IndexError):  # not the shape that it reads
        return False
    return equal(found, expected)
