from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tasks import SOFTMAX, TUNED, bare_task, outcome

from automl_tl.model.model import mix
from automl_tl.searcher.ensemble import ROUNDS, greedy_shares, own_temperature

TASK = bare_task(np.arange(240) % 3)
ROWS = TASK.everything


def test_two_that_err_on_different_pictures_are_better_together() -> None:
    some = [outcome(TASK, 0.8, seed=seed, margin=3.0) for seed in (1, 2, 3)]
    shares = greedy_shares(TASK, some, ROWS)
    assert len(shares) > 1
    assert sum(shares.values()) == pytest.approx(1)
    assert next(iter(shares)) == 0
    assert all((ROUNDS * share).is_integer() for share in shares.values())


@pytest.mark.parametrize("others", [0.8, 0.5])
def test_the_best_one_stands_alone_where_nothing_is_gained(others: float) -> None:
    """The same answers twice, or answers that are all but useless, bring nothing."""
    best = outcome(TASK, 0.8, seed=1)
    other = best if others == 0.8 else outcome(TASK, 0.34, seed=2, margin=0.01)
    assert greedy_shares(TASK, [best, other], ROWS) == {0: 1.0}
    assert greedy_shares(TASK, [best], ROWS) == {0: 1.0}


def test_fewer_right_pictures_are_no_gain_whatever_the_loss_says() -> None:
    """The partner knows how unsure it is, so the loss falls, but it outvotes answers that were right."""
    y = TASK.y
    alone, unsure = (np.zeros((len(y), 3), np.float32) for _ in range(2))
    alone[ROWS, y] = 1.0
    alone[ROWS[:24], (y[:24] + 1) % 3] = 8.0  # wrong, and very sure of it
    unsure[ROWS, y] = 4.0
    unsure[ROWS[24:80], (y[24:80] + 1) % 3] = 6.0
    first, second = (replace(outcome(TASK, 0.9), scores=scores) for scores in (alone, unsure))
    shares = greedy_shares(TASK, [first, second], ROWS)
    members = [mix([one.scores], [1.0], own_temperature(one, ROWS, y)) for one in (first, second)]
    together = sum(share * members[i] for i, share in shares.items())
    assert (np.asarray(together).argmax(1) == y).sum() >= (members[0].argmax(1) == y).sum()


def test_only_the_named_rows_decide() -> None:
    some = [outcome(TASK, 0.8, seed=seed, margin=3.0) for seed in (1, 2)]
    rows = np.arange(0, 240, 2)
    rest = np.arange(1, 240, 2)
    other = replace(some[1], scores=some[1].scores.copy())
    other.scores[rest] = 0
    assert greedy_shares(TASK, some, rows) == greedy_shares(TASK, [some[0], other], rows)


def test_scale_does_not_matter_as_each_has_its_own_temperature() -> None:
    some = [outcome(TASK, 0.8, seed=seed, margin=3.0) for seed in (1, 2, 3)]
    scaled = [some[0], replace(some[1], scores=50 * some[1].scores), replace(some[2], scores=0.1 * some[2].scores)]
    assert greedy_shares(TASK, scaled, ROWS) == greedy_shares(TASK, some, ROWS)


def test_candidates_that_were_scored_on_other_rows_are_compared_on_common_ones() -> None:
    whole = outcome(TASK, 0.8, seed=1, configuration=SOFTMAX, margin=3.0)
    part = outcome(TASK, 0.8, seed=2, configuration=TUNED, rows=np.arange(60, 160)[::-1], margin=3.0)
    rows = np.intersect1d(whole.rows, part.rows)
    ordered = replace(part, rows=part.rows[::-1], scores=part.scores[::-1])
    assert greedy_shares(TASK, [whole, part], rows) == greedy_shares(TASK, [whole, ordered], rows)
