"""The plugin in automl-tl: its checks, how it is listed, when its reference counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from automl_tl_faces import FaceBackbone, face_resnet29, inception_resnet_v1
from safetensors.torch import load_file, save_file

from automl_tl.backbones.checks.portability import exports_to_onnx
from automl_tl.backbones.conformance import CHECKS, check_backbone
from automl_tl.backbones.overrides import configure
from automl_tl.backbones.registry import weights_info
from automl_tl.backbones.stages import build_network
from automl_tl.domain.library import find_reference
from automl_tl.domain.reference import load_reference
from automl_tl.errors import WeightsError

WEIGHTS = Path(__file__).resolve().parents[4] / "shared" / "weights" / "face_resnet29.safetensors"
QUICK_CHECKS = tuple(check for check in CHECKS if check is not exports_to_onnx)


@pytest.mark.parametrize(("backbone", "size"), [(face_resnet29, 128), (inception_resnet_v1, 80)])
def test_conformance(backbone: FaceBackbone, size: int) -> None:
    small = configure(backbone.name, backbone, input_size=size)
    report = check_backbone(small, name=backbone.name, checks=QUICK_CHECKS)
    assert [one.sentence for one in report.failed] == []


@pytest.mark.slow
@pytest.mark.skipif(not WEIGHTS.is_file(), reason="the shared face weights are absent")
def test_conformance_of_real_weights() -> None:
    backbone = configure(face_resnet29.name, face_resnet29, weights=WEIGHTS)
    report = check_backbone(backbone, name=face_resnet29.name, pretrained=True, checks=QUICK_CHECKS)
    assert [one.sentence for one in report.failed] == []


@pytest.mark.parametrize("backbone", [face_resnet29, inception_resnet_v1], ids=lambda backbone: backbone.name)
def test_its_weights_are_never_here_by_themselves(backbone: FaceBackbone) -> None:
    info = weights_info(backbone.name, backbone)
    assert (info.local, info.licence, info.address) == (False, "mit", backbone.source)
    with pytest.raises(WeightsError, match=f"--weights {backbone.name}=FILE"):
        build_network(backbone.name, backbone)


def test_its_reference_is_of_faces_and_of_one_file() -> None:
    assert face_resnet29.reference is not None
    reference = load_reference(face_resnet29.reference)
    assert reference.name == "ORL faces of 10 of 20 people (100 pictures)"
    assert reference.weights == "sha256:30e213760132fb6ab9a5ca5b4860a6bd3bbce130280e78de3f52e728fc2f9605"
    assert (reference.input_size, reference.n_stages) == (150, 7)


@pytest.mark.slow
@pytest.mark.skipif(not WEIGHTS.is_file(), reason="the shared face weights are absent")
def test_its_reference_counts_for_the_published_weights_only(tmp_path: Path) -> None:
    def found(file: Path, **more: object) -> bool:
        backbone = configure(face_resnet29.name, face_resnet29, weights=file, **more)  # type: ignore[arg-type]
        return find_reference(build_network(face_resnet29.name, backbone)) is not None

    state = load_file(WEIGHTS)
    save_file(state, tmp_path / "same.safetensors")
    save_file({**state, "conv32_down.b": state["conv32_down.b"] * 1.01}, tmp_path / "other.safetensors")
    assert found(WEIGHTS)
    assert found(tmp_path / "same.safetensors")
    assert not found(tmp_path / "other.safetensors")
    assert not found(WEIGHTS, input_size=128)
