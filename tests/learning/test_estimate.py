"""Expected accuracy: corrected for the choice, honest at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from automl_tl.errors import OptionError
from automl_tl.learning.estimate import (
    Estimate,
    _above,
    _match,
    add_gain,
    combine_gain,
    expected_accuracy,
    fewness,
    n_effective,
    paired_gain,
)
from automl_tl.learning.scores import calibrate, class_weights
from automl_tl.learning.selection import Bootstrap, OutOfFold, correct_selection


def table(n: int, m: int, accuracy: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, m)) < accuracy


def column(right: int, wrong: int) -> np.ndarray:
    return np.repeat([True, False], [right, wrong])[:, None]


def test_the_best_of_equals_is_no_better_than_they_are():
    gaps, optimism = [], []
    for seed in range(20):
        corrected = correct_selection(OutOfFold(table(60, 100, 0.6, seed)), Bootstrap(300, seed))
        gaps.append(corrected.accuracy - 0.6)
        optimism.append(corrected.optimism)
    assert abs(np.mean(gaps)) < 0.03
    assert np.mean(optimism) > 0.1


def test_a_clear_winner_needs_no_correction():
    correct = np.hstack([table(200, 20, 0.3), column(180, 20)])
    corrected = correct_selection(OutOfFold(correct))
    assert corrected.best == 20
    assert corrected.accuracy == pytest.approx(0.9, abs=0.01)
    assert corrected.spread == pytest.approx(0)


def test_one_candidate_is_left_as_it_is():
    corrected = correct_selection(OutOfFold(column(30, 10)))
    assert (corrected.accuracy, corrected.optimism, corrected.spread) == (0.75, 0, 0)


def test_the_bootstrap_is_the_published_algorithm():
    """Against a loop written from the paper, with ties broken at random."""
    correct = np.stack([np.arange(50) % k != 0 for k in (3, 7, 11)], axis=1)
    rng, scores = np.random.default_rng(1), []
    for _ in range(4000):
        inside = rng.integers(0, 50, 50)
        outside = np.setdiff1d(np.arange(50), inside)
        chosen = (correct[inside].mean(axis=0) + 1e-6 * rng.random(3)).argmax()
        scores.append(correct[outside, chosen].mean())
    outside_bag, own, blind = np.mean(scores), correct.mean(axis=0).max(), correct.mean()
    luck = (own - outside_bag) / (own - blind)
    weight = 0.632 / (1 - 0.368 * luck)  # the .632+ rule, Efron and Tibshirani 1997
    expected = (1 - weight) * own + weight * outside_bag
    assert correct_selection(OutOfFold(correct), Bootstrap(4000)).accuracy == pytest.approx(expected, abs=0.005)


def test_selection_by_balanced_accuracy():
    y = np.repeat([0, 1], [90, 10])
    major, fair = y == 0, np.concatenate([np.arange(90) % 5 != 0, np.ones(10, bool)])
    correct = np.stack([major, fair], axis=1)
    assert correct_selection(OutOfFold(correct)).best == 0
    corrected = correct_selection(OutOfFold(correct, merits=correct * class_weights(y)[:, None]))
    assert corrected.best == 1
    assert corrected.accuracy == pytest.approx(fair.mean(), abs=0.02)


def test_clusters_are_resampled_together():
    few = np.repeat(table(15, 60, 0.6, 3), 10, axis=0)
    together = correct_selection(OutOfFold(few, np.repeat(np.arange(15), 10)))
    apart = correct_selection(OutOfFold(few))
    assert together.accuracy < apart.accuracy - 0.05
    assert correct_selection(OutOfFold(few, np.zeros(150, int))).optimism == 0


def test_the_interval_behaves_at_the_edges():
    all_right = expected_accuracy(OutOfFold(column(20, 0)))
    assert all_right.accuracy == all_right.interval[1] == 1
    assert all_right.interval[0] == pytest.approx(0.87, abs=0.01)
    all_wrong = expected_accuracy(OutOfFold(column(0, 20)))
    assert all_wrong.accuracy == all_wrong.interval[0] == 0
    assert all_wrong.interval[1] == pytest.approx(0.13, abs=0.01)
    many = expected_accuracy(OutOfFold(np.ones((100_000, 1), bool)))
    assert many.interval == pytest.approx((0.999, 1.0))  # no interval has no width
    single = expected_accuracy(OutOfFold(column(1, 0)))
    assert single.interval[0] < 0.3


def test_the_interval_is_the_binomial_one_without_a_choice():
    estimate = expected_accuracy(OutOfFold(column(300, 100)))
    assert estimate.interval == pytest.approx((0.75 - 0.0356, 0.75 + 0.0356), abs=0.004)
    assert (estimate.n, estimate.accuracy) == (400, pytest.approx(0.75, abs=0.002))


def test_every_uncertainty_widens_the_interval():
    correct = column(150, 50)

    def width(curve_step: tuple[float, float] = (0.0, 0.0), **pictures: np.ndarray) -> float:
        low, high = expected_accuracy(OutOfFold(correct, **pictures), curve_step=curve_step).interval
        return high - low

    plain = width()
    assert width(curve_step=(0.0, 0.05)) > plain
    assert width(clusters=np.arange(200) // 10) > plain
    assert width(folds=np.arange(200) // 40) > plain
    assert width(folds=np.arange(200) % 5) == pytest.approx(plain, rel=0.1)


def test_the_curves_step_moves_the_estimate_and_stays_inside():
    plain, stepped = (expected_accuracy(OutOfFold(column(150, 50)), curve_step=(by, 0.0)) for by in (0.0, 0.1))
    assert stepped.accuracy - plain.accuracy == pytest.approx(0.1, abs=0.001)
    assert expected_accuracy(OutOfFold(column(99, 1)), curve_step=(0.5, 0.1)).accuracy == 1


def test_the_fewer_pictures_the_nearer_to_a_half():
    """By hand: 12 of 16 right have a variance of 3 / 256, and of nothing known it is 1 / 12."""
    few = expected_accuracy(OutOfFold(column(12, 4))).accuracy
    assert few == pytest.approx(0.75 - 0.25 * (3 / 256) / (3 / 256 + 1 / 12))
    assert few < expected_accuracy(OutOfFold(column(120, 40))).accuracy < 0.75
    assert expected_accuracy(OutOfFold(column(4, 12))).accuracy == pytest.approx(1 - few)


def test_what_scores_claim_counts_half_of_few_pictures_and_next_to_nothing_of_many():
    def expected(n: int, confidence: float | None) -> float:
        return expected_accuracy(OutOfFold(column(n * 3 // 4, n // 4)), confidence=confidence).accuracy

    few, many = (expected(n, 0.65) - expected(n, None) for n in (16, 40_000))
    assert -0.055 < few < -0.045  # half of ten points, and what is left in doubt draws to a half
    assert -0.001 < many < 0
    assert expected(100, 0.75) == pytest.approx(expected(100, None))


def test_all_right_of_few_pictures_are_not_expected_to_be_all_right():
    sure, unsure = (expected_accuracy(OutOfFold(column(40, 0)), confidence=c).accuracy for c in (None, 0.94))
    assert sure == 1
    assert 0.97 < unsure < 0.99


@settings(max_examples=50, deadline=None)
@given(right=st.integers(0, 60), wrong=st.integers(1, 60), confidence=st.floats(0, 1))
def test_what_is_claimed_draws_towards_itself(right: int, wrong: int, confidence: float):
    counted, found = right / (right + wrong), OutOfFold(column(right, wrong))
    estimate, plain = expected_accuracy(found, confidence=confidence), expected_accuracy(found)
    assert abs(estimate.claim) <= abs(confidence - counted) / 2
    assert estimate.claim == 0 or (estimate.claim > 0) == (confidence > counted)
    assert min(counted, confidence, 0.5) <= estimate.accuracy + 0.01
    assert max(counted, confidence, 0.5) >= estimate.accuracy - 0.01
    assert estimate.a + estimate.b <= plain.a + plain.b + 1e-6 or abs(estimate.accuracy - 0.5) > abs(
        plain.accuracy - 0.5
    )


def test_a_claim_that_contradicts_the_count_makes_it_less_sure():
    found = OutOfFold(column(36, 4))
    widths = [np.ptp(expected_accuracy(found, confidence=c).interval) for c in (0.9, 0.6, 0.3)]
    assert widths[0] < widths[1] < widths[2]
    low, high = expected_accuracy(found, confidence=0.3).interval
    assert low < 0.45
    assert high > 0.85


def test_an_interval_reaches_up_to_all_right_where_nothing_was_wrong_and_nothing_is_lost():
    perfect = expected_accuracy(OutOfFold(column(40, 0)), confidence=0.94)
    assert perfect.flawless
    for one in (perfect, add_gain(perfect, 0.01, 0.02), combine_gain(perfect, 0.0, 0.1)):
        assert one.interval[1] == 1
    for worse in (add_gain(perfect, -0.4, 0.05), combine_gain(perfect, -20, 1.0)):
        assert not worse.flawless
        assert worse.interval[1] < 0.99
    assert add_gain(perfect, -0.02, 0.05, flawless=True).interval[1] == 1
    assert not add_gain(expected_accuracy(OutOfFold(column(4999, 1))), 0.0, 1e-6).flawless


def test_of_few_pictures_count_and_claim_together_are_nearer_to_the_truth_than_the_count():
    """Logits of which each class is drawn by its probability, flattened by a factor that nobody knows."""
    rng, errors = np.random.default_rng(0), []
    for _ in range(300):
        logits = rng.uniform(0.5, 2) * rng.standard_normal((24 + 2000, 4))
        chances = softmax(logits, axis=1)
        y = (chances.cumsum(axis=1) < rng.random((len(chances), 1))).sum(axis=1).clip(max=3)
        right = logits.argmax(axis=1) == y
        claimed = calibrate(y[:24], rng.uniform(0.2, 5) * logits[:24]).confidence
        found = OutOfFold(right[:24, None])
        both = [expected_accuracy(found, confidence=c).accuracy for c in (None, claimed)]
        errors.append(np.array(both) - right[24:].mean())
    alone, together = np.sqrt(np.mean(np.square(errors), axis=0))
    assert together < 0.95 * alone


def test_nobody_is_expected_to_do_worse_than_guessing():
    """By hand: of a flat Beta(1, 1) above .5 the mean is .75, the variance 1 / 48."""
    assert _above(0.5, 1, 1) == pytest.approx(_match(0.75, 1 / 48))
    assert _above(0.0, 3, 5) == (3, 5)
    below = expected_accuracy(OutOfFold(column(1, 11)), guessing=0.25)  # 12 pictures of four classes
    assert 0.25 < below.accuracy < 0.4
    assert below.interval[0] > 0.2
    few, many = (expected_accuracy(OutOfFold(column(n, 9 * n)), guessing=0.5) for n in (2, 200))
    assert 0.5 == many.accuracy < few.accuracy
    assert many.interval[0] < 0.5 < many.interval[1]


@settings(max_examples=50, deadline=None)
@given(right=st.integers(0, 60), wrong=st.integers(1, 60), classes=st.integers(2, 50))
def test_guessing_lifts_what_is_near_it_and_leaves_what_is_far_above(right: int, wrong: int, classes: int):
    found = OutOfFold(column(right, wrong))
    plain, lifted = (expected_accuracy(found, guessing=least) for least in (0.0, 1 / classes))
    assert lifted.accuracy >= max(plain.accuracy, 1 / classes)
    if plain.interval[0] - 1 / classes > 0.2:
        assert lifted.accuracy == pytest.approx(plain.accuracy, abs=0.01)
        assert lifted.interval == pytest.approx(plain.interval, abs=0.01)


def test_few_pictures_of_a_class_make_it_less_sure():
    assert (fewness(np.inf), fewness(3)) == (1, 2)
    widths = [np.ptp(expected_accuracy(OutOfFold(column(60, 20)), per_class=k).interval) for k in (3.0, 10.0, None)]
    assert widths[0] > widths[1] > widths[2]


def test_effective_number_of_pictures():
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(40), 5)
    assert n_effective(rng.random(200) < 0.7) == 200
    assert n_effective(np.repeat(rng.random(40) < 0.7, 5), clusters) == pytest.approx(40, rel=0.1)
    assert n_effective(rng.random(200) < 0.7, clusters) > 120
    assert n_effective(np.ones(200, bool), clusters) == pytest.approx(40)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(2, 60), m=st.integers(1, 12), share=st.floats(0, 1))
def test_estimates_are_probabilities_whatever_comes(seed: int, n: int, m: int, share: float):
    rng = np.random.default_rng(seed)
    clusters, folds = rng.integers(0, max(n // 2, 1), n), np.arange(n) % 3
    found = OutOfFold(table(n, m, share, seed), clusters, folds)
    estimate = expected_accuracy(found, curve_step=(0.02, 0.03), bootstrap=Bootstrap(50))
    low, high = estimate.interval
    assert 0 <= low <= estimate.accuracy <= high <= 1
    better = combine_gain(estimate, 0.3, 0.4)
    low, high = better.interval
    assert 0 <= low <= better.accuracy <= high <= 1


def test_the_order_of_pictures_hardly_matters():
    correct = table(150, 8, 0.7)
    order = np.random.default_rng(1).permutation(150)
    one, two = expected_accuracy(OutOfFold(correct)), expected_accuracy(OutOfFold(correct[order]))
    assert one.accuracy == pytest.approx(two.accuracy, abs=0.01)
    assert expected_accuracy(OutOfFold(correct)) == one


def test_paired_gain():
    a, b = np.arange(100) % 4 != 0, np.arange(100) % 5 != 0
    gain, deviation = paired_gain(a, b)
    assert gain == pytest.approx(0.05)
    difference = b.astype(float) - a
    assert deviation == pytest.approx(difference.std() / 10, rel=0.05)
    assert paired_gain(a, a) == pytest.approx((0, 0.01))
    assert paired_gain(b, a)[0] == -gain
    clustered = paired_gain(np.repeat(a, 4), np.repeat(b, 4), np.repeat(np.arange(100), 4))
    assert clustered[0] == pytest.approx(gain)
    assert clustered[1] > 0.9 * deviation


@pytest.fixture
def estimate() -> Estimate:
    return expected_accuracy(OutOfFold(column(160, 40)))


def test_a_gain_removes_a_share_of_the_errors(estimate: Estimate):
    half = combine_gain(estimate, 0.5, 0.1)
    assert 1 - half.accuracy == pytest.approx((1 - estimate.accuracy) / 2)
    assert half.interval[0] < 0.9 < half.interval[1]
    unsure = combine_gain(estimate, 0.5, 0.4)
    assert unsure.interval[1] - unsure.interval[0] > half.interval[1] - half.interval[0]


def test_no_gain_changes_nothing(estimate: Estimate):
    same = combine_gain(estimate, 0.0, 0.0)
    assert same.accuracy == estimate.accuracy
    assert same.interval == pytest.approx(estimate.interval, abs=0.003)


def test_gains_can_be_chained_and_can_hurt(estimate: Estimate):
    worse = combine_gain(combine_gain(estimate, -0.5, 0.1), -0.5, 0.1)
    assert 1 - worse.accuracy == pytest.approx((1 - estimate.accuracy) * 1.5**2)
    assert combine_gain(estimate, -20, 0.1).accuracy == 0
    assert combine_gain(estimate, 2.0, 0.1).accuracy == 1


def test_what_makes_no_sense_is_said(estimate: Estimate):
    with pytest.raises(OptionError, match=r"must be a table \(pictures, candidates\)"):
        OutOfFold(np.ones(4, bool))
    with pytest.raises(OptionError, match="cannot be negative, got -1"):
        combine_gain(estimate, 0.1, -1)
