"""Augmentation policies: what may be done to a training picture, run by kornia on the batch's device.

The operations are the source document's own: flip (horizontal, vertical), rotation, scale (up and
down) and crop. Rotation, scale and crop are one affine map and one resampling of the batch: kornia's
operations one after the other cost 1.7 times as much and blur once per operation.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

VIEWS = ("plain", "hflip", "vflip")
"""The fixed views of a picture: as it is, mirrored left to right, turned upside down."""


@dataclass(frozen=True)
class AugmentationPolicy:
    """How strongly training pictures are varied; the default varies nothing."""

    hflip: float = 0.0
    """Probability of a left-right mirror, 0 to 1."""
    vflip: float = 0.0
    """Probability of an upside-down mirror, 0 to 1."""
    rotation: float = 0.0
    """Largest rotation to either side, degrees."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Range of the zoom; below 1 the picture shrinks inside its frame, above 1 it grows."""
    crop: float = 1.0
    """Smallest share of the picture's area that a random crop keeps, 0 to 1."""

    def to_dict(self) -> dict[str, Any]:
        """Return the policy as plain JSON values."""
        return {**asdict(self), "scale": list(self.scale)}

    def describe(self) -> str:
        """Return the policy as a short phrase.

        >>> AugmentationPolicy(hflip=0.5, rotation=10).describe()
        'flip left-right, rotation up to 10 degrees'
        """
        parts = [
            "flip left-right" if self.hflip else "",
            "flip upside down" if self.vflip else "",
            f"rotation up to {self.rotation:g} degrees" if self.rotation else "",
            f"scale {self.scale[0]:g} to {self.scale[1]:g}" if self.scale != (1.0, 1.0) else "",
            f"crops of {self.crop:.0%} of the area or more" if self.crop < 1 else "",
        ]
        return ", ".join(part for part in parts if part) or "none"


def fixed_view(batch: Tensor, view: str) -> Tensor:
    """Return `batch` (N, C, H, W) seen as `view`, one of `VIEWS`.

    >>> import torch
    >>> fixed_view(torch.tensor([[[[1, 2]]]]), "hflip").tolist()
    [[[[2, 1]]]]
    """
    if view == "plain":
        return batch
    return batch.flip({"hflip": -1, "vflip": -2}[view])


def augment(batch: Tensor, policy: AugmentationPolicy, generator: torch.Generator) -> Tensor:
    """Return randomly varied copies of `batch`, each picture on its own.

    Args:
        batch: (N, C, H, W) floating point, any device.
        policy: what may be varied, and how strongly.
        generator: a CPU generator; the same state gives the same pictures on every device.

    Returns:
        (N, C, H, W), same dtype and device. Corners that a rotation uncovers mirror the picture.
    """
    from kornia.geometry.transform import warp_affine

    n, _, height, width = batch.shape
    matrices = _affine_matrices(n, height, width, policy, generator)
    return warp_affine(batch, matrices.to(batch), (height, width), mode="bilinear", padding_mode="reflection")


def _affine_matrices(n: int, height: int, width: int, policy: AugmentationPolicy, generator: torch.Generator) -> Tensor:
    """Return (n, 2, 3) float32 maps of source to target pixels: mirror, turn and zoom about a random centre."""
    import torch

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=generator)

    mirror_x = 1 - 2 * (torch.rand(n, generator=generator) < policy.hflip).float()
    mirror_y = 1 - 2 * (torch.rand(n, generator=generator) < policy.vflip).float()
    angle = torch.deg2rad(uniform(-policy.rotation, policy.rotation))
    kept = uniform(policy.crop, 1.0).sqrt()
    zoom = uniform(*policy.scale) / kept
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    linear = torch.stack([cos * mirror_x, sin * mirror_y, -sin * mirror_x, cos * mirror_y], 1).view(n, 2, 2)
    size = torch.tensor([width, height], dtype=torch.float32)
    centre = (size - 1) / 2
    # A crop looks at a window of `kept` times the side, placed anywhere inside the picture.
    shift = (torch.rand(n, 2, generator=generator) - 0.5) * (1 - kept)[:, None] * size
    offset = centre - (linear @ (centre + shift)[:, :, None]).squeeze(2)
    return torch.cat([linear, offset[:, :, None]], dim=2)
