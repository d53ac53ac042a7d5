"""Which of the solved candidates trained ones are compared with."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tasks import RIDGE, bare_task, outcome

from automl_tl.learning.configuration import Configuration
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


def test_merit_decides_and_not_a_picture_more_that_was_right(task: Task) -> None:
    found = swept(task, Leading("feature_extractor", 0.0), merits={EARLY: 0.9, LATE: 0.85, LATER: 0.8})
    assert found.reference.outcome.configuration == LATE
