"""What training a candidate may take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from automl_tl.learning.callbacks import Callback, Deadline, Memory


@dataclass(frozen=True)
class Allowance:
    """What training a candidate may take; None is no bound."""

    seconds: float | None = None
    memory: int | None = None
    """Bytes that the process which trains may hold."""
    epochs: int | None = None
    """Of a refit that has no time for the whole schedule: it goes on from the trial's weights for so many."""
    at_once: int = 1
    """Training runs of one machine that may go on at the same time."""
    countdown: Callable[[], float] | None = None
    """Tells how many of the seconds are left, however often the work is begun again; None: they count from then."""

    def share(self, spent: float, parts: int = 1) -> Allowance:
        """Return what one of `parts` equal parts may take of what is left after `spent` seconds."""
        return self if self.seconds is None else replace(self, seconds=(self.seconds - spent) / parts)

    def callbacks(self) -> Iterator[Callback]:
        """Yield what ends a training run that would take more; the time counts from now, or goes on."""
        if self.seconds is not None:
            yield Deadline(self.seconds if self.countdown is None else self.countdown())
        if self.memory is not None:
            yield Memory(self.memory)


UNBOUNDED = Allowance()
