"""The processor cores that this process may use, and how its threads wait for each other on them."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""What a container may use, in microseconds a period (the Linux kernel's control groups, version 2)."""
SPINS = 1000
"""Looks at the other threads before one sleeps: libgomp's own number where it knows that cores are shared."""
FEWEST_THREADS, MOST_THREADS = 2, 8
"""That decode pictures: some wait for a disk, and more than eight wait for Python's lock. Beside an H100, on 16 cores,
8 decoded 889 pictures a second and 16 of them 824; features came out at 975 and 754."""


def available_cores() -> int:
    """Return the cores that this process may use: its affinity, and a container's quota rounded up."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _quota())))


def default_threads() -> int:
    """Return how many threads decode pictures: one a core, from FEWEST_THREADS to MOST_THREADS."""
    return max(FEWEST_THREADS, min(MOST_THREADS, available_cores()))


def share_cores(environment: MutableMapping[str, str]) -> None:
    """Set what torch's threads read when torch is loaded: as many as there are cores, and none that waits busily.

    A waiting thread of libgomp holds its core for milliseconds. Where something else wants the core, each of the
    thousand meetings of a training step then takes as long: fine-tuning three stages took 11 s in place of .2 beside
    two busy processes on two cores, and .6 s so; on idle cores it takes 1.05 times as long. And torch starts a thread
    for every core of the machine, however few of them a container is given. What the user has set stays.
    """
    if "torch" in sys.modules:
        return
    if not environment.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}:
        environment["GOMP_SPINCOUNT"] = str(SPINS)
    if math.isfinite(_quota()):
        environment.setdefault("OMP_NUM_THREADS", str(available_cores()))


def _quota() -> float:
    """Return the cores that a container is given, infinite where nothing says so."""
    try:
        microseconds, period = QUOTA.read_text(encoding="ascii").split()
        return int(microseconds) / int(period)
    except (OSError, ValueError):
        return math.inf
