"""Whether parameters lie in a search space: Optuna itself takes whatever was enqueued, with a warning at most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from automl_tl.foreign import number
from automl_tl.searcher.space.search_space import Space, suggest


def asked_for(values: Mapping[str, Any], space: Space, *, strict: bool = True) -> Mapping[str, BaseDistribution]:
    """Return the distributions, by name, that `suggest` asks for where these parameters are given, or some of them.

    Args:
        values: of the parameters; those that are not given are the first that may be.
        space: that is asked.
        strict: whether a value that lies outside raises ValueError, or counts as not given.
    """
    given = _Given(values, strict)
    suggest(given, space)
    return given.distributions


@dataclass
class _Given:
    """Chooses what is given; see `asked_for`."""

    values: Mapping[str, Any]
    strict: bool
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Return a number from `low` to `high`."""
        return float(self._take(name, FloatDistribution(low, high, log=log), low))

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`."""
        return int(self._take(name, IntDistribution(low, high), low))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Return one of `choices`."""
        return self._take(name, CategoricalDistribution(choices), choices[0])

    def _take(self, name: str, distribution: BaseDistribution, first: Any) -> Any:
        self.distributions[name] = distribution
        value = self.values.get(name, first)
        if _contains(distribution, value):
            return value
        if self.strict:
            raise ValueError(f"{name} = {str(value)[:40]} lies outside the search space ({distribution})")
        return first


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    """Return whether a value is one of a distribution's; Optuna takes texts and truths for numbers as well."""
    if isinstance(distribution, CategoricalDistribution):
        return any(isinstance(one, bool) == isinstance(value, bool) and one == value for one in distribution.choices)
    try:
        return distribution._contains(number(value))
    except ValueError:
        return False
