"""What is going on, for Python's logging: who watches where nobody else was given."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from automl_tl.durations import format_duration
from automl_tl.monitor import Epoch, Progress, Status, unheeded
from automl_tl.wording import clean, epoch_words

LOGGER = logging.getLogger("automl_tl")
"""Its level and handlers are the application's: without any, nothing is shown."""


class Logging:
    """A monitor that writes one record of level INFO for each event, and of DEBUG for how long an activity took."""

    def __init__(self) -> None:
        self.best = ""

    @contextmanager
    def activity(self, name: str) -> Iterator[Progress]:
        """Log that it begins, and what it took."""
        begun = time.monotonic()
        LOGGER.info("%s", clean(name))
        yield unheeded
        LOGGER.debug("%s took %s", clean(name), format_duration(time.monotonic() - begun))

    def say(self, line: str) -> None:
        """Log one line."""
        LOGGER.info("%s", clean(line))

    def show(self, status: Status) -> None:
        """Log the best candidate, where it is a new one, and what is tried now."""
        if status.best != self.best:
            self.best = status.best
            LOGGER.info(
                "Best so far: %s%s", clean(status.best), "" if status.value is None else f" ({status.value:.4g})"
            )
        left = "" if status.left is None else f" ({format_duration(status.left)} left)"
        LOGGER.info("Trial %d%s: %s", status.n_trials + 1, left, clean(status.running))

    def learned(self, epoch: Epoch) -> None:
        """Log where training is."""
        LOGGER.info("%s", epoch_words(epoch))
