"""A bundle gives back the model that was saved, and says what is wrong where it cannot."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError, safe_open
from tiny_backbone import TinyBackbone
from tiny_models import CLASSES, member, register, trained_model

import automl_tl
from automl_tl.backbones import registry
from automl_tl.backbones.overrides import configure
from automl_tl.backbones.stages import build_network
from automl_tl.data.value_range import ValueRange
from automl_tl.model import swap
from automl_tl.model.bundle import load_bundle, save_bundle
from automl_tl.model.errors import BundleError
from automl_tl.model.model import Model

FILES = ["SHA256SUMS", "bundle.json", "model.safetensors"]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


@pytest.fixture
def model(pictures: Path) -> Model:
    details = {"metrics": {"accuracy": np.float32(0.5), "bad": float("nan")}, "data": {"fingerprint": "ab", "n": 18}}
    return trained_model(pictures, details=details)


@pytest.fixture
def bundle(model: Model, tmp_path: Path) -> Path:
    return save_bundle(model, tmp_path / "my bundle")


def images(model: Model, n: int = 4) -> dict[Any, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        how: torch.randint(0, 256, (n, how.size, how.size, 3), generator=generator).byte()
        for how in model.preprocessings
    }


def assert_same(first: Model, second: Model) -> None:
    one, two = first.answer(images(first)), second.answer(images(second))
    assert np.abs(one.probabilities - two.probabilities).max() < 1e-6
    if one.novelty is None:
        assert two.novelty is None
    else:
        assert two.novelty is not None
        assert np.abs(one.novelty - two.novelty).max() < 1e-6


def reseal(bundle: Path) -> None:
    """Make all checksums fit what is there, as somebody with a text editor might."""
    values = json.loads((bundle / "bundle.json").read_text())
    values["files"]["model.safetensors"] = sha(bundle / "model.safetensors")
    (bundle / "bundle.json").write_text(json.dumps(values))
    lines = [f"{sha(bundle / name)}  {name}\n" for name in ("bundle.json", "model.safetensors")]
    (bundle / "SHA256SUMS").write_text("".join(lines))


def edit(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    values = json.loads((bundle / "bundle.json").read_text())
    change(values)
    (bundle / "bundle.json").write_text(json.dumps(values))
    reseal(bundle)


def sha(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def failure(bundle: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(bundle, "cpu")
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


# --- the round trip ---------------------------------------------------------------------------------


def test_a_loaded_model_answers_as_the_saved_one(model: Model, bundle: Path) -> None:
    loaded = automl_tl.load(bundle)
    assert isinstance(loaded, automl_tl.Model)
    assert_same(model, loaded)
    assert (loaded.classes, loaded.temperature, loaded.fit) == (model.classes, model.temperature, model.fit)
    assert loaded.details == {"metrics": {"accuracy": 0.5, "bad": None}, "data": {"fingerprint": "ab", "n": 18}}
    assert sorted(os.listdir(bundle)) == sorted([*FILES, "README.md"])
    assert loaded.members[0].network.weights.identity == model.members[0].network.weights.identity
    assert not any(module.training for module in loaded.members[0].network.module.modules())
    assert not loaded.members[0].head.training


def test_sha256sum_agrees(bundle: Path) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum here")
    result = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=bundle, capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert result.stdout.count(": OK") == 2


def test_a_bundle_says_what_it_is(bundle: Path) -> None:
    values = json.loads((bundle / "bundle.json").read_text())
    assert values["format_version"] == 1
    assert set(values["created_with"]) == {"automl_tl", "torch"}
    assert values["classes"] == list(CLASSES)
    assert values["files"] == {"model.safetensors": sha(bundle / "model.safetensors")}
    (only,) = values["members"]
    assert (only["backbone"], only["distribution"], only["version"]) == ("tiny", "tiny-plugin", "1.2")
    assert (only["cuts"], only["pooling"], only["n_stages"]) == ([1, 2, 3], "mean+std", 3)
    assert only["head"] == {"kind": "linear", "d": 72, "hidden": 0, "channels": 0}
    assert values["aliases"] == {}
    assert only["preprocessing"]["value_range"] == {"low": 0.0, "high": 255.0}
    assert values["novelty"]["least_contrast"] == 0.0


def test_a_bundle_from_before_ranges_of_values_has_eight_bits(bundle: Path) -> None:
    def as_it_was(values: dict[str, Any]) -> None:
        del values["members"][0]["preprocessing"]["value_range"]
        del values["novelty"]["least_contrast"]

    edit(bundle, as_it_was)
    model = automl_tl.load(bundle)
    assert model.preprocessings[0].value_range == ValueRange(0, 255)
    assert model.novelty is not None
    assert model.novelty.least_contrast == 0


def test_the_range_of_values_comes_back(model: Model, tmp_path: Path) -> None:
    (one,) = model.members
    deep = replace(one, preprocessing=replace(one.preprocessing, value_range=ValueRange(-1.5, 4095)))
    bundle = save_bundle(replace(model, members=(deep,)), tmp_path / "deep")
    assert automl_tl.load(bundle).preprocessings == (deep.preprocessing,)


@pytest.mark.parametrize(
    "options",
    [
        {"cuts": (2,), "pooling": "grid"},
        {"hidden": 5},
        {"channels": 16, "pooling": "mean+std"},
        {"cuts": (1, 3), "fit": "pad"},
    ],
    ids=str,
)
def test_every_kind_of_member_comes_back(options: dict[str, Any], tmp_path: Path) -> None:
    model = Model((member(**options),), CLASSES, 0.3, "pad")
    assert_same(model, load_bundle(save_bundle(model, tmp_path / "b"), "cpu"))


def test_only_the_stages_that_count_are_stored(tmp_path: Path) -> None:
    bundle = save_bundle(Model((member(cuts=(2,)),), CLASSES, 1.0, "squash"), tmp_path / "b")
    with safe_open(bundle / "model.safetensors", "pt") as file:
        names = set(file.keys())
    assert any(name.startswith("members.0.stages.2.") for name in names)
    assert not any(name.startswith("members.0.stages.3.") for name in names)


def test_trained_weights_and_running_statistics_come_back(tmp_path: Path) -> None:
    network = build_network("tiny", TinyBackbone())
    with torch.no_grad():
        for value in network.module.state_dict().values():
            value.add_(1 if value.dtype == torch.int64 else 0.1)
    model = Model((member(network),), CLASSES, 1.0, "squash")
    loaded = load_bundle(save_bundle(model, tmp_path / "b"), "cpu")
    found, saved = loaded.members[0].network.module.state_dict(), network.module.state_dict()
    assert all(torch.equal(found[name], value) for name, value in saved.items())
    assert_same(model, loaded)


def test_what_two_members_share_is_stored_once_and_shared_again(tmp_path: Path) -> None:
    first, second = member(weight=0.25), member(cuts=(2, 3), weight=0.75, seed=1)
    with torch.no_grad():
        for parameter in second.network.stages[2].parameters():
            parameter.add_(0.5)
    model = Model((first, second), CLASSES, 2.0, "squash")
    bundle = save_bundle(model, tmp_path / "b")
    with safe_open(bundle / "model.safetensors", "pt") as file:
        names = list(file.keys())
    aliases = json.loads((bundle / "bundle.json").read_text())["aliases"]
    assert aliases["members.1.stages.1.0.weight"] == "members.0.stages.1.0.weight"
    assert "members.1.stages.1.0.weight" not in names
    assert "members.1.stages.3.0.weight" in names
    loaded = load_bundle(bundle, "cpu")
    assert_same(model, loaded)
    one, two = loaded.members
    same = [a is b for a, b in zip(one.network.stages, two.network.stages, strict=True)]
    assert same == [True, True, False]


def test_the_users_own_mean_and_size_come_back(tmp_path: Path) -> None:
    own = configure("tiny", TinyBackbone(), mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), input_size=48)
    model = Model((member(build_network("tiny", own)),), CLASSES, 1.0, "squash")
    loaded = load_bundle(save_bundle(model, tmp_path / "b"), "cpu")
    backbone = loaded.members[0].network.backbone
    assert (backbone.mean, backbone.std, backbone.input_size) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 48)
    assert_same(model, loaded)


class NoWeights(TinyBackbone):
    """A backbone whose pretrained weights are not there."""

    def build(self, *, pretrained: bool = True) -> torch.nn.Module:
        if pretrained:
            raise FileNotFoundError("no weights here")
        return TinyBackbone(seed=99).build()


def test_no_pretrained_weights_are_needed(model: Model, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, NoWeights())
    assert_same(model, load_bundle(bundle, "cpu"))


def test_loading_leaves_the_callers_random_numbers_alone(bundle: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    load_bundle(bundle, "cpu")
    assert torch.equal(torch.rand(2), expected)


def test_hostile_labels_come_back(tmp_path: Path) -> None:
    classes = ("[red]x", "a,b\n\x1b[31m", "=1+1", "\u202eevil", "ä")
    model = Model((member(n_classes=5),), classes, 1.0, "squash")
    assert load_bundle(save_bundle(model, tmp_path / "b"), "cpu").classes == classes


# --- damage -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    assert f"has no {name}" in failure(bundle)


@pytest.mark.parametrize("name", ["bundle.json", "model.safetensors"])
@pytest.mark.parametrize("how", ["flipped", "truncated", "empty"])
def test_a_damaged_file_is_named_with_both_sums(bundle: Path, name: str, how: str) -> None:
    file = bundle / name
    content = file.read_bytes()
    flipped = content[:700] + bytes([content[700] ^ 1]) + content[701:]
    file.write_bytes({"flipped": flipped, "truncated": content[:-10], "empty": b""}[how])
    text = failure(bundle)
    assert f"{name} of the bundle" in text
    assert hashlib.sha256(content).hexdigest()[:12] in text
    assert sha(file)[:12] in text
    assert "copy the bundle again" in text


def test_a_damaged_list_of_sums_is_told_from_damaged_tensors(bundle: Path) -> None:
    sums = (bundle / "SHA256SUMS").read_text()
    actual = sha(bundle / "model.safetensors")
    (bundle / "SHA256SUMS").write_text(sums.replace(actual, "0" * 64))
    text = failure(bundle)
    assert text.startswith("SHA256SUMS of the bundle")
    assert "000000000000" in text
    assert actual[:12] in text


@pytest.mark.parametrize("content", ["", "\x00\x01", "ä" * 9, "one line\n"])
def test_a_list_of_sums_that_is_none(bundle: Path, content: str) -> None:
    (bundle / "SHA256SUMS").write_text(content, encoding="utf-8")
    assert failure(bundle).startswith("SHA256SUMS of the bundle")


def test_a_newer_format_asks_for_an_upgrade_whatever_its_files_are(bundle: Path) -> None:
    edit(bundle, lambda values: values.update(format_version=2))
    (bundle / "SHA256SUMS").write_text("something new")
    text = failure(bundle)
    assert "format 2" in text
    assert "upgrade automl-tl" in text


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.pop("classes"),
        lambda values: values.update(classes=["one", "one", "two"]),
        lambda values: values.update(temperature="hot"),
        lambda values: values.update(temperature=0),
        lambda values: values.update(members=[]),
        lambda values: values.update(aliases={"members.0.head.linear.bias": "nothing"}),
        lambda values: values["members"][0].update(cuts=[7]),
        lambda values: values["members"][0].update(cuts=[]),
        lambda values: values["members"][0].update(weight=0.5),
        lambda values: values["members"][0].update(pooling="max"),
        lambda values: values["members"][0]["preprocessing"].update(fit="stretch"),
        lambda values: values["members"][0]["preprocessing"].update(fill=[1, 2]),
        lambda values: values["members"][0].update(head=None),
        lambda values: values.update(created_with=[]),
    ],
)
def test_a_whole_bundle_that_makes_no_sense(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    edit(bundle, change)
    assert "make it again" in failure(bundle)


def test_json_that_is_no_object(bundle: Path) -> None:
    (bundle / "bundle.json").write_text("[]")
    lines = [f"{sha(bundle / name)}  {name}\n" for name in ("bundle.json", "model.safetensors")]
    (bundle / "SHA256SUMS").write_text("".join(lines))
    assert "make it again" in failure(bundle)


def test_tensors_that_are_none(bundle: Path) -> None:
    (bundle / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0notjson!")
    reseal(bundle)
    assert "make it again" in failure(bundle)


def test_what_is_no_bundle(bundle: Path, tmp_path: Path) -> None:
    assert "does not exist" in failure(tmp_path / "none")
    assert "is a file" in failure(bundle / "bundle.json")
    assert "is no model" in failure(tmp_path)


# --- plugins ----------------------------------------------------------------------------------------


def test_a_missing_plugin_is_named_with_the_command(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "load_plugins", lambda **_: {})
    text = failure(bundle)
    assert "the backbone 'tiny' of tiny-plugin 1.2, which is not installed" in text
    assert "pip install 'tiny-plugin==1.2'" in text


def test_a_broken_plugin_is_named(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = registry.Plugin("tiny", "tiny-plugin", "1.3", error="plugin 'tiny' of tiny-plugin 1.3 is broken: oh")
    monkeypatch.setattr(registry, "load_plugins", lambda **_: {"tiny": broken})
    text = failure(bundle)
    assert "is broken: oh" in text
    assert "pip install 'tiny-plugin==1.2'" in text


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (TinyBackbone(widths=(8, 10, 16)), "stages.2.0.bias is (10,) there and (12,) in the bundle"),
        (TinyBackbone(widths=(8, 12)), "2 stages there, 3 in the bundle"),
        (TinyBackbone(batchnorm=False), "stages.1.1.bias is missing there and (8,) in the bundle"),
    ],
)
def test_a_plugin_that_builds_other_layers_now(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, other: TinyBackbone, told: str
) -> None:
    register(monkeypatch, other, version="2.0")
    text = failure(bundle)
    assert "'tiny' of tiny-plugin 2.0" in text
    assert told in text
    assert "it was made with tiny-plugin 1.2: pip install 'tiny-plugin==1.2'" in text


def test_a_backbone_of_no_distribution(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "load_plugins", lambda **_: {})
    bundle = save_bundle(trained_model(pictures), tmp_path / "b")
    assert "a plugin without a distribution" in failure(bundle)


# --- writing as a whole -----------------------------------------------------------------------------


def test_a_bundle_is_replaced_and_nothing_else_is_left(model: Model, bundle: Path) -> None:
    other = Model(model.members, model.classes, 9.0, model.fit)
    save_bundle(other, bundle)
    assert load_bundle(bundle, "cpu").temperature == 9.0
    assert [name for name in os.listdir(bundle.parent) if name.startswith(".")] == []
    assert sorted(os.listdir(bundle)) == sorted([*FILES, "README.md"])


class CrashError(BaseException):
    """Stands for the end of the process: nothing that handles errors may handle it."""


def crash_at_rename(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let the process end at its rename `number`, counted from 1."""
    real, count = Path.rename, [0]

    def rename(self: Path, target: Path) -> Path:
        count[0] += 1
        if count[0] == number:
            raise CrashError
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    monkeypatch.setattr(swap.shutil, "rmtree", lambda *args, **kwargs: None)
    monkeypatch.setattr(swap, "recover", lambda folder: folder)  # nobody is left to put anything right


