"""Where a result comes from: versions, machine, command, seed, seconds."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version

from automl_tl.durations import format_duration
from automl_tl.report.parts import Facts, Section
from automl_tl.version import __version__

_PACKAGES = ("torch", "timm", "scikit-learn", "optuna", "pillow", "numpy")


@dataclass(frozen=True)
class Provenance:
    """What whoever wants the same result again needs to know."""

    command: str
    """As it was typed."""
    device: str
    """Where networks ran."""
    seed: int | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    """By activity, "total" among them."""

    def section(self) -> Section:
        """Return it as the last section of a page."""
        return Section("Where this comes from", (Facts(tuple(self._rows())),))

    def _rows(self) -> list[tuple[str, str]]:
        rows = [("command", self.command), ("written", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")]
        if self.seed is not None:
            rows.append(("seed", str(self.seed)))
        if self.seconds:
            rows.append(("time", _times(self.seconds)))
        packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
        rows.append(("versions", f"automl-tl {__version__}, Python {platform.python_version()}, {packages}"))
        rows.append(("machine", f"{platform.platform()}, {os.cpu_count()} CPU cores, networks on {self.device}"))
        return rows


def _times(seconds: Mapping[str, float]) -> str:
    parts = [f"{name} {format_duration(value)}" for name, value in seconds.items() if name != "total"]
    total = f"{format_duration(seconds['total'])} in all" if "total" in seconds else ""
    return ": ".join(filter(None, [total, ", ".join(parts)]))
