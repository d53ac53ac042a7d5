"""Which labels a run doubts: every picture is judged by those that have not learned from it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from automl_tl.learning.configuration import Configuration, Frozen
from automl_tl.searcher.record import doubts
from automl_tl.searcher.trials.outcome import Outcome

N, WRONG, HARD = 40, 3, 30
"""Pictures of two classes by turns; one with the other's label, one that frozen features take for the other class."""
Y = np.arange(N) % 2


def outcome(classifier: str, rows: np.ndarray, mistakes: tuple[int, ...]) -> Outcome:
    """Return the scores of a candidate that knows every class but of its mistakes."""
    scores = np.where(np.eye(2)[Y[rows]] > 0, 4.0, 0.0).astype(np.float32)
    scores[np.isin(rows, mistakes)] *= -1
    how = Configuration("frozen", "tiny", 3, (3,), "mean", Frozen(classifier, 1.0))
    return Outcome(how, 0.9, rows, scores, 1.0)


def prepared(reference: Outcome) -> Any:
    pictures = tuple(SimpleNamespace(path=f"{n}.png") for n in range(N))
    sample = SimpleNamespace(n=N, pictures=pictures, classes=("a", "b"))
    task = SimpleNamespace(y=Y, n_classes=2, sample=sample)
    return SimpleNamespace(task=task, sweep=SimpleNamespace(reference=SimpleNamespace(outcome=reference)))


def test_what_is_delivered_judges_where_it_was_scored() -> None:
    first = outcome("ridge", np.arange(N), (WRONG, HARD))
    alone = doubts(prepared(first))
    assert {one.path for one in alone.answers} == {f"{WRONG}.png", f"{HARD}.png"}
    assert doubts(prepared(first), [first]) == alone  # nobody votes twice
    surer = outcome("softmax", np.arange(N - 20, N), ())
    both = doubts(prepared(first), [surer])
    assert {one.path for one in both.answers} == {f"{WRONG}.png"}
    assert (both.n, both.n_judged) == (1, N)
    assert both.judge == f"{first.configuration.describe()} and by {surer.configuration.describe()}"
