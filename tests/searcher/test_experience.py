"""What a search teaches: by trials that no clock has cut short, and that nothing of these pictures has chosen."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tasks import RIDGE, TUNED, bare_task, outcome, reference

from automl_tl.lab.calibration import MetaFeatures
from automl_tl.searcher import experience as module
from automl_tl.searcher.experience import experience
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.reference import Reference

TASK = bare_task(np.arange(200) % 4)
KNOWN = MetaFeatures(2000, 4, 0.5, 0.2)
"""Ten times as many pictures are there as were looked at, by which ten points are gained."""
FROZEN, OPTIMISM = 0.7, 0.05
EPOCHS = TUNED.tuned.all_epochs


BEST = replace(reference(TASK, FROZEN), optimism=OPTIMISM)


def gains(*outcomes: Outcome, best: Reference = BEST) -> dict[Any, Any]:
    """Return what a search teaches that looked at four times as many pictures as its assessment."""
    lab = SimpleNamespace(path="/data/toys", dataset=SimpleNamespace(fingerprint="f"))
    estimate = SimpleNamespace(optimism=2 * OPTIMISM)
    expectations = SimpleNamespace(
        known=KNOWN, candidates={"feature_extractor": None}, estimates={"feature_extractor": estimate}
    )
    found = SimpleNamespace(
        expectations=expectations, evidence=SimpleNamespace(backbone="tiny"), sample=SimpleNamespace(n=50)
    )
    loop: Any = SimpleNamespace(
        session=SimpleNamespace(lab=lab), task=TASK, prepared=SimpleNamespace(assessment=found),
        candidates=SimpleNamespace(reference=best, outcomes=list(outcomes)),
    )  # fmt: skip
    run = experience(loop)
    assert (run.name, run.fingerprint, run.known) == ("toys", "f", KNOWN)
    return dict(run.gains)


def tuned(number: int, right: float, epochs: int = EPOCHS, n_folds: int = 1) -> Outcome:
    return outcome(TASK, right, configuration=TUNED, seed=number, number=number, epochs=epochs, n_folds=n_folds)


def test_the_first_trial_speaks_whatever_a_later_one_reached() -> None:
    gain, stderr = gains(tuned(5, 0.95), tuned(2, 0.8))["fine_tuning"]
    assert gain == pytest.approx(0.8 - (FROZEN - OPTIMISM))  # what more pictures add, they add to both
    assert 0 < stderr < 0.1


def test_both_sides_are_of_the_same_pictures_where_an_early_cut_is_the_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The feature extractor is scored on the trials' pictures: what its assessment on fewer saw is not compared."""
    late = outcome(TASK, 0.6, configuration=RIDGE)
    monkeypatch.setattr(module, "frozen", lambda candidate, features, n: RIDGE)
    monkeypatch.setattr(module, "score_frozen", lambda task, configuration: late)
    early = Reference(outcome(TASK, FROZEN, configuration=replace(RIDGE, n_stages=9, cuts=(1,))), 0.1)
    gain, _ = gains(tuned(2, 0.8), best=early)["fine_tuning"]
    assert gain == pytest.approx(0.8 - (0.6 - OPTIMISM))


def test_a_trial_that_was_cut_short_does_not_speak() -> None:
    assert gains(tuned(1, 0.3, EPOCHS - 1)) == {}
    assert gains(tuned(1, 0.3, 2 * EPOCHS - 1, n_folds=2)) == {}
    assert gains(tuned(1, 0.3, EPOCHS - 1), tuned(2, 0.8))["fine_tuning"][0] > 0


def test_frozen_candidates_teach_nothing() -> None:
    assert gains(replace(outcome(TASK, 0.9, configuration=RIDGE), number=1)) == {}
