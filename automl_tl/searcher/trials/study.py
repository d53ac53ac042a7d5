"""The Optuna study of a run: kept in a journal, resumed after a kill, never asked for what is known to be broken."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.storages import BaseStorage
from optuna.trial import FixedTrial, FrozenTrial, Trial, TrialState, create_trial

from automl_tl.errors import OptionError
from automl_tl.learning.configuration import Configuration
from automl_tl.searcher.space.search_space import Space, parameters, suggest
from automl_tl.searcher.space.within import asked_for
from automl_tl.searcher.trials.attributes import (
    ABANDONED,
    BLAMES,
    CONFIGURATION,
    CRASHES,
    EPOCHS,
    FOLDS,
    KILLED,
    KIND,
    PICTURES,
    PLANNED,
    REASON,
    REFUSED,
    RETRY_OF,
    SECONDS,
    SWEEP,
    TRIAL,
)
from automl_tl.searcher.trials.earlier import is_earlier, out_of_competition
from automl_tl.searcher.trials.outcome import Outcome

NAME = "automl-tl"
STARTUP_TRIALS = 4
"""Trials that are drawn at random before TPE has its say; the sweep's finished ones count."""
BROKEN_AFTER = 2
"""Failures after which a backbone is not tried again."""
PATIENCE, LEAST_TRIALS = 12, 16
"""The search ends when so many finished trials in a row were no better, and so many there were in all."""
_PRUNE_AFTER = 4
_LAST_STEP = 1000
_BEGUN = "begun"


