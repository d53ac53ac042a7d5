"""Fixtures of the data tests: single pictures and quick trees of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from noise import noise

Tree = Mapping[str, int]


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
