"""A backbone that cannot be compared with its own pretraining set is told by another one's, and is said to be."""

from __future__ import annotations

from pathlib import Path

import pytest
from generated_pictures import MakePictures
from token_backbone import TokenBackbone

import automl_tl
from automl_tl.backbones.registry import get_backbone
from automl_tl.lab import networks
from automl_tl.lab.domains import STAND_IN
from automl_tl.report.facts.recommendation import about_pictures


class Elsewhere(TokenBackbone):
    def __init__(self, pretrained_on: str) -> None:
        super().__init__()
        self.pretrained_on = pretrained_on


@pytest.fixture
def folder(make_pictures: MakePictures) -> Path:
    return make_pictures(per_class=6)


def install(monkeypatch: pytest.MonkeyPatch, on: str) -> None:
    """Let there be a transformer that was pretrained on this, and the backbone that stands in."""
    backbones = {"wide": Elsewhere(on), STAND_IN: get_backbone(STAND_IN)}
    monkeypatch.setattr(networks, "get_backbone", backbones.__getitem__)


@pytest.mark.parametrize("on", ["lvd-142m", "openai-wit", "imagenet-21k"])
def test_imagenet_stands_in_for_a_larger_set(folder: Path, monkeypatch: pytest.MonkeyPatch, on: str) -> None:
    install(monkeypatch, on)
    found = automl_tl.recommend(folder, backbones=["wide"], device="cpu")
    assert (found.domain.backbone, found.domain.measure) == ("wide", "proxy")
    assert found.domain.verdict != "unknown"
    said = f"measured with {STAND_IN}, as {on} has no reference; it holds such photographs and many more"
    assert said in found.reasons[0]
    assert said in dict(about_pictures(found))["domain"]


def test_for_faces_nothing_stands_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "faces")
    assert automl_tl.recommend(folder, backbones=["wide"], device="cpu").domain.verdict == "unknown"
