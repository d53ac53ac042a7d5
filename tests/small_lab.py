"""A laboratory without a data set, for tests of what works in one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from automl_tl.features.engine import Engine
from automl_tl.lab.clock import Clock
from automl_tl.lab.lab import Lab
from automl_tl.lab.networks import Networks, Overrides
from automl_tl.learning.scores import get_metric
from automl_tl.monitor import Silent

CPU = Engine("cpu", "float32")


def bare_networks(cache: Path, *, weights: dict[str, Path] | None = None, named: Any = ()) -> Networks:
    """Return networks of the installed plugins, none of them built."""
    return Networks(CPU, cache, Overrides(weights or {}), frozenset(named))


def bare_lab(cache: Path, *, named: Any = (), **more: Any) -> Lab:
    """Return a laboratory without pictures, which become square by squashing."""
    dataset: Any = SimpleNamespace(frame=range(0), fingerprint="", has_given_splits=True)
    report: Any = SimpleNamespace(fit="squash")
    lab = Lab(
        "nowhere", dataset, report, dataset, bare_networks(cache, named=named), (), get_metric("accuracy"), 0,
        Silent(), (), Clock(),
    )  # fmt: skip
    return cast(Lab, replace(lab, **more))
