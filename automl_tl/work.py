"""The seam for work: what is expensive is a plain function of picklable arguments, submitted to an executor.

Whoever drives a search submits, and alone decides, keeps and delivers; where the work runs is the executor's business.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Executor(Protocol):
    """Runs work, in the shape of `concurrent.futures.Executor`."""

    @property
    def n_workers(self) -> int:
        """How much may be submitted before the first result is waited for."""

    @property
    def per_machine(self) -> int:
        """How many of the workers are on one machine at most, and share its memory."""

    def submit(
        self, work: Callable[..., T], /, *args: Any, report: Callable[..., None] | None = None, **options: Any
    ) -> Future[T]:
        """Return the future result of `work(*args, report=report, **options)`.

        Args:
            work: a function of a module.
            args, options: what can be pickled.
            report: passed on where it is given; what the work reports with it along the way, values that can be
                pickled, reaches this function here, in the thread that waits for the result, and what this function
                raises ends the work.
        """

    def together(
        self, work: Callable[..., T], /, *args: Any, processes: int, folder: Path,
        report: Callable[..., None] | None = None, **options: Any,
    ) -> Future[T]:  # fmt: skip
        """Return what the first of several processes returns that do the same work as one group of torch.distributed.

        Args:
            work, args, options: see `submit`.
            processes: at most `n_workers`. Where one of them dies, all begin again.
            folder: that all of them can write to.
            report: what the first one reports reaches this function.
        """

    def countdown(self, seconds: float) -> Callable[[], float]:
        """Return what tells how many of so many seconds from now are left.

        Work that is given it knows that too, in whatever process and however often it is begun again, whatever the
        machines' clocks are set to.
        """

    def cancel(self) -> None:
        """End whatever has not ended; its results are `concurrent.futures.CancelledError`."""


class ThisProcess:
    """Does the work at once, in this process and thread; an interruption is raised, not kept as a result."""

    n_workers = per_machine = 1

    def submit(
        self, work: Callable[..., T], /, *args: Any, report: Callable[..., None] | None = None, **options: Any
    ) -> Future[T]:
        """Do the work; see `Executor`."""
        if report is not None:
            options["report"] = report
        try:
            return _done(work(*args, **options))
        except Exception as error:
            return _failed(error)  # no name here holds it: the frame that the error remembers would never be freed

    def together(
        self, work: Callable[..., T], /, *args: Any, processes: int, folder: Path,
        report: Callable[..., None] | None = None, **options: Any,
    ) -> Future[T]:  # fmt: skip
        """Do the work at once, alone."""
        return self.submit(work, *args, report=report, **options)

    def countdown(self, seconds: float) -> Callable[[], float]:
        """Count down by the clock that is never set."""
        ends = time.monotonic() + seconds
        return lambda: ends - time.monotonic()

    def cancel(self) -> None:
        """Do nothing: what was submitted has ended."""


def _done(result: T) -> Future[T]:
    future: Future[T] = Future()
    future.set_result(result)
    return future


def _failed(error: Exception) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future
