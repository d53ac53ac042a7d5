"""What a search was asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from automl_tl.data.names import printable
from automl_tl.errors import OptionError
from automl_tl.lab.assessment import Columns
from automl_tl.lab.networks import Overrides
from automl_tl.learning.scores import get_metric
from automl_tl.strategies import FROZEN, STRATEGIES

DEFAULT_BUDGET = 600.0
"""Seconds, where neither a budget nor a number of trials is given."""
PARTS = ("joined", "augmented", "trained", "enqueued", "ensemble")
"""Parts of the search that can be left out, to measure what each earns."""
LEAST_BUDGET = 10.0


@dataclass(frozen=True)
class Settings:
    """Every option of a search; `search` documents them."""

    path: str
    budget: float | None = None
    trials: int | None = None
    out: Path | None = None
    resume: bool = False
    backbones: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()
    metric: str = "accuracy"
    device: str = "auto"
    max_memory: int | None = None
    max_latency_ms: float | None = None
    max_params: int | None = None
    seed: int = 0
    cache_dir: str | Path | None = None
    columns: Columns = field(default_factory=Columns)
    overrides: Overrides = field(default_factory=Overrides)
    without: tuple[str, ...] = ()

    @property
    def parts(self) -> Mapping[str, bool]:
        """Which of PARTS are on."""
        return {part: part not in self.without for part in PARTS}

    @property
    def combines(self) -> bool:
        """Whether a trained and a frozen candidate may be delivered together."""
        frozen = [name in FROZEN for name in self.strategies or STRATEGIES]
        both = any(frozen) and not all(frozen) and self.parts["trained"]
        return both and self.parts["ensemble"] and not self.max_latency_ms and not self.max_params

    def asked(self) -> dict[str, Any]:
        """Return what a resumed run must have in common with the one it goes on with, as JSON values."""
        names = ("backbones", "strategies", "metric", "max_latency_ms", "max_params", "seed", "without")
        values = {name: getattr(self, name) for name in names}
        own = self.overrides
        values["inputs"] = [sorted(map(str, own.weights.items())), own.mean, own.std, own.input_size]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def checked(settings: Settings) -> Settings:
    """Return the settings with their defaults filled in; raises OptionError for values that make no sense."""
    get_metric(settings.metric)
    for name, known, given in (
        ("strategy", STRATEGIES, settings.strategies),
        ("part", PARTS, settings.without),
    ):
        unknown = [one for one in given if one not in known]
        if unknown:
            raise OptionError(f"unknown {name} '{printable(unknown[0])}'; known are {', '.join(known)}")
    for name in ("trials", "max_memory", "max_latency_ms", "max_params"):
        value = getattr(settings, name)
        if value is not None and value <= 0:
            raise OptionError(f"{name} must be above 0, but is {value}")
    if settings.budget is not None and not LEAST_BUDGET <= settings.budget < math.inf:
        raise OptionError(
            f"a budget must be {LEAST_BUDGET:g} s or more, to look at the pictures at all, but is {settings.budget:g} s"
        )
    if settings.resume and settings.out is None:
        raise OptionError("--resume needs --out, the folder of the run to go on with")
    if settings.budget is None and settings.trials is None:
        return replace(settings, budget=DEFAULT_BUDGET)
    return settings
