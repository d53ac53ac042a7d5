"""Small generated picture data sets, the same for every test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = ((200, 60, 50), (60, 160, 70), (70, 90, 200), (210, 180, 60), (150, 70, 180), (80, 190, 190))
ALIKE = ((130, 115, 100), (115, 130, 100))
"""Near one another, so that what else is in a picture hides them."""

MakePictures = Callable[..., Path]


def picture(kind: int, seed: int, size: tuple[int, int] = (48, 48)) -> Image.Image:
    """Return an RGB picture of `size` (width, height): coarse noise in the colour of class `kind`.

    Two seeds give pictures that no duplicate search may confuse; two kinds can be told apart by their colour.
    """
    rng = np.random.default_rng([kind, seed])
    coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    noise = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), dtype=np.float32)
    colour = np.asarray(COLOURS[kind % len(COLOURS)], dtype=np.float32)
    return Image.fromarray(np.clip(0.5 * noise + 0.5 * colour, 0, 255).astype(np.uint8))


def write_pictures(
    root: Path,
    classes: Sequence[str] = ("apple", "leaf", "sky"),
    per_class: int | Sequence[int] = 6,
    size: tuple[int, int] = (48, 48),
    seed: int = 0,
) -> Path:
    """Write a folder of class folders below `root` and return it; `per_class` may differ by class."""
    counts = [per_class] * len(classes) if isinstance(per_class, int) else per_class
    for kind, (name, count) in enumerate(zip(classes, counts, strict=True)):
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            picture(kind, 1000 * seed + index, size).save(folder / f"{index:03d}.png")
    return root


def told_apart_by(part: str, root: Path, size: tuple[int, int] = (90, 60), per_class: int = 12) -> Path:
    """Write pictures of two classes whose colour fills the middle or the ends; the rest has one that says nothing."""
    rng, (width, height) = np.random.default_rng(0), size
    side = min(size)
    left, top = (width - side) // 2, (height - side) // 2
    middle = np.zeros((height, width), bool)
    middle[top : top + side, left : left + side] = True
    shown = middle if part == "middle" else ~middle
    for label, colour in enumerate(ALIKE):
        for number in range(per_class):
            pixels = np.where(shown[:, :, None], colour, rng.integers(0, 246, 3))
            pixels = (pixels + rng.integers(0, 10, pixels.shape)).astype(np.uint8)
            file = root / str(label) / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
    return root


def add_odd_pictures(root: Path, per_class: int) -> Path:
    """Add pictures to each of three classes that look like another one: no classifier is right on all of them."""
    for number, name in enumerate(("apple", "leaf", "sky")):
        for index in range(per_class):
            picture((number + 1) % 3, 500 + index).save(root / name / f"odd{index}.png")
    return root
