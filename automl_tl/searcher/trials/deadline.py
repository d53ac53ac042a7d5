"""The budget as a deadline."""

from __future__ import annotations

import math
import time

from automl_tl.spare_time import UNLIMITED, SpareTime

MARGIN = 0.02
"""Share of the budget that is left unplanned."""
EXPORT_SECONDS = 2.0
"""Writing a bundle and the result, at worst."""


class Deadline:
    """Seconds that are left of a budget; without one there are infinitely many, and no clock is read.

    Args:
        budget: seconds, or None.
        started: `time.monotonic()` when the budget began.
    """

    def __init__(self, budget: float | None, started: float | None = None) -> None:
        self.budget = budget
        self.started = time.monotonic() if started is None else started

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def left(self) -> float:
        """Seconds until the deadline, less the margin; infinite without a budget."""
        return math.inf if self.budget is None else self.budget * (1 - MARGIN) - self.elapsed

    def spare(self, share: float = 1.0, reserved: float = 0.0) -> SpareTime:
        """Return the time for what is optional: up to this share of the budget, less `reserved` seconds."""
        if self.budget is None:
            return UNLIMITED
        return SpareTime(self.started + share * self.budget * (1 - MARGIN) - reserved)

    @property
    def is_set(self) -> bool:
        """Whether there is a budget."""
        return self.budget is not None
