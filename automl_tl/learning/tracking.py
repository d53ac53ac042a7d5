"""Every training run that a monitor hears of, handed on to trackers under a name of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from automl_tl.errors import sentence
from automl_tl.learning.callbacks import Callback
from automl_tl.learning.trackers import MLflow, TensorBoard, check_installed
from automl_tl.monitor import Epoch, Monitor, Progress, Status
from automl_tl.options import TrackingOptions

LONGEST_NAME = 100
Begin = Callable[[str], Callback]
"""Returns the tracker of a training run of that name."""


class Tracked:
    """A monitor that tells another one of everything, and trackers of the epochs.

    Args:
        monitor: the other one.
        begin: makes each tracker of a training run.
    """

    def __init__(self, monitor: Monitor, begin: Sequence[Begin]) -> None:
        self.monitor, self.begin = monitor, begin
        self.running, self.n_runs = "", 0
        self.trackers: list[Callback] = []

    def activity(self, name: str) -> AbstractContextManager[Progress]:
        """Pass it on; what is trained in it is called by its name."""
        self.running = name
        return self.monitor.activity(name)

    def say(self, line: str) -> None:
        """Pass it on."""
        self.monitor.say(line)

    def show(self, status: Status) -> None:
        """Pass it on; what is trained next is the trial that it names."""
        self.running = f"Trial {status.n_trials + 1}: {status.running}"
        self.monitor.show(status)

    def learned(self, epoch: Epoch) -> None:
        """Pass it on, to the trackers as well; a first epoch is that of another run."""
        self.monitor.learned(epoch)
        with self._forgiving():
            if epoch.number == 1:
                self._begin()
            for tracker in self.trackers:
                epoch = tracker.on_epoch_end(epoch)

    def end(self) -> None:
        """End the run that is tracked."""
        trackers, self.trackers = self.trackers, []
        with self._forgiving():
            for tracker in trackers:
                tracker.on_train_end()

    def _begin(self) -> None:
        self.end()
        self.n_runs += 1
        self.trackers = [begin(f"{self.n_runs:03d} {self.running}") for begin in self.begin]

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Track nothing more where that fails: a server that is gone must not end a search."""
        try:
            yield
        except Exception as error:
            self.begin, self.trackers = (), []
            self.monitor.say(f"No further epoch is tracked, since that failed: {sentence(error)}")


def trackers_asked_for(options: TrackingOptions) -> list[Begin]:
    """Return what makes the trackers; raises OptionError where a package is missing."""
    begin: list[Begin] = []
    if options.tensorboard is not None:
        check_installed("tensorboard")
        folder = Path(options.tensorboard).expanduser()
        begin.append(lambda name: TensorBoard(folder / _file_name(name)))
    if (experiment := options.mlflow) is not None:
        check_installed("mlflow")
        begin.append(lambda name: MLflow(experiment, name))
    return begin


@contextmanager
def tracked(monitor: Monitor, begin: Sequence[Begin]) -> Iterator[Monitor]:
    """Yield the monitor, with trackers where there are any; the last run ends with the context."""
    if not begin:
        yield monitor
        return
    watching = Tracked(monitor, begin)
    try:
        yield watching
    finally:
        watching.end()


def _file_name(name: str) -> str:
    """Return a run's name as that of a folder.

    >>> _file_name("001 Trial 1: fine_tuning: tiny, cut 3 of 3")
    '001_Trial_1_fine_tuning_tiny_cut_3_of_3'
    """
    return re.sub(r"[^\w.+-]+", "_", name)[:LONGEST_NAME]
