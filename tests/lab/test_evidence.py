"""The evidence under a deadline: what there is by then is enough to go on with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from small_lab import bare_lab, bare_networks

from automl_tl.features.extract import Features
from automl_tl.features.picture import Picture
from automl_tl.lab import evidence as module
from automl_tl.lab.evidence import Candidate, Evidence, gather_evidence
from automl_tl.lab.feature_sources import FeatureSource
from automl_tl.lab.sample import Sample
from automl_tl.learning.scores import PenaltyPath
from automl_tl.monitor import unheeded

N, CLASSES, STAGES = 60, 3, 4


class Generated:
    """Features of every stage, as `Features` gives them; later stages tell the classes apart better."""

    n_stages, n, has_patches = STAGES, N, False

    def __init__(self, backbone: str, rows: np.ndarray | None = None) -> None:
        self.backbone, self.rows = backbone, np.arange(N) if rows is None else rows
        self.n = len(self.rows)

    def matrix(self, cuts: Sequence[int], pooling: str) -> np.ndarray:
        rng = np.random.default_rng([len(self.backbone), *cuts])
        means = rng.standard_normal((CLASSES, 8)) * max(cuts) / STAGES
        X = means[np.arange(N) % CLASSES] + rng.standard_normal((N, 8))
        return X.astype(np.float32)[self.rows]

    def has_grid(self, cut: int) -> bool:
        return False

    def take(self, rows: np.ndarray) -> Generated:
        return Generated(self.backbone, self.rows[rows])


def gather(deadline: float, names: Sequence[str] = ("a", "bb"), **more: Any) -> Evidence:
    pictures = tuple(Picture(f"{i}.png", f"{i:064x}") for i in range(N))
    y, classes = np.arange(N) % CLASSES, ("x", "y", "z")
    sample = Sample(pictures, y, np.arange(N) // CLASSES % 5, np.arange(N), classes, N, N / CLASSES)
    features = cast(dict[str, Features], {name: Generated(name) for name in names})
    return gather_evidence(bare_lab(Path(), **more), features, sample, unheeded, deadline=deadline)


def stub_clock(monkeypatch: pytest.MonkeyPatch, ticks: int) -> None:
    """Let a deadline of 0 be reached when the clock has been asked `ticks` times."""
    asked = iter(range(10**6))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: -1 if next(asked) < ticks else 1))


def test_without_a_deadline_everything_is_screened_in_any_order():
    found = gather(math.inf)
    assert len(found.probe) == 2 * len(gather(math.inf, ("a",)).probe)
    merits = [candidate.merit for candidate in found.probe]
    assert merits == sorted(merits, reverse=True)
    assert {candidate.path.kind for candidate in found.finalists} > {"ridge", "softmax"}


def test_at_the_deadline_there_is_the_last_cut_of_one_backbone_at_least():
    found = gather(0.0)
    assert [(c.backbone, c.source.cuts) for c in found.probe] == [("a", (STAGES,))]
    assert found.late.source == found.probe[0].source
    assert [c.path.kind for c in found.finalists] == ["ridge"]


@pytest.mark.parametrize("ticks", [1, 3, 4, 10, 30, 60])
def test_evidence_holds_together_wherever_it_ends(monkeypatch: pytest.MonkeyPatch, ticks: int):
    stub_clock(monkeypatch, ticks)
    some = gather(0.0)
    monkeypatch.undo()
    known = {c.source: c.path.value for c in gather(math.inf).probe}
    assert 1 <= len(some.probe) <= len(known)
    assert all(c.path.value == known[c.source] for c in some.probe)
    assert some.late.backbone == some.backbone
    assert some.late.n_stages == STAGES


def test_larger_samples_are_looked_at_again_as_far_as_there_is_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "SCREEN_SIZE", 30)
    for deadline in (0.0, math.inf):
        found = gather(deadline)
        assert not found.screened_all
        assert all(len(c.rows) == N for c in found.finalists)
        assert found.late in found.finalists


def test_the_likelier_source_is_the_best_and_not_the_luckier_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "merit", lambda value, losses, y, metric, ahead: -value)
    found = gather(math.inf, ("a",))
    values = [candidate.path.value for candidate in found.probe]
    assert values == sorted(values)
    own = [c.path.value for c in found.finalists if c.strategy == "feature_extractor"]
    assert found.late.path.value == min(own) < max(own)


def one_of(backbone: str, right: int, n: int = 20) -> Candidate:
    """Return a screened source of a backbone that is right on the first pictures."""
    predictions = (np.arange(n) >= right).astype(np.int32)[None]
    losses = np.where(predictions[0] == 0, 0.1, 1.0)
    path = PenaltyPath("ridge", np.ones(1), predictions, np.array([right / n]), 0, np.empty((0, 0)), losses, 0.9)
    return Candidate(FeatureSource((backbone,), (1,), "mean"), 1, path, np.arange(n), right / n, right / n)


def test_a_gain_that_is_none_has_its_reason() -> None:
    better, worse = one_of("a", 15), one_of("b", 14)
    assert module.why_chosen(worse, better, 0.02, "accuracy") == ""
    assert "likelier" in module.why_chosen(better, worse, -0.02, "accuracy")
    assert module.why_chosen(worse, better, -0.02, "accuracy") == ""
    joined = replace(worse, source=FeatureSource(("b",), (1, 2), "mean"))
    assert "joined" in module.why_chosen(joined, better, -0.02, "accuracy")
    assert "macro_f1" in module.why_chosen(better, worse, 0.02, "macro_f1")


def chosen(published: dict[str, float], **right: int) -> str:
    n = 20
    pictures = tuple(Picture(f"{i}.png", f"{i:064x}") for i in range(n))
    sample = Sample(pictures, np.zeros(n, int), np.arange(n) % 5, np.arange(n), ("x", "y"), n, n / 2)
    probe = sorted((one_of(name, count) for name, count in right.items()), key=lambda one: -one.accuracy)
    return module._choose_backbone(probe, "accuracy", pd.Series(published), sample)[0]


def test_what_is_published_decides_between_backbones_that_measure_alike() -> None:
    assert chosen({"lite": 0.75, "vit": 0.85}, lite=15, vit=14) == "vit"


def test_what_is_published_does_not_talk_away_what_is_measured() -> None:
    assert chosen({"lite": 0.72, "vit": 0.85}, lite=20, vit=9) == "lite"


def test_a_backbone_that_nobody_published_may_be_the_best() -> None:
    assert chosen({"lite": 0.75, "vit": 0.85}, own=18, lite=11, vit=11) == "own"
    assert chosen({"lite": 0.75, "vit": 0.85}, own=11, lite=11, vit=11) == "vit"


def test_nothing_is_published_of_weights_of_the_user_s_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[set[str]] = []
    monkeypatch.setattr(module, "_prior", lambda names: asked.append(set(names)) or pd.Series(dtype=float))
    gather(math.inf, networks=bare_networks(tmp_path, weights={"bb": tmp_path / "own.pth"}))
    assert asked == [{"a"}]


def test_that_one_alone_is_published_says_nothing() -> None:
    assert chosen({"lite": 0.75}, lite=17, own=16, other=10) == "lite"
    assert chosen({}, lite=17, own=16, other=10) == "lite"
