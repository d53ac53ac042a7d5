"""InceptionResnetV1 as facenet-pytorch publishes it (Szegedy et al., arXiv 1602.07261), trained on VGGFace2.

The attributes have the names of the published tensors. Its classifier of identities is left out.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

Size = int | tuple[int, int]


class Conv(nn.Module):
    """Convolution, BatchNorm, ReLU."""

    def __init__(self, channels_in: int, channels: int, kernel: Size, stride: int = 1, padding: Size = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, channels, H', W')."""
        return F.relu(self.bn(self.conv(x)))


class Residual(nn.Module):
    """Parallel branches, joined and projected, are added to the input: (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, channels: int, joined: int, scale: float, branches: list[nn.Module], *, relu: bool = True):
        super().__init__()
        self.scale, self.relu, self.n_branches = scale, relu, len(branches)
        for number, branch in enumerate(branches):
            self.add_module(f"branch{number}", branch)
        self.conv2d = nn.Conv2d(joined, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum, rectified except after the last block."""
        found = torch.cat([self.get_submodule(f"branch{n}")(x) for n in range(self.n_branches)], dim=1)
        out = x + self.scale * self.conv2d(found)
        return F.relu(out) if self.relu else cast(Tensor, out)


class Reduction(nn.Module):
    """Parallel branches and a pooling, joined: the map's sides are halved."""

    def __init__(self, branches: list[nn.Module]) -> None:
        super().__init__()
        self.n_branches = len(branches)
        for number, branch in enumerate(branches):
            self.add_module(f"branch{number}", branch)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, more channels, H / 2, W / 2)."""
        found = [self.get_submodule(f"branch{n}")(x) for n in range(self.n_branches)]
        return torch.cat([*found, F.max_pool2d(x, 3, 2)], dim=1)


class Embedding(nn.Module):
    """Mean over positions, linear layer, BatchNorm: (N, 1792, H, W) -> (N, 512, 1, 1). It owns nothing.

    The pooling comes first, as BatchNorm's statistics are those of pooled vectors. The published dropout is left
    out: it belongs to the classifier's training.
    """

    def __init__(self, linear: nn.Linear, norm: nn.BatchNorm1d) -> None:
        super().__init__()
        self.linear = linear
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding before it is scaled to length one."""
        return cast(Tensor, self.norm(self.linear(x.mean(dim=(2, 3)))))[:, :, None, None]


class Network(nn.Module):
    """(N, 3, 160, 160) -> (N, 512) embeddings of length one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d_1a = Conv(3, 32, 3, 2)
        self.conv2d_2a = Conv(32, 32, 3)
        self.conv2d_2b = Conv(32, 64, 3, padding=1)
        self.maxpool_3a = nn.MaxPool2d(3, 2)
        self.conv2d_3b = Conv(64, 80, 1)
        self.conv2d_4a = Conv(80, 192, 3)
        self.conv2d_4b = Conv(192, 256, 3, 2)
        self.repeat_1 = nn.Sequential(*(block35() for _ in range(5)))
        self.mixed_6a = Reduction([Conv(256, 384, 3, 2), _narrowed(256, 192, 192, 256)])
        self.repeat_2 = nn.Sequential(*(block17() for _ in range(10)))
        self.mixed_7a = Reduction(
            [
                nn.Sequential(Conv(896, 256, 1), Conv(256, 384, 3, 2)),
                nn.Sequential(Conv(896, 256, 1), Conv(256, 256, 3, 2)),
                _narrowed(896, 256, 256, 256),
            ]
        )
        self.repeat_3 = nn.Sequential(*(block8(0.2) for _ in range(5)))
        self.block8 = block8(1.0, relu=False)
        self.last_linear = nn.Linear(1792, 512, bias=False)
        self.last_bn = nn.BatchNorm1d(512, eps=0.001)

    def stages(self) -> list[nn.Module]:
        """Return the eight stages: two of the stem, the repeated blocks and reductions in turn, the embedding."""
        return [
            nn.Sequential(self.conv2d_1a, self.conv2d_2a, self.conv2d_2b, self.maxpool_3a),
            nn.Sequential(self.conv2d_3b, self.conv2d_4a, self.conv2d_4b),
            self.repeat_1,
            self.mixed_6a,
            self.repeat_2,
            self.mixed_7a,
            nn.Sequential(self.repeat_3, self.block8),
            Embedding(self.last_linear, self.last_bn),
        ]

    @staticmethod
    def descriptor(output: Tensor) -> Tensor:
        """Return (N, 512), of length one, of the last stage's output."""
        return F.normalize(output.flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the embeddings of normalised pictures."""
        for stage in self.stages():
            x = stage(x)
        return self.descriptor(x)


def block35() -> Residual:
    """Return a block on the largest maps."""
    three = nn.Sequential(Conv(256, 32, 1), Conv(32, 32, 3, padding=1))
    five = nn.Sequential(Conv(256, 32, 1), Conv(32, 32, 3, padding=1), Conv(32, 32, 3, padding=1))
    return Residual(256, 96, 0.17, [Conv(256, 32, 1), three, five])


def block17() -> Residual:
    """Return a block on the middle maps."""
    seven = nn.Sequential(
        Conv(896, 128, 1), Conv(128, 128, (1, 7), padding=(0, 3)), Conv(128, 128, (7, 1), padding=(3, 0))
    )
    return Residual(896, 256, 0.10, [Conv(896, 128, 1), seven])


def block8(scale: float, *, relu: bool = True) -> Residual:
    """Return a block on the smallest maps."""
    three = nn.Sequential(
        Conv(1792, 192, 1), Conv(192, 192, (1, 3), padding=(0, 1)), Conv(192, 192, (3, 1), padding=(1, 0))
    )
    return Residual(1792, 384, scale, [Conv(1792, 192, 1), three], relu=relu)


def _narrowed(channels_in: int, first: int, second: int, last: int) -> nn.Sequential:
    return nn.Sequential(Conv(channels_in, first, 1), Conv(first, second, 3, padding=1), Conv(second, last, 3, 2))
