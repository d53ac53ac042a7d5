"""The choice on the front: the matrix speaks first, what is expected to be better within the time wins."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_tl.lab.decision import INDIFFERENCE, FrontRow, choose, probabilities_of_being_best
from automl_tl.lab.matrix import place
from automl_tl.strategies import STRATEGIES, Strategy

SMALL_SIMILAR, SMALL_DIFFERENT, LARGE_SIMILAR = place(0.1, 0.1), place(0.1, 0.9), place(0.9, 0.1)


def row(strategy: Strategy, seconds: float, gain: float, stderr: float) -> FrontRow:
    measured = strategy.endswith("extractor")
    return FrontRow(strategy, 0.8 + gain, (0.7, 0.9), seconds, measured, gain, stderr, "how")


def front(early: float = -0.1, tuned: float = 0.05, scratch: float = -0.02) -> list[FrontRow]:
    return [
        row("feature_extractor", 10, 0.0, 0.0),
        row("early_feature_extractor", 9, early, 0.01),
        row("fine_tuning", 100, tuned, 0.02),
        row("pretrained_initialization", 300, scratch, 0.05),
    ]


def test_the_matrix_s_cell_is_the_answer_where_nothing_is_expected_to_be_better() -> None:
    assert choose(front(tuned=-0.01), SMALL_SIMILAR, None).strategy == "feature_extractor"
    assert choose(front(tuned=0.0), SMALL_SIMILAR, None).strategy == "feature_extractor"
    assert choose(front(tuned=0.0), LARGE_SIMILAR, None).strategy == "fine_tuning"


def test_what_is_expected_to_be_better_replaces_the_cell_and_says_by_how_much() -> None:
    choice = choose(front(), SMALL_SIMILAR, None)
    assert choice.strategy == "fine_tuning"
    assert choice.reasons[0] == (
        "fine_tuning replaces feature_extractor: +5.0 points are expected (standard error 2.0, from the panel of other "
        "data sets)."
    )
    measured = choose(front(tuned=0.0), SMALL_DIFFERENT, None)
    assert measured.strategy == "feature_extractor"
    assert (
        "+10.0 points are expected (standard error 1.0, measured on these pictures and weighed with the panel)"
        in measured.reasons[0]
    )


def test_a_hundred_per_cent_that_is_measured_and_cheaper_beats_a_dearer_cell() -> None:
    """100,000 pictures that colour alone tells apart: the matrix may say what it likes."""
    choice = choose(front(early=0.15, tuned=0.05, scratch=0.06), place(0.99, 0.99), None)
    assert choice.strategy == "early_feature_extractor"


def test_what_is_measured_better_and_cheaper_wins_by_a_hair() -> None:
    choice = choose(front(early=0.004, tuned=0.0), LARGE_SIMILAR, None)
    assert choice.strategy == "early_feature_extractor"
    assert "and cheaper with 9 s for 1 min 40 s" in choice.reasons[0]


def test_a_chain_of_near_equals_ends_at_the_best() -> None:
    choice = choose(front(tuned=0.002, scratch=0.006), SMALL_SIMILAR, None)
    assert choice.strategy == "pretrained_initialization"
    assert "+0.6 points are expected" in choice.reasons[0]


def test_with_a_budget_the_cheaper_one_wins_within_half_a_point() -> None:
    assert choose(front(tuned=0.004), LARGE_SIMILAR, 1000).strategy == "feature_extractor"
    assert choose(front(tuned=0.006), LARGE_SIMILAR, 1000).strategy == "fine_tuning"
    assert "as accurate within half a point" in choose(front(tuned=0.004), LARGE_SIMILAR, 1000).reasons[0]


def test_a_budget_rules_out_what_takes_longer() -> None:
    choice = choose(front(), LARGE_SIMILAR, 50)
    assert choice.strategy == "feature_extractor"
    assert "fine_tuning would take about 1 min 40 s, more than the budget of 50 s" in choice.reasons[0]
    assert "do not fit the budget of 50 s" in choose(front(), SMALL_SIMILAR, 50).reasons[-1]


def test_of_two_that_cost_the_same_the_better_one_is_the_answer() -> None:
    rows = [replace(one, seconds=0.2) if one.measured else one for one in front(early=0.004, tuned=0.0)]
    assert choose(rows, SMALL_SIMILAR, 1000).strategy == "early_feature_extractor"


@pytest.mark.parametrize(
    ("seconds", "budget", "told"),
    [
        (600.3, 600, "10 min 1 s, more than the budget of 10 min"),
        (3620, 3600, "1 h 1 min, more than the budget of 1 h"),
    ],
)
def test_seconds_beside_a_budget_do_not_contradict_it(seconds: float, budget: float, told: str) -> None:
    rows = [replace(one, seconds=seconds) if one.strategy == "fine_tuning" else one for one in front()]
    assert f"would take about {told};" in choose(rows, LARGE_SIMILAR, budget).reasons[0]
    assert "budget of 0.5 s" in " ".join(choose(rows, LARGE_SIMILAR, 0.5).reasons)


@pytest.mark.parametrize(
    ("tuned", "how"), [(0.02, "the best that fits"), (0.104, "within half a point of fine_tuning, and cheaper")]
)
def test_what_fits_in_the_cell_s_place_says_how_good_it_is(tuned: float, how: str) -> None:
    choice = choose(front(early=0.1, tuned=tuned), place(0.99, 0.99), 200)
    assert choice.reasons[0].endswith(f"more than the budget of 3 min 20 s; early_feature_extractor is {how}.")


def test_where_the_likeliest_to_be_the_best_is_another_one_it_is_said_why() -> None:
    """It gains more often than not, and loses more where it does not."""
    rows = [replace(one, gain_stderr=0.1) if one.strategy == "fine_tuning" else one for one in front(tuned=-0.01)]
    choice = choose(rows, SMALL_SIMILAR, None, dict(zip(STRATEGIES, (0.2, 0.05, 0.7, 0.05), strict=True)))
    assert choice.strategy == "feature_extractor" != max(choice.best, key=lambda name: choice.best[name])
    assert choice.reasons[-1] == (
        "fine_tuning is the likeliest to be the best, and loses more where it is not: on average feature_extractor "
        "should reach 1.0 points more."
    )
    assert not choose(front(tuned=-0.01), SMALL_SIMILAR, None).reasons


def test_of_two_that_nothing_is_cheaper_than_the_better_one_is_the_answer() -> None:
    rows = [replace(one, seconds=2.0) if one.measured else one for one in front(early=0.06)]
    assert choose(rows, SMALL_SIMILAR, 1).strategy == "early_feature_extractor"


def test_a_budget_that_nothing_fits_gets_the_cheapest() -> None:
    choice = choose(front(), LARGE_SIMILAR, 1)
    assert choice.strategy == "early_feature_extractor"
    assert "No strategy fits the budget of 1 s" in choice.reasons[0]


def test_an_unknown_domain_lets_the_evidence_decide() -> None:
    choice = choose(front(tuned=0.0), place(0.1, None), None)
    assert choice.strategy == "feature_extractor"
    assert choose(front(early=0.1), place(0.1, None), None).strategy == "early_feature_extractor"


def test_a_backbone_of_one_stage_has_no_early_cut() -> None:
    rows = [r for r in front(tuned=0.0) if r.strategy != "early_feature_extractor"]
    choice = choose(rows, SMALL_DIFFERENT, None)
    assert choice.strategy == "feature_extractor"
    assert "feature_extractor stands for early_feature_extractor" in choice.reasons[0]


gains = st.floats(-0.5, 0.5)


@given(st.lists(gains, min_size=3, max_size=3), st.one_of(st.none(), st.floats(10, 500)))
def test_the_answer_is_within_half_a_point_of_the_best_that_fits(values: list[float], budget: float | None) -> None:
    rows = front(*values)
    chosen = next(r for r in rows if r.strategy == choose(rows, LARGE_SIMILAR, budget).strategy)
    allowed = [r for r in rows if budget is None or r.seconds <= budget]
    assert chosen in allowed
    assert chosen.gain >= max(r.gain for r in allowed) - INDIFFERENCE - 1e-12


@given(st.lists(gains, min_size=3, max_size=3))
def test_probabilities_of_being_best_are_a_distribution(values: list[float]) -> None:
    best = probabilities_of_being_best(front(*values))
    assert sum(best.values()) == pytest.approx(1)
    assert set(best) == set(STRATEGIES)


def test_the_probability_of_being_best_is_that_of_the_normal_difference() -> None:
    pair = [row("feature_extractor", 1, 0.0, 0.0), row("fine_tuning", 2, 0.02, 0.02)]
    assert probabilities_of_being_best(pair)["fine_tuning"] == pytest.approx(0.8413, abs=0.003)


def test_what_is_usual_counts_as_much_as_is_in_doubt() -> None:
    pair = [row("feature_extractor", 1, 0.0, 0.0), row("fine_tuning", 2, 0.02, 0.02)]
    usual: dict[Strategy, float] = {**dict.fromkeys(STRATEGIES, 0.3), "fine_tuning": 0.1}
    alone = probabilities_of_being_best(pair)["fine_tuning"]
    best = probabilities_of_being_best(pair, usual)
    assert best["fine_tuning"] == pytest.approx(alone**2 + (1 - alone) * 0.25)  # 0.1 of the 0.4 that can be had here
    assert sum(best.values()) == pytest.approx(1)
    sure = [pair[0], replace(pair[1], gain_stderr=0.001)]
    assert probabilities_of_being_best(sure, usual)["fine_tuning"] == 1


def test_no_more_than_every_error_can_be_gained() -> None:
    sure, spread = row("fine_tuning", 2, 0.098, 0.0), row("pretrained_initialization", 3, 0.05, 0.2)
    few = [replace(r, accuracy=0.9 + r.gain) for r in (row("feature_extractor", 1, 0.0, 0.0), sure, spread)]
    best = probabilities_of_being_best(few)
    beyond = 1 - NormalDist(0.05, 0.2).cdf(0.098)  # only a draw without any error is better than that of the sure one
    assert best["pretrained_initialization"] == pytest.approx(beyond, abs=0.003)
    certain = [replace(r, accuracy=1.0, gain=0.0) for r in few]
    shares = probabilities_of_being_best(certain)
    assert shares["feature_extractor"] == shares["fine_tuning"] > shares["pretrained_initialization"] > 0.1
