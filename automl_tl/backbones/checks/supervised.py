"""Run the conformance checks from outside: in a child, where one that hangs or crashes fails alone. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from automl_tl.backbones.checks.result import NOT_BUILT, CheckResult, ConformanceReport
from automl_tl.backbones.child import Ending, Event, run_in_child
from automl_tl.errors import BackboneError

CHECK_SECONDS = 600.0
"""How long one check may take, unless told otherwise."""
_CHILD = "automl_tl.backbones.checks.process"

Progress = Callable[[int, int], None]


def supervise(
    name: str, options: Mapping[str, Any], *, seconds: float = CHECK_SECONDS, progress: Progress | None = None
) -> ConformanceReport:
    """Run all checks on an installed backbone; after a hang or a crash a new child goes on with the next check.

    Args:
        name: As the registry calls it.
        options: JSON values for `configure`: "weights", "mean", "std", "input_size".
        seconds: How long one check may take; 0 for no limit.
        progress: Called with (done, total).

    Raises:
        BackboneError: The child ends before the first check: importing the plugins is what fails.
    """
    run = _Run(progress or (lambda done, total: None))
    while True:
        request = {"name": name, "options": dict(options), "checks": run.waiting}
        ending = run_in_child(_CHILD, request, seconds=seconds, on_event=run.hear)
        if ending.kind == "done":
            return ConformanceReport(run.backbone, tuple(run.results))
        run.bury(name, ending)
        if not run.waiting:
            return ConformanceReport(run.backbone, tuple(run.results))


@dataclass
class _Run:
    """What the children have said so far."""

    progress: Progress
    backbone: str = ""
    waiting: list[str] | None = None
    """Names of checks without a result; None before a child has said which there are."""
    started: str = ""
    results: list[CheckResult] = field(default_factory=list)

    def hear(self, event: Event) -> None:
        """Take a child's event: who it examines, a check that starts, or a result."""
        if "backbone" in event:
            self.backbone = event["backbone"]
            self.waiting = event["checks"]
        elif "started" in event:
            self.started = event["started"]
        else:
            self._add(CheckResult(**event["result"]))

    def bury(self, name: str, ending: Ending) -> None:
        """Make a failure of the check during which a child ended."""
        if not self.started:
            raise BackboneError(f"{name} cannot be checked: a process that only imports the plugins {ending.text}")
        advice = "look there; what it does cannot be contained in this process"
        expected = "an end of the check" if ending.kind == "hang" else "a living interpreter"
        started = self.started
        self._add(CheckResult(started, "failed", expected, f"it {ending.text}", advice, self.backbone))
        if started == "builds":  # else every further child would build it, and end so, before its first check
            for one in list(self.waiting or []):
                self._add(CheckResult(one, "skipped", "", NOT_BUILT, backbone=self.backbone))

    def _add(self, result: CheckResult) -> None:
        waiting = self.waiting or []
        self.results.append(result)
        self.waiting = [one for one in waiting if one != result.name]
        self.started = ""
        self.progress(len(self.results), len(self.results) + len(self.waiting))
