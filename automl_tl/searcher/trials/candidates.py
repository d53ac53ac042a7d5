"""The candidates that are known with their scores, and how each compares with the best frozen one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from automl_tl.learning.configuration import Configuration
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.comparison import Comparison, Priors, best_first, compare, compare_drawn
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.reference import Reference


@dataclass(eq=False)
class Candidates:
    """Everything that was tried, besides the reference.

    Args:
        task: the data.
        reference: the best of the sweep.
        priors: what training is expected to gain, by strategy.
        outcomes: what is known already, of an earlier session.
        others: the best frozen candidate of every backbone but the reference's.
    """

    task: Task
    reference: Reference
    priors: Priors
    outcomes: list[Outcome] = field(default_factory=list)
    others: Sequence[Outcome] = ()
    _compared: dict[Configuration | int, Comparison] = field(default_factory=dict)
    _beside: dict[tuple[int, int], Comparison] = field(default_factory=dict)

    def ranked(self) -> list[Comparison]:
        """Return every candidate's comparison with the reference, the best first."""
        known = [replace(self._comparison(o), outcome=o) for o in (*self.others, *self.outcomes)]
        return best_first(self.task, self.reference, [self._beside_recommended(one, known) for one in known])

    def _beside_recommended(self, one: Comparison, known: Sequence[Comparison]) -> Comparison:
        """Return a comparison; of what was drawn beside the best training of its strategy that was not."""
        strategy = one.outcome.configuration.strategy
        if not (one.outcome.drawn and one.outcome.configuration.is_trained):
            return one
        chosen = [c for c in known if not c.outcome.drawn and c.outcome.configuration.strategy == strategy]
        if not chosen:
            return one
        best = max(chosen, key=lambda c: c.expected)
        key = best.outcome.number, one.outcome.number
        if key not in self._beside:
            self._beside[key] = compare_drawn(self.task, self.reference, best, one)
        return replace(self._beside[key], outcome=one.outcome)

    def _comparison(self, outcome: Outcome) -> Comparison:
        key = outcome.configuration if outcome.number < 0 else outcome.number
        if key not in self._compared:
            self._compared[key] = compare(self.task, self.reference, outcome, self.priors)
        return self._compared[key]

    @property
    def best_frozen(self) -> Outcome:
        """The best one whose ConvNet stays frozen."""
        return next(c.outcome for c in self.ranked() if not c.outcome.configuration.is_trained)

    @property
    def best_trained(self) -> Outcome | None:
        """The trained one that stands best, of those whose weights are kept."""
        return next((c.outcome for c in self.ranked() if c.outcome.state), None)
