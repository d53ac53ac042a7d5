from __future__ import annotations

import pytest

from automl_tl.lab.decision import FrontRow, choose
from automl_tl.lab.gains import gain_prior
from automl_tl.lab.matrix import place
from automl_tl.strategies import Strategy


def row(strategy: Strategy, accuracy: float, seconds: float, gain: float, stderr: float, measured: bool) -> FrontRow:
    return FrontRow(strategy, accuracy, (accuracy - 0.05, accuracy + 0.05), seconds, measured, gain, stderr, "how")


def front(early_gain: float = -0.1, tuned_gain: float = 0.05, tuned_error: float = 0.02) -> list[FrontRow]:
    late_gain = 0.0 if early_gain < 0 else -early_gain
    return [
        row("feature_extractor", 0.8 + late_gain, 10, late_gain, 0.01 if late_gain else 0.0, True),
        row("early_feature_extractor", 0.8 + min(early_gain, 0), 10, min(early_gain, 0.0), 0.01, True),
        row("fine_tuning", 0.8 + tuned_gain, 100, tuned_gain, tuned_error, False),
        row("pretrained_initialization", 0.78, 300, -0.02, 0.05, False),
    ]


SMALL_SIMILAR, SMALL_DIFFERENT, LARGE_SIMILAR = place(0.1, 0.1), place(0.1, 0.9), place(0.9, 0.1)


def test_without_a_budget_the_cell_stands() -> None:
    assert choose(front(), SMALL_SIMILAR, None).strategy == "feature_extractor"
    assert choose(front(), LARGE_SIMILAR, None).strategy == "fine_tuning"
    assert choose(front(tuned_gain=-0.1), LARGE_SIMILAR, None).strategy == "fine_tuning"


def test_evidence_contradicts_the_matrix_only_by_more_than_its_error() -> None:
    choice = choose(front(early_gain=-0.1), SMALL_DIFFERENT, None)
    assert choice.strategy == "feature_extractor"
    assert "feature_extractor replaces early_feature_extractor: it gains +10.0 points" in choice.reasons[0]
    assert "measured on these pictures" in choice.reasons[0]
    assert choose(front(early_gain=-0.005), SMALL_DIFFERENT, None).strategy == "early_feature_extractor"
    assert choose(front(early_gain=0.1), SMALL_SIMILAR, None).strategy == "early_feature_extractor"


def test_a_budget_buys_a_gain_that_exceeds_its_error() -> None:
    assert choose(front(), SMALL_SIMILAR, 200).strategy == "fine_tuning"
    assert choose(front(tuned_error=0.06), SMALL_SIMILAR, 200).strategy == "feature_extractor"


def test_why_a_better_looking_strategy_is_not_the_answer() -> None:
    unsure = choose(front(tuned_error=0.06), SMALL_SIMILAR, None)
    assert unsure.reasons[-1].startswith("fine_tuning may reach 85.0%: +5.0 points (standard error 6.0), not certain")
    assert "--budget" in choose(front(), SMALL_SIMILAR, None).reasons[-1]
    assert "do not fit the budget of 50 s" in choose(front(), SMALL_SIMILAR, 50).reasons[-1]


def test_a_budget_rules_out_what_takes_longer() -> None:
    choice = choose(front(), LARGE_SIMILAR, 50)
    assert choice.strategy == "feature_extractor"
    assert "fine_tuning would take about 100 s, more than the budget of 50 s" in choice.reasons[0]


def test_a_budget_that_nothing_fits_gets_the_cheapest() -> None:
    choice = choose(front(), LARGE_SIMILAR, 1)
    assert choice.strategy == "feature_extractor"
    assert "No strategy fits the budget of 1 s" in choice.reasons[0]


def test_an_unknown_domain_lets_the_evidence_decide() -> None:
    choice = choose(front(), place(0.1, None), None)
    assert choice.strategy == "feature_extractor"
    assert "unknown" in choice.reasons[0]
    assert choose(front(early_gain=0.1), place(0.1, None), None).strategy == "early_feature_extractor"


def test_a_backbone_of_one_stage_has_no_early_cut() -> None:
    rows = [r for r in front() if r.strategy != "early_feature_extractor"]
    choice = choose(rows, SMALL_DIFFERENT, None)
    assert choice.strategy == "feature_extractor"
    assert "single stage" in choice.reasons[0]


@pytest.mark.parametrize("strategy", ["fine_tuning", "pretrained_initialization"])
def test_the_prior_gains_grow_with_the_distance(strategy: Strategy) -> None:
    near, far = gain_prior(strategy, 0.0, 0.0), gain_prior(strategy, 1.0, 0.0)
    assert far.mean > near.mean
    unsure = gain_prior(strategy, 0.5, 0.0)
    assert near.mean < unsure.mean < far.mean
    assert unsure.sd > min(near.sd, far.sd)


def test_training_everything_gains_with_many_pictures() -> None:
    few, many = (gain_prior("pretrained_initialization", 0.0, large).mean for large in (0.0, 1.0))
    assert few < 0 < many
