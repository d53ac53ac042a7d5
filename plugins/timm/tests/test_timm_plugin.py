"""The plugin on its own, without automl_tl: names and facts, the hub's cache, local files, classifiers."""

from __future__ import annotations

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
import timm
import torch
from automl_tl_timm import catalogue, family, hub
from automl_tl_timm.heads import labels
from automl_tl_timm.loading import read
from automl_tl_timm.pretraining import pretrained_on
from safetensors.torch import save_file

SMALL = "test_efficientnet"


@pytest.fixture(autouse=True)
def empty_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "hf" / "hub"


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return timm.create_model(SMALL, pretrained=False).state_dict()


def test_names_facts_and_weights_need_no_torch() -> None:
    code = (
        "import sys; from automl_tl_timm import family; names = list(family.names()); "
        "assert len(names) > 1000; [family.get(name).weights() for name in names]; family.local_names(); "
        "assert not {'torch', 'timm', 'automl_tl'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    "name", ["resnet50", "vit_base_patch16_224.augreg_in21k", "vgg16", "swin_tiny_patch4_window7_224"]
)
def test_the_catalogue_is_timms(name: str) -> None:
    entry, config = catalogue.find(name), timm.get_pretrained_cfg(name)
    assert (entry.input_size, entry.tag, entry.licence) == (config.input_size[1], config.tag, config.license)
    assert entry.mean == pytest.approx(config.mean)
    assert entry.std == pytest.approx(config.std)
    assert entry == catalogue.from_config(entry.arch, config, entry.params_millions)


def test_names_that_the_catalogue_lacks() -> None:
    assert family.get("resnet50_gn").entry.tag
    unpublished = next(arch for arch in timm.list_models() if not timm.is_model_pretrained(arch))
    backbone = family.get(unpublished)
    assert (backbone.pretrained_on, backbone.weights()["identity"]) == ("none", "none")
    with pytest.raises(ValueError, match="no architecture 'resnet5'"):
        family.get("resnet5")
    with pytest.raises(ValueError, match=r"no weights 'x' for resnet50, only a1_in1k"):
        family.get("resnet50.x")


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("a1_in1k", "imagenet-1k"),
        ("augreg_in21k", "imagenet-21k"),
        ("augreg_in21k_ft_in1k", "imagenet-1k"),
        ("sw_in12k", "imagenet-12k"),
        ("lvd142m", "lvd-142m"),
        ("clip_laion2b_augreg_ft_in12k_384", "imagenet-12k"),
        ("mae", "imagenet-1k"),
        ("something_new", "something_new"),
    ],
)
def test_pretrained_on(tag: str, expected: str) -> None:
    assert pretrained_on(tag, 0) == expected
    assert pretrained_on("something_new", 1000) == "imagenet-1k"


