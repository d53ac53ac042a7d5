"""What there is time for: the seconds of each trial, with the refit and the test set aside."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from automl_tl.learning.configuration import Configuration
from automl_tl.searcher.session import Prepared, Session
from automl_tl.searcher.space.search_space import FEWEST_EPOCHS
from automl_tl.searcher.trials.candidates import Candidates
from automl_tl.searcher.trials.costs import Costs

ROUNDS = 2
"""Of the best one's refit, for which time is set aside once a trained candidate is known."""
ENOUGH = 0.35
"""Share of the time that a whole schedule should take from which a refit is begun, its schedule following the clock:
going on from the trial for a third of it errs .94 times (.90 to .98) as often as a new beginning with all of it
(`benchmarks/going_on.py`)."""
FROZEN_SECONDS = 3.0
"""What a frozen trial is taken to need at least; more where the slowest so far took more."""


@dataclass(frozen=True, eq=False)
class Allotment:
    """How the time of a search is shared out.

    Args:
        session: has the deadline.
        prepared: knows what training costs.
        candidates: that are known so far.
        final_seconds: what everything after the trials takes, the refit excepted, as it was foreseen at the beginning.
        fallback_seconds: what the refit takes of what is delivered where nothing trained comes of these trials.
    """

    session: Session
    prepared: Prepared
    candidates: Candidates
    final_seconds: float
    fallback_seconds: float = 0.0

    @property
    def left(self) -> float:
        """Seconds until everything after the trials must begin, the refit excepted."""
        costs = self.prepared.costs
        return self.session.deadline.left - self.final_seconds * costs.pace / costs.slowdown

    def limit(self, configuration: Configuration) -> tuple[Configuration, float | None]:
        """Return what is tried within which seconds: None for no limit, 0 where it would not be worth beginning.

        Time for the refit on every picture is set aside. Fine-tuning that does not fit is tried with fewer epochs,
        half of them at least; where nothing trained is known yet, with fewer still, so that its refit can be begun or,
        where there is no time for that either, its model delivered as it is.
        Training of everything needs its whole schedule: its head begins with nothing.
        """
        if not self.session.deadline.is_set:
            return configuration, None
        left = self.left
        if not configuration.is_trained:
            solving = self._solving_seconds(configuration)
            needed = self._views_seconds(configuration) + 2 * solving  # once for its scores, once for the refit
            return configuration, left if left > needed + self.refit_seconds(None) else 0.0
        left -= self._partner_seconds
        how, task, costs = configuration.tuned, self.prepared.task, self.prepared.costs
        best, tunes = self.refit_seconds(None), configuration.training == "fine_tuning"
        least = max(FEWEST_EPOCHS, math.ceil(how.epochs / 2)) if tunes else how.epochs
        for shorter in _shortened(configuration, least):
            spare = left - max(self.refit_seconds(shorter), best)
            if self.planned_seconds(shorter) <= spare:
                return shorter, spare
        if any(o.state for o in self.candidates.outcomes) or task.n_folds > 1 or not tunes:
            return configuration, 0.0
        for share in (ENOUGH, 0.0):
            for shorter in _shortened(configuration, FEWEST_EPOCHS):
                spare = left - share * costs.seconds(shorter, task.sample.n)
                if costs.seconds(shorter, task.n_trained) <= spare:
                    return shorter, spare
        return configuration, 0.0

    def planned_seconds(self, configuration: Configuration) -> float:
        """Return what a trained candidate is expected to take over all folds that it is scored on."""
        task = self.prepared.task
        return task.n_folds * self.prepared.costs.seconds(configuration, task.n_trained)

    def refit_seconds(self, configuration: Configuration | None) -> float:
        """Return what the refit of a trained candidate takes, or that of the best one so far in both its rounds."""
        task, costs, rounds = self.prepared.task, self.prepared.costs, 1
        if configuration is None:
            best = self.candidates.best_trained
            if best is None:
                return self.fallback_seconds
            configuration = best.configuration
            rounds = ROUNDS if has_second_round(configuration) else 1
        return rounds * costs.seconds(configuration, task.sample.n) + self.everything_seconds(configuration)

    def everything_seconds(self, configuration: Configuration) -> float:
        """Return what learning from the test part as well takes, which a trained candidate does last."""
        if not self.prepared.learns_from_everything:
            return 0.0
        return self.prepared.costs.seconds(configuration, len(self.session.lab.dataset.frame))

    @property
    def _partner_seconds(self) -> float:
        """Return what the frozen candidate takes that a trained one is delivered with: its refit, and the last step."""
        return self._slowest_partner + self.partner_everything_seconds

    @property
    def partner_everything_seconds(self) -> float:
        """Return what it takes that candidate to learn from the test part as well, which it does last.

        Twice what its refit takes, as that is what must be left for it to be begun.
        """
        return 2 * self._slowest_partner if self.prepared.learns_from_everything else 0.0

    @property
    def _slowest_partner(self) -> float:
        if not self.session.options.combines:
            return 0.0
        return max(one.seconds for one in (self.candidates.best_frozen, *self.candidates.others))

    def _solving_seconds(self, configuration: Configuration) -> float:
        """Return what solving a frozen candidate takes: as the slowest so far, once per view."""
        known = [o.seconds for o in self.candidates.outcomes if not o.configuration.is_trained]
        slowest = max([*known, self.candidates.reference.outcome.seconds])
        return max(FROZEN_SECONDS, slowest * (1 + len(self.prepared.task.views(configuration.frozen.views))))

    def _views_seconds(self, configuration: Configuration) -> float:
        """Return what the features of the views that are not known yet take."""
        task, backbone = self.prepared.task, configuration.backbone
        missing = [view for view in task.views(configuration.frozen.views) if not task.has_view(backbone, view)]
        if not missing:
            return 0.0
        each = self.prepared.costs.pace * self.session.lab.picture_seconds(backbone, task.sample.pictures)
        return len(missing) * task.sample.n * each


def has_second_round(configuration: Configuration) -> bool:
    """Return whether a refit may go on and be averaged with that: an adapting BatchNorm has no statistics of a mean."""
    return configuration.tuned.batchnorm == "frozen"


def seconds_to_begin(costs: Costs, configuration: Configuration, n: int) -> float:
    """Return the seconds that must be left for a trained candidate to be refitted on `n` pictures."""
    return ENOUGH * costs.seconds(configuration, n)


def _shortened(configuration: Configuration, least: int) -> Iterator[Configuration]:
    """Yield a trained configuration as it is, then with ever fewer epochs, `least` at last."""
    yield configuration
    for epochs in range(configuration.tuned.epochs - 1, least - 1, -1):
        yield replace(configuration, how=replace(configuration.tuned, epochs=epochs))
