"""Whoever waits learns within seconds where it is going, and the answer that counts stays the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from generated_pictures import MakePictures
from small_lab import bare_lab
from tiny_backbone import TinyBackbone

import automl_tl
from automl_tl.lab import considered, networks
from automl_tl.lab.fit_choice import seconds_to_choose
from automl_tl.monitor import Silent
from automl_tl.recommender import first_answer
from automl_tl.strategies import STRATEGIES


class Listening(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def data(make_pictures: MakePictures, monkeypatch: pytest.MonkeyPatch) -> Path:
    backbones = {"tiny": TinyBackbone(), "wide": TinyBackbone((8, 12, 16, 24, 32), seed=3)}
    monkeypatch.setattr(networks, "get_backbone", backbones.__getitem__)
    monkeypatch.setattr(considered, "local_backbones", lambda: ["tiny", "wide"])
    return make_pictures(per_class=20)


def test_many_pictures_have_a_first_answer_from_a_part_of_them(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, unheard = Listening(), Listening()
    later = automl_tl.recommend(data, try_training=False, monitor=unheard)
    assert not unheard.lines  # so few pictures are all looked at within seconds
    monkeypatch.setattr(first_answer, "SOON", 1e-9)
    monkeypatch.setattr(first_answer, "FEATURES_SECONDS", 0.0)
    automl_tl.recommend(data, try_training=False, monitor=unheard)
    assert not unheard.lines  # everything is known, so a part of it would be known no sooner
    found = automl_tl.recommend(data, try_training=False, monitor=heard, cache_dir=tmp_path / "new")
    (line,) = heard.lines
    assert line.startswith("First answer after ")
    assert "from 9 pictures: " in line
    assert line.endswith(f"Now all {found.n_sampled}.")
    assert any(f"{strategy}, about" in line for strategy in STRATEGIES)
    assert found.strategy == later.strategy
    assert found.estimate == later.estimate


def test_what_is_done_before_all_pictures_are_looked_at_counts(tmp_path: Path) -> None:
    """Photos whose sizes leave a choice are seen in two ways first, and then all of them."""
    lab = bare_lab(tmp_path)
    costs = {"tiny": 0.01, "wide": 0.03}
    assert seconds_to_choose(lab, costs, 1000) == pytest.approx(4.0)
    assert seconds_to_choose(lab, costs, 50) == pytest.approx(0.5)
    lab.report.fit = "crop"  # type: ignore[misc]
    assert seconds_to_choose(lab, costs, 1000) == 0


def test_before_a_short_training_the_answer_so_far_is_said(data: Path) -> None:
    heard = Listening()
    found = automl_tl.recommend(data, try_training=True, monitor=heard)
    assert [
        line for line in heard.lines if f"from {found.n_sampled} pictures" in line and "Fine-tuning is tried" in line
    ]
