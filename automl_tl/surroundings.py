"""On what something is made, so that it can be made again: time, versions, machine."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from automl_tl.version import __version__

_PACKAGES = ("torch", "timm", "scikit-learn", "optuna", "pillow", "numpy")


@dataclass(frozen=True)
class Surroundings:
    """When, with what and where something was made, for people."""

    when: str
    versions: str
    machine: str


def surroundings() -> Surroundings:
    """Return those of this process, now."""
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return Surroundings(
        when=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        versions=f"automl-tl {__version__}, Python {platform.python_version()}, {packages}",
        machine=f"{platform.platform()}, {os.cpu_count()} CPU cores",
    )
