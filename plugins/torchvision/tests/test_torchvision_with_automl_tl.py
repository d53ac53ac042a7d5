"""The plugin in automl-tl: every check on one network of each kind, and real weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from automl_tl_torchvision import family

from automl_tl.backbones.checks.portability import exports_to_onnx
from automl_tl.backbones.conformance import CHECKS, check_backbone
from automl_tl.backbones.overrides import configure
from automl_tl.backbones.stages import build_network
from automl_tl.errors import WeightsError

VGG = Path(__file__).resolve().parents[4] / "shared" / "weights" / "vgg16_features.safetensors"
QUICK_CHECKS = tuple(check for check in CHECKS if check is not exports_to_onnx)
QUICK = ("mobilenet_v3_small", "regnet_y_400mf", "shufflenet_v2_x0_5", "squeezenet1_1")
SLOW = ("resnet18", "densenet121", "convnext_tiny", "swin_t", "vit_b_32", "vgg11")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.mark.parametrize("arch", [*QUICK, *(pytest.param(arch, marks=pytest.mark.slow) for arch in SLOW)])
def test_conformance_of_random_networks(arch: str) -> None:
    name = f"torchvision:{arch}"
    report = check_backbone(configure(name, family.get(arch), input_size=64), name=name, checks=QUICK_CHECKS)
    assert [one.sentence for one in report.failed] == []


@pytest.mark.slow
@pytest.mark.skipif(not VGG.is_file(), reason="the shared VGG16 weights are absent")
def test_conformance_of_real_weights() -> None:
    name = "torchvision:vgg16.IMAGENET1K_FEATURES"
    backbone = configure(name, family.get("vgg16.IMAGENET1K_FEATURES"), weights=VGG, input_size=112)
    report = check_backbone(backbone, name=name, pretrained=True, checks=QUICK_CHECKS)
    assert [one.sentence for one in report.failed] == []
    assert [one.name for one in report.results if one.status == "skipped"] == ["classifier_fits_its_labels"]


def test_weights_that_are_not_here_are_one_sentence() -> None:
    with pytest.raises(WeightsError, match="--weights torchvision:resnet18=FILE"):
        build_network("torchvision:resnet18", family.get("resnet18"))
