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
    _drawn: dict[tuple[int, int], Comparison] = field(default_factory=dict)

    def ranked(self) -> list[Comparison]:
        """Return every candidate's comparison with the reference, the best first."""
        known = [replace(self._comparison(o), outcome=o) for o in (*self.others, *self.outcomes)]
        trained = sorted((c for c in known if c.outcome.configuration.is_trained), key=lambda c: c.expected)
        chosen = {c.outcome.configuration.strategy: c for c in trained if not c.outcome.drawn}  # the best of each
        for place, one in enumerate(known):
            best = chosen.get(one.outcome.configuration.strategy)
            if one.outcome.drawn and best is not None:
                known[place] = self._beside(best, one)
        return best_first(self.task, self.reference, known)

    def _beside(self, recommended: Comparison, drawn: Comparison) -> Comparison:
        key = recommended.outcome.number, drawn.outcome.number
        if key not in self._drawn:
            self._drawn[key] = compare_drawn(self.task, self.reference, recommended, drawn)
        return replace(self._drawn[key], outcome=drawn.outcome)

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
