from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from tasks import SOFTMAX, TUNED, bare_task, outcome

from automl_tl.searcher.delivery.ensemble import (
    PRIOR_PICTURES,
    _most_probable,
    common_rows,
    mixture_shares,
    own_temperature,
    together,
)

TASK = bare_task(np.arange(240) % 3)


def test_two_that_err_on_different_pictures_share_alike_and_are_better_together() -> None:
    pair = [outcome(TASK, 0.8, seed=seed, margin=3.0) for seed in (1, 2)]
    shares = mixture_shares(TASK, pair)
    assert shares == {0: pytest.approx(0.5, abs=0.05), 1: pytest.approx(0.5, abs=0.05)}
    both = together(TASK, pair, list(shares.values()))
    assert (both.predictions == TASK.y).mean() > max((one.predictions == TASK.y).mean() for one in pair)


def test_one_that_knows_next_to_nothing_is_left_out_and_the_best_one_never_is() -> None:
    best, useless = outcome(TASK, 0.9, seed=1, margin=3.0), outcome(TASK, 0.34, seed=2, margin=0.01)
    assert mixture_shares(TASK, [best, useless]) == {0: 1.0}
    assert set(mixture_shares(TASK, [useless, best])) == {0, 1}
    assert mixture_shares(TASK, [best]) == {0: 1.0}


def test_a_better_one_weighs_more_the_more_pictures_show_it() -> None:
    few, many = bare_task(np.arange(45) % 3), bare_task(np.arange(900) % 3)
    shares = [
        mixture_shares(task, [outcome(task, 0.9, seed=1, margin=3.0), outcome(task, 0.7, seed=2, margin=3.0)])
        for task in (few, many)
    ]
    assert 0.5 < shares[0][0] < shares[1].get(0, 0.0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)), min_size=1, max_size=60))
def test_of_two_the_shares_are_the_most_probable_ones(pairs: list[tuple[float, float]]) -> None:
    """By another way: the one share is looked for along the posterior itself."""
    likelihoods = np.array(pairs).T

    def loss(share: float) -> float:
        fit = np.log(share * likelihoods[0] + (1 - share) * likelihoods[1]).sum()
        return float(-fit - PRIOR_PICTURES * (np.log(share) + np.log1p(-share)))

    expected = minimize_scalar(loss, bounds=(1e-4, 1 - 1e-4), method="bounded", options={"xatol": 1e-6}).x
    shares = _most_probable(likelihoods, np.ones(len(pairs)))
    assert shares == pytest.approx([expected, 1 - expected], abs=1e-3)
    assert shares.sum() == pytest.approx(1)


def test_where_classes_count_alike_a_rare_one_decides_as_much() -> None:
    """One is right on the common class, the other on the rare one."""
    y = np.array([0] * 200 + [1] * 40)
    shares = {}
    for metric in ("accuracy", "balanced_accuracy"):
        task = bare_task(y, metric=metric)
        pair = []
        for known in (0, 1):
            scores = np.zeros((len(y), 2), np.float32)
            scores[y == known, known] = 3.0
            pair.append(replace(outcome(task, 0.8), scores=scores))
        shares[metric] = mixture_shares(task, pair)
    assert shares["balanced_accuracy"] == {0: pytest.approx(0.5, abs=0.05), 1: pytest.approx(0.5, abs=0.05)}
    assert shares["accuracy"][0] > 0.65


def test_few_pictures_leave_the_temperature_of_smoothed_networks_as_it_usually_is() -> None:
    """Nine of ten are right, of ten logits: few pictures would say much more than 1."""
    task = bare_task(np.arange(10) % 2)
    smoothed = replace(TUNED, how=replace(TUNED.tuned, label_smoothing=0.1))
    usual, other = (own_temperature(task, outcome(task, 0.9, configuration=c, margin=10.0)) for c in (smoothed, TUNED))
    assert usual < 0.6 * other
    many = bare_task(np.arange(4000) % 2)
    usual, other = (own_temperature(many, outcome(many, 0.9, configuration=c, margin=10.0)) for c in (smoothed, TUNED))
    assert usual == pytest.approx(other, rel=0.05)


def test_scale_does_not_matter_as_each_has_its_own_temperature() -> None:
    pair = [outcome(TASK, 0.8, seed=seed, margin=3.0) for seed in (1, 2)]
    scaled = [pair[0], replace(pair[1], scores=50 * pair[1].scores)]
    assert mixture_shares(TASK, scaled) == pytest.approx(mixture_shares(TASK, pair), abs=1e-3)


def test_candidates_that_were_scored_on_other_rows_are_compared_on_common_ones() -> None:
    whole = outcome(TASK, 0.8, seed=1, configuration=SOFTMAX, margin=3.0)
    part = outcome(TASK, 0.8, seed=2, configuration=TUNED, rows=np.arange(60, 160)[::-1], margin=3.0)
    ordered = replace(part, rows=part.rows[::-1], scores=part.scores[::-1])
    np.testing.assert_array_equal(common_rows([whole, part]), np.arange(60, 160))
    assert mixture_shares(TASK, [whole, part]) == pytest.approx(mixture_shares(TASK, [whole, ordered]))
    both = together(TASK, [part, whole], [0.5, 0.5])
    np.testing.assert_array_equal(both.rows, np.arange(60, 160))
    assert both.configuration is TUNED


def test_what_an_ensemble_scores_are_probabilities() -> None:
    pair = [outcome(TASK, 0.8, seed=seed, margin=3.0) for seed in (1, 2)]
    np.testing.assert_allclose(np.exp(together(TASK, pair, [0.3, 0.7]).scores).sum(axis=1), 1, atol=1e-5)
