"""Presets: what they hold, that their names are theirs, and that every member is a backbone with stages."""

from __future__ import annotations

import subprocess
import sys

import pytest

from automl_tl.backbones.presets import NAMES, PresetBackbone, all_members, device_kind, expand, members
from automl_tl.backbones.prior import static_prior
from automl_tl.backbones.registry import get_backbone, weights_info

EVERY = [(name, device) for name in NAMES for device in ("cpu", "cuda")]


@pytest.mark.parametrize(("name", "device"), EVERY)
def test_a_preset_is_a_short_list_of_different_backbones(name: str, device: str) -> None:
    found = members(name, device)
    assert 3 <= len(found) <= 5
    assert len({one.backbone for one in found}) == len(found)


def test_no_row_is_of_anything_else() -> None:
    assert {(one.preset, one.device) for one in all_members()} == set(EVERY)


def test_presets_get_more_accurate_and_slower() -> None:
    for device in ("cpu", "cuda"):
        labelled = [[one for one in members(name, device) if one.kind == "supervised"] for name in NAMES]
        best = [max(one.top1 for one in group) for group in labelled]
        slowest = [min(one.pictures_per_s for one in members(name, device)) for name in NAMES]
        assert best == sorted(best)
        assert slowest == sorted(slowest, reverse=True)


def test_networks_trained_without_labels_are_among_them() -> None:
    for device in ("cpu", "cuda"):
        kinds = {one.backbone for one in members("best", device) if one.kind == "self-supervised"}
        assert any("dinov2" in name for name in kinds)


@pytest.mark.parametrize("member", all_members(), ids=lambda one: f"{one.preset}-{one.device}-{one.backbone}")
def test_what_is_said_of_a_member_is_what_the_plugin_says(member: PresetBackbone) -> None:
    assert member.licence in ("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0")
    weights = weights_info(member.backbone, get_backbone(member.backbone))
    assert (weights.identity.partition("@")[0], weights.licence) == (member.source, member.licence)
    row = static_prior().loc[member.backbone]
    column = "cpu_pictures_per_s" if member.device == "cpu" else "gpu_pictures_per_s"
    assert row[column] == pytest.approx(member.pictures_per_s, rel=1e-4)
    assert member.kind == "self-supervised" or row["top1"] == member.top1
    assert member.download_mb == pytest.approx(4 * member.params_millions)


def test_expanding_keeps_order_and_says_each_once() -> None:
    fast, best = ([one.backbone for one in members(name, "cpu")] for name in ("fast", "best"))
    assert expand(["a", "fast", "timm:x", "best", fast[0], "all"], "cpu") == ("a", *fast, "timm:x", *best, "all")
    assert expand([], "cpu") == ()


@pytest.mark.parametrize(
    ("device", "kind"), [("cpu", "cpu"), ("cuda", "cuda"), ("cuda:1", "cuda"), ("mps", "cpu"), ("", "cpu")]
)
def test_only_a_cuda_device_has_lists_of_its_own(device: str, kind: str) -> None:
    assert device_kind(device) == kind
    assert expand(["best"], device) == tuple(one.backbone for one in members("best", kind))
    assert members("nothing", device) == ()


def test_presets_import_no_torch_and_no_pandas() -> None:
    code = (
        "import sys; from automl_tl.backbones import presets; presets.expand(['fast'], 'cpu'); "
        "assert not {'torch', 'timm', 'pandas', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize("name", dict.fromkeys(one.backbone for one in all_members()))
def test_every_member_can_be_cut(name: str) -> None:
    from automl_tl.backbones.stages import build_network

    assert build_network(name, get_backbone(name), pretrained=False).n_stages >= 4
