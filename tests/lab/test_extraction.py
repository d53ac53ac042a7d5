"""Features of several backbones: one that fails on these pictures is left out, and the others go on."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from generated_pictures import MakePictures, picture
from PIL import Image
from small_lab import bare_lab
from tiny_backbone import TinyBackbone
from torch import nn

from automl_tl.backbones import plugins
from automl_tl.data.value_range import ValueRange
from automl_tl.errors import BackboneError
from automl_tl.features.picture import Picture
from automl_tl.lab import networks as module
from automl_tl.lab.extraction import extract_all, extract_each
from automl_tl.lab.lab import Lab, open_lab
from automl_tl.options import LabOptions


class FailsLater(TinyBackbone):
    """Passes its preflight, and raises on a batch that is larger."""

    def build(self, *, pretrained: bool = True) -> nn.Module:
        built = super().build(pretrained=pretrained)
        built[0].register_forward_pre_hook(self._fail)
        return built

    def _fail(self, stage: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if len(inputs[0]) > 2:
            raise RuntimeError("only two pictures, please")


@pytest.fixture
def pictures(make_pictures: MakePictures) -> list[Picture]:
    paths = sorted(make_pictures().rglob("*.png"))
    return [Picture(str(p), hashlib.sha256(p.read_bytes()).hexdigest()) for p in paths]


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Lab:
    found = {"tiny": TinyBackbone(), "later": FailsLater(seed=1)}
    monkeypatch.setattr(module, "get_backbone", found.__getitem__)
    return bare_lab(tmp_path / "cache")


def test_one_that_raises_on_a_later_batch_is_left_out(lab: Lab, pictures: list[Picture]) -> None:
    features, notes = extract_all(lab, ["later", "tiny"], pictures)
    assert list(features) == ["tiny"]
    assert features["tiny"].matrix((3,)).shape == (len(pictures), 16)
    assert notes == (
        "later is left out: later could not run stage 1 of 3: it raised RuntimeError: only two pictures, please",
    )


def test_one_that_was_named_is_an_error(lab: Lab, pictures: list[Picture], tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match=r"^later could not run stage 1 of 3"):
        extract_all(bare_lab(tmp_path / "cache", named={"later"}), ["later", "tiny"], pictures)


def test_none_left_is_an_error(lab: Lab, pictures: list[Picture]) -> None:
    with pytest.raises(BackboneError, match="no backbone could compute features of these pictures: later is left out"):
        extract_all(lab, ["later"], pictures)
    features, notes = extract_each(lab, ["later"], pictures)
    assert features == {}
    assert len(notes) == 1


def test_strict_raises(lab: Lab, pictures: list[Picture], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plugins.STRICT, "yes")
    with pytest.raises(BackboneError, match=r"^later could not run"):
        extract_all(lab, ["later", "tiny"], pictures)


def test_the_range_of_values_of_the_data_set_is_that_of_its_features(lab: Lab, tmp_path: Path) -> None:
    for kind, name in enumerate("ab"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for seed in range(3):
            grey = np.asarray(picture(kind, seed).convert("L"), np.uint16)
            Image.fromarray(grey * 16).save(tmp_path / "data" / name / f"{seed}.png")
    opened = open_lab(tmp_path / "data", LabOptions(backbones=["tiny"]))
    assert opened.report.value_range == ValueRange(0, 4095)
    assert opened.networks.preprocessing("tiny", "squash").value_range == ValueRange(0, 4095)
    there = pickle.loads(pickle.dumps(opened.networks))
    assert there.preprocessing("tiny", "squash").value_range == ValueRange(0, 4095)
