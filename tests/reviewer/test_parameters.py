"""What trials say about parameters: what mattered comes first, and too few say nothing."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from automl_tl.reviewer.parameters import LEAST_TRIALS, review_parameters

KINDS = ("frozen", "fine_tuning")


def trials(n: int, kind: str = "fine_tuning", sign: int = 1) -> list[FrozenTrial]:
    """Return trials whose value follows the rate; half of them have a further parameter."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(n):
        params = {"training": kind, "rate": float(rng.random()), "warmup": float(rng.random()), "layers": "linear"}
        params |= {"mixup": float(rng.random())} if number % 2 else {}
        spaces = {name: FloatDistribution(0, 1) for name in params if name not in ("training", "layers")}
        choices = {"training": CategoricalDistribution(KINDS), "layers": CategoricalDistribution(("linear", "none"))}
        value = sign * params["rate"]
        made.append(create_trial(params=params, distributions={**spaces, **choices}, value=value))
    return made


@pytest.mark.parametrize("greater", [True, False])
def test_what_mattered_comes_first(greater: bool) -> None:
    (review,) = review_parameters(trials(60, sign=1 if greater else -1), greater_is_better=greater)
    first = review.parameters[0]
    assert (review.training, review.n_trials, first.name) == ("fine_tuning", 60, "rate")
    assert (first.importance or 0) > 0.5
    assert list(first.tried) == sorted(first.tried, reverse=True)
    assert len(first.good) == 15
    others = {one.name: one for one in review.parameters}
    assert set(others) == {"rate", "warmup", "mixup"}  # what was always the same says nothing
    assert others["mixup"].importance is None or others["mixup"].importance < 0.1
    assert len(others["mixup"].tried) == 30


def test_ways_of_training_are_told_apart_and_few_trials_say_nothing() -> None:
    many, few = trials(LEAST_TRIALS, "frozen"), trials(LEAST_TRIALS - 1)
    reviews = review_parameters([*few, *many], greater_is_better=True)
    assert [(one.training, one.n_trials) for one in reviews] == [
        ("frozen", LEAST_TRIALS),
        ("fine_tuning", LEAST_TRIALS - 1),
    ]
    assert reviews[0].parameters[0].name == "rate"  # even of the fewest
    assert sum(one.importance or 0 for one in reviews[0].parameters) == pytest.approx(1)
    assert reviews[1].parameters == ()


def test_where_most_are_as_good_nothing_is_important() -> None:
    same = [create_trial(params=t.params, distributions=t.distributions, value=1.0) for t in trials(60)]
    (review,) = review_parameters(same, greater_is_better=True)
    assert {one.name for one in review.parameters} == {"rate", "warmup", "mixup"}
    assert all(one.importance is None for one in review.parameters)


def test_trials_without_a_score_do_not_count() -> None:
    pruned = create_trial(state=TrialState.PRUNED, params={}, distributions={})
    assert review_parameters([pruned], greater_is_better=True) == ()
