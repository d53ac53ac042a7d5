"""Exported files give what their bundle gives, and are not there where they do not."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from click.testing import CliRunner, Result
from generated_pictures import MakePictures
from PIL import Image
from safetensors import safe_open
from tiny_backbone import TinyBackbone
from tiny_models import CLASSES, member, register
from token_backbone import TokenBackbone
from torch import Tensor, nn

import automl_tl
from automl_tl.backbones.stages import build_network
from automl_tl.cli import export as command
from automl_tl.cli import main
from automl_tl.data.decode import Preprocessing
from automl_tl.data.value_range import ValueRange
from automl_tl.errors import DataError, OptionError
from automl_tl.exporter import to_onnx, to_torch
from automl_tl.exporter.errors import ExportError
from automl_tl.exporter.export import FORMATS, Exported
from automl_tl.model.bundle import save_bundle
from automl_tl.model.model import Model

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in to_onnx.NEEDED), reason="the extra onnx is not installed"
)
EVERY_FORMAT = [pytest.param("onnx", marks=needs_onnx), "torch"]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


@pytest.fixture
def photos(make_pictures: MakePictures) -> Path:
    """Wide and tall pictures, and a file that is none."""
    root = make_pictures(size=(70, 44), per_class=2)
    make_pictures(root, classes=("tall",), size=(40, 90), per_class=1)
    (root / "broken.jpg").write_bytes(b"no picture")
    return root


def ensemble() -> Model:
    network = build_network("tiny", TinyBackbone())
    first = member(network, cuts=(2, 3), pooling="grid", weight=0.25, fit="crop")
    second = member(network, cuts=(1, 3), pooling="mean+std", weight=0.75, seed=1, fit="pad")
    return Model((first, second), CLASSES, 2.0, "squash")


def exported(model: Model, folder: Path, name: str, photos: Path) -> Exported:
    bundle = save_bundle(model, folder / "bundle")
    return automl_tl.export(bundle, folder / f"model{FORMATS[name].suffix}", format=name, check=photos)


# --- what a file holds ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_the_tokens_of_a_transformer_are_pooled_as_in_the_bundle(
    name: str, tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, TokenBackbone())
    network = build_network("tiny", TokenBackbone())
    members = [member(network, pooling=pooling, weight=0.5) for pooling in ("grid", "mean+patches")]
    found = exported(Model(tuple(members), CLASSES, 2.0, "squash"), tmp_path, name, photos)
    assert (found.agreement.n, found.agreement.n_same) == (7, 7)
    assert found.agreement.difference < 1e-4


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_an_ensemble_is_one_graph_for_pictures_of_any_number_and_size(name: str, tmp_path: Path, photos: Path) -> None:
    model = ensemble()
    found = exported(model, tmp_path, name, photos)
    assert found.n_bytes == found.file.stat().st_size
    assert (found.agreement.n, found.agreement.n_files, found.agreement.n_same) == (7, 7, 7)
    assert found.agreement.difference < 1e-4
    run = FORMATS[name].load(found.file)
    for shape in [(1, 32, 32, 3), (3, 17, 300, 3), (2, 200, 1, 3)]:
        pictures = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        given = run(pictures)
        assert given.shape == (len(pictures), 3)
        assert np.abs(given - model.module()(torch.from_numpy(pictures)).detach().numpy()).max() < 1e-4
    assert os.listdir(tmp_path).count(found.file.name) == 1
    assert not [file for file in os.listdir(tmp_path) if file.startswith(".")]


@needs_onnx
@pytest.mark.parametrize("named", ["model.safetensors", "../run/bundle/other.safetensors"])
def test_nothing_is_written_into_the_bundle_that_is_exported(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "run" / "bundle"
    save_bundle(ensemble(), bundle)
    before = {file: file.read_bytes() for file in bundle.iterdir()}
    monkeypatch.chdir(bundle if "/" not in named else bundle.parent)
    for own in (bundle, bundle.parent):
        with pytest.raises(OptionError, match="lies in the bundle that is exported; name a file in another folder"):
            automl_tl.export(own, named, format="timm")
    assert {file: file.read_bytes() for file in bundle.iterdir()} == before


def test_many_weights_lie_in_the_one_file_as_well(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's own `save` lays more than 1.5 GiB into a second file, whose name would be that of a temporary one."""
    from torch.onnx._internal.exporter import _onnx_program

    monkeypatch.setattr(_onnx_program, "_LARGE_MODEL_THRESHOLD", 1)
    found = exported(ensemble(), tmp_path, "onnx", photos)
    assert sorted(os.listdir(tmp_path)) == ["bundle", found.file.name, "pictures"]
    moved = found.file.rename(tmp_path / "elsewhere.onnx")
    assert FORMATS["onnx"].load(moved)(np.zeros((1, 8, 8, 3), np.uint8)).shape == (1, 3)


