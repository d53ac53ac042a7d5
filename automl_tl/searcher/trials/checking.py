"""What a journal says of trials, checked before anything believes it: a run folder may come from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from optuna.distributions import check_distribution_compatibility
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from automl_tl.foreign import fault, is_a, name, number, whole_number
from automl_tl.searcher.space.search_space import Space
from automl_tl.searcher.space.within import asked_for
from automl_tl.searcher.trials.attributes import ABANDONED, KILLED, check_attributes
from automl_tl.searcher.trials.earlier import is_earlier

_DIRECTIONS = ([StudyDirection.MAXIMIZE], [StudyDirection.MINIMIZE])
_TRIED_AGAIN = {ABANDONED, KILLED}


def check_storage(storage: BaseStorage) -> None:
    """Raise ValueError, which names the trial, where studies are not such as a search writes."""
    for study in storage.get_all_studies():
        if study.directions not in _DIRECTIONS:
            raise ValueError("it does not say whether more or less is better")
        _check_each(storage.get_all_trials(study._study_id, deepcopy=False), _check)


def check_space(trials: Iterable[FrozenTrial], space: Space) -> None:
    """Raise ValueError, which names the trial, where what was or will be tried is of another search space."""
    _check_each(trials, partial(_check_space, space=space))


def _check_each(trials: Iterable[FrozenTrial], check: Callable[[FrozenTrial], None]) -> None:
    for trial in trials:
        try:
            check(trial)
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"trial {trial.number}: {fault(error)}") from error


def _check(trial: FrozenTrial) -> None:
    trial._validate()  # Optuna's: state, times, and every parameter within what it says is its range
    if trial.values is not None:
        (value,) = trial.values
        number(value)
    for step, value in trial.intermediate_values.items():
        whole_number(step, 0)
        number(value)
    for parameter, value in {**trial.params, **_enqueued(trial)}.items():
        name(parameter)
        _check_parameter(value)
    check_attributes(trial.user_attrs)


def _check_parameter(value: Any) -> None:
    if isinstance(value, str):
        name(value)
    elif not isinstance(value, bool):
        number(value)


def _is_to_be_tried(trial: FrozenTrial) -> bool:
    """Return whether a resumed search may try it: see `Study.retry_lost`."""
    if trial.state.is_finished():
        return bool(trial.user_attrs.keys() & _TRIED_AGAIN) and not is_earlier(trial)
    return True


def _enqueued(trial: FrozenTrial) -> Mapping[str, Any]:
    """Return the parameters that are not asked of the sampler."""
    return is_a(is_a(trial.system_attrs, dict).get("fixed_params", {}), dict)


def _check_space(trial: FrozenTrial, space: Space) -> None:
    """Raise where a trial is of another space; what has ended may lie outside of ranges that have become narrower."""
    known = asked_for({**_enqueued(trial), **trial.params}, space, strict=_is_to_be_tried(trial))
    for parameter in known.keys() & trial.distributions.keys():
        check_distribution_compatibility(known[parameter], trial.distributions[parameter])
