"""Work that Ray's processes do for tests: they import it by its name."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest


def skip_without_ray() -> None:
    """Skip a test without importing Ray here: it reads its settings when it is imported, and keeps to them."""
    if find_spec("ray") is None:
        pytest.skip("--ray needs the extra automl-tl[ray]")


def counted(n: int, *, report: Callable[[int], None]) -> tuple[int, str]:
    """Report 0 to n - 1; return whose process it was and how many threads it may have."""
    for i in range(n):
        report(i)
    return os.getpid(), os.environ["OMP_NUM_THREADS"]


def raising(text: str) -> None:
    raise FileNotFoundError(text)


def dying(times: int, marks: Path, *, report: Callable[[int], None]) -> str:
    """Report something, then die as often as is asked for; there is a file for every time that it was begun."""
    begun = len(list(marks.iterdir()))
    (marks / str(begun)).touch()
    report(7)
    if begun < times:
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def endless(mark: Path, *, report: Callable[[int], None]) -> None:
    """Report until somebody ends it; then there is a file."""
    try:
        for i in range(10_000):
            report(i)
            time.sleep(0.05)
    finally:
        mark.touch()


def sleeping(seconds: float) -> None:
    time.sleep(seconds)


def outlived(marks: Path) -> str:
    """Wait for its end at the first time; return the machine of the second; there is a file for every beginning."""
    import ray

    first, machine = not any(marks.iterdir()), ray.get_runtime_context().get_node_id()
    (marks / f"{machine} {os.getpid()}").touch()
    if first:
        time.sleep(300)
    return str(machine)
