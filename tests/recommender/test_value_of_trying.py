"""When a short fine-tuning is worth its seconds."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_tl.lab.calibration import MetaFeatures, ShortRun
from automl_tl.lab.decision import FrontRow
from automl_tl.lab.timing import TrainingSpeed
from automl_tl.options import RecommendOptions
from automl_tl.recommender import short_training
from automl_tl.recommender.recommend import is_wanted
from automl_tl.recommender.short_training import MOST_FOLDS, MOST_SCORED, scored_in
from automl_tl.recommender.value_of_trying import WORTH, value_of_trying
from automl_tl.strategies import Strategy


def row(strategy: Strategy, gain: float, stderr: float, seconds: float = 1.0) -> FrontRow:
    return FrontRow(strategy, 0.8 + gain, (0.7, 0.9), seconds, False, gain, stderr, "how")


def value(gain: float, stderr: float, error: float = 0.04, budget: float | None = None) -> float:
    return value_of_trying([row("feature_extractor", 0, 0), row("fine_tuning", gain, stderr, 60)], error, budget)


def test_it_is_worth_most_where_two_are_close_and_nobody_knows() -> None:
    assert value(0.0, 0.08) > value(0.05, 0.08) > value(0.2, 0.08)
    assert value(0.05, 0.08) == pytest.approx(value(-0.05, 0.08), abs=1e-4)
    assert value(0.0, 0.08) > value(0.0, 0.02)


def test_the_less_a_measurement_tells_the_less_it_is_worth() -> None:
    assert value(0.0, 0.08, error=0.12) < value(0.0, 0.08, error=0.03)


@pytest.mark.parametrize("gain", [-0.001, 0.0, 0.001])
def test_where_hardly_an_error_is_left_there_is_nothing_to_find_out(gain: float) -> None:
    """However far gains spread on other data sets: no gain is larger than the errors."""
    easy = [
        replace(r, accuracy=0.998 + r.gain) for r in (row("feature_extractor", 0, 0), row("fine_tuning", gain, 0.03))
    ]
    assert 0 <= value_of_trying(easy, 0.04, None) < 0.002 < WORTH
    hard = [replace(r, accuracy=0.6 + r.gain) for r in easy]
    assert value_of_trying(hard, 0.04, None) > WORTH


def test_what_is_clear_or_does_not_fit_is_not_tried() -> None:
    assert value(0.3, 0.05) < WORTH
    assert value(-0.3, 0.05) < WORTH
    assert value(0.0, 0.08, budget=30) == 0.0
    assert value_of_trying([row("feature_extractor", 0, 0)], 0.04, None) == 0.0
    assert value(0.0, 0.0) == 0.0


def test_what_is_not_known_of_the_others_is_not_learned_by_it() -> None:
    assert value_of_trying([row("early_feature_extractor", 0, 0.1), row("fine_tuning", 0, 0.0)], 0.04, None) == 0.0


def wanted(usual: ShortRun, n: int, step: float = 0.01, **asked: bool) -> bool:
    """Return whether one is run for `n` pictures, of which a training step takes `step` seconds each."""
    speed = TrainingSpeed(suffix=step, whole=step, unfrozen=9, frozen=0.0, kept_bytes=0)
    known = MetaFeatures(n, 4, 0.1, errors=0.2)
    front = [row("feature_extractor", 0, 0), row("fine_tuning", 0.01, 0.05, 60)]
    expectations = SimpleNamespace(front=front, known=known)
    found = SimpleNamespace(sample=SimpleNamespace(n=n), expectations=expectations, evidence=None, unfreezing=None)
    lab = SimpleNamespace(calibration=SimpleNamespace(short_run=usual))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(short_training, "tuning_speed", lambda *of: speed)
        return is_wanted(lab, RecommendOptions(**asked), found)  # type: ignore[arg-type]


def test_one_is_run_where_it_tells_enough_of_a_whole_one_or_is_asked_for() -> None:
    telling = ShortRun(spread=0.05, disagreement=1.0)
    assert wanted(telling, 200)
    assert not wanted(telling, 4)
    assert not wanted(replace(telling, spread=1.0), 200)
    assert not wanted(replace(telling, disagreement=200.0), 200)
    assert wanted(telling, 4, try_training=True)
    assert not wanted(telling, 200, try_training=False)


def test_where_there_is_time_for_few_folds_alone_it_tells_less() -> None:
    telling = ShortRun(spread=0.05, disagreement=1.0)
    assert wanted(telling, 40)
    assert not wanted(telling, 40, step=1.0)
    assert wanted(telling, 400, step=0.2), "a part of one fold"
    assert not wanted(telling, 400, step=1.0), "not even that"
    assert wanted(telling, 40, step=1.0, try_training=True)


@given(st.integers(2, 5000), st.integers(1, MOST_FOLDS))
def test_folds_hold_out_their_parts_of_the_pictures(n: int, folds: int) -> None:
    assert 1 <= scored_in(n, folds) <= min(n, MOST_SCORED)
    assert scored_in(n, folds) >= scored_in(n, max(folds - 1, 1))
    assert scored_in(n, MOST_FOLDS) == min(n, MOST_SCORED)
