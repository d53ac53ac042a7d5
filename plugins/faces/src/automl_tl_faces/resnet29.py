"""dlib's face recognition network, as @vladmandic/face-api publishes it: normalisation is a scale and a bias."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


class ScaledConv(nn.Module):
    """y = g * conv(x) + b, with one g and one b for each output channel."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int, padding: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, kernel, stride, padding)
        self.g = nn.Parameter(torch.ones(channels))
        self.b = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, channels, H', W')."""
        return cast(Tensor, self.g[:, None, None] * self.conv(x) + self.b[:, None, None])


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut; a `down` block halves the map's sides.

    There the shortcut is an average pooling with zero channels appended, and whichever of the two maps is
    smaller gets zeros at the right and at the bottom.
    """

    def __init__(self, channels_in: int, channels: int, *, down: bool = False) -> None:
        super().__init__()
        self.down = down
        self.conv1 = ScaledConv(channels_in, channels, 3, *((2, 0) if down else (1, 1)))
        self.conv2 = ScaledConv(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, channels, H', W')."""
        y = self.conv2(F.relu(self.conv1(x)))
        if self.down:
            x = F.avg_pool2d(x, 2, 2)
            x = F.pad(x, (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
            height, width = max(x.shape[2], y.shape[2]), max(x.shape[3], y.shape[3])
            x, y = _padded(x, height, width), _padded(y, height, width)
        return F.relu(x + y)


class Stem(nn.Module):
    """Convolution and pooling: (N, 3, 150, 150) -> (N, 32, 35, 35). It owns nothing."""

    def __init__(self, convolution: ScaledConv) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        """Return the first feature map."""
        return F.max_pool2d(F.relu(self.convolution(x)), 3, 2)


class Projection(nn.Module):
    """The fully connected layer at every position: its mean over them is the layer of the mean."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 128, H, W) of (N, 256, H, W)."""
        return F.conv2d(x, self.linear.weight[:, :, None, None])


class Network(nn.Module):
    """(N, 3, 150, 150) -> (N, 128) descriptors; the attributes have the names of the published tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.conv32_down = ScaledConv(3, 32, 7, 2, 0)
        for number in (1, 2, 3):
            self.add_module(f"conv32_{number}", Block(32, 32))
        for channels_in, channels, more in ((32, 64, 3), (64, 128, 2), (128, 256, 2)):
            self.add_module(f"conv{channels}_down", Block(channels_in, channels, down=True))
            for number in range(1, more + 1):
                self.add_module(f"conv{channels}_{number}", Block(channels, channels))
        self.conv256_down_out = Block(256, 256, down=True)
        self.fc = nn.Linear(256, 128, bias=False)

    def stages(self) -> list[nn.Module]:
        """Return the seven stages: stem, one for each width and size of map, the descriptor's projection."""
        return [
            Stem(self.conv32_down),
            self._joined("conv32_1", "conv32_2", "conv32_3"),
            self._joined("conv64_down", "conv64_1", "conv64_2", "conv64_3"),
            self._joined("conv128_down", "conv128_1", "conv128_2"),
            self._joined("conv256_down", "conv256_1", "conv256_2"),
            self.conv256_down_out,
            Projection(self.fc),
        ]

    @staticmethod
    def descriptor(output: Tensor) -> Tensor:
        """Return (N, 128) of the last stage's output."""
        return output.mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Return the descriptors of normalised pictures."""
        for stage in self.stages():
            x = stage(x)
        return self.descriptor(x)

    def _joined(self, *names: str) -> nn.Sequential:
        return nn.Sequential(*(self.get_submodule(name) for name in names))


def _padded(x: Tensor, height: int, width: int) -> Tensor:
    return F.pad(x, (0, width - x.shape[3], 0, height - x.shape[2]))
