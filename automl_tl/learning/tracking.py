"""Every training run that a monitor hears of, handed on to trackers under a name of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
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


class Follower:
    """A tracker of one training run after the other, until it fails: a server that is gone must not end a search.

    Args:
        name: of what it tracks with, in words.
        begin: makes the tracker of a run.
        say: is told of the failure.
    """

    def __init__(self, name: str, begin: Begin, say: Callable[[str], None]) -> None:
        self.name, self.begin, self.say = name, begin, say
        self.current: Callback | None = None
        self.failed = False

    def learned(self, epoch: Epoch, run: str) -> None:
        """Hand on an epoch of the run of that name; the first one ends the run before."""
        if epoch.number == 1:
            self.end()
        with self._forgiving():
            if epoch.number == 1 and not self.failed:
                self.current = self.begin(run)
            if self.current is not None:
                self.current.on_epoch_end(epoch)

    def end(self) -> None:
        """End the run that is tracked."""
        current, self.current = self.current, None
        with self._forgiving():
            if current is not None:
                current.on_train_end()

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.failed, self.current = True, None
            self.say(f"No further epoch goes to {self.name}, since that failed: {sentence(error)}")


class Tracked:
    """A monitor that tells another one of everything, and trackers of the epochs.

    Args:
        monitor: the other one.
        begin: makes each tracker of a training run, by its name.
    """

    def __init__(self, monitor: Monitor, begin: Mapping[str, Begin]) -> None:
        self.monitor = monitor
        self.followers = [Follower(name, one, monitor.say) for name, one in begin.items()]
        self.running, self.n_runs = "", 0

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
        self.n_runs += epoch.number == 1
        for follower in self.followers:
            follower.learned(epoch, f"{self.n_runs:03d} {self.running}")

    def end(self) -> None:
        """End the runs that are tracked."""
        for follower in self.followers:
            follower.end()


def trackers_asked_for(options: TrackingOptions) -> dict[str, Begin]:
    """Return what makes the trackers, by name; raises OptionError where a package is missing."""
    begin: dict[str, Begin] = {}
    if options.tensorboard is not None:
        check_installed("tensorboard")
        folder = Path(os.path.expanduser(options.tensorboard))
        begin["TensorBoard"] = lambda name: TensorBoard(folder / _file_name(name))
    if (experiment := options.mlflow) is not None:
        check_installed("mlflow")
        begin["MLflow"] = lambda name: MLflow(experiment, name)
    return begin


@contextmanager
def tracked(monitor: Monitor, begin: Mapping[str, Begin]) -> Iterator[Monitor]:
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