@pytest.mark.parametrize("number", [1, 2])
def test_a_crash_around_the_renames_leaves_the_old_bundle(
    model: Model, bundle: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    other = Model(model.members, model.classes, 9.0, model.fit)
    with monkeypatch.context() as patch:
        crash_at_rename(patch, number)
        with pytest.raises(CrashError):
            save_bundle(other, bundle)
    assert bundle.exists() is (number == 1)
    assert load_bundle(bundle, "cpu").temperature == model.temperature
    assert bundle.exists()
    save_bundle(other, bundle)
    assert load_bundle(bundle, "cpu").temperature == 9.0


def test_saving_after_a_crash_keeps_the_old_bundle_until_the_new_one_is_there(model: Model, bundle: Path) -> None:
    bundle.rename(swap.aside(bundle))
    with pytest.raises(ValueError, match="JSON values only"):
        save_bundle(Model(model.members, model.classes, 1.0, model.fit, details={"x": object()}), bundle)
    assert load_bundle(bundle, "cpu").temperature == model.temperature


def test_the_old_copy_is_read_where_it_cannot_be_renamed(
    model: Model, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle.rename(swap.aside(bundle))

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "rename", refuse)
    assert_same(model, load_bundle(bundle, "cpu"))


def test_a_failed_save_leaves_everything_as_it_was(model: Model, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: (bundle / name).read_bytes() for name in FILES}

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("automl_tl.model.bundle.write_sums", full)
    with pytest.raises(BundleError, match="No space left on device"):
        save_bundle(model, bundle)
    assert {name: (bundle / name).read_bytes() for name in FILES} == before
    assert [name for name in os.listdir(bundle.parent) if name.startswith(".")] == []


@pytest.mark.parametrize("check", [lambda folder: save_bundle(Model((member(),), CLASSES, 1, "pad"), folder)])
def test_a_users_own_files_are_never_replaced(tmp_path: Path, check: Callable[[Path], object]) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BundleError, match=r"thesis\.tex"):
        check(tmp_path)
    with pytest.raises(BundleError, match="is a file"):
        check(tmp_path / "thesis.tex")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_folders_on_the_way_are_made(model: Model, tmp_path: Path) -> None:
    assert_same(model, load_bundle(save_bundle(model, tmp_path / "a" / "b" / "c"), "cpu"))