class Study:
    """What the search asks of Optuna, in the search's own words.

    Args:
        storage: of `open_storage`.
        space: what may be chosen.
        seed: of the sampler.
        greater_is_better: the metric's direction.
        pictures: of the sample on which candidates are scored.
    """

    def __init__(
        self, storage: BaseStorage, space: Space, seed: int, *, greater_is_better: bool = True, pictures: int = 0
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space, self.seed, self.greater_is_better = space, seed, greater_is_better
        self.pictures, self._storage = pictures, storage
        self.trains = space.training != ("frozen",)
        """Whether training may be proposed; whoever sees that none fits any more takes it back."""
        grown = _grown_name(pictures)
        known = any(study.study_name == grown for study in storage.get_all_studies())
        self._study = self._opened(grown if known else NAME)
        self._rng = np.random.default_rng(seed)

    def _opened(self, name: str) -> optuna.Study:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = optuna.create_study(
                storage=self._storage,
                study_name=name,
                load_if_exists=True,
                direction="maximize" if self.greater_is_better else "minimize",
            )
            study.sampler = optuna.samplers.TPESampler(
                multivariate=True,
                group=True,
                constant_liar=True,
                n_startup_trials=STARTUP_TRIALS,
                seed=(self.seed + 7919 * len(study.trials)) % 2**32,
            )
        study.pruner = optuna.pruners.MedianPruner(n_startup_trials=0, n_warmup_steps=1, n_min_trials=_PRUNE_AFTER)
        return study

    def grow(self, pictures: int) -> None:
        """Go on with a larger sample, whether for the first time or again after a kill.

        What was tried on the smaller one stays in the table with its number, and neither sampler nor pruner sees it:
        a score of other pictures is no evidence. What still waited there is not tried any more.
        """
        before, smaller = self.trials, self.pictures
        self._study, self.pictures = self._opened(_grown_name(pictures)), pictures
        self.trains = self.space.training != ("frozen",)
        for trial in before[len(self.trials) :]:
            self._study.add_trial(out_of_competition(trial, smaller))

    @property
    def trials(self) -> list[FrozenTrial]:
        """Every trial, the sweep's included."""
        return self._study.get_trials(deepcopy=False)

    @property
    def finished(self) -> list[FrozenTrial]:
        """Trials of the search itself that have ended by themselves, in order: not abandoned, killed or refused."""
        ended = [t for t in self.trials if t.state.is_finished() and t.user_attrs.get(KIND, TRIAL) == TRIAL]
        return [t for t in ended if not t.user_attrs.keys() & {ABANDONED, KILLED, REFUSED}]

    @property
    def has_waiting(self) -> bool:
        """Whether something enqueued has not been tried yet."""
        return any(t.state == TrialState.WAITING for t in self.trials)

    @property
    def has_begun(self) -> bool:
        """Whether the sweep and all that is tried first are in it; a kill may have come between."""
        begun = self._study.user_attrs.get(_BEGUN, False)  # older runs have no such note, but a trial
        return begun or any(t.user_attrs.get(KIND) == TRIAL and not is_earlier(t) for t in self.trials)

    def note_beginning(self) -> None:
        """Write down that the sweep and all that is tried first are in it."""
        self._study.set_user_attr(_BEGUN, True)

    def add_sweep(self, outcomes: Sequence[Outcome]) -> None:
        """Enter solved candidates as finished trials, but those that are in it."""
        swept = [t for t in self.trials if t.user_attrs.get(KIND) == SWEEP and not is_earlier(t)]
        there = [Configuration.from_dict(t.user_attrs[CONFIGURATION]) for t in swept]
        new = [outcome for outcome in outcomes if outcome.configuration not in there]
        self._study.add_trials([self._finished_trial(outcome) for outcome in new])

    def enqueue(self, configuration: Configuration) -> None:
        """Let a configuration be tried next, after those enqueued before; raises OptionError for one out of range."""
        values = parameters(configuration, self.space)
        try:
            asked_for(values, self.space)
        except ValueError as error:
            raise OptionError(str(error)) from None
        waiting = [t.system_attrs.get("fixed_params") for t in self.trials if t.state == TrialState.WAITING]
        if values in waiting:
            return
        anew = any(map(is_earlier, self.trials))  # what a smaller sample knows is tried again
        self._study.enqueue_trial(values, skip_if_exists=not anew)

    @property
    def begun(self) -> list[int]:
        """Numbers of the trials that run, or that a killed process left running."""
        return [trial.number for trial in self.trials if trial.state == TrialState.RUNNING]

    def tell_kept(self, outcomes: Sequence[Outcome]) -> None:
        """Complete trials that a killed process had kept, and not yet told of."""
        for outcome in outcomes:
            self.complete(Trial(self._study, self.trials[outcome.number]._trial_id), outcome)

    def retry_lost(self) -> int:
        """Give up trials that a killed process left running; return how many.

        They and those that were abandoned for want of time are enqueued once more; one that was left running twice
        is not: it may be what ends the process. Neither counts as a trial, only what ends by itself.
        """
        lost = self.begun
        for number in lost:
            trial = Trial(self._study, self.trials[number]._trial_id)
            trial.set_user_attr(KILLED, True)
            self._study.tell(trial, state=TrialState.FAIL)
        again = {t.user_attrs.get(RETRY_OF) for t in self.trials}
        unended = [t for t in self.trials if t.user_attrs.keys() & {ABANDONED, KILLED} and not is_earlier(t)]
        for ended in unended:
            crashes = ended.user_attrs.get(CRASHES, 0) + ended.user_attrs.get(KILLED, False)
            if ended.number not in again and crashes <= 1 and CONFIGURATION in ended.user_attrs:
                self._study.enqueue_trial(ended.params, user_attrs={RETRY_OF: ended.number, CRASHES: crashes})
        return len(lost)

    def ask(self, avoid: frozenset[str] = frozenset()) -> tuple[Trial, Configuration]:
        """Return the next trial and what is to be tried in it; what is sampled is of no backbone in `avoid`."""
        if not self.has_waiting and (fixed := self._fixed(avoid)):
            self._study.enqueue_trial(fixed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = self._study.ask()
            configuration = suggest(trial, self.space)
        trial.set_user_attr(KIND, TRIAL)
        self.note(trial, configuration)
        return trial, configuration

    def is_drawn(self, number: int) -> bool:
        """Return whether the sampler has chosen some of what a trial tries, and not whoever enqueued it."""
        trial = self.trials[number]
        if RETRY_OF in trial.user_attrs:
            return self.is_drawn(trial.user_attrs[RETRY_OF])
        return not trial.params.keys() <= trial.system_attrs.get("fixed_params", {}).keys()

    def note(self, trial: Trial, configuration: Configuration) -> None:
        """Write down what is tried in a trial, which may have fewer epochs than were proposed."""
        trial.set_user_attr(CONFIGURATION, configuration.to_dict())

    def plan(self, trial: Trial, seconds: float) -> None:
        """Write down how long a trial is expected to take."""
        trial.set_user_attr(PLANNED, round(seconds, 3))

    def _fixed(self, avoid: frozenset[str]) -> dict[str, Any]:
        """Return what the sampler does not choose in the next trial.

        After a frozen trial one is trained: the sweep has left little to find among the frozen ones, and the sampler
        goes round what was best there.
        """
        fixed: dict[str, Any] = {}
        broken = self.broken_backbones | avoid
        alive = [name for name in self.space.n_stages if name not in broken]
        if broken and alive:
            fixed["backbone"] = alive[int(self._rng.integers(len(alive)))]
        tried = [t for t in self.trials if t.user_attrs.get(KIND) == TRIAL]
        if not self.trains and len(self.space.training) > 1:
            fixed["training"] = "frozen"
        elif self.trains and tried and not _is_trained(tried[-1]):
            fixed["training"] = next(kind for kind in self.space.training if kind != "frozen")
        return fixed

    @property
    def broken_backbones(self) -> frozenset[str]:
        """Backbones that failed BROKEN_AFTER times; they are not asked for again."""
        failures: dict[str, int] = {}
        for trial in self.finished:
            if trial.user_attrs.get(BLAMES):
                name = trial.user_attrs[BLAMES]
                failures[name] = failures.get(name, 0) + 1
        return frozenset(name for name, count in failures.items() if count >= BROKEN_AFTER)

    def should_prune(self, trial: Trial, step: int, value: float) -> bool:
        """Report an intermediate value, and return whether the trial is not worth going on with."""
        trial.report(value, step)
        return trial.should_prune()

    def complete(self, trial: Trial, outcome: Outcome) -> None:
        """End a trial with its value."""
        for name, value in self._attributes(outcome).items():
            trial.set_user_attr(name, value)
        self._study.tell(trial, outcome.value)

    def give_up(
        self, trial: Trial, reason: str, seconds: float, *, worst: float, failed: bool = True, blames: str = ""
    ) -> None:
        """End a trial without a value and say why.

        One that failed is told as pruned at the worst value, not as failed: the sampler forgets failed trials and
        would come back for more (of three backbones one that always raises took 76 %, told as pruned 13 %).
        """
        trial.set_user_attr(REASON, reason)
        trial.set_user_attr(SECONDS, round(seconds, 3))
        if blames:
            trial.set_user_attr(BLAMES, blames)
        if failed:  # Optuna takes the last reported value for the trial's own
            trial.report(worst, _LAST_STEP)
        self._study.tell(trial, state=TrialState.PRUNED)

    def refuse(self, trial: Trial, reason: str, *, worst: float) -> None:
        """End a trial that may not be tried: the sampler learns it, and it does not count as a trial."""
        trial.set_user_attr(REASON, reason)
        trial.set_user_attr(REFUSED, True)
        trial.report(worst, _LAST_STEP)
        self._study.tell(trial, state=TrialState.PRUNED)

    def skip(self, trial: Trial, reason: str) -> None:
        """End a trial of which nothing new is to be learned; it does not count as one."""
        trial.set_user_attr(REASON, reason)
        trial.set_user_attr(REFUSED, True)
        self._study.tell(trial, state=TrialState.FAIL)

    def abandon(self, trial: Trial, reason: str) -> None:
        """End a trial that was interrupted or has no time left; it says nothing about its configuration."""
        trial.set_user_attr(REASON, reason)
        trial.set_user_attr(ABANDONED, True)
        self._study.tell(trial, state=TrialState.FAIL)

    def abandon_begun(self, reason: str) -> None:
        """Abandon whatever still runs: an interruption may come between asking for a trial and beginning it."""
        for number in self.begun:
            self.abandon(Trial(self._study, self.trials[number]._trial_id), reason)

    def exhausted(self) -> bool:
        """Return whether more trials would hardly pay: the last PATIENCE finished ones were no better than before.

        Where stages may be trained only such trials count: a dozen frozen ones take a second.
        """
        ended = [t for t in self.finished if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        if self.trains:
            ended = [t for t in ended if _is_trained(t)]
        if len(ended) < LEAST_TRIALS:
            return False
        values = [t.value for t in ended]
        sign = 1 if self.greater_is_better else -1
        scores = [sign * v if v is not None else -np.inf for v in values]
        return max(scores[-PATIENCE:]) <= max(scores[:-PATIENCE])

    def _finished_trial(self, outcome: Outcome) -> FrozenTrial:
        values = parameters(outcome.configuration, self.space)
        fixed = FixedTrial(values)
        suggest(fixed, self.space)
        attributes = {KIND: SWEEP, CONFIGURATION: outcome.configuration.to_dict(), **self._attributes(outcome)}
        return create_trial(
            params=fixed.params, distributions=fixed.distributions, value=outcome.value, user_attrs=attributes
        )

    def _attributes(self, outcome: Outcome) -> dict[str, Any]:
        seconds = round(outcome.seconds, 3)
        return {SECONDS: seconds, EPOCHS: outcome.epochs, FOLDS: outcome.n_folds, PICTURES: self.pictures}


def _grown_name(pictures: int) -> str:
    return f"{NAME} on {pictures} pictures"


def _is_trained(trial: FrozenTrial) -> bool:
    return bool(trial.user_attrs.get(CONFIGURATION, {}).get("training", "frozen") != "frozen")
