"""A classifier as a network module: what a solved head becomes when it goes on learning, and what a bundle keeps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from automl_tl.learning.linear import LinearHead

HIDDEN_DROPOUT = 0.2


class NetworkHead(nn.Module):
    """Scores of pooled features: scale, a linear classifier, optionally more layers beside or before it.

    scores = linear(z) + fully_connected(z), z = (x - center) / scale. The layers that the source document adds, fully
    connected ones and a convolution block before the pooling, end in zeros at first: so a head that was solved on
    frozen features is where training starts, whatever is added to it.

    Args:
        d: columns of the pooled features.
        n_classes: C.
        hidden: units between two fully connected layers; 0 for none.
        channels: C of the last stage's map, for a residual convolution block on it; 0 for none.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, d: int, n_classes: int, *, hidden: int = 0, channels: int = 0) -> None:
        super().__init__()
        self.d, self.n_classes, self.hidden, self.channels = d, n_classes, hidden, channels
        self.register_buffer("center", torch.zeros(d))
        self.register_buffer("scale", torch.ones(d))
        self.linear = nn.Linear(d, n_classes)
        self.fully_connected = _fully_connected(d, n_classes, hidden) if hidden else None
        self.convolution = _convolution(channels) if channels else None

    @classmethod
    def from_linear(cls, head: LinearHead, *, hidden: int = 0, channels: int = 0) -> NetworkHead:
        """Return the module whose scores are those of a solved head."""
        module = cls(len(head.center), head.n_classes, hidden=hidden, channels=channels)
        with torch.no_grad():
            for target, values in (
                (module.center, head.center),
                (module.scale, head.scale),
                (module.linear.weight, head.weight),
                (module.linear.bias, head.bias),
            ):
                target.copy_(torch.tensor(values))  # a copy: what Ray hands over may only be read
        return module

    def refine(self, output: Tensor) -> Tensor:
        """Return the last stage's map (N, C, H, W) after the convolution block, or any output as it is without one."""
        return output if self.convolution is None else output + self.convolution(output)

    def forward(self, features: Tensor) -> Tensor:
        """Return scores (N, C) of pooled features (N, d), float32."""
        z = (features - self.center) / self.scale
        scores: Tensor = self.linear(z)
        return scores if self.fully_connected is None else scores + self.fully_connected(z)


def _fully_connected(d: int, n_classes: int, hidden: int) -> nn.Sequential:
    last = nn.Linear(hidden, n_classes)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(d, hidden), nn.ReLU(), nn.Dropout(HIDDEN_DROPOUT), last)


def _convolution(channels: int) -> nn.Sequential:
    """Return a bottleneck of a quarter of the channels, at most 128: 1x1, 3x3, and a 1x1 of zeros."""
    inner = max(1, min(channels // 4, 128))
    last = nn.Conv2d(inner, channels, 1)
    nn.init.zeros_(last.weight)
    assert last.bias is not None
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        nn.Conv2d(channels, inner, 1), nn.ReLU(), nn.Conv2d(inner, inner, 3, padding=1), nn.ReLU(), last
    )
