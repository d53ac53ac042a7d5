"""The trial loop: ask, try, keep, tell, until time, trials or hope run out."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import optuna
from optuna.trial import Trial

from automl_tl.errors import AutomlTlError, BackboneError, sentence
from automl_tl.lab.assessment import picture_seconds
from automl_tl.searcher.delivery.members import is_trained
from automl_tl.searcher.monitor import Monitor, Status
from automl_tl.searcher.preparation import Prepared
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.settings import Settings
from automl_tl.searcher.space.configuration import Configuration, Frozen, Tuned
from automl_tl.searcher.space.search_space import Space, outside
from automl_tl.searcher.trials.comparison import Comparison, best_first, compare
from automl_tl.searcher.trials.deadline import Deadline
from automl_tl.searcher.trials.frozen import score_frozen
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.study import Study
from automl_tl.searcher.trials.trained import QUARTERS, score_trained

USEFUL_EPOCHS = 4
"""A trial whose time allows fewer epochs is not begun."""
MOST_REFUSED = 8
"""Proposals in a row that do not fit the time left, after which the search ends; so many of trained ones, after which
only frozen ones are tried."""
FROZEN_SECONDS = 3.0
"""What a frozen trial is taken to need at least; more where the slowest so far took more."""
Improved = Callable[[Outcome], None]


@dataclass(eq=False)
class Loop:
    """The state of a search while trials run.

    Args:
        prepared: data, sweep, space and costs.
        settings: what was asked for.
        study: of Optuna.
        folder: of the run.
        deadline: of the whole command.
        today: what may be tried in this session; the study's own space is that of the run's first one.
        final_seconds: what everything after the trials takes, the refit excepted.
        monitor: who watches.
        improved: called with a trained candidate that is now the best.
        outcomes: candidates that are known with their scores, besides the reference.
    """

    prepared: Prepared
    settings: Settings
    study: Study
    folder: RunFolder
    deadline: Deadline
    today: Space
    final_seconds: float
    monitor: Monitor
    improved: Improved
    outcomes: list[Outcome] = field(default_factory=list)
    interrupted: bool = False
    _compared: dict[int, Comparison] = field(default_factory=dict)

    def run(self) -> str:
        """Try candidates; return why it stopped."""
        wanted = self.settings.trials
        refused = misfits = 0
        try:
            while True:
                if wanted is not None and len(self.study.finished) >= max(wanted, 0):
                    return f"all {wanted} trials are done"
                if self.left_for_trials <= 0:
                    return "the budget is used up"
                if self._perfect():
                    return "no picture of the validation part is wrong any more, by more than chance"
                if wanted is None and self.study.exhausted():
                    return "the last trials brought nothing better, and more would hardly pay"
                if len(self.study.broken_backbones) == len(self.study.space.n_stages):
                    return "every backbone has failed"
                if refused >= MOST_REFUSED:
                    what = "the time that is left" if self.deadline.is_set else "what is allowed"
                    return f"nothing that is left to try fits {what}"
                sampled = not self.study.has_waiting
                configuration, tried = self._next()
                refused = 0 if tried else refused + sampled
                if is_trained(configuration):
                    misfits = 0 if tried else misfits + sampled
                if misfits >= MOST_REFUSED and "frozen" in self.study.space.training:
                    self.study.trains = False  # no training fits any more: the rest of the time is for frozen trials
                    refused = misfits = 0
        except KeyboardInterrupt:
            self.interrupted = True
            return "it was interrupted"

    @property
    def left_for_trials(self) -> float:
        """Seconds until everything after the trials must begin, the refit excepted."""
        return self.deadline.left - self.final_seconds

    def ranked(self) -> list[Comparison]:
        """Return every known candidate's comparison with the reference, the best first."""
        prepared = self.prepared
        for outcome in self.outcomes:
            if outcome.number not in self._compared:
                compared = compare(prepared.task, prepared.found.reference, outcome, prepared.priors)
                self._compared[outcome.number] = compared
        known = [replace(self._compared[o.number], outcome=o) for o in self.outcomes]
        return best_first(prepared.task, prepared.found.reference, known)

    def _next(self) -> tuple[Configuration, bool]:
        """Return what comes next and whether it was tried: not where it does not fit the time, or what is allowed."""
        gone = frozenset(self.study.space.n_stages) - frozenset(self.today.n_stages)
        trial, configuration = self.study.ask(gone)
        fault = outside(configuration, self.today) or self.prepared.data.limits.fault(configuration)
        fault = fault or self._not_asked_for(configuration)
        if configuration.backbone in self.study.broken_backbones:
            fault = f"{configuration.backbone} has failed before"
        if fault is not None:
            self.study.refuse(trial, fault, worst=self._worst)
            return configuration, False
        proposed = configuration
        configuration, limit = self._limit(proposed)
        if limit is not None and limit <= 0:
            self.study.abandon(trial, f"it did not fit the {max(self.left_for_trials, 0):.0f} s that were left")
            return configuration, False
        if any(o.configuration == configuration for o in self.outcomes):
            self.study.skip(trial, "the same has been tried already")
            return configuration, False
        if configuration != proposed:
            self.study.note(trial, configuration)
        self._show(configuration)
        started = time.perf_counter()
        try:
            outcome = self._try(trial, configuration, limit)
        except KeyboardInterrupt:
            self.study.abandon(trial, "interrupted")
            raise
        except optuna.TrialPruned:
            self._give_up(trial, "no better than the others so far", time.perf_counter() - started, failed=False)
        except BackboneError as error:
            self._give_up(trial, str(error), time.perf_counter() - started, blames=configuration.backbone)
        except AutomlTlError as error:
            self._give_up(trial, str(error), time.perf_counter() - started)
        except (MemoryError, OSError) as error:  # the machine's fault, not the backbone's
            self._give_up(trial, sentence(error), time.perf_counter() - started)
        except Exception as error:  # whatever a plugin's code raises ends its trial, never the search
            self._give_up(trial, sentence(error), time.perf_counter() - started, blames=configuration.backbone)
        else:
            self._keep(trial, replace(outcome, number=trial.number, sample=self.prepared.task.digest))
        return configuration, True

    def _try(self, trial: Trial, configuration: Configuration, limit: float | None) -> Outcome:
        if not is_trained(configuration):
            return score_frozen(self.prepared.task, configuration)
        sign, last = self.prepared.task.metric.sign, QUARTERS + self.prepared.task.n_folds - 1

        def report(step: int, value: float) -> None:
            self._check_memory()
            if not math.isfinite(sign * value):
                raise AutomlTlError(f"the validation score became {value}")
            if self.study.should_prune(trial, step, value) and step < last:
                raise optuna.TrialPruned

        outcome = score_trained(
            self.prepared.task, configuration, self.prepared.found.reference, limit=limit, report=report
        )
        n = self._n_trained()
        self.prepared.costs.learn(
            configuration, n, outcome.epochs // outcome.n_folds, outcome.seconds / outcome.n_folds
        )  # fmt: skip
        return outcome

    def _limit(self, configuration: Configuration) -> tuple[Configuration, float | None]:
        """Return what is tried within which seconds: None for no limit, 0 where it would not be worth beginning.

        Time for the refit on every picture is set aside. Fine-tuning that does not fit is tried with fewer epochs,
        half of them at least; where nothing trained is known yet, with fewer still, and its model delivered as it is.
        Training of everything needs its whole schedule: its head begins with nothing.
        """
        if not self.deadline.is_set:
            return configuration, None
        left = self.left_for_trials
        if not is_trained(configuration):
            solving = self._solving_seconds(configuration)
            needed = self._views_seconds(configuration) + 2 * solving  # once for its scores, once for the refit
            return configuration, left if left > needed + self._refit_seconds(None) else 0.0
        left -= self._partner_seconds
        how, n_folds = configuration.how, self.prepared.task.n_folds
        assert isinstance(how, Tuned)
        best, tunes = self._refit_seconds(None), configuration.training == "fine_tuning"
        least = max(USEFUL_EPOCHS, math.ceil(how.epochs / 2)) if tunes else how.epochs
        for shorter in _shortened(configuration, least):
            spare = left - max(self._refit_seconds(shorter), best)
            if n_folds * self.prepared.costs.seconds(shorter, self._n_trained()) <= spare:
                return shorter, spare
        if any(o.state for o in self.outcomes) or n_folds > 1 or not tunes:
            return configuration, 0.0
        for shorter in _shortened(configuration, USEFUL_EPOCHS):
            if self.prepared.costs.seconds(shorter, self._n_trained()) <= left:
                return shorter, left
        return configuration, 0.0

    @property
    def _partner_seconds(self) -> float:
        """What refitting the best frozen candidate takes, which a trained one is delivered with."""
        if not self.settings.combines:
            return 0.0
        best = next(c.outcome for c in self.ranked() if not is_trained(c.outcome.configuration))
        return best.seconds * (2 if self.prepared.learns_from_everything else 1)

    def _solving_seconds(self, configuration: Configuration) -> float:
        """Return what solving a frozen candidate takes: as the slowest so far, once per view."""
        how, task = configuration.how, self.prepared.task
        assert isinstance(how, Frozen)
        known = [o.seconds for o in self.outcomes if not is_trained(o.configuration)]
        slowest = max([*known, self.prepared.found.reference.outcome.seconds])
        return max(FROZEN_SECONDS, slowest * (1 + len(task.views(how.views))))

    def _views_seconds(self, configuration: Configuration) -> float:
        """Return what the features of the views that are not known yet take."""
        how, task, data = configuration.how, self.prepared.task, self.prepared.data
        assert isinstance(how, Frozen)
        missing = [view for view in task.views(how.views) if not task.has_view(configuration.backbone, view)]
        if not missing:
            return 0.0
        return len(missing) * task.sample.n * picture_seconds(
            data.bench, configuration.backbone, task.sample, data.report.fit
        )  # fmt: skip

    def _refit_seconds(self, configuration: Configuration | None) -> float:
        """Return what the refit of a candidate, or of the best one so far, takes."""
        task, costs = self.prepared.task, self.prepared.costs
        if configuration is None:
            trained = [o for o in self.outcomes if o.state]
            if not trained:
                return 0.0
            configuration = max(trained, key=lambda o: task.metric.sign * o.value).configuration
        seconds = costs.seconds(configuration, task.sample.n)
        if self.prepared.learns_from_everything:
            seconds += costs.seconds(configuration, len(self.prepared.data.dataset.frame))
        return seconds

    def _n_trained(self) -> int:
        return self.prepared.task.sample.n - len(self.prepared.task.held_out(0))

    def _keep(self, trial: Trial, outcome: Outcome) -> None:
        """Write down what a candidate came to, then tell the study: a told trial is never lost."""
        sign = self.prepared.task.metric.sign
        self.folder.save(outcome)
        self.study.complete(trial, outcome)
        self.outcomes = self.folder.forget_states([*self.outcomes, outcome], sign)
        ranked = self.ranked()
        if ranked[0].outcome.number == outcome.number and ranked[0].expected > 0:
            self.improved(outcome)

    def _give_up(self, trial: Trial, reason: str, seconds: float, *, failed: bool = True, blames: str = "") -> None:
        self.study.give_up(trial, reason, seconds, worst=self._worst, failed=failed, blames=blames)

    @property
    def _worst(self) -> float:
        """What a candidate that cannot be used is told as."""
        task = self.prepared.task
        return 0.0 if task.metric.greater_is_better else 10.0 + math.log(task.n_classes)

    def _not_asked_for(self, configuration: Configuration) -> str | None:
        wanted = self.settings.strategies
        return (
            f"{configuration.strategy} was not asked for" if wanted and configuration.strategy not in wanted else None
        )

    def _perfect(self) -> bool:
        """Return whether a candidate is right on so many pictures that no other can be told to be better."""
        task = self.prepared.task
        if not task.metric.greater_is_better or self.settings.trials is not None:
            return False
        wanted, known = self.settings.strategies, [self.prepared.found.reference.outcome, *self.outcomes]
        if wanted:
            known = [o for o in known if o.configuration.strategy in wanted]
        return any(len(o.rows) >= 50 and (o.predictions == task.y[o.rows]).all() for o in known)

    def _check_memory(self) -> None:
        limit = self.settings.max_memory
        if limit is not None and (used := _memory()) > limit:
            raise AutomlTlError(f"it used {used / 1e9:.1f} GB of memory, more than the {limit / 1e9:.1f} GB allowed")

    def _show(self, configuration: Configuration) -> None:
        self.monitor.show(status(self, f"{configuration.strategy}: {configuration.describe()}"))


