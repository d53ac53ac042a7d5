"""What a search or a training came to in numbers: what people are told at its end, and later from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from automl_tl.data.majority import Majority
from automl_tl.foreign import is_a, listed, number, numbers, one_of, whole_number
from automl_tl.learning.configuration import Configuration
from automl_tl.model.evaluation import NUMBERS
from automl_tl.monitor import Epoch
from automl_tl.options import METRICS
from automl_tl.searcher.predecessor import Origin
from automl_tl.strategies import STRATEGIES, Strategy

Interval = tuple[float, float]


@dataclass(frozen=True)
class Sampled:
    """The part of the training pictures that a search has looked at."""

    chosen_on: int
    """Pictures on which the model was chosen."""
    of: int
    """Training pictures that there are."""
    refitted_on: tuple[int, ...]
    """Pictures that each member has learned from."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Sampled:
        """Return what was kept as JSON."""
        return cls(int(values["chosen_on"]), int(values["of"]), tuple(map(int, values["refitted_on"])))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"chosen_on": self.chosen_on, "of": self.of, "refitted_on": list(self.refitted_on)}


@dataclass(frozen=True, eq=False)
class SearchSummary:
    """The delivered model of a search, how good it is, and what was spent."""

    members: tuple[Configuration, ...]
    """The best one first."""
    shares: tuple[float, ...]
    params: Mapping[str, Any]
    metric: str
    value: float
    """Of the best one's trial, uncorrected."""
    expected: tuple[float, Interval]
    """The model's accuracy with the 90 % interval."""
    test: Mapping[str, float] | None
    """`Evaluation.numbers`; None where nothing was held aside."""
    majority: Majority | None
    """The constant answer to the test pictures, without a test to the training pictures; None where classes are
    balanced, or it was not kept."""
    predicted: tuple[float, Interval]
    """What the recommendation expected of the best one's strategy."""
    recommended: Strategy
    n_trials: int
    seconds: float
    budget: float | None
    stopped_because: str
    bundle: Path
    leaderboard: Path
    notes: tuple[str, ...]
    sample: Sampled | None = None
    """None where every training picture was looked at."""

    @property
    def best(self) -> Configuration:
        """The first member."""
        return self.members[0]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], folder: Path, majority: Majority | None) -> SearchSummary:
        """Return the summary of what `SearchResult.to_dict` described, which lies in `folder`.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: it is the result of something else.
        """
        budget = values["budget"]
        members = [{name: value for name, value in one.items() if name != "share"} for one in values["members"]]
        return cls(
            members=tuple(map(Configuration.from_dict, members)),
            shares=tuple(number(one["share"]) for one in values["members"]),
            params=is_a(values["best"]["params"], dict),
            metric=one_of(values["validation"]["metric"], METRICS),
            value=number(values["validation"]["value"]),
            expected=_expected(values["validation"]),
            test=_numbers(values["test"]),
            majority=majority,
            predicted=_expected(values["predicted"]),
            recommended=_strategy(values["recommended"]),
            n_trials=whole_number(values["n_trials"], 0),
            seconds=number(values["seconds"]),
            budget=None if budget is None else number(budget),
            stopped_because=is_a(values["stopped_because"], str),
            bundle=folder / "bundle",
            leaderboard=folder / "leaderboard.csv",
            notes=tuple(is_a(note, str) for note in listed(values["notes"])),
            sample=Sampled.from_dict(values["sample"]) if "sample" in values else None,
        )


@dataclass(frozen=True, eq=False)
class TrainSummary:
    """The model of one configuration, how good it is, and how it was trained."""

    configuration: Configuration
    recommended: Strategy
    metric: str
    value: float
    """The metric on the validation part, estimated for all pictures."""
    validation: Mapping[str, float]
    """`Evaluation.numbers`."""
    test: Mapping[str, float] | None
    history: tuple[Epoch, ...]
    """Of the run that was validated; empty for a frozen ConvNet."""
    n_training: int
    seconds: float
    bundle: Path
    notes: tuple[str, ...]
    origin: Origin | None
    """The model that it went on from; None where it began with the pretrained weights."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], folder: Path) -> TrainSummary:
        """Return the summary of what `TrainResult.to_dict` described, which lies in `folder`.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: it is the result of something else.
        """
        return cls(
            configuration=Configuration.from_dict(values["configuration"]),
            recommended=_strategy(values["recommended"]),
            metric=one_of(values["metric"], METRICS),
            value=number(values["value"]),
            validation=_numbers(values["validation"]) or {},
            test=_numbers(values["test"]),
            history=tuple(map(Epoch.from_dict, listed(values["history"]))),
            n_training=whole_number(values["n_training"], 0),
            seconds=number(values["seconds"]),
            bundle=folder / "bundle",
            notes=tuple(is_a(note, str) for note in listed(values["notes"])),
            origin=None if values.get("from") is None else Origin.from_dict(values["from"]),
        )


def _expected(values: Mapping[str, Any]) -> tuple[float, Interval]:
    low, high = numbers(values["interval"])
    return number(values["accuracy"]), (low, high)


def _numbers(values: Mapping[str, Any] | None) -> Mapping[str, float] | None:
    """Return `Evaluation.numbers`, all of them."""
    if values is None:
        return None
    return {
        **{name: number(value) for name, value in values.items()},
        **{name: number(values[name]) for name in NUMBERS},
    }


def _strategy(value: Any) -> Strategy:
    return cast(Strategy, one_of(value, STRATEGIES))
