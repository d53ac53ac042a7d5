"""The search while it runs: a display on a terminal's standard error, a few lines anywhere else."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table

from automl_tl.cli.render import bar, literal, notice, progress_console
from automl_tl.durations import format_duration
from automl_tl.monitor import Epoch, Progress, Status, unheeded
from automl_tl.wording import epoch_words, metric_words

REFRESHES_PER_SECOND = 2
BAR_WIDTH = 24
SECONDS_PER_LINE = 10
"""Between two lines about one training run, where there is no terminal."""
TRYING, BEST = "Trying candidates", "best so far"


@contextmanager
def watching(metric: str, ends: float | None) -> Iterator[Lines | Display]:
    """Yield who watches a search; on a terminal the display disappears at the end.

    Args:
        metric: what is to be good.
        ends: `time.monotonic()` of the deadline, or None.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield Lines(metric)
        return
    display = Display(metric, ends, progress_console())
    with Live(
        get_renderable=display.rendered, console=display.console, transient=True, redirect_stdout=False,
        refresh_per_second=REFRESHES_PER_SECOND,
    ):  # fmt: skip
        yield display


class Lines:
    """One line for each activity, each trial and each new best candidate."""

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.best = ""
        self.said = time.monotonic()

    def say(self, line: str) -> None:
        """Print one line."""
        notice(line)

    @contextmanager
    def activity(self, name: str) -> Iterator[Progress]:
        """Say that something begins."""
        notice(name)
        yield unheeded

    def show(self, status: Status) -> None:
        """Say which candidate is the best, where it is a new one, and what is tried now."""
        if status.best != self.best:
            self.best = status.best
            notice(f"Best so far: {best_words(status, self.metric)}")
        left = "" if status.left is None else f" ({format_duration(status.left)} left)"
        notice(f"Trial {status.n_trials + 1}{left}: {status.running}")
        self.said = time.monotonic()

    def learned(self, epoch: Epoch) -> None:
        """Say where training is, once in a while."""
        now = time.monotonic()
        if now - self.said >= SECONDS_PER_LINE:
            self.said = now
            notice(f"  {epoch_words(epoch)}")


class Display:
    """Everything at a glance; `rendered` is called a few times a second by another thread."""

    def __init__(self, metric: str, ends: float | None, console: Console) -> None:
        self.metric, self.ends, self.console = metric, ends, console
        self.started = time.monotonic()
        self.status: Status | None = None
        self.epoch: Epoch | None = None
        self.current = ("Getting ready", 0, 0)
        """The activity with how much of it is done and how much there is: one value, as another thread reads it."""

    def say(self, line: str) -> None:
        """Print one line above the display."""
        self.console.print(literal(line), soft_wrap=True)

    @contextmanager
    def activity(self, name: str) -> Iterator[Progress]:
        """Show what is done with how far it is, as long as it runs."""
        before = self.current
        self.current, self.epoch = (name, 0, 0), None

        def update(done: int, total: int) -> None:
            self.current = (name, done, total)

        try:
            yield update
        finally:
            self.current, self.epoch = before, None

    def show(self, status: Status) -> None:
        """Show where the search is from now on."""
        self.status, self.current, self.epoch = status, (TRYING, 0, 0), None

    def learned(self, epoch: Epoch) -> None:
        """Show where training is until something else begins."""
        self.epoch = epoch

    def rendered(self) -> RenderableType:
        """Return the display as it is now."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column()
        for name, text in self._lines():
            grid.add_row(name, literal(text, style="bold" if name == BEST else ""))
        return grid

    def _lines(self) -> Iterator[tuple[str, str]]:
        yield self._clock()
        status = self.status
        if status is not None:
            yield "trials", f"{status.n_trials:,}, after {status.n_swept:,} frozen candidates"
            yield BEST, best_words(status, self.metric)
        name, done, total = self.current
        if status is not None and name == TRYING:
            yield "now", status.running
        else:
            yield "now", f"{name}  {done:,} of {total:,} {bar(done / total, BAR_WIDTH)}" if total else name
        if (epoch := self.epoch) is not None:
            yield "", epoch_words(epoch)

    def _clock(self) -> tuple[str, str]:
        now = time.monotonic()
        if self.ends is None:
            return "time", format_duration(now - self.started)
        return "time left", format_duration(max(self.ends - now, 0.0))


def best_words(status: Status, metric: str) -> str:
    """Return the best candidate so far with what is expected of it, or what it measured where nothing is."""
    if status.value is None:
        return status.best
    value = metric_words(metric, status.value)
    if status.interval is None:
        return f"{value}, {status.best}"
    low, high = status.interval
    return f"expected {value} (90% interval {low:.1%} to {high:.1%}), {status.best}"
