"""What a conformance check found: a uniform result, and the report over all of them. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["passed", "failed", "skipped"]
NOT_BUILT = "it cannot be built, see the check `builds`"
"""Why every check is skipped that needs a network."""


@dataclass(frozen=True)
class CheckResult:
    """One check of one backbone."""

    name: str
    """The check's name, such as "rows_are_independent"."""
    status: Status
    expected: str
    """What must hold; of a skipped check, empty."""
    actual: str
    """What was measured, with shapes or values; of a skipped check, the reason."""
    advice: str = ""
    """What to do; empty where the check did not fail."""
    backbone: str = ""
    """Whose it is: a name, with its distribution and version where it is an installed plugin."""
    seconds: float = 0.0

    @property
    def sentence(self) -> str:
        """Everything about this result in one line."""
        subject = f"{self.backbone}: {self.name} {self.status}"
        if self.status == "failed":
            return f"{subject}: expected {self.expected}, but found {self.actual}; {self.advice}"
        return f"{subject}: {self.actual}"


@dataclass(frozen=True)
class ConformanceReport:
    """All results of one backbone, in the order of the checks."""

    backbone: str
    results: tuple[CheckResult, ...]
    expected_failures: Mapping[str, str] = field(default_factory=dict)
    """Reasons by name of those checks that the author knows to fail."""

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """Checks that failed without being expected to."""
        return tuple(one for one in self.results if one.status == "failed" and one.name not in self.expected_failures)

    @property
    def surprises(self) -> tuple[CheckResult, ...]:
        """Checks that passed although their failure was expected: the expectation is out of date."""
        return tuple(one for one in self.results if one.status == "passed" and one.name in self.expected_failures)

    @property
    def passed(self) -> bool:
        """Whether nothing failed that should not, and nothing passed that was expected to fail."""
        return not self.failed and not self.surprises

    def count(self, status: Status) -> int:
        """Return the number of results with that status."""
        return sum(one.status == status for one in self.results)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "backbone": self.backbone,
            "passed": self.passed,
            "counts": {status: self.count(status) for status in ("passed", "failed", "skipped")},
            "checks": [
                {
                    "name": one.name,
                    "status": one.status,
                    "expected": one.expected,
                    "actual": one.actual,
                    "advice": one.advice,
                    "seconds": round(one.seconds, 3),
                    "expected_failure": self.expected_failures.get(one.name),
                }
                for one in self.results
            ],
        }


def verdict(check: Callable[..., Any], holds: bool, *, expected: str, actual: str, advice: str) -> CheckResult:
    """Return a passed or a failed result of `check`, whose function name is the check's name."""
    status: Status = "passed" if holds else "failed"
    return CheckResult(check.__name__, status, expected, actual, "" if holds else advice)


def skipped(check: Callable[..., Any], reason: str) -> CheckResult:
    """Return the result of a `check` that does not apply."""
    return CheckResult(check.__name__, "skipped", "", reason)
