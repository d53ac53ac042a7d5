"""What a model's augmentation does to pictures: beside each, a few variants as training draws them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image

from automl_tl.augment.policy import AugmentationPolicy, augment
from automl_tl.data.decode import Preprocessing, preprocess
from automl_tl.data.source import Source
from automl_tl.errors import PictureError
from automl_tl.learning.recipe import Recipe
from automl_tl.report.parts import Gallery, Section
from automl_tl.report.thumbnails import strip

PICTURES, VARIANTS = 6, 4
SEED = 0
"""Of the variants, so that the same model gives the same page."""


def augmentation_section(how: Recipe, pictures: Iterable[tuple[Source, str]], prepared: Preprocessing) -> Section:
    """Return what a recipe's policy does to the first few pictures that can be read.

    Args:
        how: of a trained model.
        pictures: (source, caption).
        prepared: how the model has its pictures made square.
    """
    lead = f"Training learned from variants of every picture: {how.policy.describe()}.{_mixed(how)}"
    if how.policy == AugmentationPolicy():
        return Section("Augmentation", (), f"Pictures were learned from as they are.{_mixed(how)}")
    generator = torch.Generator().manual_seed(SEED)
    strips = []
    for source, caption in pictures:
        try:
            pixels = preprocess(source, prepared)
        except (PictureError, OSError):
            continue
        strips.append(strip([Image.fromarray(pixels), *_variants(pixels, how.policy, generator)], caption))
        if len(strips) == PICTURES:
            break
    caption = f"Left the picture as the model sees it, then {VARIANTS} variants."
    return Section("Augmentation", (Gallery(tuple(strips), caption, strips=True),), lead)


def _variants(pixels: np.ndarray, policy: AugmentationPolicy, generator: torch.Generator) -> list[Image.Image]:
    """Return variants of a picture, uint8 (S, S, 3)."""
    batch = torch.from_numpy(pixels).permute(2, 0, 1)[None].repeat(VARIANTS, 1, 1, 1).float() / 255
    varied = augment(batch, policy, generator).clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(one) for one in varied]


def _mixed(how: Recipe) -> str:
    names = [name for name in ("mixup", "cutmix") if getattr(how, name)]
    return (
        f" Pictures were mixed with one another as well ({' and '.join(names)}), which is not shown." if names else ""
    )
