"""What a trial knows beside Optuna's parameters and values: names of its user attributes, and what each may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from optuna.trial import TrialState

from automl_tl.foreign import fault, is_a, name, number, one_of, whole_number
from automl_tl.learning.configuration import Configuration

KIND, CONFIGURATION, SECONDS, REASON, PLANNED = "kind", "configuration", "seconds", "reason", "planned_seconds"
EPOCHS, FOLDS, PICTURES, EARLIER = "epochs", "folds", "pictures", "earlier"
"""EARLIER holds the state and the value of a trial that a smaller sample knows."""
ABANDONED, KILLED, REFUSED, BLAMES = "abandoned", "killed", "refused", "blames"
RETRY_OF, CRASHES = "retry_of", "crashes"
SWEEP, TRIAL, NOT_BEGUN = "sweep", "trial", "not begun"
"""Values of KIND."""
INTERRUPTED = "interrupted"
"""Value of REASON where a signal ended a trial."""
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}
LONGEST_REASON = 100_000
"""Characters; an error of a plugin may say much."""


def check_attributes(attributes: Any) -> None:
    """Raise ValueError, which names the attribute, where a value makes no sense.

    Others than these may be there, of a newer version or another tool: nobody reads them.
    """
    for known, value in is_a(attributes, dict).items():
        try:
            if known in _CHECKS:
                _CHECKS[known](value)
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{str(known)[:40]!r}: {fault(error)}") from error
    if attributes.get(KIND) == SWEEP and CONFIGURATION not in attributes:
        raise ValueError(f"no {CONFIGURATION!r}")


def _check_seconds(value: Any) -> None:
    if number(value) < 0:
        raise ValueError(f"{value} is less than 0")


def _check_earlier(value: Any) -> None:
    known = is_a(value, dict)
    one_of(known["state"], STATES.values())
    if known.keys() != {"state", "value"}:
        raise ValueError("more than a state and a value")
    if known["value"] is not None:
        number(known["value"])


_count, _truth = partial(whole_number, least=0), partial(is_a, kind=bool)
_CHECKS: Mapping[str, Callable[[Any], object]] = {
    KIND: partial(one_of, choices=(SWEEP, TRIAL, NOT_BEGUN)),
    CONFIGURATION: Configuration.from_dict,
    SECONDS: _check_seconds,
    PLANNED: _check_seconds,
    EPOCHS: _count,
    FOLDS: _count,
    PICTURES: _count,
    REASON: partial(name, longest=LONGEST_REASON),
    BLAMES: name,
    EARLIER: _check_earlier,
    ABANDONED: _truth,
    KILLED: _truth,
    REFUSED: _truth,
    RETRY_OF: _count,
    CRASHES: _count,
}
