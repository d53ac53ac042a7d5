"""What is searched by `search`: for how long, where, within which limits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from automl_tl.durations import parse_duration
from automl_tl.errors import OptionError
from automl_tl.memory import held_memory
from automl_tl.options.declaration import option, option_of
from automl_tl.options.groups import (
    BackboneOptions,
    BatchOptions,
    CacheOptions,
    DecodingOptions,
    DeviceOptions,
    GoalOptions,
    LabOptions,
    OutOptions,
    OverrideOptions,
    TrackingOptions,
)
from automl_tl.options.texts import parse_storage
from automl_tl.quantities import parse_bytes, parse_count, parse_milliseconds
from automl_tl.strategies import FROZEN, STRATEGIES
from automl_tl.wording import format_bytes

PARTS = ("joined", "augmented", "trained", "enqueued", "ensemble")
"""Parts of the search that can be left out, to measure what each earns."""
DEFAULT_BUDGET = 600.0
"""Seconds of a search, where neither a budget nor a number of trials is given."""
LEAST_BUDGET = 10.0
LEAST_MEMORY = 100 * 10**6
"""Bytes; a process that has loaded torch holds more."""


@dataclass(frozen=True, kw_only=True)
class BudgetOptions:
    """How long a search goes on."""

    budget: float | None = option(
        None,
        "Time from now to the finished model: 90 (seconds, at least 10), 10m, 1h30m.  [default: 10m, or none with "
        "--trials]",
        doc="seconds, or a text (10m), from the start to the written model; default: 600 where `trials` is not given "
        "either.",
        metavar="DURATION", parse=parse_duration,
    )  # fmt: skip
    trials: int | None = option(
        None,
        "Candidates to try, in all, after the sweep of frozen ones; with --budget, whichever is used up first.",
        doc="trials after the sweep, in all; without a budget no decision reads a clock, so the same seed gives the "
        "same leaderboard but for the seconds.",
        metavar="N", bounds=(1, None),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FolderOptions(OutOptions):
    """Where a run lies, and whether it is begun."""

    resume: bool = option(
        False, "Go on with the run in --out.", doc="go on with the run in `out`, for the budget given now."
    )
    storage: str | None = option(
        None,
        "Copy the trials into a database as well, to watch them with optuna-dashboard: sqlite:///FILE, "
        "postgresql+psycopg://USER@HOST/NAME; its password is AUTOML_TL_STORAGE_PASSWORD of the environment.",
        doc="URL of a database that Optuna knows, into which trials are copied as they end; its password is read from "
        "the environment, AUTOML_TL_STORAGE_PASSWORD; default: none.",
        metavar="URL", parse=parse_storage,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LimitOptions:
    """What may be chosen, and how large it may be."""

    strategies: Sequence[str] = option(
        (), f"A strategy to consider: {', '.join(STRATEGIES)}; repeatable.  [default: all]",
        doc="of the four, those to consider; default: all.",
        flag="--strategy", metavar="NAME", choices=STRATEGIES, repeatable=True, kept_by_resume=True,
    )  # fmt: skip
    max_memory: int | None = option(
        None, "Memory to use, at most: 4GB, 500MB.",
        doc="bytes of resident memory; activations are kept accordingly, a trial beyond it ends.",
        metavar="SIZE", parse=parse_bytes, bounds=(1, None),
    )  # fmt: skip
    max_latency_ms: float | None = option(
        None, "Milliseconds for one picture on this device, at most.",
        doc="milliseconds for one picture on this device, alone in its batch.",
        metavar="MS", parse=parse_milliseconds, bounds=(1e-3, None), kept_by_resume=True,
    )  # fmt: skip
    max_params: int | None = option(
        None, "Parameters of the backbone up to the cut, at most: 5M, 2.5e6.",
        doc="parameters of the backbone up to the cut.", metavar="N", parse=parse_count, bounds=(1, None),
        kept_by_resume=True,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class InsideOptions:
    """For benchmarks and the command line itself."""

    without: Sequence[str] = option(
        (), f"Parts to leave out, to measure what each earns: {', '.join(PARTS)}.",
        choices=PARTS, repeatable=True, on_command_line=False, kept_by_resume=True,
    )  # fmt: skip
    started: float | None = option(
        None, "`time.monotonic()` when the budget began; default: now.", on_command_line=False
    )


@dataclass(frozen=True, kw_only=True)
class FitOptions(
    LimitOptions,
    BudgetOptions,
    CacheOptions,
    DecodingOptions,
    BatchOptions,
    DeviceOptions,
    GoalOptions,
    OverrideOptions,
    BackboneOptions,
):
    """What the estimator has of a search's options."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions(InsideOptions, LimitOptions, TrackingOptions, FolderOptions, BudgetOptions, LabOptions):
    """Every option of `search`.

    Raises:
        OptionError: values that make no sense.
    """

    def __post_init__(self) -> None:
        """Check the values and fill in the default budget."""
        super().__post_init__()
        if self.budget is not None and not LEAST_BUDGET <= self.budget < math.inf:
            raise OptionError(
                f"a budget must be {LEAST_BUDGET:g} s or more, to look at the pictures at all, but is {self.budget:g} s"
            )
        if self.max_memory is not None and self.max_memory < LEAST_MEMORY:
            raise OptionError(
                f"--max-memory {format_bytes(self.max_memory)} holds no network: give {format_bytes(LEAST_MEMORY)} or "
                "more, with its unit (4GB)"
            )
        if self.max_memory is not None and held_memory() is None:
            raise OptionError("--max-memory needs Linux or macOS: here memory cannot be watched; leave it out")
        if self.resume and self.out is None:
            raise OptionError("--resume needs --out, the folder of the run to go on with")
        if self.budget is None and self.trials is None:
            object.__setattr__(self, "budget", DEFAULT_BUDGET)

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

    def kept_by_resume(self) -> dict[str, Any]:
        """Return what a resumed run must have in common with the one it goes on with, as JSON values."""
        kept = {one.name: getattr(self, one.name) for one in fields(self) if option_of(one).kept_by_resume}
        kept["inputs"] = [sorted(map(str, (self.weights or {}).items())), self.mean, self.std, self.input_size]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()}
