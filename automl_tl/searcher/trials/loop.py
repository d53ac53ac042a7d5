"""The trial loop: ask, try, keep, tell, until time, trials or hope run out."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace

import numpy as np
import optuna
from optuna.trial import Trial

from automl_tl.errors import AutomlTlError, BackboneError, sentence
from automl_tl.lab.lab import Lab
from automl_tl.learning.configuration import Configuration
from automl_tl.memory import is_shortage
from automl_tl.monitor import Status
from automl_tl.searcher.session import Prepared, Session
from automl_tl.searcher.space.search_space import Space, outside
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.allotment import Allotment
from automl_tl.searcher.trials.allowance import Allowance
from automl_tl.searcher.trials.attributes import INTERRUPTED
from automl_tl.searcher.trials.candidates import Candidates
from automl_tl.searcher.trials.deadline import MARGIN
from automl_tl.searcher.trials.expected import expected_of
from automl_tl.searcher.trials.frozen import score_frozen, too_much
from automl_tl.searcher.trials.observer import QUARTERS, Observer
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.running import Attempt, Running
from automl_tl.searcher.trials.study import Study
from automl_tl.searcher.trials.trained import score_trained

FLAWLESS = 300
"""Pictures without an error, after which nothing more is tried: three errors in so many would have shown with a
probability of 95% (the rule of three, Hanley and Lippman-Hand 1983). Of fifty, one of fifty candidates is right on all
by luck, and better ones were never tried."""
MOST_REFUSED = 8
"""Proposals in a row that do not fit the time left, after which the search ends; so many of trained ones, after which
only frozen ones are tried."""
PAUSED = "it paused"
Improved = Callable[[Outcome], None]


@dataclass(eq=False)
class Loop:
    """The state of a search while trials run; it alone asks and tells the study.

    Args:
        session: what was asked for, where it lies, and when it must end.
        prepared: data, sweep and costs.
        study: of Optuna.
        today: what may be tried in this session; the study's own space is that of the run's first one.
        candidates: that are known so far.
        allotment: how what is left is shared out.
        improved: called with a trained candidate that is now the best.
    """

    session: Session
    prepared: Prepared
    study: Study
    today: Space
    candidates: Candidates
    allotment: Allotment
    improved: Improved
    pauses: Callable[[], bool] = lambda: False
    """Asked before every trial whether it stops here, to go on later or with another loop."""
    interrupted: bool = False
    refused: int = 0
    """Proposals in a row that were not tried."""
    misfits: int = 0
    """The same of trained ones."""

    def __post_init__(self) -> None:
        """Nothing runs yet."""
        self.running = Running(self.lab.executor)
        self._flawless: dict[int, bool] = {}

    @property
    def task(self) -> Task:
        """The data to be learned."""
        return self.prepared.task

    @property
    def lab(self) -> Lab:
        """Where it happens."""
        return self.session.lab

    def run(self) -> str:
        """Try candidates, as many at once as there are workers; return why it stopped."""
        try:
            while (reason := self._finished()) is None:
                self._begin_next()
                while self._is_full:
                    self._await_some()
            while self.running:
                self._await_some()
            return reason
        except KeyboardInterrupt:
            self.interrupted = True
            return "it was interrupted"
        finally:
            self._settle_all()

    def _finished(self) -> str | None:
        """Return why nothing more is tried, or None."""
        wanted = self.session.options.trials
        if wanted is not None and len(self.study.finished) >= max(wanted, 0):
            return f"all {wanted} trials are done"
        if self.allotment.left <= 0:
            return "the budget is used up"
        if self.pauses():
            return PAUSED
        if self._perfect():
            return "no picture of the validation part is wrong any more"
        if wanted is None and self.study.exhausted():
            return "the last trials brought nothing better, and more would hardly pay"
        if len(self.study.broken_backbones) == len(self.study.space.n_stages):
            return "every backbone has failed"
        if self.refused >= MOST_REFUSED:
            what = "the time that is left" if self.session.deadline.is_set else "what is allowed"
            return f"nothing that is left to try fits {what}"
        return None

    @property
    def _is_full(self) -> bool:
        """Whether nothing more is begun before something ends."""
        if not self.running:
            return False
        wanted = self.session.options.trials
        enough = wanted is not None and len(self.study.finished) + len(self.running) >= wanted
        return enough or self.running.is_full or self.refused >= MOST_REFUSED

    def _begin_next(self) -> None:
        """Begin what comes next, and count what is proposed in vain."""
        sampled = not self.study.has_waiting
        configuration, begun = self._next()
        self.refused = 0 if begun else self.refused + sampled
        if configuration.is_trained:
            self.misfits = 0 if begun else self.misfits + sampled
        if self.misfits >= MOST_REFUSED and "frozen" in self.study.space.training:
            self.study.trains = False  # no training fits any more: the rest of the time is for frozen trials
            self.refused = self.misfits = 0

    def _next(self) -> tuple[Configuration, bool]:
        """Return what comes next and whether it was begun: not where it does not fit the time, or what is allowed."""
        gone = frozenset(self.study.space.n_stages) - frozenset(self.today.n_stages)
        trial, proposed = self.study.ask(gone)
        if fault := self._fault(proposed):
            self.study.refuse(trial, fault, worst=self._worst)
            return proposed, False
        configuration, limit = self.allotment.limit(proposed)
        if limit is not None and limit <= 0:
            self.study.abandon(trial, f"it did not fit the {max(self.allotment.left, 0):.0f} s that were left")
            return configuration, False
        known = [outcome.configuration for outcome in self.candidates.outcomes]
        if configuration in known or configuration in self.running.configurations:
            self.study.skip(trial, "the same has been tried already")
            return configuration, False
        if configuration != proposed:
            self.study.note(trial, configuration)
        if limit is not None and configuration.is_trained:
            self.study.plan(trial, self.allotment.planned_seconds(configuration))
        self._show(configuration)
        self.running.begin(trial, configuration, self._score, limit)
        return configuration, True

    def _fault(self, configuration: Configuration) -> str | None:
        """Return why a configuration may not be tried, or None."""
        fault = outside(configuration, self.today) or self.session.limits.fault(configuration)
        wanted = self.session.options.strategies
        if fault is None and wanted and configuration.strategy not in wanted:
            fault = f"{configuration.strategy} was not asked for"
        fault = fault or too_much(self.task, configuration)
        if configuration.backbone in self.study.broken_backbones:
            fault = f"{configuration.backbone} has failed before"
        return fault

    def _await_some(self) -> None:
        """Wait until something ends, and keep it; what is overdue is ended."""
        deadline = self.session.deadline
        overdue = None if deadline.budget is None else max(self.allotment.left + MARGIN * deadline.budget, 1.0)
        for attempt in self.running.ended(overdue):
            self._settle(attempt)
            self.refused = 0  # with what came out, other things are proposed

    def _settle_all(self) -> None:
        """End what runs and settle all of it, whatever happens to one of them; then raise the first error there was."""
        errors: list[Exception] = []
        for attempt in self.running.end_all():
            try:
                self._settle(attempt)
            except Exception as error:
                errors.append(error)
        self.study.abandon_begun(INTERRUPTED)
        if errors:
            raise errors[0]

    def _settle(self, attempt: Attempt) -> None:
        """Tell the study what a trial came to, whatever happened."""
        trial, configuration = attempt.trial, attempt.configuration

        def give_up(reason: str, *, failed: bool = True, blames: str = "") -> None:
            self.study.give_up(trial, reason, attempt.seconds, worst=self._worst, failed=failed, blames=blames)

        try:
            outcome = attempt.result()
        except CancelledError:
            self.study.abandon(trial, INTERRUPTED if self.interrupted else "there was no time left to end it")
        except optuna.TrialPruned:
            give_up("no better than the others so far", failed=False)
        except BackboneError as error:
            give_up(str(error), blames=configuration.backbone)
        except AutomlTlError as error:
            give_up(str(error))
        except Exception as error:  # whatever a plugin's code raises ends its trial, never the search
            machine = isinstance(error, OSError) or is_shortage(error)
            give_up(sentence(error), blames="" if machine else configuration.backbone)
        else:
            self._learn_from(outcome)
            drawn = self.study.is_drawn(trial.number)
            self._keep(trial, replace(outcome, number=trial.number, sample=self.task.digest, drawn=drawn))

    def _score(self, trial: Trial, configuration: Configuration, limit: float | None) -> Outcome:
        executor, task, most = self.lab.executor, self.task, self.session.options.max_memory
        if not configuration.is_trained:
            return executor.submit(score_frozen, task, configuration, max_memory=most).result()
        sign, last = task.metric.sign, QUARTERS + task.n_folds - 1

        def report(step: int, value: float) -> None:
            if not math.isfinite(sign * value):
                raise AutomlTlError(f"the validation score became {value}")
            if self.study.should_prune(trial, step, value) and step < last:
                raise optuna.TrialPruned

        watch = None if self.running.at_once else self.lab.monitor.learned
        return score_trained(
            task, configuration, self.candidates.reference, executor,
            allowance=Allowance(limit, most, at_once=executor.per_machine), observer=Observer(watch, report),
        )  # fmt: skip

    def _learn_from(self, outcome: Outcome) -> None:
        """Note what a trained candidate took; of trials that run at once whoever watches hears one after the other."""
        if not outcome.configuration.is_trained:
            return
        n_folds = outcome.n_folds
        self.prepared.costs.learn(
            outcome.configuration, self.task.n_trained, outcome.epochs // n_folds, outcome.seconds / n_folds
        )
        if self.running.at_once:
            self._show(outcome.configuration)
            for epoch in outcome.history:
                self.lab.monitor.learned(epoch)

    def _keep(self, trial: Trial, outcome: Outcome) -> None:
        """Write down what a candidate came to, then tell the study: a told trial is never lost."""
        folder, candidates = self.session.folder, self.candidates
        folder.save(outcome)
        self.study.complete(trial, outcome)
        outcome = folder.light(outcome)
        candidates.outcomes = [*candidates.outcomes, outcome]
        ranked = candidates.ranked()
        candidates.outcomes = folder.forget_states(candidates.outcomes, [c.outcome for c in ranked])
        if ranked[0].outcome.number == outcome.number and ranked[0].expected > 0:
            self.improved(outcome)

    @property
    def _worst(self) -> float:
        """What a candidate that cannot be used is told as."""
        return 0.0 if self.task.metric.greater_is_better else 10.0 + math.log(self.task.n_classes)

    def _perfect(self) -> bool:
        """Return whether a candidate is right on so many pictures that hardly an error in a hundred can be left."""
        if not self.task.metric.greater_is_better or self.session.options.trials is not None:
            return False
        wanted = self.session.options.strategies
        known = [self.candidates.reference.outcome, *self.candidates.outcomes]
        return any(self._is_flawless(o) for o in known if not wanted or o.configuration.strategy in wanted)

    def _is_flawless(self, outcome: Outcome) -> bool:
        """Return whether a candidate is right on every one of many pictures; its scores are read once."""
        if outcome.number not in self._flawless:
            right = outcome.predictions == self.task.y[outcome.rows] if len(outcome.rows) >= FLAWLESS else np.zeros(1)
            self._flawless[outcome.number] = bool(right.all())
        return self._flawless[outcome.number]

    def _show(self, configuration: Configuration) -> None:
        running = f"{configuration.strategy}: {configuration.describe()}"
        self.lab.monitor.show(status(self, running))


def status(loop: Loop, running: str) -> Status:
    """Return what whoever watches wants to know."""
    best, deadline = loop.candidates.ranked()[0].outcome, loop.session.deadline
    expected = None
    if loop.task.metric.name == "accuracy":
        expected = expected_of(loop.session, loop.prepared, loop.candidates, best)
    return Status(
        left=max(deadline.left, 0.0) if deadline.is_set else None,
        n_trials=len(loop.study.finished),
        n_swept=len(loop.prepared.sweep.outcomes),
        best=f"{best.configuration.strategy}: {best.configuration.describe()}",
        value=best.value if expected is None else expected.accuracy,
        interval=None if expected is None else expected.interval,
        running=running,
    )
