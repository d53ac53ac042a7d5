"""A network's own classifier, and the names of what it tells apart."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor, nn

from automl_tl_timm.catalogue import Entry
from automl_tl_timm.layout import Layout, layout_of
from automl_tl_timm.parts import own_heads
from automl_tl_timm.splitting import evaluating, random_picture

LABEL_SETS = {
    1000: "imagenet-1k",
    11221: "imagenet-21k-miil",
    11821: "imagenet-12k",
    21841: "imagenet-22k",
    21842: "imagenet-22k-ms",
    21843: "imagenet-21k-goog",
}


class PooledHead(nn.Module):
    """The part of a network after the pooling: (N, D) -> (N, n_labels) logits.

    It runs the network's own head, whose classifier is all that it registers.
    """

    def __init__(self, net: nn.Module, layout: Layout, ndim: int) -> None:
        super().__init__()
        self.__dict__["net"] = net
        self.heads = nn.ModuleList(own_heads(net))
        self.layout = layout
        self.ndim = ndim

    def forward(self, pooled: Tensor) -> Tensor:
        """Return the logits of pooled vectors."""
        if self.ndim == 3:  # every token is the pooled one, so it does not matter which ones the head reads
            x = pooled[:, None].expand(-1, self.layout.prefix_tokens + 1, -1)
        elif self.ndim == 4:
            x = pooled[:, None, None] if self.layout.channels_last else pooled[:, :, None, None]
        else:
            x = pooled
        return cast(Tensor, self.__dict__["net"].forward_head(x))


def classifier(entry: Entry, net: nn.Module) -> nn.Module | None:
    """Return the network's own classifier of its pooled vector, if that is how it classifies.

    Tried on a random picture against the network itself.
    """
    if not getattr(net, "num_classes", 0):
        return None
    layout = layout_of(entry.arch)
    with evaluating(net), torch.no_grad():
        picture = random_picture(net, entry.input_size)
        output = cast(Any, net).forward_features(picture)
        head = PooledHead(net, layout, output.ndim)
        try:
            found, expected = head(layout.pooled(output)), net(picture)
        except Exception:  # a head that needs a map of a certain size, or two tokens
            return None
    same = found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-3, atol=1e-3)
    return head if same else None


@lru_cache(maxsize=8)
def labels(n_labels: int) -> tuple[str, ...]:
    """Return the readable names of a classifier's outputs, each one once; empty where they are not known."""
    if n_labels not in LABEL_SETS:
        return ()
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo(LABEL_SETS[n_labels])
    full = [info.index_to_description(index) for index in range(n_labels)]
    detailed = [info.index_to_description(index, detailed=True) for index in range(n_labels)]
    short = [text.split(",")[0] for text in full]
    single_short, single_full = _singles(short), _singles(full)
    return tuple(
        name if name in single_short else (text if text in single_full else more)
        for name, text, more in zip(short, full, detailed, strict=True)
    )


def _singles(texts: list[str]) -> set[str]:
    """Return the texts that occur once."""
    seen: dict[str, int] = {}
    for text in texts:
        seen[text] = seen.get(text, 0) + 1
    return {text for text, count in seen.items() if count == 1}