@needs_onnx
def test_pictures_of_more_than_8_bits_are_compared_and_described_by_the_models_range(tmp_path: Path) -> None:
    how = Preprocessing(32, value_range=ValueRange(0, 4095))
    model = Model((replace(member(), preprocessing=how),), CLASSES, 0.01, "squash")
    deep = np.random.default_rng(0).integers(0, 4096, (40, 32, 32)).astype(np.uint16)
    folder = tmp_path / "deep"
    folder.mkdir()
    for number, values in enumerate(deep):
        Image.fromarray(values // (1 + number % 8)).save(folder / f"{number}.png")
    found = exported(model, tmp_path, "onnx", folder)
    assert (found.agreement.n_files, found.agreement.n_same) == (40, 40)
    import onnxruntime

    said = onnxruntime.InferenceSession(found.file).get_modelmeta().custom_metadata_map
    assert json.loads(said["value_range"]) == [0, 4095]


@needs_onnx
def test_onnx_says_what_it_is(tmp_path: Path, photos: Path) -> None:
    import onnx
    import onnxruntime

    hostile = ("<b>", "a,b\n", "ä")
    model = Model((member(),), hostile, 0.5, "squash")
    file = exported(model, tmp_path, "onnx", photos).file
    onnx.checker.check_model(str(file))
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    assert tuple(json.loads(said["classes"])) == hostile
    assert float(said["temperature"]) == 0.5
    assert json.loads(said["backbones"]) == ["tiny"]
    assert json.loads(said["value_range"]) is None
    (given,), (back,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape) == ("pictures", "tensor(uint8)", ["batch", "height", "width", 3])
    assert (back.name, back.type, back.shape) == ("probabilities", "tensor(float)", ["batch", 3])


def test_torchs_program_needs_torch_alone(tmp_path: Path, photos: Path) -> None:
    model = ensemble()
    file = exported(model, tmp_path, "torch", photos).file
    code = (
        "import json, sys, torch\n"
        "extra = {'automl_tl.json': ''}\n"
        "module = torch.export.load(sys.argv[1], extra_files=extra).module()\n"
        "pictures = torch.arange(2 * 9 * 50 * 3).reshape(2, 9, 50, 3).remainder(256).byte()\n"
        "classes = json.loads(json.loads(extra['automl_tl.json'])['classes'])\n"
        "print(json.dumps([classes, module(pictures).tolist(), 'automl_tl' in sys.modules]))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, file], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    classes, probabilities, imported = json.loads(result.stdout.splitlines()[-1])
    pictures = torch.arange(2 * 9 * 50 * 3).reshape(2, 9, 50, 3).remainder(256).byte()
    assert (tuple(classes), imported) == (CLASSES, False)
    assert torch.allclose(torch.tensor(probabilities), model.module()(pictures), atol=1e-5)


class Small(TinyBackbone):
    """A small network of timm itself."""

    input_size = 64
    architecture = "efficientnet_lite0"

    def build(self, *, pretrained: bool = True) -> nn.Module:
        torch.manual_seed(0)
        return timm.create_model(self.architecture, num_classes=5)

    def stages(self, module: nn.Module) -> list[nn.Module]:
        net: nn.Module = module
        head = nn.Sequential(net.conv_head, net.bn2)
        return [nn.Sequential(net.conv_stem, net.bn1), *net.blocks, head]


class ChannelsFirst(nn.Module):
    """Swin's maps have their channels last."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2)


class SmallSwin(TinyBackbone):
    """A network of timm that must know its input size, built for another one than timm's default."""

    input_size = 64

    def build(self, *, pretrained: bool = True) -> nn.Module:
        torch.manual_seed(0)
        return timm.create_model("swin_tiny_patch4_window7_224", num_classes=5, img_size=64)

    def stages(self, module: nn.Module) -> list[nn.Module]:
        net: nn.Module = module
        first, *layers, last = net.layers
        return [nn.Sequential(net.patch_embed, first), *layers, nn.Sequential(last, net.norm, ChannelsFirst())]


def test_timm_loads_its_state(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, Small())
    one = member(build_network("tiny", Small()), cuts=(9,), fit="crop")
    with torch.no_grad():
        one.head.center.uniform_(-1, 1)
        one.head.scale.uniform_(0.5, 2)
    found = exported(Model((one,), CLASSES, 1.7, "crop"), tmp_path, "timm", photos)
    assert found.agreement.difference < 1e-4
    assert (found.agreement.n, found.agreement.n_files) == (7, 0)
    with safe_open(found.file, "pt") as opened:
        said = opened.metadata()
    assert json.loads(said["classes"]) == list(CLASSES)
    assert (said["architecture"], said["input_size"], said["interpolation"]) == ("efficientnet_lite0", "64", "bilinear")
    net = timm.create_model(said["architecture"], num_classes=3, checkpoint_path=str(found.file)).eval()
    assert net(torch.zeros(1, 3, 64, 64)).shape == (1, 3)


def test_timm_is_told_of_a_size_that_its_network_was_built_for(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Swin asserts the size of its pictures, and its tensors do not show it."""
    backbone = SmallSwin()
    register(monkeypatch, backbone)
    one = member(build_network("tiny", backbone), cuts=(4,))
    found = exported(Model((one,), CLASSES, 1.0, "squash"), tmp_path, "timm", photos)
    with safe_open(found.file, "pt") as opened:
        said = opened.metadata()
    assert (said["img_size"], json.loads(said["fill"])) == ("64", list(one.preprocessing.fill))
    assert found.agreement.difference < 1e-4


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            lambda net: (member(net, cuts=(9,), weight=0.5), member(net, cuts=(9,), weight=0.5, seed=1)),
            "an ensemble of 2",
        ),
        (lambda net: (member(net, cuts=(8, 9)),), "reads stage 8+9 of 9, and timm's the last"),
        (lambda net: (member(net, cuts=(9,), pooling="mean+std"),), "reads mean+std of the positions"),
        (lambda net: (member(net, cuts=(9,), hidden=3),), "further layers beside the linear one"),
    ],
)
def test_what_timm_has_no_form_for(
    make: object, told: str, tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, Small())
    members = make(build_network("tiny", Small()))  # type: ignore[operator]
    with pytest.raises(ExportError) as caught:
        exported(Model(members, CLASSES, 1.0, "squash"), tmp_path, "timm", photos)
    assert told in str(caught.value)
    assert "use --format onnx or --format torch" in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["bundle", "pictures"]


def test_a_network_of_somebody_else_is_none_of_timms(tmp_path: Path, photos: Path) -> None:
    with pytest.raises(ExportError, match="tiny is no network of timm"):
        exported(Model((member(),), CLASSES, 1.0, "squash"), tmp_path, "timm", photos)


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [0.1, float("nan")])
def test_a_file_that_differs_is_not_there(
    wrong: float, tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = to_torch.load

    def load(file: Path) -> object:
        run = real(file)
        return lambda pictures: run(pictures) + wrong

    kept = tmp_path / "model.pt2"
    kept.write_text("an older export")
    monkeypatch.setitem(FORMATS, "torch", type(FORMATS["torch"])(".pt2", to_torch.write, load, resizes=True))
    with pytest.raises(ExportError, match=r"differ by up to (0\.1|nan) on 8 pictures"):
        exported(ensemble(), tmp_path, "torch", photos)
    assert kept.read_text() == "an older export"
    assert sorted(os.listdir(tmp_path)) == ["bundle", "model.pt2", "pictures"]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_file_that_its_reader_cannot_run_is_not_there(
    at_once: bool, tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(pictures: np.ndarray) -> np.ndarray:
        raise KeyError("no kernel")

    def load(file: Path) -> object:
        return run(np.empty(0)) if at_once else run

    monkeypatch.setitem(FORMATS, "torch", type(FORMATS["torch"])(".pt2", to_torch.write, load, resizes=True))
    with pytest.raises(ExportError, match=r"^What was written cannot be run, so no file is left: KeyError"):
        exported(ensemble(), tmp_path, "torch", photos)
    assert not (tmp_path / "model.pt2").exists()


class Branching(TinyBackbone):
    """Looks at values, which a trace does not have."""

    def build(self, *, pretrained: bool = True) -> nn.Module:
        module = super().build()

        class Odd(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return x if x.sum() > 0 else -x

        module.append(Odd())
        return module


def test_a_backbone_that_cannot_be_traced_is_named(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, Branching())
    with pytest.raises(ExportError, match=r"tiny cannot be exported: torch\.export raised"):
        exported(
            Model((member(build_network("tiny", Branching()), cuts=(4,)),), CLASSES, 1.0, "squash"),
            tmp_path,
            "torch",
            photos,
        )


def test_a_missing_extra_is_named(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_onnx, "NEEDED", ("onnx_that_is_not_there",))
    with pytest.raises(ExportError) as caught:
        exported(ensemble(), tmp_path, "onnx", photos)
    assert str(caught.value) == ("ONNX needs an extra (onnx_that_is_not_there missing): pip install 'automl-tl[onnx]'")


@needs_onnx
def test_weights_that_no_onnx_file_holds(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_onnx, "MOST_BYTES", 10)
    with pytest.raises(ExportError, match="holds 2 GiB"):
        exported(ensemble(), tmp_path, "onnx", photos)


def test_bad_arguments(tmp_path: Path, photos: Path) -> None:
    bundle = save_bundle(ensemble(), tmp_path / "bundle")
    with pytest.raises(OptionError, match=r"must be one of onnx, torch, timm, but is 'tflite'"):
        automl_tl.export(bundle, tmp_path / "m.onnx", format="tflite")
    with pytest.raises(OptionError, match=r"must end in \.pt2"):
        automl_tl.export(bundle, tmp_path / "m.pth", format="torch")
    with pytest.raises(OptionError, match="its folder does not exist"):
        automl_tl.export(bundle, tmp_path / "none" / "m.pt2", format="torch")
    with pytest.raises(DataError, match="None of 1 picture"):
        automl_tl.export(bundle, tmp_path / "m.pt2", format="torch", check=photos / "broken.jpg")


# --- the command ------------------------------------------------------------------------------------


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


def test_the_command(tmp_path: Path, photos: Path) -> None:
    bundle = save_bundle(ensemble(), tmp_path / "bundle")
    result = run("export", bundle, "--format", "torch", "--output", tmp_path / "m.pt2", "--check", photos)
    assert result.exit_code == 0, result.output
    assert f"compared with the bundle on 8 pictures of '{photos}'" in " ".join(result.stdout.split())
    assert "on 7 pictures of the model's size" in result.stdout
    assert "the same label for 7 of 7 files, each in its own size" in result.stdout
    assert (tmp_path / "m.pt2").is_file()


def test_the_command_without_pictures_of_ones_own(tmp_path: Path) -> None:
    bundle = save_bundle(Model((member(),), CLASSES, 1.0, "squash"), tmp_path / "bundle")
    result = run("export", bundle, "--format", "torch", "--output", tmp_path / "m.pt2")
    assert result.exit_code == 0, result.output
    assert "80 photos of the demo and 20 pictures of noise" in result.stdout
    assert "on 100 pictures of the model's size" in result.stdout


def test_the_command_says_in_a_sentence_what_is_wrong(tmp_path: Path) -> None:
    result = run("export", tmp_path / "none", "--format", "torch", "--output", tmp_path / "m.pt2")
    assert result.exit_code == 2
    assert "does not exist" in result.stderr
    assert "Traceback" not in result.output
    assert run("export", tmp_path, "--format", "tflite", "--output", "m").exit_code == 2


def test_the_commands_formats_are_the_exporters() -> None:
    assert tuple(FORMATS) == command.FORMATS


# --- real weights -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", [*EVERY_FORMAT, "timm"])
def test_real_weights_on_real_photos(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    from automl_tl.backbones.registry import get_backbone

    network = build_network("efficientnet_lite0", get_backbone("efficientnet_lite0"))
    model = Model((member(network, cuts=(9,)),), CLASSES, 3.0, "squash")
    found = exported(model, tmp_path, name, Path(automl_tl.__file__).parents[1] / "datasets_meta" / "demo").agreement
    assert found.difference < 1e-4
    assert found.n_same >= 0.99 * found.n_files


def test_a_photo_that_lies_on_its_side_is_given_upright(tmp_path: Path, photos: Path) -> None:
    """Files are decoded upright before they are handed over, as the bundle reads them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    folder = tmp_path / "turned"
    folder.mkdir()
    pixels = np.zeros((60, 90, 3), np.uint8)
    pixels[:, 45:] = 255
    Image.fromarray(pixels).save(folder / "turned.jpg", exif=exif)
    found = exported(ensemble(), tmp_path, "torch", folder).agreement
    assert (found.n, found.n_files, found.n_same) == (1, 1, 1)
