"""What a search teaches: by trials that no clock has cut short, and that nothing of these pictures has chosen."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tasks import RIDGE, TUNED, bare_task, outcome, reference

from automl_tl.lab.calibration import MetaFeatures
from automl_tl.searcher.experience import experience
from automl_tl.searcher.trials.outcome import Outcome

TASK = bare_task(np.arange(200) % 4)
KNOWN = MetaFeatures(2000, 4, 0.5, 0.2)
"""Ten times as many pictures are there as were looked at, by which ten points are gained."""
CROSS_VALIDATED, OPTIMISM = 0.7, 0.05
EPOCHS = TUNED.tuned.all_epochs


def gains(*outcomes: Outcome) -> dict[Any, Any]:
    lab = SimpleNamespace(path="/data/toys", dataset=SimpleNamespace(fingerprint="f"))
    late, estimate = SimpleNamespace(accuracy=CROSS_VALIDATED), SimpleNamespace(optimism=OPTIMISM)
    expectations = SimpleNamespace(
        known=KNOWN, candidates={"feature_extractor": late}, estimates={"feature_extractor": estimate}
    )
    found = SimpleNamespace(expectations=expectations, evidence=SimpleNamespace(backbone="tiny"))
    loop: Any = SimpleNamespace(
        session=SimpleNamespace(lab=lab), task=TASK, prepared=SimpleNamespace(assessment=found),
        candidates=SimpleNamespace(reference=reference(TASK, 0.7), outcomes=list(outcomes)),
    )  # fmt: skip
    run = experience(loop)
    assert (run.name, run.fingerprint, run.known) == ("toys", "f", KNOWN)
    return dict(run.gains)


def tuned(number: int, right: float, epochs: int = EPOCHS, n_folds: int = 1) -> Outcome:
    return outcome(TASK, right, configuration=TUNED, seed=number, number=number, epochs=epochs, n_folds=n_folds)


def test_the_first_trial_speaks_whatever_a_later_one_reached() -> None:
    gain, stderr = gains(tuned(5, 0.95), tuned(2, 0.8))["fine_tuning"]
    assert gain == pytest.approx(0.8 - (CROSS_VALIDATED - OPTIMISM))  # what more pictures add, they add to both
    assert 0 < stderr < 0.1


def test_a_trial_that_was_cut_short_does_not_speak() -> None:
    assert gains(tuned(1, 0.3, EPOCHS - 1)) == {}
    assert gains(tuned(1, 0.3, 2 * EPOCHS - 1, n_folds=2)) == {}
    assert gains(tuned(1, 0.3, EPOCHS - 1), tuned(2, 0.8))["fine_tuning"][0] > 0


def test_frozen_candidates_teach_nothing() -> None:
    assert gains(replace(outcome(TASK, 0.9, configuration=RIDGE), number=1)) == {}
