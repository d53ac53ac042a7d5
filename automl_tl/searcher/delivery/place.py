"""Where a candidate is refitted: in one process, or in several that share every batch; a long one is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from automl_tl.backbones.stages import has_batchnorm
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.recipe import batch_size_for
from automl_tl.learning.trainer import Start
from automl_tl.searcher.session import Prepared, Session
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials.allowance import UNBOUNDED, Allowance
from automl_tl.searcher.trials.observer import Watch
from automl_tl.searcher.trials.trained import Learned, learn
from automl_tl.work import Executor

LONG = 300.0
"""Planned seconds from which a refit is kept on the disk and, where there are several workers, shared among them. These
must start, import torch, build the network and decode every picture, each of them: a minute or more on busy cores."""
OVERDUE = 30.0
"""Seconds beyond its time, which a refit keeps by itself, after which the processes that do it are ended."""
LEAST_PART = 4
"""Pictures of a batch that each process takes at least: with fewer it would mostly wait for the others."""


def _no_time(configuration: Configuration, n: int) -> float:
    return 0.0


def _unheard(line: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where candidates are refitted; by default in one process, and nothing is kept."""

    executor: Executor
    planned: Callable[[Configuration, int], float] = _no_time
    """Returns the seconds that training a candidate on so many pictures takes."""
    checkpoints: Path | None = None
    """Folder in which long refits are kept while they last."""
    say: Callable[[str], None] = _unheard

    def learned(
        self, task: Task, configuration: Configuration, start: Start, *,
        allowance: Allowance = UNBOUNDED, watch: Watch | None = None,
    ) -> Learned:  # fmt: skip
        """Return what a candidate learns from every picture of the task; see `learn`.

        Raises:
            CancelledError: a process that hangs did not end in its time.
        """
        with self._ended_when_overdue(allowance):
            return self._learned(task, configuration, start, allowance, watch)

    def _learned(
        self, task: Task, configuration: Configuration, start: Start, allowance: Allowance, watch: Watch | None
    ) -> Learned:
        is_long = allowance.epochs is None and self.planned(configuration, task.sample.n) >= LONG
        kept = self.checkpoints if is_long else None
        processes = self._processes(task, configuration) if is_long else 1
        if is_long and allowance.seconds is not None:
            allowance = replace(allowance, countdown=self.executor.countdown(allowance.seconds))
        if kept is None or processes == 1:
            return self.executor.submit(
                learn, task, configuration, start, allowance=allowance, report=watch, checkpoints=kept
            ).result()
        self.say(f"The refit is shared by {processes} processes.")
        allowance = replace(allowance, at_once=min(processes, self.executor.per_machine))
        return self.executor.together(
            learn, task, configuration, start, processes=processes, folder=kept, allowance=allowance, report=watch,
            checkpoints=kept,
        ).result()  # fmt: skip

    @contextmanager
    def _ended_when_overdue(self, allowance: Allowance) -> Iterator[None]:
        """End what other processes do where they do not end by themselves: nothing else would."""
        if allowance.seconds is None:
            yield
            return
        timer = threading.Timer(allowance.seconds + OVERDUE, self.executor.cancel)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _processes(self, task: Task, configuration: Configuration) -> int:
        """Return how many processes share a refit."""
        most = min(self.executor.n_workers, batch_size_for(task.sample.n) // LEAST_PART)
        if most > 1 and _looks_at_whole_batches(task, configuration):
            self.say("The refit is done by one process: its BatchNorms learn the statistics of whole batches.")
            return 1
        return most


def place_of(session: Session, prepared: Prepared) -> Place:
    """Return where a session's candidates are refitted."""
    lab = session.lab
    return Place(lab.executor, prepared.costs.seconds, session.folder.checkpoints, lab.monitor.say)


def _looks_at_whole_batches(task: Task, configuration: Configuration) -> bool:
    """Return whether a picture's gradient depends on the others of its batch."""
    adapts = configuration.tuned.batchnorm == "adapting"
    return adapts and has_batchnorm(task.networks.network(configuration.backbone))
