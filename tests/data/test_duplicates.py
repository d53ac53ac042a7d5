"""Copies are found, likenesses are not."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from automl_tl.data import duplicates
from automl_tl.data.duplicates import clusters, near_pairs
from automl_tl.data.measure import MEASURED, measure

Change = Callable[[Image.Image], Image.Image]


def scaled(image: Image.Image, by: float) -> Image.Image:
    return image.resize((round(image.width * by), round(image.height * by)), Image.Resampling.BICUBIC)


def recoded(image: Image.Image, form: str = "JPEG", **options: object) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return Image.open(buffer).convert("RGB")


COPIES: dict[str, Change] = {
    "quality 60": lambda image: recoded(image, quality=60),
    "half the size": lambda image: scaled(image, 0.5),
    "70 % of the size": lambda image: scaled(image, 0.7),
    "half the size, quality 60": lambda image: recoded(scaled(image, 0.5), quality=60),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.85),
    "more contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.1),
    "WebP": lambda image: recoded(image, "WEBP", quality=60),
}


class Gallery:
    """Pictures measured from files of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: list[np.ndarray] = []

    def add(self, *images: Image.Image) -> Gallery:
        for image in images:
            path = self.folder / f"{len(self.records)}.png"
            image.save(path)
            self.records.append(measure(path))
        return self

    def clusters(self, labels: list[str] | None = None) -> list[int]:
        classes = np.array(labels or ["a"] * len(self.records), object)
        return clusters(np.array(self.records, MEASURED), classes)[0].tolist()


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    return Gallery(tmp_path)


def scene(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Return smooth shapes of many sizes, as in a photo."""
    rng = np.random.default_rng(seed)
    layers = [
        np.asarray(Image.fromarray(rng.integers(0, 256, (n, n, 3), dtype=np.uint8)).resize(size, 3), np.float32)
        for n in (3, 6, 16)
    ]
    return Image.fromarray(np.average(layers, axis=0, weights=(3, 2, 1)).astype(np.uint8))


@pytest.mark.parametrize("change", COPIES)
def test_copies_are_found(gallery: Gallery, change: str) -> None:
    for seed in range(6):
        image = scene(seed)
        gallery.add(image, COPIES[change](image))
    assert gallery.clusters() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_copies_of_copies_are_one_group(gallery: Gallery) -> None:
    image = scene(1)
    gallery.add(image, scene(2), *(change(image) for change in list(COPIES.values())[:4]))
    assert gallery.clusters() == [0, 1, 0, 0, 0, 0]


def test_different_scenes_are_not(gallery: Gallery) -> None:
    gallery.add(*(scene(seed) for seed in range(40)))
    assert gallery.clusters() == list(range(40))


def test_identical_pixels_in_other_bytes(gallery: Gallery) -> None:
    gallery.add(scene(1))
    scene(1).save(gallery.folder / "other.png", compress_level=0)
    gallery.records.append(measure(gallery.folder / "other.png"))
    assert gallery.records[0]["sha256"] != gallery.records[1]["sha256"]
    assert gallery.clusters() == [0, 0]


def test_another_colour_is_another_picture(gallery: Gallery) -> None:
    image = scene(3)
    red, green, blue = image.split()
    gallery.add(image, Image.merge("RGB", (blue, green, red)))
    assert gallery.clusters() == [0, 1]


def test_another_shape_is_another_picture(gallery: Gallery) -> None:
    gallery.add(scene(3), scene(3).resize((160, 60)))
    assert gallery.clusters() == [0, 1]


def board(x: int, y: int) -> Image.Image:
    """A dark thing on a white board that is darker at its edges."""
    ramp = 235 - 60 * np.hypot(*np.meshgrid(np.linspace(-1, 1, 160), np.linspace(-1, 1, 120)))
    image = Image.fromarray(ramp.astype(np.uint8)).convert("RGB")
    ImageDraw.Draw(image).ellipse((x, y, x + 14, y + 14), fill=(60, 40, 30))
    return image


def test_things_on_one_white_board_are_not_copies(gallery: Gallery) -> None:
    gallery.add(*(board(x, y) for x in range(10, 140, 30) for y in (10, 50, 90)))
    assert len(set(gallery.clusters())) == 15


def stroke(seed: int) -> Image.Image:
    image = Image.new("1", (105, 105), 1)
    points = np.random.default_rng(seed).integers(10, 95, (4, 2))
    ImageDraw.Draw(image).line([tuple(map(int, point)) for point in points], fill=0, width=3)
    return image


def test_strokes_on_paper_are_not_copies(gallery: Gallery) -> None:
    gallery.add(*(stroke(seed) for seed in range(60)))
    assert len(set(gallery.clusters())) == 60


def test_blank_pictures_are_copies_only_if_their_pixels_agree(gallery: Gallery) -> None:
    blank = [Image.new("RGB", (80, 80), (level, level, level)) for level in (250, 251, 252, 0, 250)]
    rng = np.random.default_rng(0)
    noisy = [Image.fromarray(rng.integers(245, 251, (80, 80, 3), dtype=np.uint8)) for _ in range(5)]
    gallery.add(*blank, *noisy)
    assert gallery.clusters() == [0, 1, 2, 3, 0, 4, 5, 6, 7, 8]


def test_a_crowd_before_a_fixed_camera_is_not_kept_together(gallery: Gallery) -> None:
    rng = np.random.default_rng(0)
    background = np.asarray(scene(5)).astype(int)
    for _ in range(12):
        noise = rng.integers(-6, 7, background.shape)
        gallery.add(Image.fromarray((background + noise).clip(0, 255).astype(np.uint8)))
    gallery.add(*(scene(seed) for seed in range(100, 108)))
    cluster, given_up = clusters(np.array(gallery.records, MEASURED), np.array(["a"] * 20, object))
    assert given_up
    assert len(set(cluster)) == 20


def test_a_crowd_of_identical_files_stays_together(gallery: Gallery) -> None:
    gallery.add(*([scene(1)] * 12), *(scene(seed) for seed in range(2, 6)))
    assert gallery.clusters() == [0] * 12 + [1, 2, 3, 4]


def test_too_many_likenesses_are_given_up(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_MAX_CONFIRMATIONS", 0)
    gallery.add(scene(1), ImageEnhance.Brightness(scene(1)).enhance(0.9))
    pairs, complete = near_pairs(np.array(gallery.records, MEASURED))
    assert len(pairs) == 0
    assert not complete


def test_chunks_do_not_matter(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(10):
        gallery.add(scene(seed))
    for seed in range(10):
        gallery.add(scaled(scene(seed), 0.6))
    whole = gallery.clusters()
    monkeypatch.setattr(duplicates, "_HASHES_AT_ONCE", 30)
    monkeypatch.setattr(duplicates, "_PAIRS_AT_ONCE", 3)
    monkeypatch.setattr(duplicates, "_MANY_PAIRS", 0)
    assert gallery.clusters() == whole == [*range(10), *range(10)]


def test_very_many_pictures_are_compared_by_bytes_only(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MAX_PICTURES", 2)
    gallery.add(scene(1), scene(1), scaled(scene(1), 0.5), scene(2))
    assert gallery.clusters() == [0, 0, 1, 2]


def test_one_picture(gallery: Gallery) -> None:
    assert gallery.add(scene(1)).clusters() == [0]
