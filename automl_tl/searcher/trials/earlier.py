"""Trials on a smaller sample, in the study of the larger one: they keep their numbers, and teach nothing."""

from __future__ import annotations

from optuna.trial import FrozenTrial, TrialState, create_trial

from automl_tl.searcher.trials.attributes import EARLIER, KIND, NOT_BEGUN, PICTURES, STATES


def out_of_competition(trial: FrozenTrial, pictures: int) -> FrozenTrial:
    """Return a copy of a trial, on a sample of so many pictures, as one that has failed, which Optuna passes over.

    What it came to stays for the leaderboard. One that was not begun is no trial of the search any more.
    """
    value = trial.value if trial.state == TrialState.COMPLETE else None
    said = {"state": STATES[trial.state], "value": value}
    begun = {} if trial.state.is_finished() else {KIND: NOT_BEGUN}
    attributes = {EARLIER: said, PICTURES: pictures, **trial.user_attrs, **begun}  # that of a yet smaller one is kept
    return create_trial(
        state=TrialState.FAIL, params=trial.params, distributions=trial.distributions, user_attrs=attributes
    )


def is_earlier(trial: FrozenTrial) -> bool:
    """Return whether a trial was one of a smaller sample."""
    return EARLIER in trial.user_attrs
