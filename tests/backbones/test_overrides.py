"""The user's own weights, mean, std and input size."""

from __future__ import annotations

import copy
import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from automl_tl.backbones.contract import Backbone
from automl_tl.backbones.overrides import Configured, configure, local_weights, parse_assignments, parse_triple
from automl_tl.backbones.registry import get_backbone, weights_info
from automl_tl.errors import BackboneError, OptionError, WeightsError


class Plain:
    api_version = 1
    input_size = 16
    mean = (0.1, 0.2, 0.3)
    std = (0.5, 0.5, 0.5)
    pretrained_on = "none"
    reference = Path("kept.npz")

    def build(self, *, pretrained: bool = True) -> Any:
        return ("plain", pretrained)

    def stages(self, module: Any) -> list[Any]:
        return [module]


class Flexible(Plain):
    interpolation = "nearest"

    def build(  # type: ignore[override]
        self, *, pretrained: bool = True, weights: Path | None = None, input_size: int | None = None
    ) -> Any:
        return (pretrained, weights, input_size)

    def tokens(self, output: Any) -> Any:
        return output


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "w.pth").write_bytes(b"weights")
    return tmp_path / "w.pth"


def test_nothing_to_override() -> None:
    plain = Plain()
    assert configure("plain", plain) is plain


def test_a_configured_backbone_is_a_backbone(file: Path) -> None:
    configured = configure("x", Flexible(), weights=file, mean=[0.5, 0.5, 0.5], std=(1 / 255,) * 3, input_size=32)
    assert isinstance(configured, Backbone)
    assert (configured.mean, configured.std, configured.input_size) == ((0.5,) * 3, (1 / 255,) * 3, 32)
    assert configured.build() == (True, file, 32)
    assert configured.build(pretrained=False) == (False, None, 32)


def test_optional_members_are_those_of_the_wrapped(file: Path) -> None:
    plain = configure("x", Plain(), mean=(0, 0, 0))
    flexible = configure("x", Flexible(), weights=file)
    assert [hasattr(plain, name) for name in ("tokens", "pooled", "weights", "interpolation")] == [False] * 4
    assert [hasattr(flexible, name) for name in ("tokens", "pooled", "weights")] == [True, False, True]
    assert getattr(flexible, "interpolation", "bilinear") == "nearest"
    assert (plain.reference, flexible.reference) == (Path("kept.npz"),) * 2  # type: ignore[attr-defined]
    assert plain.build(pretrained=True) == ("plain", True)


def test_it_can_be_copied_and_pickled() -> None:
    configured = configure("efficientnet_lite0", get_backbone("efficientnet_lite0"), mean=(0.1, 0.2, 0.3))
    assert isinstance(configured, Configured)
    assert copy.deepcopy(configured) == configured
    assert pickle.loads(pickle.dumps(configured)) == configured


def test_a_file_is_known_by_its_bytes(file: Path) -> None:
    configured = configure("x", Flexible(), weights=file)
    info = weights_info("x", configured)
    assert info.identity == "sha256:" + hashlib.sha256(b"weights").hexdigest()
    assert (info.n_bytes, info.local, info.address) == (7, True, str(file))
    file.write_bytes(b"other!!")
    os.utime(file, ns=(1, 1))
    assert weights_info("x", configured).identity == "sha256:" + hashlib.sha256(b"other!!").hexdigest()
    file.unlink()
    with pytest.raises(WeightsError, match="there is no weights file"):
        local_weights(file)


def test_a_backbone_that_takes_no_file(file: Path) -> None:
    with pytest.raises(BackboneError, match="takes no argument `weights`"):
        configure("plain", Plain(), weights=file)


def test_arguments_of_any_name_load_no_file(file: Path) -> None:
    class Anything(Plain):
        def build(self, *, pretrained: bool = True, **_: object) -> Any:
            return super().build(pretrained=pretrained)

    with pytest.raises(BackboneError, match="takes no argument `weights`"):
        configure("anything", Anything(), weights=file)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        configure("x", Flexible(), weights=tmp_path / "none.pth")
    with pytest.raises(WeightsError, match="is a folder"):
        configure("x", Flexible(), weights=tmp_path)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ({"mean": (123.7, 116.8, 103.9)}, "divide it by 255"),
        ({"mean": (0.5, 0.5)}, "three numbers"),
        ({"std": (0, 1, 1)}, "std must be positive"),
        ({"input_size": 4}, "from 8 to 4096, but is 4"),
    ],
)
def test_values_that_make_no_sense(override: dict[str, Any], expected: str) -> None:
    with pytest.raises(OptionError) as caught:
        configure("x", Plain(), **override)
    assert expected in str(caught.value)


def test_assignments() -> None:
    assert parse_assignments(["timm:vgg16=a=b.pth", "x = y"]) == {"timm:vgg16": Path("a=b.pth"), "x": Path("y")}
    for wrong in (["x"], ["=f"], ["x="], ["x=1", "x=2"]):
        with pytest.raises(OptionError, match="--weights"):
            parse_assignments(wrong)


def test_triples() -> None:
    assert parse_triple("0.1,0.2 0.3", "--mean") == (0.1, 0.2, 0.3)
    assert parse_triple("0.5", "--mean") == (0.5, 0.5, 0.5)
    for wrong in ("", "a,b,c", "1,2"):
        with pytest.raises(OptionError, match="--mean"):
            parse_triple(wrong, "--mean")