@pytest.mark.parametrize("variable", ["HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"])
def test_the_cache_folder_follows_the_environment(
    variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv(variable, str(tmp_path / "here"))
    below = {"HF_HUB_CACHE": "", "HF_HOME": "hub", "XDG_CACHE_HOME": "huggingface/hub"}[variable]
    assert hub.cache_folder() == tmp_path / "here" / below


def test_the_revision_that_main_names_comes_first(empty_hub: Path) -> None:
    repository = empty_hub / "models--timm--x.y"
    for revision in ("aaa", "bbb"):
        (repository / "snapshots" / revision).mkdir(parents=True)
        (repository / "snapshots" / revision / "pytorch_model.bin").touch()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("bbb\n")
    assert hub.cached_file("timm/x.y") == (repository / "snapshots" / "bbb" / "pytorch_model.bin", "bbb")


def test_weights_of_other_places_are_named_where_they_are_here(tmp_path: Path) -> None:
    """Seventy entries have a repository of somebody else's, or a URL."""
    by_url = next(one for one in catalogue.entries().values() if one.source.startswith("https://"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / Path(urlsplit(by_url.source).path).name).touch()
    assert {by_url.arch, by_url.name} & set(family.local_names())


def test_a_url_is_asked_itself_and_not_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(hub, "_answers", lambda endpoint: asked.append(endpoint) or True)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert hub.offline_reason("https://somewhere.example/x.pth") is None
    assert asked == ["https://somewhere.example/x.pth"]


def test_a_checkpoint_of_torch_hub(tmp_path: Path) -> None:
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "x-1.pth").touch()
    assert hub.cached_file("https://somewhere.example/a/x-1.pth?download=1") == (folder / "x-1.pth", "")


def test_a_proxy_is_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://[::1]:9")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert hub._contact("https://somewhere.example") == ("::1", 9)
    assert hub.offline_reason("timm/x.y") == "no connection to ::1"


class _Hub(BaseHTTPRequestHandler):
    """Answers every question with one status, and counts them."""

    status = 200
    asked: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self.asked.append(self.path)
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.mark.parametrize(("status", "answers"), [(200, True), (403, True), (404, True), (502, False), (503, False)])
def test_a_hub_that_is_reached_but_does_not_work_is_offline(
    status: int, answers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Hub, "status", status)
    _Hub.asked.clear()
    with HTTPServer(("localhost", 0), _Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setenv("HF_ENDPOINT", f"http://{server.server_name}:{server.server_port}")
        monkeypatch.delenv("HF_HUB_OFFLINE")
        found = [hub.offline_reason("timm/x.y") for _ in range(3)]
        server.shutdown()
    assert found == [None if answers else f"no connection to {server.server_name}"] * 3
    assert len(_Hub.asked) == (3 if answers else 1)  # silence is remembered for a while


def _wrapped(state: dict[str, Any], kind: str) -> Any:
    kinds = {
        "plain": state,
        "half": {k: v.half() if v.is_floating_point() else v for k, v in state.items()},
        "trainer": {"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3},
        "model": {"model": state},
        "headless": {k: v for k, v in state.items() if not k.startswith("classifier")},
        "no counters": {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")},
    }
    return kinds[kind]


KINDS = ("plain", "half", "trainer", "model", "headless", "no counters")
FILES = [(kind, ".pth") for kind in KINDS] + [("plain", ".bin"), ("half", ".safetensors"), ("headless", ".safetensors")]


@pytest.mark.parametrize(("kind", "suffix"), FILES)
def test_local_files(kind: str, suffix: str, state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    given, file = _wrapped(state, kind), tmp_path / f"w{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(given, file)
    backbone = family.get(SMALL)
    net = backbone.build(weights=file)
    for name, tensor in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert tensor.dtype == torch.float32
            assert torch.allclose(tensor, state[name], atol=2e-3), name
    assert (backbone.classifier(net) is None) == (kind == "headless")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda s: {k: v for k, v in s.items() if "conv_stem" not in k},
            r"1 of the \d+ tensors .* missing \(conv_stem.weight\)",
        ),
        (lambda s: {k: v for k, v in s.items() if "running_var" not in k}, r"missing \(bn1.running_var, .*, \.\.\.\)"),
        (
            lambda s: {**s, "conv_stem.weight": torch.zeros(2, 3, 1, 1)},
            r"1 of \d+ have another shape .*\(2, 3, 1, 1\) found",
        ),
        (lambda s: {"a": 3}, "holds no tensors by name"),
    ],
)
def test_local_files_that_do_not_fit(
    change: Any, expected: str, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    torch.save(change(state), tmp_path / "w.pth")
    with pytest.raises(ValueError, match=expected):
        family.get(SMALL).build(weights=tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_files_that_hold_no_weights(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"not weights at all")
    with pytest.raises(ValueError, match="cannot be read as weights only"):
        read(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.pth")


def test_a_pickled_module_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "w.pth")
    with pytest.raises(ValueError, match="weights only"):
        read(tmp_path / "w.pth")


def test_position_embeddings_are_resampled_for_another_size(tmp_path: Path) -> None:
    net = timm.create_model("test_vit", pretrained=False)
    torch.save(net.state_dict(), tmp_path / "w.pth")
    backbone = family.get("test_vit")
    smaller = backbone.build(weights=tmp_path / "w.pth", input_size=96)
    assert smaller.pos_embed.shape[1] < net.pos_embed.shape[1]
    assert torch.equal(smaller.blocks[0].attn.qkv.weight, net.blocks[0].attn.qkv.weight)


def test_a_network_that_is_bound_to_a_size_without_saying_so_is_tried_at_the_user_s() -> None:
    backbone = family.get("maxvit_rmlp_pico_rw_256")
    net = backbone.build(pretrained=False, input_size=160).eval()
    x = torch.randn(1, 3, 160, 160)
    with torch.no_grad():
        output = x
        for stage in (stages := backbone.stages(net)):
            output = stage(output)
        assert torch.allclose(output, net.forward_features(x), atol=1e-4)
    assert len(stages) > 1


@pytest.mark.parametrize(
    "arch", ["test_efficientnet", "test_vit", "test_convnext", "mobilenetv3_small_050", "regnetx_002"]
)
def test_the_classifier_reads_the_pooled_vector(arch: str) -> None:
    torch.manual_seed(0)
    backbone, net = family.get(arch), timm.create_model(arch, pretrained=False).eval()
    classifier = backbone.classifier(net)
    assert classifier is not None
    x = torch.randn(2, 3, backbone.input_size, backbone.input_size)
    with torch.no_grad():
        output = x
        for stage in backbone.stages(net):
            output = stage(output)
        assert torch.allclose(classifier(backbone.pooled(output)), net(x), atol=1e-4)
    assert next(classifier.parameters()) is not None


def test_two_heads_are_no_classifier_of_one_vector() -> None:
    net = timm.create_model("deit_tiny_distilled_patch16_224", pretrained=False, img_size=64)
    assert family.get("deit_tiny_distilled_patch16_224").classifier(net) is None


@pytest.mark.parametrize(("n_labels", "first"), [(1000, "tench"), (11821, None), (512, None), (0, None)])
def test_labels(n_labels: int, first: str | None) -> None:
    found = labels(n_labels)
    assert len(found) == (n_labels if n_labels > 600 else 0)
    if first:
        assert found[0] == first
        assert len(set(found)) == n_labels
