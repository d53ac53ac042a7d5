"""The trials that were begun and have not ended: as many at once as the executor has workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from optuna.trial import Trial

from automl_tl.learning.configuration import Configuration
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.work import Executor, ThisProcess

MOST_AT_ONCE = 256
"""Trials that run at the same time, however many workers there are: a thread waits for each."""
_PATIENCE = 1.0
"""Seconds after which what was ended is ended again: it may have submitted more meanwhile."""


@dataclass(eq=False)
class Attempt:
    """A trial that was begun."""

    trial: Trial
    configuration: Configuration
    started: float
    _future: Future[Outcome] | None

    def result(self) -> Outcome:
        """Return what it came to, or raise what ended it; once: the error's frames must not hold the future."""
        future, self._future = self._future, None
        assert future is not None
        try:
            return future.result()
        finally:
            del future

    @property
    def seconds(self) -> float:
        """Since it was begun."""
        return time.perf_counter() - self.started


class Running:
    """Begins trials and waits for them.

    Without other processes a trial runs in the thread that begins it, where an interruption ends it at once; with
    them, of which more may come, each trial has a thread of its own, which waits for what it submits.
    """

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.at_once = not isinstance(executor, ThisProcess)
        """Whether several trials may run at the same time, now or later."""
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE, "trial") if self.at_once else ThisProcess()
        self._attempts: dict[Future[Outcome], Attempt] = {}

    def __len__(self) -> int:
        return len(self._attempts)

    @property
    def configurations(self) -> list[Configuration]:
        """What is being tried."""
        return [attempt.configuration for attempt in self._attempts.values()]

    @property
    def is_full(self) -> bool:
        """Whether every worker has a trial."""
        return len(self) >= min(self.executor.n_workers, MOST_AT_ONCE)

    def begin(self, trial: Trial, configuration: Configuration, score: Callable[..., Outcome], *args: object) -> None:
        """Begin a trial, which comes to `score(trial, configuration, *args)`."""
        started = time.perf_counter()
        future = self._threads.submit(score, trial, configuration, *args)
        self._attempts[future] = Attempt(trial, configuration, started, future)

    def ended(self, overdue: float | None) -> Iterator[Attempt]:
        """Wait until something ends and yield it; all are ended where nothing has after so many seconds.

        What is not asked for any more stays here: it is not lost where settling the one before was interrupted.
        """
        done = wait(self._attempts, overdue, FIRST_COMPLETED).done
        if not done:
            self.executor.cancel()
        for future in done:
            yield self._attempts.pop(future)

    def end_all(self) -> list[Attempt]:
        """End what runs; return it, together with what had ended by itself."""
        self.executor.cancel()
        while wait(self._attempts, _PATIENCE).not_done:
            self.executor.cancel()
        attempts, self._attempts = list(self._attempts.values()), {}
        return attempts
