"""Every option of the commands, once: name, type, default, help, and how its text is read.

The functions of Python, the estimator, the command line and the commands that a page suggests all derive from these
dataclasses; a new option is one field.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from automl_tl.backbones.overrides import Triple
from automl_tl.durations import parse_duration
from automl_tl.errors import OptionError
from automl_tl.memory import resident_memory
from automl_tl.monitor import Monitor
from automl_tl.options.declaration import as_typed, option, option_of
from automl_tl.options.texts import (
    parse_device,
    parse_input_size,
    parse_mean,
    parse_split_folders,
    parse_std,
    parse_weights,
)
from automl_tl.quantities import parse_bytes, parse_count, parse_milliseconds
from automl_tl.strategies import FROZEN, STRATEGIES
from automl_tl.work import Executor, ThisProcess

METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss")
PARTS = ("joined", "augmented", "trained", "enqueued", "ensemble")
"""Parts of the search that can be left out, to measure what each earns."""
DEFAULT_BUDGET = 600.0
"""Seconds of a search, where neither a budget nor a number of trials is given."""
LEAST_BUDGET = 10.0
LARGEST_SEED = 2**32 - 1  # the largest that numpy's and scikit-learn's generators take


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """Which files a table names."""

    path_column: str = option("path", "Table: picture files.", show_default=True)
    image_root: str | Path | None = option(
        None, "Table: where relative paths start.  [default: the table's folder]",
        doc="folder where the relative paths of a table start; default: the table's.", metavar="FOLDER",
    )  # fmt: skip
    extension: str = option(
        "", "Table: added to names of files that lack it: .jpg.", doc="added to those names of a table that lack it.",
        metavar=".EXT",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TableOptions(FileOptions):
    """How a data set is read: the columns of a table, the folders of a split."""

    label_column: str = option("label", "Table: classes.", show_default=True)
    split_column: str = option("split", "Table: train, val or test.", show_default=True)
    group_column: str | None = option(
        None, "Table: pictures of one group (a patient, a drawer) stay on one side of every split."
    )
    split_folders: Mapping[str, str] | None = option(
        None,
        "Folder: which one is train, val or test, where its name does not say so; repeatable.  none: all are classes.",
        doc='which folders are which part of a split, {"fold0": "test"}; empty: all are classes; default: what their '
        "names and contents say.",
        flag="--split-folder", metavar="NAME=PART", parse=parse_split_folders, repeatable=True,
    )  # fmt: skip

    def of_table(self) -> dict[str, Any]:
        """Return these options as the arguments of `open_dataset`."""
        return {one.name: getattr(self, one.name) for one in fields(TableOptions)}


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """How a given split is taken."""

    drop_leaks: bool = option(
        True, "A given split: whether training pictures with copies in a later part are left out.",
        doc="whether training pictures with copies in a later part of a given split are left out.",
        flag="--drop-leaks/--keep-leaks", show_default=True,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OverrideOptions:
    """What the user knows better than a backbone's plugin."""

    weights: Mapping[str, Path] | None = option(
        None,
        "Weights of a backbone from a local .safetensors or .pth file; repeatable.",
        doc="local weights files by backbone name.",
        metavar="NAME=FILE", parse=parse_weights, repeatable=True,
    )  # fmt: skip
    mean: Triple | None = option(
        None, "Override the input mean.", doc="overrides a backbone's input mean.", metavar="R,G,B", parse=parse_mean
    )
    std: Triple | None = option(
        None, "Override the input deviation.", doc="overrides its deviation.", metavar="R,G,B", parse=parse_std
    )
    input_size: int | None = option(
        None, "Override the side of the input pictures.", doc="overrides its input size, pixels.",
        metavar="PIXELS", parse=parse_input_size,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class BackboneOptions:
    """Which backbones are considered."""

    backbones: Sequence[str] = option(
        (),
        "A backbone to consider, or a preset whose weights are fetched: fast, balanced or best; repeatable.  "
        "[default: all, those whose weights are on this machine]",
        doc="names to consider; default: all whose weights are on this machine.",
        flag="--backbone", metavar="NAME", repeatable=True, kept_by_resume=True,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class GoalOptions:
    """What is to be good."""

    metric: str = option(
        "accuracy", "What is to be good.", doc=f"what is to be good: {', '.join(METRICS)}.",
        choices=METRICS, show_default=True, kept_by_resume=True,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CacheOptions:
    """Where results are kept between runs."""

    cache_dir: str | Path | None = option(
        None, "Where results are kept between runs.  [default: the user's cache folder]",
        doc="where features are kept between runs; default: the user's cache folder.",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """Where to compute."""

    device: str = option(
        "auto", "Where to compute: auto, cpu, cuda, cuda:N or mps.", doc='"auto", "cpu", "cuda", "cuda:N" or "mps".',
        parse=parse_device, show_default=True,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SeedOptions:
    """What chance depends on."""

    seed: int = option(
        0, "Same data and seed, same result.", doc="of the split, the folds, the samples, the sampler and training.",
        bounds=(0, LARGEST_SEED), show_default=True, kept_by_resume=True,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class WorkOptions:
    """Who watches, and where what is expensive runs."""

    monitor: Monitor | None = option(None, "who watches; default: nobody.", on_command_line=False)
    executor: Executor = option(
        ThisProcess(), "where what is expensive runs; default: in this process.", on_command_line=False
    )


@dataclass(frozen=True, kw_only=True)
class LabOptions(
    WorkOptions,
    CacheOptions,
    SeedOptions,
    DeviceOptions,
    GoalOptions,
    OverrideOptions,
    BackboneOptions,
    SplitOptions,
    TableOptions,
):
    """What recommending and searching have in common.

    Raises:
        OptionError: a text that means nothing.
    """

    def __post_init__(self) -> None:
        """Let Python say what the command line says: budget="10m", backbones="efficientnet_lite0"."""
        for one in fields(self):
            object.__setattr__(self, one.name, as_typed(option_of(one), getattr(self, one.name)))


@dataclass(frozen=True, kw_only=True)
class EffortOptions:
    """What a recommendation looks at, and what it may try."""

    budget: float | None = option(
        None,
        "Training time that you will spend afterwards: 90, 10m, 1h30m.",
        doc="training time that will be spent afterwards, seconds or a text (10m); default: not considered.",
        metavar="DURATION", parse=parse_duration,
    )  # fmt: skip
    max_images: int | None = option(
        None,
        "Look at a stratified sample of N pictures, at least two of a class.  [default: what takes two minutes]",
        doc="look at no more training pictures than this; default: what takes about two minutes.",
        metavar="N", bounds=(1, None),
    )  # fmt: skip
    try_training: bool = option(
        False,
        "Spend what is left of two minutes, or half of --budget where that is longer, on one short fine-tuning: "
        "then its gain is measured on your pictures.",
        doc="spend what is left of two minutes, or half of `budget` where that is longer, on one short fine-tuning of "
        "the last stages: then what it gains is measured here, not taken from other data sets.",
    )


@dataclass(frozen=True, kw_only=True)
class RecommendOptions(EffortOptions, LabOptions):
    """Every option of `recommend`."""


@dataclass(frozen=True, kw_only=True)
class BudgetOptions:
    """How long a search goes on."""

    budget: float | None = option(
        None,
        "Time from now to the finished model: 90, 10m, 1h30m.  [default: 10m, or none with --trials]",
        doc="seconds, or a text (10m), from the start to the written model; default: 600 where `trials` is not given "
        "either.",
        metavar="DURATION", parse=parse_duration,
    )  # fmt: skip
    trials: int | None = option(
        None,
        "Trials after the sweep, in all.",
        doc="trials after the sweep, in all; without a budget no decision reads a clock, so the same seed gives the "
        "same leaderboard but for the seconds.",
        metavar="N", bounds=(1, None),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OutOptions:
    """Where a run lies."""

    out: str | Path | None = option(
        None, "Folder of the run.  [default: runs/<time>]", doc="folder of the run; default: runs/<time>.",
        metavar="RUN",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FolderOptions(OutOptions):
    """Where a run lies, and whether it is begun."""

    resume: bool = option(
        False, "Go on with the run in --out.", doc="go on with the run in `out`, for the budget given now."
    )


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
        metavar="SIZE", parse=parse_bytes,
    )  # fmt: skip
    max_latency_ms: float | None = option(
        None, "Milliseconds for one picture on this device, at most.",
        doc="milliseconds for one picture on this device, alone in its batch.",
        metavar="MS", parse=parse_milliseconds, kept_by_resume=True,
    )  # fmt: skip
    max_params: int | None = option(
        None, "Parameters of the backbone up to the cut, at most: 5M, 2.5e6.",
        doc="parameters of the backbone up to the cut.", metavar="N", parse=parse_count, kept_by_resume=True,
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
    LimitOptions, BudgetOptions, CacheOptions, DeviceOptions, GoalOptions, OverrideOptions, BackboneOptions
):
    """What the estimator has of a search's options."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions(InsideOptions, LimitOptions, FolderOptions, BudgetOptions, LabOptions):
    """Every option of `search`.

    Raises:
        OptionError: values that make no sense.
    """

    def __post_init__(self) -> None:
        """Check the values and fill in the default budget."""
        super().__post_init__()
        for name, known in (("strategies", STRATEGIES), ("without", PARTS)):
            unknown = [one for one in getattr(self, name) if one not in known]
            if unknown:
                what = "strategy" if name == "strategies" else "part"
                raise OptionError(f"unknown {what} {unknown[0]!r}; known are {', '.join(known)}")
        for name in ("trials", "max_memory", "max_latency_ms", "max_params"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise OptionError(f"{name} must be above 0, but is {value}")
        if self.budget is not None and not LEAST_BUDGET <= self.budget < math.inf:
            raise OptionError(
                f"a budget must be {LEAST_BUDGET:g} s or more, to look at the pictures at all, but is {self.budget:g} s"
            )
        if self.max_memory is not None and resident_memory() is None:
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
