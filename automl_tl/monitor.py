"""Who watches long work: told what is going on, how far it is, and where a search stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

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
    """Its estimated metric."""
    interval: tuple[float, float] | None = None
    """90 %, where the metric is accuracy."""
    running: str = ""
    """What is being done now, in words."""


class Monitor(Protocol):
    """Someone who watches."""

    def activity(self, name: str) -> AbstractContextManager[Progress]:
        """Return a context in which something is done; it yields a function of (done, total)."""

    def say(self, line: str) -> None:
        """Take note of one line for the user: what will be fetched, before it is."""

    def show(self, status: Status) -> None:
        """Take note of where a search is."""


class Silent:
    """Nobody watches."""

    @contextmanager
    def activity(self, name: str) -> Iterator[Progress]:
        """Report nothing."""
        yield unheeded

    def say(self, line: str) -> None:
        """Take no note."""

    def show(self, status: Status) -> None:
        """Take no note."""
