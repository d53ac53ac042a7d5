"""What the search tells whoever watches it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from automl_tl.lab.extraction import Progress


@dataclass(frozen=True)
class Status:
    """Where the search is."""

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

    def stage(self, name: str) -> AbstractContextManager[Progress]:
        """Return a context in which a stage runs; it yields a function of (done, total)."""

    def show(self, status: Status) -> None:
        """Take note of where the search is."""


class Silent:
    """Nobody watches."""

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """Report nothing."""
        yield lambda done, total: None

    def show(self, status: Status) -> None:
        """Take no note."""
