"""What a plugin says of fine-tuning its networks: read, checked, and published for families of networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_plugins import isolate_hub
from tiny_backbone import TinyBackbone, tiny_network
from torch import nn

from automl_tl.backbones.contract import FineTuning
from automl_tl.backbones.registry import get_backbone
from automl_tl.backbones.stages import Network, build_network
from automl_tl.errors import BackboneError


class Saying(TinyBackbone):
    def __init__(self, said: Any) -> None:
        super().__init__()
        self.said = said

    def fine_tuning(self, module: nn.Module) -> Any:
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


def test_a_plugin_that_says_nothing_is_tuned_as_was_measured() -> None:
    assert tiny_network().fine_tuning == FineTuning()
    assert build_network("tiny", Saying(None)).fine_tuning == FineTuning()


def test_a_mapping_serves_as_well() -> None:
    said = {"learning_rate": 5e-5, "layer_decay": 0.7, "undecayed": ["0.0.weight"]}
    assert build_network("tiny", Saying(said)).fine_tuning == FineTuning(5e-5, 0.7, ("0.0.weight",))
    assert build_network("tiny", Saying(FineTuning(1e-4))).fine_tuning == FineTuning(1e-4)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (3, r"fine_tuning\(\) must return a mapping or None, but returned int"),
        ({"lr": 1e-4}, "fine_tuning\\(\\) may have the keys learning_rate, .*, but has 'lr'"),
        ({"learning_rate": 0.1}, "learning_rate of fine_tuning\\(\\) must be 1e-05 to 0.001, but is 0.1"),
        ({"layer_decay": 1.5}, "layer_decay of fine_tuning\\(\\) must be above 0 and at most 1, but is 1.5"),
        ({"undecayed": ["pos"]}, "names 'pos', which is no parameter of the network"),
        ({"layer_decay": "much"}, "tiny could not say how it is fine-tuned"),
        (RuntimeError("no"), "tiny could not say how it is fine-tuned: it raised RuntimeError: no"),
    ],
)
def test_what_makes_no_sense_is_said(said: Any, sentence: str) -> None:
    with pytest.raises(BackboneError, match=sentence):
        build_network("tiny", Saying(said))


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    isolate_hub(monkeypatch, tmp_path)

    def of(name: str) -> Network:
        return build_network(name, get_backbone(name), pretrained=False)

    return of


@pytest.mark.parametrize(
    ("name", "rate", "decay"),
    [
        ("timm:vit_tiny_patch16_224", 5e-5, 0.65),
        ("timm:convnext_atto", 5e-5, 0.8 ** (13 / 5)),
        ("timm:efficientnet_lite0", None, 1.0),
        ("timm:resnet10t", None, 1.0),
        ("torchvision:vit_b_16", 5e-5, 0.65),
        ("torchvision:swin_t", 5e-5, 0.8 ** (13 / 5)),
        ("torchvision:convnext_tiny", 5e-5, 0.8 ** (13 / 5)),
        ("torchvision:mobilenet_v3_small", None, 1.0),
    ],
)
def test_an_architecture_is_tuned_as_was_published(published: Any, name: str, rate: float | None, decay: float) -> None:
    said = published(name).fine_tuning
    assert said.learning_rate == rate
    assert said.layer_decay == pytest.approx(decay)


def test_what_timm_does_not_decay_is_named(published: Any) -> None:
    network = published("timm:vit_tiny_patch16_224")
    assert set(network.fine_tuning.undecayed) == {"cls_token", "pos_embed"}
    own = dict(network.module.named_parameters())
    learned = {id(p) for stage in network.stages for p in stage.parameters()}
    assert all(id(own[name]) in learned for name in network.fine_tuning.undecayed)
