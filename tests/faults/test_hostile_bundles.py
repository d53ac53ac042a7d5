"""A bundle from somebody else: whatever is in it, it is loaded, or named and refused, and costs little memory."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from resealing import reseal
from safetensors.torch import load_file, save_file
from tiny_models import CLASSES, member

from automl_tl.errors import BackboneError
from automl_tl.memory import held_memory
from automl_tl.model.bundle import load_bundle, save_bundle
from automl_tl.model.errors import BundleError
from automl_tl.model.model import Model
from automl_tl.model.novelty import Novelty

Edit = Callable[[Callable[[dict[str, Any]], object]], None]
MOST_BYTES = 300 * 1024**2


def refusal(bundle: Path) -> str:
    """Return the sentence with which a bundle is refused, after seeing that little memory was taken."""
    before = held_memory() or 0
    with pytest.raises(BundleError) as caught:
        load_bundle(bundle, "cpu")
    assert (held_memory() or 0) - before < MOST_BYTES
    text = str(caught.value)
    assert str(bundle) in text
    assert "\n" not in text
    assert len(text) < 1000
    return text


def first(values: dict[str, Any]) -> dict[str, Any]:
    member: dict[str, Any] = values["members"][0]
    return member


@pytest.mark.parametrize(
    "change",
    [
        lambda v: first(v)["head"].update(d=10**12),
        lambda v: first(v)["head"].update(hidden=10**9),
        lambda v: first(v)["head"].update(channels=10**9),
        lambda v: first(v)["head"].update(d=2**31 - 1, hidden=2**31 - 1),
        lambda v: first(v)["head"].update(d=2**20, hidden=2**20, channels=2**20),
        lambda v: first(v)["head"].update(d=10**400),
        lambda v: first(v).update(input_size=10**9),
        lambda v: first(v).update(input_size=2**63),
        lambda v: first(v).update(n_stages=10**9),
        lambda v: first(v)["preprocessing"].update(size=10**9),
        lambda v: first(v)["preprocessing"].update(crop_pct=1e-300),
        lambda v: first(v).update(weight=1e999),
        lambda v: first(v).update(mean=[0.5, 0.5]),
        lambda v: first(v).update(std=[0, 0, 0]),
        lambda v: v.update(classes=[str(n) for n in range(200_000)]),
        lambda v: v.update(members=1000 * v["members"]),
        lambda v: v.update(temperature=10**400),
        lambda v: v.update(aliases={f"members.0.stages.{n}.x": "members.0.head.center" for n in range(50_000)}),
        lambda v: v.update(novelty={"threshold": 1.0}),
        lambda v: v.update(details="x" * 20_000_000),
    ],
)
def test_sizes_that_are_claimed_are_not_believed(bundle: Path, edit: Edit, change: Callable[..., Any]) -> None:
    edit(change)
    refusal(bundle)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 200 + "1" + "}" * 200, "1" * 5000, "", "\0", "[]", "null"])
def test_a_manifest_that_is_no_manifest(bundle: Path, text: str) -> None:
    (bundle / "bundle.json").write_text(text)
    reseal(bundle)
    refusal(bundle)


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 90_000_000) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 70)
        + b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}}'.ljust(70)
        + b"1234",
        struct.pack("<Q", 70) + b'{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}'.ljust(70) + b"1234",
        struct.pack("<Q", 90) + b'{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}'.ljust(90),
    ],
)
def test_tensors_that_claim_more_than_there_is(bundle: Path, header: bytes) -> None:
    (bundle / "model.safetensors").write_bytes(header)
    reseal(bundle)
    refusal(bundle)


@pytest.mark.parametrize("name", ["bundle.json", "model.safetensors", "SHA256SUMS"])
def test_a_file_that_is_a_link_out_of_the_folder(bundle: Path, tmp_path: Path, name: str) -> None:
    (bundle / name).rename(tmp_path / "elsewhere")
    (bundle / name).symlink_to(tmp_path / "elsewhere")
    assert f"{name} of the bundle" in refusal(bundle)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["bundle.json", "model.safetensors", "SHA256SUMS"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    os.mkfifo(bundle / name)
    assert f"has no {name}" in refusal(bundle)


def test_sums_and_names_that_point_elsewhere_are_never_followed(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    lines = (bundle / "SHA256SUMS").read_text()
    (bundle / "SHA256SUMS").write_text(lines.replace("model.safetensors", "../secret"))
    assert "SHA256SUMS" in refusal(bundle)


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "a\x1b[2Jb", "os:system", "tiny\n", "x" * 10_000])
def test_a_backbone_of_a_strange_name_is_escaped_and_unknown(bundle: Path, edit: Edit, name: str) -> None:
    edit(lambda values: first(values).update(backbone=name))
    assert "\x1b" not in refusal(bundle)[:900]


def test_a_distribution_with_a_hostile_name_is_no_command_of_several_lines(bundle: Path, edit: Edit) -> None:
    edit(lambda values: first(values).update(backbone="gone", distribution="x\nrm -rf ~\x1b[2J", version="1"))
    assert r"x\nrm -rf ~\x1b[2J" in refusal(bundle)


def test_a_head_for_other_columns_is_named_where_it_is_used(bundle: Path) -> None:
    state = load_file(bundle / "model.safetensors")
    wider = {"members.0.head.center": torch.zeros(99), "members.0.head.scale": torch.ones(99)}
    save_file({**state, **wider, "members.0.head.linear.weight": torch.zeros(3, 99)}, bundle / "model.safetensors")
    values = json.loads((bundle / "bundle.json").read_text())
    first(values)["head"]["d"] = 99
    (bundle / "bundle.json").write_text(json.dumps(values))
    reseal(bundle)
    with pytest.raises(BackboneError, match="what the head of this model cannot read"):
        load_bundle(bundle, "cpu").probabilities([np.zeros((40, 40, 3), np.uint8)])


def test_neighbours_of_other_columns_are_named_where_they_are_used(tmp_path: Path) -> None:
    novelty = Novelty(np.ones((2, 5), np.float32), 1.0)
    odd = save_bundle(Model((member(),), CLASSES, 1.0, "squash", novelty), tmp_path / "odd")
    with pytest.raises(BackboneError, match="5 columns, but its network puts out 16"):
        load_bundle(odd, "cpu").predict([np.zeros((40, 40, 3), np.uint8)])


def test_nothing_is_written_where_a_link_stands_in_for_the_new_bundle(tmp_path: Path, bundle: Path) -> None:
    """Somebody guesses the temporary name and points it at a folder of the user's."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("x")
    (tmp_path / f".bundle.tmp-{os.getpid()}").symlink_to(precious)
    with pytest.raises(BundleError, match="cannot be written"):
        save_bundle(Model((member(),), CLASSES, 1.0, "squash"), bundle)
    assert [one.name for one in precious.iterdir()] == ["thesis.txt"]
    load_bundle(bundle, "cpu")
