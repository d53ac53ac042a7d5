"""Fixtures that every test folder uses: a cache of its own and small generated picture data sets."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

# Before numpy or torch is imported: several workers share the cores, and no test may wait for a hub.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pytest
from PIL import Image

SHARED = Path(__file__).resolve().parents[2] / "shared"
"""Real data sets and weights beside the project; only tests marked slow may need them."""

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


@pytest.fixture
def make_pictures(tmp_path: Path) -> MakePictures:
    """Return `write_pictures` with a folder of the test's own as the default root."""

    def make(root: Path | None = None, **options: object) -> Path:
        return write_pictures(root or tmp_path / "pictures", **options)  # type: ignore[arg-type]

    return make


@pytest.fixture
def pictures(make_pictures: MakePictures) -> Path:
    """Return a folder of 3 classes with 6 pictures each."""
    return make_pictures()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of shared data, or skip where it is not beside the project."""
    if not SHARED.is_dir():
        pytest.skip("the shared data sets are not on this machine")
    return SHARED


@pytest.fixture(autouse=True)
def isolated_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test an empty cache and data folder: none reads what another or the user computed."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("AUTOML_TL_CACHE_DIR", str(folder))
    monkeypatch.setenv(
        "XDG_DATA_HOME", str(tmp_path_factory.mktemp("data"))
    )  # where the user's references lie
    return folder
