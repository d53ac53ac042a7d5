"""What the panel lets expect: the kept file, what is usual, and what is measured beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_tl.errors import OptionError
from automl_tl.lab.calibration import (
    FILE,
    GainPrior,
    MetaFeatures,
    OwnRun,
    ShortRun,
    UsualGain,
    calibration,
    from_dict,
    to_dict,
)  # fmt: skip
from automl_tl.lab.neighbours import known_row, nearest
from automl_tl.learning.trainer import TRAINER_VERSION
from automl_tl.resources import meta_path
from automl_tl.strategies import STRATEGIES

FEW = MetaFeatures(n_training=40, n_classes=4, different=0.1, errors=0.1)
MANY = MetaFeatures(n_training=2000, n_classes=40, different=0.9, errors=0.4)
PANEL = pd.read_csv(meta_path("panel.csv"))


def test_the_kept_calibration_is_of_the_kept_panel() -> None:
    kept = calibration()
    assert kept.n_rows == len(PANEL)
    assert set(kept.sets) == set(PANEL["set"])
    assert kept.trainer == PANEL["trainer"].min()
    # Versions 5 to 7 train the same here: docs/recommend.md, "How well that holds".
    assert (set(PANEL["trainer"]), TRAINER_VERSION) == ({5, 6}, 7)
    assert set(kept.gains) == set(STRATEGIES) - {"feature_extractor"}
    assert sum(kept.usual.values()) == pytest.approx(1, abs=1e-3)


def test_a_calibration_without_a_set_has_not_seen_it() -> None:
    name = str(PANEL["set"].iloc[0])
    without = calibration(name)
    assert name not in without.sets
    assert without.n_rows == int((PANEL["set"] != name).sum())
    assert without.without == name
    with pytest.raises(OptionError, match="the panel has no set 'nothing'"):
        calibration("nothing")


def test_writing_and_reading_gives_the_same() -> None:
    kept = calibration()
    again = from_dict(json.loads(json.dumps(to_dict(kept))))
    assert again.expect(MANY) == kept.expect(MANY)
    assert again.borders == kept.borders
    assert again.usual == kept.usual
    assert again.short_run == kept.short_run


def test_every_row_of_the_panel_is_on_the_scale() -> None:
    true = PANEL[[f"true_{strategy}" for strategy in STRATEGIES]]
    assert ((true >= 0) & (true <= 1)).all().all()
    assert (PANEL["oracle"] <= true.max(axis=1) + 0.05).all()
    assert not PANEL.duplicated(["set", "change", "per_class", "n_classes", "draw", "backbone"]).any()


@pytest.mark.parametrize("known", [FEW, MANY])
def test_a_short_run_tells_the_less_the_fewer_pictures_it_is_scored_on_and_never_all(known: MetaFeatures) -> None:
    usual = ShortRun(spread=0.1, disagreement=1.0)
    errors = [usual.error(known, n) for n in (0, 1, 10, 100, 10**9)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == pytest.approx(0.1 * known.room, rel=1e-4)
    assert errors[0] == errors[1] < 1.1 * known.variance**0.5


USUAL = UsualGain(0.1, 0.1, 0.2)


def test_the_more_errors_there_are_to_remove_the_more_is_expected() -> None:
    assert USUAL.expect(replace(FEW, errors=0.2)).mean > USUAL.expect(FEW).mean


@given(st.floats(0.0, 1.0), st.integers(1, 10**6), st.integers(2, 1000))
def test_an_expectation_is_finite_and_never_certain(errors: float, n: int, classes: int) -> None:
    known = MetaFeatures(n, classes, 0.5, errors)
    gain = USUAL.expect(known)
    assert errors - 1 <= gain.mean <= errors
    assert 0.2 * known.room < gain.sd < np.inf
    assert known.room > 0


def test_strategies_are_the_closer_together_the_fewer_errors_and_the_fewer_right_pictures_there_are() -> None:
    rooms = [replace(MANY, errors=errors).room for errors in (0.5, 0.2, 0.1, 0.01, 0.0)]
    assert rooms == sorted(rooms, reverse=True)
    assert replace(MANY, errors=0.9).room == pytest.approx(replace(MANY, errors=0.1).room) == pytest.approx(0.09**0.75)


@given(st.floats(-1, 0.9), st.floats(0.01, 1), st.floats(-0.3, 0.3), st.floats(0.001, 0.3))
def test_what_is_measured_draws_the_expectation_and_makes_it_surer(
    mean: float, sd: float, gain: float, stderr: float
) -> None:
    weighed = GainPrior(mean, sd).with_measured(gain, stderr)
    low, high = sorted((mean, gain))
    assert low - 1e-9 <= weighed.mean <= high + 1e-9
    assert weighed.sd < stderr


def test_a_sure_measurement_outweighs_what_is_usual() -> None:
    """100,000 pictures that an early cut tells apart."""
    assert GainPrior(-0.016, 0.016).with_measured(0.04, 0.0005).mean == pytest.approx(0.04, abs=0.0004)


def test_the_nearest_row_of_a_row_is_itself() -> None:
    row = PANEL.iloc[0]
    first = nearest(known_row(row), calibration())[0]
    assert first.name == row["set"]
    assert first.distance == 0
    assert first.reached["fine_tuning"] == row["true_fine_tuning"]


def test_neighbours_are_of_different_sets_the_nearest_first_and_one_may_be_left_out() -> None:
    name = str(PANEL["set"].iloc[0])
    near = nearest(known_row(PANEL.iloc[0]), calibration(name))
    assert name not in {one.name for one in near}
    assert len({one.name for one in near}) == len(near)
    assert [one.distance for one in near] == sorted(one.distance for one in near)


def own(n: int, gain: float, stderr: float = 0.02) -> OwnRun:
    return OwnRun(f"mine {n}", str(n), "tiny", MetaFeatures(n, 10, 0.5, 0.2), {"fine_tuning": (gain, stderr)})


def test_runs_of_one_s_own_teach_as_if_they_had_been_fitted_with_the_rest() -> None:
    """Against the posterior of all rows at once, in closed form."""
    runs = [own(20, 0.1), own(400, -0.05, 0.1), own(45, 0.02)]
    precision, total = USUAL.stderr**-2, USUAL.mean * USUAL.stderr**-2
    after = USUAL
    for run in runs:
        gain, stderr = run.gains["fine_tuning"]
        room = 0.16**0.75  # at four right of five
        variance = USUAL.spread**2 + (stderr / room) ** 2
        precision, total = precision + 1 / variance, total + gain / room / variance
        after = after.learned(run.known, gain, stderr)
    assert (after.mean, after.stderr) == pytest.approx((total / precision, precision**-0.5))
    assert after.spread == USUAL.spread


@given(st.floats(-1, 1), st.floats(0.001, 1), st.integers(1, 10**6))
def test_a_run_draws_what_is_expected_towards_it_and_no_other_strategy(gain: float, stderr: float, n: int) -> None:
    run, known = own(n, gain, stderr), calibration()
    after = known.with_own([run])
    old, new = known.expect(run.known), after.expect(run.known)
    low, high = sorted((old["fine_tuning"].mean, gain))
    assert low - 1e-9 <= new["fine_tuning"].mean <= max(high, low) + 1e-9
    assert new["fine_tuning"].sd <= old["fine_tuning"].sd
    assert new["pretrained_initialization"] == old["pretrained_initialization"]
    assert after.own == (run,)


def test_a_run_of_one_s_own_is_a_neighbour_with_what_it_tried() -> None:
    run = own(45, 0.02)
    first = nearest(run.known, calibration().with_own([run]))[0]
    assert (first.name, first.distance, first.best) == ("your own mine 45", 0.0, "fine_tuning")
    assert first.reached == pytest.approx({"feature_extractor": 0.8, "fine_tuning": 0.82})


def test_the_file_is_small() -> None:
    assert meta_path(FILE).stat().st_size < 100_000


def test_the_column_of_the_different_can_be_reached() -> None:
    """`Domain.different` ends three standard deviations beyond its border."""
    for name in ("", *calibration().sets):
        assert calibration(name).borders.different < NormalDist().cdf(3)


def test_beyond_the_panel_nothing_is_extrapolated() -> None:
    largest = calibration().borders.largest
    there = MetaFeatures(n_training=largest, n_classes=10, different=0.5, errors=0.2)
    assert calibration().expect(replace(there, n_training=10 * largest)) == calibration().expect(there)


@given(st.floats(0.0, 0.001), st.floats(0.01, 0.05), st.floats(-0.6, -0.2))
def test_a_measured_loss_on_an_easy_set_is_not_talked_away(errors: float, stderr: float, gain: float) -> None:
    known = replace(FEW, errors=errors)
    weighed = calibration().expect(known)["early_feature_extractor"].with_measured(gain, stderr)
    assert gain - 0.02 <= weighed.mean <= 0.8 * gain
