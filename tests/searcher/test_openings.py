"""What is tried first: every cell, then variations in one thing each, and classes that weigh what the metric says."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from generated_pictures import MakePictures
from tasks import RIDGE, TUNED, bare_task, install, space
from tiny_backbone import TinyBackbone

from automl_tl.learning.configuration import Configuration
from automl_tl.learning.recipe import Recipe, epochs_for
from automl_tl.learning.scores import METRICS
from automl_tl.searcher import beginning
from automl_tl.searcher.search import search
from automl_tl.searcher.space.limits import Limits
from automl_tl.searcher.space.search_space import IMBALANCED, Space, parameters, suggest
from automl_tl.searcher.trials import openings as module


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[Configuration], Space]]:
    """Return a list that gets the openings of every search, with their space; nothing of them is tried."""
    install(monkeypatch, tiny=TinyBackbone())
    kept: list[tuple[list[Configuration], Space]] = []
    real = beginning.openings

    def keeping(prepared: Any, space: Space, *rest: Any) -> list[Configuration]:
        kept.append((real(prepared, space, *rest), space))
        return []

    monkeypatch.setattr(beginning, "openings", keeping)
    return kept


Opened = list[tuple[list[Configuration], Space]]


def differences(one: Configuration, other: Configuration) -> set[str]:
    assert isinstance(one.how, Recipe)
    assert isinstance(other.how, Recipe)
    ours, theirs = ({**asdict(c), **asdict(c.how), "how": None} for c in (one, other))
    return {name for name in ours if ours[name] != theirs[name]}


def test_what_is_hardly_ever_the_best_comes_last(
    opened: Opened, make_pictures: MakePictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNLIKELY", 1.1)
    search(make_pictures(per_class=12), trials=1, out=tmp_path / "run", backbones=["tiny"])
    strategies = [c.strategy for c in opened[0][0]]
    assert strategies[-1] == "pretrained_initialization"
    assert strategies.count("pretrained_initialization") == 1


def test_every_cell_comes_before_variations_in_one_thing_each(
    opened: Opened, make_pictures: MakePictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNLIKELY", 0.0)
    monkeypatch.setattr(module, "_last_third", lambda n_stages: n_stages)  # so few stages are all of the last ones
    search(make_pictures(per_class=12), trials=1, out=tmp_path / "run", backbones=["tiny"])
    ((configurations, _),) = opened
    strategies = [c.strategy for c in configurations]
    variations = configurations[-2:]  # so few pictures are gone round as often as may be: no longer training
    first = next(c for c in configurations if c.strategy == "fine_tuning")
    assert set(strategies[:-2]) >= {"fine_tuning", "pretrained_initialization", "feature_extractor"}
    assert [differences(first, c) for c in variations] == [{"lr_ratio"}, {"policy"}]
    assert len({str(c) for c in configurations}) == len(configurations)
    stronger, plain = (c.how.policy for c in (variations[-1], first))  # type: ignore[union-attr]
    assert stronger.rotation >= plain.rotation
    assert stronger.crop < plain.crop
    assert stronger.erase > plain.erase


def test_openings_lie_in_the_space(opened: Opened, make_pictures: MakePictures, tmp_path: Path) -> None:
    from optuna.trial import FixedTrial

    search(make_pictures(per_class=12), trials=1, out=tmp_path / "run", backbones=["tiny"])
    ((configurations, space),) = opened
    for configuration in configurations:
        assert suggest(FixedTrial(parameters(configuration, space)), space) == configuration


@pytest.mark.parametrize("metric", METRICS)
def test_classes_weigh_the_same_only_where_the_metric_says_so(
    opened: Opened, make_pictures: MakePictures, tmp_path: Path, metric: str
) -> None:
    """Balanced weights cost a seventh of the accuracy on uneven blood cells."""
    root = make_pictures(per_class=(int(6 * IMBALANCED), 6, 6))
    search(root, trials=1, out=tmp_path / "run", backbones=["tiny"], metric=metric)
    ((configurations, space),) = opened
    assert space.imbalanced
    trained = [c for c in configurations if isinstance(c.how, Recipe)]
    assert trained
    assert all(c.balanced == METRICS[metric].classes_alike for c in trained)


def test_a_frozen_candidate_opens_with_the_most_views_that_can_be_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    task, views = bare_task(np.arange(40) % 2), ("plain", "flips", "flips+zoom")
    for largest, expected in (("flips+zoom", ["flips+zoom"]), ("flips", ["flips"]), ("plain", [])):
        small = set(views[: views.index(largest) + 1])
        monkeypatch.setattr(module, "too_much", lambda _, c, small=small: None if c.how.views in small else "much")
        opened = module._with_most_views(task, RIDGE, space(views=views))
        assert [configuration.how.views for configuration in opened] == expected


@pytest.mark.parametrize(("seconds", "expected"), [(10.0, 30), (50.0, 52), (1000.0, 90), (None, 30)])
def test_few_pictures_are_gone_round_the_more_often_the_more_time_there_is(
    seconds: float | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain training takes five seconds: in 50 there are three folds, and 35 seconds for them and the refit."""
    task = bare_task(np.arange(50) % 2)
    costs = cast(Any, SimpleNamespace(seconds=lambda c, n, epochs=None: (epochs or c.tuned.epochs) / 6))
    late, advised = SimpleNamespace(n_stages=3, backbone="tiny"), SimpleNamespace(count=2)
    found = SimpleNamespace(unfreezing=advised, evidence=SimpleNamespace(late=late))
    tuned = replace(TUNED, how=replace(TUNED.tuned, epochs=epochs_for(50)))
    monkeypatch.setattr(module, "fine_tuning", lambda *_, **__: tuned)
    monkeypatch.setattr(module, "from_pretrained", lambda *_, **__: TUNED)
    prepared = cast(Any, SimpleNamespace(task=task, assessment=found, costs=costs))
    first = next(module._trained(prepared, space(long_epochs=90), Limits(), seconds))
    assert first == replace(tuned, how=replace(tuned.tuned, epochs=expected))
    assert module.folds_to_score(task, costs, [first], seconds) == module.folds_to_score(task, costs, [tuned], seconds)
    assert next(module._trained(prepared, space(), Limits(), seconds)) == tuned  # of a run that began before


@pytest.mark.parametrize(("unfrozen", "tried"), [(1, True), (2, False), (3, False)])
def test_many_stages_do_not_learn_as_fast_as_the_head(unfrozen: int, tried: bool) -> None:
    usual = replace(TUNED, how=replace(TUNED.tuned, lr_ratio=3.0, unfrozen=unfrozen))
    assert any(c.tuned.lr_ratio == 1 for c in module._variations(usual, space())) is tried


def test_the_faster_variation_begins_from_what_is_published() -> None:
    slow = replace(TUNED, how=replace(TUNED.tuned, lr_ratio=20.0, layer_decay=0.65))
    _, faster, _ = module._variations(slow, space())
    assert faster.tuned.lr_ratio == pytest.approx(20 / 3)
    assert faster.tuned.layer_decay == 0.65
