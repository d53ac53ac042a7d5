"""No backbone that a preset names is left without a verdict on how far the pictures are from what it was trained on."""

from __future__ import annotations

import pytest

from automl_tl.backbones.presets import all_members
from automl_tl.backbones.registry import get_backbone
from automl_tl.domain.stand_ins import IMAGENET, stand_ins

NAMED = sorted({one.backbone for one in all_members()})


@pytest.mark.parametrize("name", NAMED)
def test_what_presets_name_can_be_compared(name: str) -> None:
    assert IMAGENET in stand_ins(get_backbone(name).pretrained_on)


@pytest.mark.parametrize("on", ["none", "faces", "sat-493m", "tiny"])
def test_imagenet_stands_in_for_no_other_kind_of_pictures(on: str) -> None:
    assert IMAGENET not in stand_ins(on)
