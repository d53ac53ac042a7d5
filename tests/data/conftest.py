"""Fixtures of the data tests: single pictures and quick trees of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Tree = Mapping[str, int]


def noise(seed: int, size: tuple[int, int] = (40, 40)) -> Image.Image:
    """Return an RGB picture of coarse noise, unlike that of any other seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def grow(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes different pictures: `grow({"cat": 3, "dog/brown": 2})` gives their root."""

    def make(tree: Tree, root: Path = tmp_path / "photos", suffix: str = ".png") -> Path:
        seed = 1000 * len(list(tmp_path.rglob("*")))
        for folder, count in tree.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                seed += 1
                noise(seed).save(root / folder / f"{index}{suffix}")
        return root

    return make
