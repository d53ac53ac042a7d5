"""The plugin on its own, without automl_tl: names and facts, stages, checkpoints, local files, classifiers."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from automl_tl_torchvision import TorchvisionBackbone, catalogue, checkpoints, family, splitting
from automl_tl_torchvision.heads import classifier
from automl_tl_torchvision.loading import read
from automl_tl_torchvision.splitting import pooled, split, tokens
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.vgg import cfgs, make_layers

SMALL = "mobilenet_v3_small"


@pytest.fixture(autouse=True)
def empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def state() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return models.get_model(SMALL, weights=None).state_dict()


def test_names_facts_and_weights_need_no_torch() -> None:
    code = (
        "import sys; from automl_tl_torchvision import family; names = family.names(); "
        "assert len(names) >= 80; [family.get(name).weights() for name in names]; family.local_names(); "
        "assert not {'torch', 'torchvision', 'automl_tl'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_catalogue_is_torchvisions() -> None:
    for entry in catalogue.entries().values():
        assert entry == catalogue.from_torchvision(entry.name)
    for arch, entry in catalogue.defaults().items():
        assert entry == catalogue.from_torchvision(arch)


def test_names_that_are_not_there() -> None:
    with pytest.raises(ValueError, match="has no classifier 'resnet5'"):
        family.get("resnet5")
    with pytest.raises(ValueError, match="has no classifier 'fasterrcnn_resnet50_fpn'"):
        family.get("fasterrcnn_resnet50_fpn")
    with pytest.raises(ValueError, match="has no weights 'V3' for resnet50, only"):
        family.get("resnet50.V3")


def test_what_weights_were_trained_on_and_their_licence() -> None:
    linear, whole = (family.get(f"vit_b_16.IMAGENET1K_SWAG_{kind}_V1") for kind in ("LINEAR", "E2E"))
    assert (linear.pretrained_on, whole.pretrained_on) == ("instagram-3.6b", "imagenet-1k")
    assert whole.weights()["licence"] == "cc-by-nc-4.0"
    assert family.get("vit_b_16").weights()["licence"] == ""


def tiny_swin() -> nn.Module:
    return models.SwinTransformer(
        patch_size=[4, 4], embed_dim=12, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=[4, 4]
    )


def tiny_vit(num_layers: int = 3) -> nn.Module:
    net = models.VisionTransformer(
        image_size=48, patch_size=8, num_layers=num_layers, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=7
    )
    nn.init.normal_(net.heads.head.weight)  # zero otherwise
    return net


def tiny_convnext() -> nn.Module:
    return models.ConvNeXt([CNBlockConfig(8, 16, 1), CNBlockConfig(16, 24, 1), CNBlockConfig(24, None, 2)])


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "resnet18": (lambda: models.resnet18(), 5),
    "resnext": (lambda: models.ResNet(models.resnet.Bottleneck, [1, 1, 1, 1], groups=4, width_per_group=8), 5),
    "densenet": (lambda: models.DenseNet(8, (2, 2, 2), 16), 4),
    "mobilenet_v2": (lambda: models.mobilenet_v2(), 9),
    "mobilenet_v3_small": (lambda: models.mobilenet_v3_small(), 7),
    "efficientnet_b0": (lambda: models.efficientnet_b0(), 9),
    "efficientnet_v2_s": (lambda: models.efficientnet_v2_s(), 8),
    "convnext": (tiny_convnext, 4),
    "regnet_y_400mf": (lambda: models.regnet_y_400mf(), 5),
    "swin": (tiny_swin, 5),
    "vit_": (tiny_vit, 4),
    "vit_long": (lambda: tiny_vit(14), 13),
    "shufflenet_v2_x0_5": (lambda: models.shufflenet_v2_x0_5(), 5),
    "mnasnet0_5": (lambda: models.mnasnet0_5(), 9),
}


@pytest.mark.parametrize("arch", NETWORKS)
def test_stages_are_the_network(arch: str) -> None:
    torch.manual_seed(0)
    make, n_stages = NETWORKS[arch]
    net = make()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn_like(module.running_mean) / 10
    stages = split(net, 64)
    assert net.training  # its modes are its own
    assert len(stages) == n_stages
    owners = [parameter for stage in stages for parameter in stage.parameters()]
    assert len(set(owners)) == len(owners)
    assert all(next(stage.parameters(), None) is not None for stage in stages)
    head, x = classifier(arch, net.eval(), 64), torch.randn(2, 3, 48, 48)
    assert head is not None
    with torch.no_grad():
        output = x
        for stage in stages:
            output = stage(output)
            assert tokens(arch, output).ndim == 3
        assert torch.allclose(head(pooled(arch, output)), net(x), rtol=1e-4, atol=1e-5 * float(net(x).abs().max()))


def test_a_network_that_no_recipe_fits_is_one_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    net = models.mobilenet_v3_small().eval()
    monkeypatch.setattr(splitting, "sequence", lambda net: [net.features, nn.ReLU()])
    (whole,) = split(net, 64)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        output = whole(x)
        assert torch.equal(net.classifier(output), net(x))
        assert tokens(SMALL, output).shape == (2, 1, 576)
        assert torch.equal(pooled(SMALL, output), output)
    assert classifier(SMALL, net, 64) is not None
    assert {id(p) for p in whole.parameters()} < {id(p) for p in net.parameters()}


def test_vgg_is_cut_after_its_poolings_and_needs_no_fully_connected_layers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    features = make_layers(cfgs["A"])
    save_file({f"features.{name}": t.half() for name, t in features.state_dict().items()}, tmp_path / "w.safetensors")
    backbone = family.get("vgg11")
    net = backbone.build(weights=tmp_path / "w.safetensors")
    stages = backbone.stages(net)
    assert [len(stage) for stage in stages] == [3, 3, 5, 5, 5]
    assert all(isinstance(stage[-1], nn.MaxPool2d) for stage in stages)
    assert sum(p.numel() for p in net.parameters()) == sum(p.numel() for p in features.parameters())
    assert all(p.dtype == torch.float32 and p.requires_grad for p in net.parameters())
    assert backbone.classifier(net) is None
    x = torch.randn(1, 3, 64, 64)
    assert torch.allclose(nn.Sequential(*stages)(x), features(x), atol=1e-2)


def test_a_published_file_is_found_in_torchs_folder(empty_folder: Path, state: dict[str, Tensor]) -> None:
    backbone = family.get(SMALL)
    about = backbone.weights()
    assert (about["local"], about["address"]) == (False, backbone.entry.url)
    assert family.local_names() == []
    torch.save(state, empty_folder / backbone.entry.file_name)
    (empty_folder / family.get("resnet50.IMAGENET1K_V1").entry.file_name).touch()
    assert family.local_names() == [SMALL, "resnet50.IMAGENET1K_V1"]
    here = backbone.weights()
    assert here["local"]
    assert here["identity"] == about["identity"] == "torchvision/mobilenet_v3_small-047dcff4.pth"
    net = backbone.build().eval()
    assert torch.equal(net.features[0][0].weight, state["features.0.0.weight"])
    assert backbone.classifier(net) is not None
    assert not any(tensor.is_meta for tensor in net.state_dict().values())


def test_the_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert checkpoints.folder() == Path(torch.hub.get_dir()) / "checkpoints"
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "x"))
    assert checkpoints.folder() == Path(torch.hub.get_dir()) / "checkpoints"


@pytest.mark.parametrize("how", ["switch", "dead proxy"])
def test_offline_it_fails_at_once_and_says_what_to_do(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "dead proxy":
        monkeypatch.delenv("HF_HUB_OFFLINE")
        monkeypatch.setenv("https_proxy", "http://[::1]:9")
    start = time.monotonic()
    with pytest.raises(ConnectionError, match=r"--weights torchvision:resnet18=FILE") as caught:
        family.get("resnet18").build()
    assert time.monotonic() - start < 20
    assert ("HF_HUB_OFFLINE is set" if how == "switch" else "no connection to ::1") in str(caught.value)
    assert "https://download.pytorch.org/models/resnet18-f37072fd.pth" in str(caught.value)


def test_a_download_goes_to_torchs_folder(
    monkeypatch: pytest.MonkeyPatch, empty_folder: Path, state: dict[str, Tensor]
) -> None:
    asked = []

    def download(url: str, target: str, hash_prefix: str) -> None:
        asked.append((url, hash_prefix))
        torch.save(state, target)

    monkeypatch.setattr(checkpoints, "offline_reason", lambda url: None)
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    backbone = family.get(SMALL)
    backbone.build()
    backbone.build()
    assert asked == [(backbone.entry.url, "047dcff4")]
    assert backbone.weights()["address"] == str(empty_folder / "mobilenet_v3_small-047dcff4.pth")


def test_a_download_that_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("invalid hash value\nand more")

    monkeypatch.setattr(checkpoints, "offline_reason", lambda url: None)
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with pytest.raises(ConnectionError, match=r"\(invalid hash value\); give a local file with --weights"):
        family.get(SMALL).build()


def _wrapped(state: dict[str, Tensor], kind: str) -> Any:
    kinds = {
        "plain": state,
        "half": {k: v.half() if v.is_floating_point() else v for k, v in state.items()},
        "trainer": {"model": {f"module.{k}": v for k, v in state.items()}, "epoch": 3},
        "headless": {k: v for k, v in state.items() if not k.startswith("classifier")},
        "other labels": {k: v[:10] if k.startswith("classifier.3") else v for k, v in state.items()},
        "no counters": {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")},
    }
    return kinds[kind]


@pytest.mark.parametrize("kind", ["plain", "half", "trainer", "headless", "other labels", "no counters"])
def test_local_files(kind: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(_wrapped(state, kind), tmp_path / "w.pth")
    backbone = family.get(SMALL)
    net = backbone.build(weights=tmp_path / "w.pth")
    for name, tensor in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert tensor.dtype == torch.float32
            assert torch.allclose(tensor, state[name], atol=2e-3), name
    assert (backbone.classifier(net) is None) == (kind in ("headless", "other labels"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda s: {k: v for k, v in s.items() if k != "features.0.0.weight"}, r"1 of its \d+ .*0.0.weight.*missing\)"),
        (lambda s: {**s, "features.0.0.weight": torch.zeros(2, 3, 1, 1)}, r"\(16, 3, 3, 3\) expected, \(2, 3, 1, 1\)"),
        (lambda s: {"a": 3}, "holds no tensors by name"),
        (lambda s: nn.Linear(2, 2), "cannot be read as weights only"),
    ],
)
def test_local_files_that_do_not_fit(change: Any, expected: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(change(state), tmp_path / "w.pth")
    with pytest.raises(ValueError, match=expected):
        family.get(SMALL).build(weights=tmp_path / "w.pth")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.pth")


def test_names_in_files_that_were_published_long_ago(tmp_path: Path) -> None:
    dense, vit = models.DenseNet(4, (2, 2), 8).state_dict(), tiny_vit().state_dict()
    old = {re.sub(r"(norm|conv)([12]\.)", r"\1.\2", k) if "denselayer" in k else k: v for k, v in dense.items()}
    old |= {k.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): v for k, v in vit.items()}
    assert len(set(old) - set(dense) - set(vit)) == 48 + 12
    torch.save(old, tmp_path / "w.pth")
    assert set(read(tmp_path / "w.pth")) == set(dense) | set(vit)


def test_googlenet_gets_the_input_that_it_would_make_itself(tmp_path: Path) -> None:
    torch.manual_seed(0)
    published = models.googlenet(weights=None, init_weights=False, transform_input=True).eval()
    torch.save(published.state_dict(), tmp_path / "w.pth")
    backbone = family.get("googlenet")
    net = backbone.build(weights=tmp_path / "w.pth").eval()
    x, imagenet = torch.rand(1, 3, 64, 64), family.get("resnet18")
    with torch.no_grad():
        expected = published(_normalised(x, imagenet))
        assert torch.allclose(net(_normalised(x, backbone)), expected, atol=1e-6)
    assert len(backbone.stages(net)) == 8


def _normalised(x: Tensor, backbone: TorchvisionBackbone) -> Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (backbone.mean, backbone.std))
    return (x - mean) / std


def test_a_vision_transformer_at_another_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def small(arch: str, weights: None, image_size: int = 48) -> nn.Module:
        return models.VisionTransformer(image_size, 8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32)

    net = small("", None)
    torch.save(net.state_dict(), tmp_path / "w.pth")
    monkeypatch.setattr(models, "get_model", small)
    backbone = family.get("vit_b_16")
    larger = backbone.build(weights=tmp_path / "w.pth", input_size=64)
    assert larger.encoder.pos_embedding.shape == (1, 65, 16)
    assert torch.equal(larger.conv_proj.weight, net.conv_proj.weight)
    assert backbone.tokens(nn.Sequential(*backbone.stages(larger))(torch.randn(2, 3, 64, 64))).shape == (2, 64, 16)


def test_a_random_network_has_no_classifier() -> None:
    backbone = family.get(SMALL)
    net = backbone.build(pretrained=False)
    assert backbone.classifier(net) is None
    assert {id(p) for stage in backbone.stages(net) for p in stage.parameters()} == {id(p) for p in net.parameters()}


def test_labels() -> None:
    names = family.get("resnet50").labels
    assert len(set(names)) == 1000
    assert (names[0], names[517]) == ("tench", "crane")
    assert family.get("vgg16.IMAGENET1K_FEATURES").labels == ()
    assert TorchvisionBackbone(replace(catalogue.find("vgg16"), n_labels=0), "x").labels == ()
