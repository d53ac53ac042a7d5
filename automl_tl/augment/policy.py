"""Augmentation policies: what may be done to a training picture, run by kornia on the batch's device.

The operations are the source document's own, flip (horizontal, vertical), rotation, scale (up and down) and crop,
then colour jitter and erasing. Rotation, scale and crop are one affine map and one resampling of the batch: kornia's
operations one after the other cost 1.7 times as much and blur once per operation.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from automl_tl.devices import to_device
from automl_tl.foreign import check_fields, numbers

if TYPE_CHECKING:
    import torch
    from torch import Tensor

VIEWS = ("plain", "hflip", "vflip", "zoom")
"""The fixed views of a picture: as it is, mirrored left to right, turned upside down, its middle magnified."""
ZOOM_SHARE = 0.8
"""Share of either side that the view "zoom" keeps."""
_GREY = 0.5


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
    colour: float = 0.0
    """Largest change of brightness, contrast and saturation, each a factor from 1 - colour to 1 + colour."""
    erase: float = 0.0
    """Probability that a rectangle of 2 % to 20 % of the area becomes grey, 0 to 1."""

    @property
    def varies(self) -> bool:
        """Whether pictures are varied at all."""
        return self != AugmentationPolicy()

    def to_dict(self) -> dict[str, Any]:
        """Return the policy as plain JSON values."""
        return {**asdict(self), "scale": list(self.scale)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> AugmentationPolicy:
        """Return the policy that `to_dict` described; raises KeyError, TypeError or ValueError where it is none."""
        low, high = numbers(values["scale"])
        return cls(**{**check_fields(values, cls), "scale": (low, high)})

    def describe(self) -> str:
        """Return the policy as a short phrase.

        >>> AugmentationPolicy(hflip=0.5, rotation=10).describe()
        'flip left-right, rotation up to 10 degrees'
        """
        parts = [
            "flip left-right" if self.hflip else "",
            "flip upside down" if self.vflip else "",
            f"rotation up to {self.rotation:.3g} degrees" if self.rotation else "",
            f"scale {self.scale[0]:.3g} to {self.scale[1]:.3g}" if self.scale != (1.0, 1.0) else "",
            f"crops of {self.crop:.0%} of the area or more" if self.crop < 1 else "",
            f"colours by up to {self.colour:.0%}" if self.colour else "",
            f"a part erased in {self.erase:.0%} of them" if self.erase else "",
        ]
        return ", ".join(part for part in parts if part) or "none"


@dataclass(frozen=True, eq=False)
class Variation:
    """What is to be done to each of n pictures; every field has one row per picture."""

    affine: Tensor
    """(n, 2, 3) float32, source to target pixels."""
    colour: Tensor | None
    """(n, 3) float32, the factors of brightness, contrast and saturation."""
    erased: Tensor | None
    """(n, 4) float32, left, top, right, bottom of what is erased, as shares of the sides; all 0 for nothing."""

    def take(self, rows: Tensor) -> Variation:
        """Return the variation of the pictures `rows`, int64 (m,)."""
        colour, erased = (None if part is None else part[rows] for part in (self.colour, self.erased))
        return Variation(self.affine[rows], colour, erased)


def fixed_view(batch: Tensor, view: str) -> Tensor:
    """Return `batch` (N, C, H, W) seen as `view`, one of `VIEWS`.

    >>> import torch
    >>> fixed_view(torch.tensor([[[[1, 2]]]]), "hflip").tolist()
    [[[[2, 1]]]]
    """
    if view == "plain":
        return batch
    if view == "zoom":
        return _middle(batch)
    return batch.flip({"hflip": -1, "vflip": -2}[view])


def _middle(batch: Tensor) -> Tensor:
    from torch.nn.functional import interpolate

    height, width = batch.shape[2:]
    top, left = round(height * (1 - ZOOM_SHARE) / 2), round(width * (1 - ZOOM_SHARE) / 2)
    inner = batch[:, :, top : height - top, left : width - left]
    return interpolate(inner, (height, width), mode="bilinear", align_corners=False)


def augment(batch: Tensor, policy: AugmentationPolicy, generator: torch.Generator) -> Tensor:
    """Return randomly varied copies of `batch`, each picture on its own: `apply` of what `vary` draws.

    Args:
        batch: (N, C, H, W) floating point from 0 to 1, any device; other ranges will do without colour and erasing.
        policy: what may be varied, and how strongly.
        generator: a CPU generator; the same state gives the same pictures on every device.
    """
    n, _, height, width = batch.shape
    return apply(batch, vary(policy, n, height, width, generator))


def vary(policy: AugmentationPolicy, n: int, height: int, width: int, generator: torch.Generator) -> Variation:
    """Draw what is done to each of `n` pictures of `height` x `width` pixels, from a CPU generator."""
    import torch

    affine = _affine_matrices(n, height, width, policy, generator)
    colour = erased = None
    if policy.colour:
        colour = 1 + policy.colour * (2 * torch.rand(n, 3, generator=generator) - 1)
    if policy.erase:
        erased = _rectangles(n, policy.erase, generator)
    return Variation(affine, colour, erased)


def apply(batch: Tensor, variation: Variation) -> Tensor:
    """Return `batch` varied, (N, C, H, W), same dtype and device. Corners that a rotation uncovers mirror the picture.

    Args:
        batch: (N, C, H, W) floating point, from 0 to 1 where colours vary or parts are erased.
        variation: of as many pictures.
    """
    from kornia.geometry.transform import warp_affine

    if variation.colour is not None:
        batch = _recoloured(batch, _beside(batch, variation.colour))
    size = (batch.shape[2], batch.shape[3])
    batch = warp_affine(batch, _beside(batch, variation.affine), size, mode="bilinear", padding_mode="reflection")
    return batch if variation.erased is None else _erase(batch, _beside(batch, variation.erased))


def _beside(batch: Tensor, values: Tensor) -> Tensor:
    """Return values of the host in the dtype of a batch, where that is."""
    return to_device(values.to(batch.dtype), batch.device)


def _recoloured(batch: Tensor, factors: Tensor) -> Tensor:
    from kornia.enhance import adjust_contrast_with_mean_subtraction as adjust_contrast
    from kornia.enhance import adjust_saturation

    brightness, contrast, saturation = factors.unbind(dim=1)
    bright = (batch * brightness.view(-1, 1, 1, 1)).clamp(0, 1)
    recoloured: Tensor = adjust_saturation(adjust_contrast(bright, contrast), saturation)
    return recoloured


def _rectangles(n: int, probability: float, generator: torch.Generator) -> Tensor:
    """Return (n, 4) rectangles as shares of the sides: area 2 % to 20 %, sides in proportions up to 3."""
    import torch

    some, area, shape, x, y = torch.rand(5, n, generator=generator)
    area, shape = 0.02 + 0.18 * area, torch.exp((2 * shape - 1) * torch.log(torch.tensor(3.0)))
    width, height = (area * shape).sqrt().clamp(max=1), (area / shape).sqrt().clamp(max=1)
    left, top = x * (1 - width), y * (1 - height)
    boxes = torch.stack([left, top, left + width, top + height], dim=1)
    drawn: Tensor = boxes * (some < probability)[:, None]
    return drawn


def _erase(batch: Tensor, boxes: Tensor) -> Tensor:
    import torch

    height, width = batch.shape[2:]
    x = (torch.arange(width, device=batch.device) + 0.5) / width
    y = (torch.arange(height, device=batch.device) + 0.5) / height
    left, top, right, bottom = (side[:, None] for side in boxes.unbind(dim=1))
    inside = ((y > top) & (y < bottom))[:, :, None] & ((x > left) & (x < right))[:, None, :]
    return batch.masked_fill(inside[:, None], _GREY)


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
