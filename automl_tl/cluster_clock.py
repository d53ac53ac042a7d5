"""Seconds that are left, told alike in all of Ray's processes: no machine's time of day is asked."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib import import_module
from typing import Any


class _Clock:
    """An actor: a clock that is never set, and that is the same one for all who ask."""

    def now(self) -> float:
        """Return seconds since some moment, the same one as long as the machine is up."""
        return time.monotonic()


@dataclass(frozen=True)
class Countdown:
    """Tells how many seconds are left; it can travel to other processes, where the time goes on."""

    clock: Any
    """Of `_Clock`, on the driver's machine: one that is started again there has the same time."""
    ends: float
    """In its time."""

    @classmethod
    def of(cls, seconds: float) -> Countdown:
        """Return one that begins now."""
        begun, ray = time.monotonic(), import_module("ray")
        affinity = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
        here = affinity(ray.get_runtime_context().get_node_id(), soft=False)
        actor = ray.remote(_Clock).options(
            num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here
        )  # fmt: skip
        clock = actor.remote()
        now = ray.get(clock.now.remote())  # the actor's process has started by then
        return cls(clock, now + seconds - (time.monotonic() - begun))

    def __call__(self) -> float:
        """Return the seconds that are left; below 0 after the end."""
        return self.ends - float(import_module("ray").get(self.clock.now.remote()))