def _shortened(configuration: Configuration, least: int) -> Iterator[Configuration]:
    """Yield a trained configuration as it is, then with ever fewer epochs, `least` at last."""
    how = configuration.how
    assert isinstance(how, Tuned)
    yield configuration
    for epochs in range(how.epochs - 1, least - 1, -1):
        yield replace(configuration, how=replace(how, epochs=epochs))


def status(loop: Loop, running: str) -> Status:
    """Return what whoever watches wants to know."""
    prepared = loop.prepared
    best, task = loop.ranked()[0], prepared.task
    is_accuracy = task.metric.name == "accuracy"
    value = min(max(best.outcome.value, 0.0), 1.0) if is_accuracy else best.outcome.value
    binomial = math.sqrt(max(value * (1 - value), 0.25 / task.sample.n) / task.sample.n) if is_accuracy else 0.0
    spread = 1.64 * math.hypot(best.stderr, binomial)
    return Status(
        left=max(loop.deadline.left, 0.0) if loop.deadline.is_set else None,
        n_trials=len(loop.study.finished),
        n_swept=len(prepared.found.outcomes),
        best=f"{best.outcome.configuration.strategy}: {best.outcome.configuration.describe()}",
        value=value,
        interval=(max(value - spread, 0.0), min(value + spread, 1.0)) if is_accuracy else None,
        running=running,
    )


def _memory() -> int:
    """Return the resident memory of this process, bytes; where Linux's /proc is missing, the largest so far."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        pass
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used