def test_a_link_to_a_bundle_stays_one(model: Model, bundle: Path, tmp_path: Path) -> None:
    link = tmp_path / "latest"
    link.symlink_to(bundle, target_is_directory=True)
    save_bundle(Model(model.members, model.classes, 9.0, model.fit), link)
    assert link.is_symlink()
    assert load_bundle(bundle, "cpu").temperature == 9.0


def test_details_may_not_overwrite_the_bundles_own_words(model: Model, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="members"):
        save_bundle(Model(model.members, model.classes, 1.0, "pad", details={"members": 1}), tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_full_disk_is_one_sentence(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("automl_tl.model.bundle.write_tensors", full)
    with pytest.raises(BundleError, match=r"cannot be written \(.*No space left on device.*\): free some space"):
        save_bundle(model, tmp_path / "b")
    assert not list(tmp_path.glob("*b*"))


def test_a_run_is_named_for_its_bundle_also_where_a_crash_left_that_aside(model: Model, tmp_path: Path) -> None:
    save_bundle(model, tmp_path / "run" / "bundle")
    (tmp_path / "run" / "bundle").rename(swap.aside(tmp_path / "run" / "bundle"))
    assert load_bundle(tmp_path / "run", "cpu").temperature == model.temperature
    assert (tmp_path / "run" / "bundle").is_dir()
