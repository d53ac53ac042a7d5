"""What is said of the accuracy that is expected of the frozen model, and of what moved it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from automl_tl.lab.expectations import Expectations
from automl_tl.learning.estimate import Estimate
from automl_tl.recommender.reasons import expectation_sentences


def said(claim: float, optimism: float = 0.0) -> str:
    """Return the sentences of a frozen model with 70% right out of fold and a claim of 66%."""
    estimate = Estimate(0.68, (0.6, 0.76), optimism, 100, 68, 32, claim)
    row = SimpleNamespace(strategy="feature_extractor", tried=False, gain=0.0)
    expectations = SimpleNamespace(expected=lambda strategy: estimate, front=(row,))
    frozen: Any = SimpleNamespace(
        strategy="feature_extractor", accuracy=0.7, path=SimpleNamespace(confidence=0.7 + (claim and -0.04))
    )
    sample: Any = SimpleNamespace(n=100, n_training=100)
    choice: Any = SimpleNamespace(strategy="feature_extractor")
    return " ".join(expectation_sentences(cast(Expectations, expectations), frozen, choice, sample))


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        (-0.02, "; 2.0 points were taken off as its probabilities claim 66.0%, where counting comes to 70.0%."),
        (0.013, "; 1.3 points were added as its probabilities claim"),
    ],
)
def test_what_probabilities_claim_is_said_where_it_moved_the_answer(claim: float, words: str) -> None:
    assert words in said(claim)
    corrected = said(claim, 0.03)
    assert "; 3.0 points were taken off for having chosen the best of many; " in corrected
    assert corrected.endswith("where counting comes to 67.0%.")


def test_nothing_is_said_of_a_claim_that_moved_nothing() -> None:
    assert said(0.0) == ("The frozen model should reach 68.0% on new pictures (90% interval 60.0% to 76.0%).")
