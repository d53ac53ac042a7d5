"""Squashed or cut out: what frozen features make of both decides, where the sizes leave a choice."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generated_pictures import told_apart_by, write_pictures
from tiny_backbone import TinyBackbone

from automl_tl.backbones import registry
from automl_tl.backbones.plugins import Plugin
from automl_tl.errors import BackboneError
from automl_tl.lab import fit_choice
from automl_tl.lab.fit_choice import with_best_fit
from automl_tl.lab.lab import Lab, open_lab
from automl_tl.options import LabOptions
from automl_tl.spare_time import SpareTime


@pytest.fixture
def backbone(monkeypatch: pytest.MonkeyPatch) -> TinyBackbone:
    """Let a small backbone be the only plugin."""
    tiny = TinyBackbone()
    monkeypatch.setattr(registry, "load_plugins", lambda **_: {"tiny": Plugin("tiny", "tiny-plugin", "1.0", tiny)})
    monkeypatch.setenv("AUTOML_TL_PREFLIGHT_SECONDS", "0")
    return tiny


@pytest.fixture
def middle(backbone: TinyBackbone, tmp_path: Path) -> Lab:
    """Return a laboratory of pictures whose middle tells their classes apart, which their sizes say to squash."""
    lab = opened(told_apart_by("middle", tmp_path / "data"))
    assert lab.report.fit == "squash"
    return lab


def opened(data: Path) -> Lab:
    return open_lab(data, LabOptions(device="cpu", backbones=("tiny",)))


def test_the_middle_is_cut_out_where_it_tells_the_classes_apart(middle: Lab) -> None:
    found = with_best_fit(middle)
    assert found.report.fit == "crop"
    assert found.report.fit_reason.startswith("cutting out the middle tells these pictures apart better than squashing")
    assert with_best_fit(middle).report == found.report
    assert middle.report.fit == "squash"


def test_the_whole_picture_stays_where_its_ends_do(backbone: TinyBackbone, tmp_path: Path) -> None:
    lab = opened(told_apart_by("ends", tmp_path / "data"))
    found = with_best_fit(lab)
    assert found.report.fit == "squash"
    assert found.report.fit_reason.startswith(f"{lab.report.fit_reason}, and cutting out the middle is not clearly")


def test_long_pictures_are_tried_squashed(backbone: TinyBackbone, tmp_path: Path) -> None:
    lab = opened(told_apart_by("ends", tmp_path / "data", size=(60, 120)))
    assert lab.report.fit == "pad"
    assert "squashing" in with_best_fit(lab).report.fit_reason


def test_almost_square_pictures_are_looked_at_in_one_way(backbone: TinyBackbone, tmp_path: Path) -> None:
    lab = opened(write_pictures(tmp_path / "data"))
    backbone.passes = 0
    assert with_best_fit(lab) is lab
    assert backbone.passes == 0


def test_labels_that_pictures_say_nothing_of_leave_what_the_sizes_say(backbone: TinyBackbone, tmp_path: Path) -> None:
    """A standard error is exceeded by chance in one or two of ten data sets; more than four were a bias."""
    changed = 0
    for seed in range(10):
        lab = opened(write_pictures(tmp_path / str(seed), ("a", "b"), 10, size=(90, 60), seed=seed))
        shuffled = np.random.default_rng(seed).permutation(lab.dataset.frame["label"].to_numpy())
        lab = replace(lab, dataset=lab.dataset.with_frame(lab.dataset.frame.assign(label=shuffled)))
        changed += with_best_fit(lab).report.fit != "squash"
    assert changed <= 4


def test_without_time_the_sizes_decide(middle: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lab, "picture_seconds", lambda *_: 0.1)
    assert with_best_fit(middle, 2.35) is middle  # of 24 pictures
    assert with_best_fit(middle, 2.45).report.fit == "crop"
    assert with_best_fit(middle, 0.0) is middle


def test_as_many_are_looked_at_as_there_is_time_for(middle: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lab, "picture_seconds", lambda *_: 0.1)
    monkeypatch.setattr(fit_choice, "STEPS", (20, 16, 12))
    assert " on 24 of them" in with_best_fit(middle).report.fit_reason
    assert " on 16 of them" in with_best_fit(middle, 1.9).report.fit_reason
    assert " on 12 of them" in with_best_fit(middle, most=12).report.fit_reason


def test_time_that_ends_before_or_meanwhile_leaves_what_the_sizes_say(
    middle: Lab, backbone: TinyBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert with_best_fit(middle, spare=SpareTime(ends=time.monotonic() - 1)) is middle
    spare = SpareTime()
    real, asked = Lab.features, []

    def late(self: Lab, *arguments: Any, **options: Any) -> Any:
        asked.append(self.report.fit)
        found = real(self, *arguments, **options)
        monkeypatch.setattr(SpareTime, "is_over", True)
        return found

    monkeypatch.setattr(Lab, "features", late)
    assert with_best_fit(middle, spare=spare) is middle
    assert asked == ["squash"]


def test_the_smallest_backbone_decides(middle: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    large = TinyBackbone((8, 12, 16, 24, 32), seed=3)
    plugins = {"large": Plugin("large", "a", "1", large), "tiny": Plugin("tiny", "tiny-plugin", "1.0", TinyBackbone())}
    monkeypatch.setattr(registry, "load_plugins", lambda **_: plugins)
    lab = open_lab(middle.path, LabOptions(device="cpu", backbones=("large", "tiny")))
    asked: list[str] = []
    real = Lab.features
    monkeypatch.setattr(Lab, "features", lambda self, name, *a, **o: asked.append(name) or real(self, name, *a, **o))
    assert with_best_fit(lab).report.fit == "crop"
    assert asked == ["tiny", "tiny"]


def test_of_too_few_groups_or_too_many_classes_nothing_is_told(middle: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = middle.dataset.frame
    for n_groups in (1, 9, 10):
        groups = [f"g{number % n_groups}" for number in range(len(frame))]
        lab = replace(middle, dataset=middle.dataset.with_frame(frame.assign(group=groups)))
        assert (with_best_fit(lab) is lab) == (n_groups < 10)
    monkeypatch.setattr(fit_choice, "MOST_CLASSES", 1)
    assert with_best_fit(middle) is middle


def test_a_class_of_one_group_does_not_count(middle: Lab) -> None:
    frame = middle.dataset.frame
    lonely = frame["label"].where(frame.index != frame.index[0], "lonely")
    found = with_best_fit(replace(middle, dataset=middle.dataset.with_frame(frame.assign(label=lonely))))
    assert " on 23 of them" in found.report.fit_reason


def test_what_is_held_aside_decides_nothing(backbone: TinyBackbone, tmp_path: Path) -> None:
    lab = opened(told_apart_by("middle", tmp_path / "data", per_class=60))
    assert lab.dataset.frame["split"].eq("test").any()
    frame = lab.dataset.frame
    validated = frame["split"].where(~frame["split"].eq("test") | (np.arange(len(frame)) % 2 == 0), "val")
    frame = frame.assign(split=validated, label=frame["label"].where(frame["split"].eq("train"), "unknown"))
    assert with_best_fit(replace(lab, dataset=lab.dataset.with_frame(frame))).report == with_best_fit(lab).report


@pytest.mark.parametrize("what", ["features", "picture_seconds"])
def test_a_backbone_that_fails_on_these_pictures_leaves_it_to_whoever_says_so(
    what: str, middle: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise BackboneError("no")

    monkeypatch.setattr(Lab, what, failing)
    with pytest.raises(BackboneError, match="no"):
        with_best_fit(middle, 60.0)
    unnamed = replace(middle, networks=replace(middle.networks, named=frozenset()))
    assert with_best_fit(unnamed, 60.0) is unnamed
