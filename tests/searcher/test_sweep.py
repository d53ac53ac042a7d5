"""Which of the solved candidates trained ones are compared with."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tasks import RIDGE, bare_task, outcome

from automl_tl.errors import OptionError
from automl_tl.learning.configuration import Configuration
from automl_tl.searcher.preparation import _leading, _permitted
from automl_tl.searcher.space.limits import Limits
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials import sweep as module
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.sweep import Leading, Sweep, sweep

EARLY, LATE, LATER = (replace(RIDGE, n_stages=4, cuts=(cut,)) for cut in (1, 3, 4))
REACHED = {EARLY: 0.95, LATE: 0.8, LATER: 0.9}


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Task:
    """Return a task on which every cut reaches what REACHED says."""

    def scored(task: Task, configuration: Configuration) -> Outcome:
        return outcome(task, REACHED[configuration], configuration=configuration)

    monkeypatch.setattr(module, "score_frozen", scored)
    monkeypatch.setattr(module, "_configuration", lambda task, candidate: candidate.configuration)
    return bare_task(np.arange(100) % 4)


def swept(
    task: Task,
    leading: Leading,
    *,
    without: tuple[Configuration, ...] = (),
    merits: dict[Configuration, float] | None = None,
) -> Sweep:
    probe: list[Any] = [
        SimpleNamespace(
            configuration=one,
            backbone="tiny",
            source=SimpleNamespace(cuts=one.cuts),
            path=SimpleNamespace(value=value),
            merit=value if merits is None else merits[one],
        )
        for one, value in REACHED.items()
        if one not in without
    ]
    evidence: Any = SimpleNamespace(probe=probe, finalists=(), screened_all=True)
    return sweep(task, evidence, leading, solvable=False, seconds=None)


def test_the_reference_is_the_best_of_the_strategy_that_is_expected_to_lead(task: Task) -> None:
    late = swept(task, Leading("feature_extractor", 0.02))
    assert late.reference.outcome.configuration == LATER
    assert late.reference.ahead == 0.02
    assert {one.configuration for one in late.outcomes} == set(REACHED)
    assert swept(task, Leading("early_feature_extractor", 0.0)).reference.outcome.configuration == EARLY


def test_where_the_leading_strategy_has_no_candidate_the_best_of_the_other_is_it(task: Task) -> None:
    found = swept(task, Leading("feature_extractor", 0.02), without=(LATE, LATER))
    assert found.reference.outcome.configuration == EARLY
    assert found.reference.ahead == 0, "what the other is ahead is not this one's"


@pytest.mark.parametrize(
    ("permitted", "strategy", "ahead", "optimism"),
    [
        (("feature_extractor", "early_feature_extractor"), "feature_extractor", 0.1, 0.02),
        (("early_feature_extractor",), "early_feature_extractor", -0.1, 0.04),
        (("feature_extractor",), "feature_extractor", 0.1, 0.02),
    ],
)
def test_what_leads_is_of_what_is_permitted(
    permitted: tuple[str, ...], strategy: str, ahead: float, optimism: float
) -> None:
    front = [SimpleNamespace(strategy=name, gain=gain) for name, gain in (("feature_extractor", 0.0), (
        "early_feature_extractor", -0.1), ("fine_tuning", 0.3))]  # fmt: skip
    estimates = {name: SimpleNamespace(optimism=one) for name, one in (("feature_extractor", 0.02), (
        "early_feature_extractor", 0.04))}  # fmt: skip
    found: Any = SimpleNamespace(
        expectations=SimpleNamespace(front=front, estimates=estimates), sample=SimpleNamespace(n=40)
    )
    evidence: Any = SimpleNamespace(probe=[SimpleNamespace(strategy=name) for name in permitted])
    leading = _leading(found, evidence, 40)
    assert leading.strategy == strategy
    assert (leading.ahead, leading.optimism) == pytest.approx((ahead, optimism))


def test_a_limit_of_which_nothing_was_looked_at_in_time_is_said() -> None:
    last = SimpleNamespace(backbone="tiny", n_stages=3, source=SimpleNamespace(cuts=(3,), pooling="mean"))
    evidence: Any = SimpleNamespace(probe=(last,), finalists=())
    options: Any = SimpleNamespace(strategies=(), parts={"joined": True})
    with pytest.raises(OptionError, match="no time to look at any cut that the limits allow: give a longer --budget"):
        _permitted(evidence, options, Limits({"tiny": 2}))


def test_merit_decides_and_not_a_picture_more_that_was_right(task: Task) -> None:
    found = swept(task, Leading("feature_extractor", 0.0), merits={EARLY: 0.9, LATE: 0.85, LATER: 0.8})
    assert found.reference.outcome.configuration == LATE
