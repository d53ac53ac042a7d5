"""One test sweeps every bundled backbone, timm's families included, with every check."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_plugins import isolate_hub

from automl_tl.backbones.checks.portability import exports_to_onnx
from automl_tl.backbones.conformance import CHECKS, check_backbone
from automl_tl.backbones.overrides import configure
from automl_tl.backbones.registry import get_backbone, load_plugins

SHARED = Path(__file__).parents[2].parent / "shared" / "weights"
QUICK_CHECKS = tuple(check for check in CHECKS if check is not exports_to_onnx)  # which takes longer than the rest

BUNDLED = {"efficientnet_lite0": 64, "efficientnet_lite1": 64, "efficientnet_lite2": 64}
"""With their weights; pixels in place of their own size."""

FAMILIES = {
    # One of each way to take a timm network apart; without weights, at a small size.
    "test_efficientnet": 64,
    "test_resnet": 64,
    "test_byobnet": 64,
    "test_nfnet": 64,
    "test_convnext": 64,
    "test_mambaout": 64,
    "test_vit": 64,
    "ghostnet_050": 64,
    "deit_tiny_distilled_patch16_224": 64,
    "eva02_tiny_patch14_224": 56,
}
SLOW_FAMILIES = {
    "vit_tiny_patch16_224": 64,
    "mobilenetv3_small_050": 64,
    "regnetx_002": 64,
    "vgg11_bn": 64,
    "seresnext26d_32x4d": 64,
    "densenet121": 64,
    "vit_small_patch14_reg4_dinov2": 56,
    "swin_tiny_patch4_window7_224": 112,
}
OTHERS = {
    "torchvision:resnet18": 64,
    "torchvision:mobilenet_v3_small": 64,
    "torchvision:squeezenet1_1": 64,
    "face_resnet29": 150,
    "inception_resnet_v1": 160,
}
"""Of plugins that may be missing from an installation; weights where they are there."""

SWEEP = [
    *(pytest.param(name, size) for name, size in BUNDLED.items()),
    *(pytest.param(f"timm:{name}", size) for name, size in FAMILIES.items()),
    *(pytest.param(f"timm:{name}", size, marks=pytest.mark.slow) for name, size in SLOW_FAMILIES.items()),
    *(pytest.param(name, size) for name, size in OTHERS.items()),
]


@pytest.fixture(autouse=True)
def empty_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    return isolate_hub(monkeypatch, tmp_path)


@pytest.mark.parametrize(("name", "size"), SWEEP)
def test_every_bundled_backbone_passes_every_check(name: str, size: int) -> None:
    if name in OTHERS and name.partition(":")[0] not in load_plugins():
        pytest.skip("its plugin is not installed")
    backbone = configure(name, get_backbone(name), input_size=size)
    report = check_backbone(backbone, name=name, checks=QUICK_CHECKS)
    assert [one.sentence for one in report.failed] == []
    assert len(report.results) == len(QUICK_CHECKS)
    skipped = {one.name for one in report.results if one.status == "skipped"}
    needs_weights = {"all_weights_are_loaded", "pretrained_differs_from_random", "neighbours_are_of_their_kind"}
    assert skipped <= (set() if name in BUNDLED else {*needs_weights, "classifier_fits_its_labels"})


def test_the_sweep_names_every_bundled_plugin() -> None:
    bundled = {name for name, plugin in load_plugins().items() if plugin.bundled}
    assert bundled <= {str(parameter.values[0]).partition(":")[0] for parameter in SWEEP}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file", "more"),
    [
        ("timm:mobilenetv2_100", "mobilenetv2_100.safetensors", {}),
        (
            "timm:vgg16",
            "vgg16_features.safetensors",
            {"mean": (0.48501, 0.45797, 0.40760), "std": (1 / 255,) * 3, "input_size": 112},
        ),
    ],
)
def test_real_weights_from_a_local_file(name: str, file: str, more: dict) -> None:
    if not (SHARED / file).is_file():
        pytest.skip("the weights of ../shared are not on this machine")
    backbone = configure(name, get_backbone(name), weights=SHARED / file, **more)
    report = check_backbone(backbone, name=name, checks=QUICK_CHECKS)
    assert [one.sentence for one in report.failed] == []
    assert {one.name for one in report.results if one.status == "skipped"} == {"classifier_fits_its_labels"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet_lite0", "timm:test_vit", "timm:test_convnext"])
def test_onnx_where_it_is_installed(name: str) -> None:
    pytest.importorskip("onnxscript")
    backbone = configure(name, get_backbone(name), input_size=64)
    report = check_backbone(backbone, name=name, checks=(exports_to_onnx,))
    assert [one.sentence for one in report.failed] == []
