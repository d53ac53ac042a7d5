"""What augmentation does is shown with the model's own policy, the same every time."""

from __future__ import annotations

from pathlib import Path

from automl_tl.augment.policy import AugmentationPolicy
from automl_tl.data.dataset import open_dataset
from automl_tl.data.decode import Preprocessing
from automl_tl.learning.recipe import Recipe
from automl_tl.report.augmented import PICTURES, augmentation_section
from automl_tl.report.parts import Gallery, Section
from automl_tl.report.thumbnails import one_of_each

HOW = Preprocessing(32, "squash")


def section(pictures: Path, policy: AugmentationPolicy, mixup: float = 0.0) -> Section:
    return augmentation_section(Recipe(1, policy=policy, mixup=mixup), one_of_each(open_dataset(pictures)), HOW)


def strips(shown: Section) -> list[str]:
    (gallery,) = shown.parts
    assert isinstance(gallery, Gallery)
    return [one.uri for one in gallery.pictures]


def test_the_policy_is_what_is_shown(pictures: Path) -> None:
    rotated, cropped = AugmentationPolicy(rotation=30), AugmentationPolicy(crop=0.3)
    first = strips(section(pictures, rotated))
    assert len(first) == len(set(first)) == PICTURES
    assert strips(section(pictures, rotated)) == first
    assert not set(strips(section(pictures, cropped))) & set(first)


def test_without_a_policy_nothing_is_shown(pictures: Path) -> None:
    shown = section(pictures, AugmentationPolicy(), mixup=0.2)
    assert shown.parts == ()
    assert "as they are" in shown.lead
    assert "mixup" in shown.lead


def test_pictures_that_cannot_be_read_are_left_out(pictures: Path) -> None:
    for file in pictures.glob("*/*.png"):
        if file.stem != "000":
            file.write_bytes(b"broken")
    assert len(strips(section(pictures, AugmentationPolicy(hflip=0.5)))) == 3
