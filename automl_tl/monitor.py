"""Who watches long work: told what is going on, how far it is, where a search and where a training run stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from automl_tl.foreign import is_a, number

Progress = Callable[[int, int], None]
"""Told how much is done, of how much."""


def unheeded(done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Status:
    """Where a search is."""

    left: float | None
    """Seconds until the deadline; None without a budget."""
    n_trials: int
    """Trials of the search that have ended."""
    n_swept: int
    """Frozen candidates of the sweep."""
    best: str = ""
    """The best candidate so far, in words."""
    value: float | None = None
    """What it should reach on new pictures where the metric is accuracy, else the metric as it was measured."""
    interval: tuple[float, float] | None = None
    """90 %, where the metric is accuracy."""
    running: str = ""
    """What is being done now, in words."""


@dataclass(frozen=True)
class Epoch:
    """Where a training run is after an epoch."""

    number: int
    """Epochs done, of both phases."""
    planned: int
    """Of the whole schedule."""
    progress: float
    """Share of the schedule that is done, by steps or by the clock, 0 to 1."""
    loss: float
    """Mean of the epoch."""
    rate: float
    """Learning rate of the head at its last step."""
    seconds: float
    """Since the run began."""
    score: float | None = None
    """The metric on pictures that are not learned from; None where they were not looked at."""

    @property
    def left(self) -> float:
        """Seconds until the end, if the rest is as fast."""
        return self.seconds * (1 / max(self.progress, 1e-9) - 1)

    @classmethod
    def from_dict(cls, values: Any) -> Epoch:
        """Return the epoch of which these are the fields; raises ValueError or TypeError where they are not."""
        for value in is_a(values, dict).values():
            if value is not None:
                number(value)
        return cls(**values)


class Monitor(Protocol):
    """Someone who watches."""

    def activity(self, name: str) -> AbstractContextManager[Progress]:
        """Return a context in which something is done; it yields a function of (done, total)."""

    def say(self, line: str) -> None:
        """Take note of one line for the user: what will be fetched, before it is."""

    def show(self, status: Status) -> None:
        """Take note of where a search is."""

    def learned(self, epoch: Epoch) -> None:
        """Take note of an epoch of training."""


class Silent:
    """Nobody watches; the base of whoever wants to hear of some things alone."""

    @contextmanager
    def activity(self, name: str) -> Iterator[Progress]:
        """Report nothing."""
        yield unheeded

    def say(self, line: str) -> None:
        """Take no note."""

    def show(self, status: Status) -> None:
        """Take no note."""

    def learned(self, epoch: Epoch) -> None:
        """Take no note."""
