"""The plugin on its own, without automl_tl: facts, networks, local files, the converter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from automl_tl_faces import FaceBackbone, convert, face_resnet29, inception_resnet_v1
from automl_tl_faces.resnet29 import Block, Network
from PIL import Image
from safetensors.numpy import load_file
from safetensors.torch import save_file
from torch import Tensor, nn

SHARED = Path(__file__).resolve().parents[4] / "shared"
WEIGHTS = SHARED / "weights" / "face_resnet29.safetensors"
FACES = SHARED / "data" / "faces_orl"
ON_THE_PATH = {**os.environ, "PYTHONPATH": str(Path(convert.__file__).parents[1])}
"""For a child process, as the plugin need not be installed."""
BOTH = pytest.mark.parametrize("backbone", [face_resnet29, inception_resnet_v1], ids=lambda backbone: backbone.name)


def built(backbone: FaceBackbone) -> nn.Module:
    """Return a random network whose BatchNorm is not the identity."""
    torch.manual_seed(0)
    net = backbone.build(pretrained=False)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean = torch.randn_like(module.running_mean) / 10
            module.running_var = 0.5 + torch.rand_like(module.running_var)
    return net.eval()


def run(backbone: FaceBackbone, net: nn.Module, x: Tensor) -> list[Tensor]:
    """Return the output of every stage."""
    outputs = []
    with torch.no_grad():
        for stage in backbone.stages(net):
            x = stage(x)
            outputs.append(x)
    return outputs


def test_facts_need_no_torch() -> None:
    code = (
        "import sys, automl_tl_faces as p; "
        "found = [one.weights() for one in (p.face_resnet29, p.inception_resnet_v1)]; "
        "assert not any(about['local'] for about in found) and all(about['licence'] == 'mit' for about in found); "
        "assert '@vladmandic/face-api' in found[0]['address']; "
        "assert not {'torch', 'automl_tl'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=ON_THE_PATH)


@BOTH
def test_without_a_file_it_says_where_to_get_one(backbone: FaceBackbone) -> None:
    with pytest.raises(FileNotFoundError, match=f"never downloaded.*--weights {backbone.name}=FILE") as caught:
        backbone.build()
    assert backbone.source in str(caught.value)


@BOTH
def test_stages_own_all_of_the_network_once_and_give_its_descriptor(backbone: FaceBackbone) -> None:
    net = built(backbone)
    owners = [parameter for stage in backbone.stages(net) for parameter in stage.parameters()]
    assert len(owners) == len(set(owners)) == len(list(net.parameters()))
    x = torch.randn(2, 3, backbone.input_size, backbone.input_size)
    outputs = run(backbone, net, x)
    with torch.no_grad():
        assert torch.equal(backbone.pooled(outputs[-1]), net(x))


def test_the_maps_of_face_resnet29_are_the_published_ones() -> None:
    net = built(face_resnet29)
    outputs = run(face_resnet29, net, torch.randn(1, 3, 150, 150))
    assert [tuple(one.shape[1:]) for one in outputs] == [
        (32, 35, 35), (32, 35, 35), (64, 17, 17), (128, 8, 8), (256, 4, 4), (256, 2, 2), (128, 2, 2),
    ]  # fmt: skip
    mean = outputs[-2].mean(dim=(2, 3))
    assert torch.allclose(face_resnet29.pooled(outputs[-1]), net.fc(mean), atol=1e-5)
    assert sum(parameter.numel() for parameter in net.parameters()) == 5_614_592


@pytest.mark.parametrize(("side", "expected"), [(17, 8), (8, 4), (4, 2)])
def test_the_smaller_of_two_maps_gets_zeros_at_the_right_and_at_the_bottom(side: int, expected: int) -> None:
    block = Block(2, 3, down=True)
    nn.init.zeros_(block.conv2.g)  # what is left is the shortcut
    x = torch.rand(1, 2, side, side)
    with torch.no_grad():
        y = block(x)
    assert y.shape == (1, 3, expected, expected)
    assert torch.equal(y[:, :2], nn.functional.avg_pool2d(x, 2))
    assert not y[:, 2].any()
    nn.init.ones_(block.conv2.g)
    nn.init.ones_(block.conv2.b)
    nn.init.zeros_(block.conv2.conv.weight)
    nn.init.zeros_(block.conv2.conv.bias)
    with torch.no_grad():
        y = block(torch.zeros_like(x))
    convolved = (side - 3) // 2 + 1
    assert y[:, :, :convolved, :convolved].eq(1).all()
    assert y.sum() == 3 * convolved**2


@BOTH
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_local_file(backbone: FaceBackbone, suffix: str, tmp_path: Path) -> None:
    net, file = built(backbone), tmp_path / f"w{suffix}"
    state = {key: tensor.half() if tensor.ndim == 4 else tensor for key, tensor in net.state_dict().items()}
    state |= {"logits.weight": torch.zeros(5, 512)}  # a classifier of identities
    (save_file if suffix == ".safetensors" else torch.save)(state, file)
    loaded = backbone.build(weights=file).state_dict()
    assert loaded.keys() == net.state_dict().keys()
    for key, tensor in net.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            assert loaded[key].dtype == torch.float32
            assert torch.allclose(loaded[key], tensor, atol=2e-3), key


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({}, r"does not hold face_resnet29: 117 of its 117 tensors .*conv32_down.g: \(32,\) expected, missing"),
        ({"conv32_down.g": torch.zeros(3)}, r"\(32,\) expected, \(3,\) found\); the file has 1"),
        (nn.Linear(2, 2), "cannot be read as weights only"),
    ],
)
def test_a_file_that_does_not_fit(state: Any, expected: str, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=expected):
        face_resnet29.build(weights=tmp_path / "w.pt")
    with pytest.raises(FileNotFoundError, match="there is no weights file"):
        face_resnet29.build(weights=tmp_path / "none.pt")


def test_the_converter_reads_what_the_npm_package_holds(tmp_path: Path) -> None:
    """Written here as there: kernels as (height, width, in, out), most tensors in 8 bits with scale and minimum."""
    torch.manual_seed(0)
    net, manifest, data = Network(), [], b""
    for key, tensor in net.state_dict().items():
        values = tensor.numpy()
        values = values.transpose(2, 3, 1, 0) if values.ndim == 4 else values.T
        name = key.replace(".weight", ".filters").replace(".g", ".scale.weights")
        name = name.removesuffix(".b") + ".scale.biases" if name.endswith(".b") else name
        about: dict[str, Any] = {"name": "fc" if key == "fc.weight" else name.replace(".", "/"), "shape": values.shape}
        if "conv64" in key:  # kept whole there
            data += np.ascontiguousarray(values).tobytes()
        else:
            low, scale = float(values.min()), max(float(np.ptp(values)) / 255, 1e-9)
            about["quantization"] = {"dtype": "uint8", "scale": scale, "min": low}
            data += np.round((values - low) / scale).astype(np.uint8).tobytes()
        manifest.append(about)
    (tmp_path / "face_recognition_model-weights_manifest.json").write_text(json.dumps([{"weights": manifest}]))
    (tmp_path / "face_recognition_model.bin").write_bytes(data)
    command = [sys.executable, "-m", "automl_tl_faces.convert", str(tmp_path), str(tmp_path / "w.safetensors")]
    subprocess.run(command, check=True, timeout=60, env=ON_THE_PATH)
    again = face_resnet29.build(weights=tmp_path / "w.safetensors").state_dict()
    for key, tensor in net.state_dict().items():
        assert torch.allclose(again[key], tensor, atol=2e-3), key
    kinds = {(values.ndim, values.dtype.name) for values in load_file(tmp_path / "w.safetensors").values()}
    assert kinds == {(4, "float16"), (2, "float32"), (1, "float32")}


@pytest.mark.slow
@pytest.mark.skipif(
    not (WEIGHTS.is_file() and FACES.is_dir()), reason="the shared face weights and pictures are absent"
)
def test_descriptors_of_one_person_lie_together() -> None:
    net = face_resnet29.build(weights=WEIGHTS).eval()
    people = [sorted(folder.glob("*.png"))[:4] for folder in sorted(FACES.glob("person_*"))]
    assert len(people) == 20
    with torch.no_grad():
        found = torch.cat([net(torch.stack([_prepared(file) for file in files])) for files in people])
    distances = torch.cdist(found, found)
    person = torch.arange(len(found)) // 4
    same, oneself = person[:, None] == person, torch.eye(len(found), dtype=torch.bool)
    assert 0.32 < float(distances[same & ~oneself].median()) < 0.39
    assert 0.5 < float(distances[~same].median()) < 0.65
    nearest = distances.masked_fill(oneself, 9).argmin(dim=1)
    assert float((person[nearest] == person).float().mean()) > 0.9


def _prepared(file: Path) -> Tensor:
    side = face_resnet29.input_size
    picture = Image.open(file).convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    x = torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (face_resnet29.mean, face_resnet29.std))
    return (x - mean) / std


@pytest.fixture(scope="session")
def public_network(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return facenet-pytorch's class; it asks for an old torch, so it is installed without its dependencies.

    What is put in place of other modules is gone again when it returns: later tests need the real ones.
    """
    target = tmp_path_factory.mktemp("facenet")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*pip, "--target", str(target), "facenet-pytorch==2.6.0"], capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        last = (done.stderr.strip() or "pip said nothing").splitlines()[-1]
        pytest.skip(f"facenet-pytorch cannot be installed here: {last}")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(target))
        # Its package imports a detector; requests serves a download that does not happen here.
        for name, attributes in {
            "facenet_pytorch": {"__path__": [str(target / "facenet_pytorch")]},
            "requests": {},
            "requests.adapters": {"HTTPAdapter": object},
        }.items():
            module = ModuleType(name)
            vars(module).update(attributes)
            patch.setitem(sys.modules, name, module)
        from facenet_pytorch.models.inception_resnet_v1 import InceptionResnetV1

    return InceptionResnetV1


@pytest.mark.slow
def test_inception_resnet_v1_is_the_public_implementation(public_network: Any, tmp_path: Path) -> None:
    torch.manual_seed(3)
    public = public_network(classify=False, num_classes=None).eval()
    for module in public.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    state = {**public.state_dict(), "logits.weight": torch.zeros(8631, 512), "logits.bias": torch.zeros(8631)}
    torch.save(state, tmp_path / "published.pt")
    own = inception_resnet_v1.build(weights=tmp_path / "published.pt").eval()
    assert set(own.state_dict()) == set(public.state_dict())
    pixels = torch.randint(0, 256, (2, 3, 160, 160)).float()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (inception_resnet_v1.mean, inception_resnet_v1.std))
    with torch.no_grad():
        expected = public((pixels - 127.5) / 128.0)
        output = run(inception_resnet_v1, own, (pixels / 255 - mean) / std)[-1]
        assert torch.allclose(inception_resnet_v1.pooled(output), expected, atol=1e-5)
        assert torch.allclose(own((pixels - 127.5) / 128.0), expected, atol=1e-5)
    assert expected.norm(dim=1).allclose(torch.ones(2))
