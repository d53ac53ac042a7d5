"""Small generated picture data sets, the same for every test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = ((200, 60, 50), (60, 160, 70), (70, 90, 200), (210, 180, 60), (150, 70, 180), (80, 190, 190))

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


def add_odd_pictures(root: Path, per_class: int) -> Path:
    """Add pictures to each of three classes that look like another one: no classifier is right on all of them."""
    for number, name in enumerate(("apple", "leaf", "sky")):
        for index in range(per_class):
            picture((number + 1) % 3, 500 + index).save(root / name / f"odd{index}.png")
    return root
