"""Every option of the commands, once: name, type, default, help, and how its text is read.

The functions of Python, the estimator, the command line and the commands that a page suggests all derive from these
dataclasses; a new option is one field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from automl_tl.backbones.overrides import Triple
from automl_tl.cores import FEWEST_THREADS, MOST_THREADS
from automl_tl.durations import parse_duration
from automl_tl.monitor import Monitor
from automl_tl.options.declaration import as_typed, check, option, option_of
from automl_tl.options.texts import (
    parse_device,
    parse_input_size,
    parse_mean,
    parse_ray,
    parse_root,
    parse_split_folders,
    parse_std,
    parse_weights,
)
from automl_tl.work import Executor, ThisProcess

METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss")
_THREADS = f"one a core, {FEWEST_THREADS} to {MOST_THREADS}"
LARGEST_SEED = 2**32 - 1  # the largest that numpy's and scikit-learn's generators take


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """Which files a table names."""

    path_column: str = option("path", "Table: picture files.", show_default=True)
    image_root: str | Path | None = option(
        None, "Table: where relative paths start.  [default: the table's folder]",
        doc="folder or address where the relative paths of a table start; default: the table's.", metavar="FOLDER",
        parse=parse_root,
    )  # fmt: skip
    extension: str = option(
        "", "Table: added to names of files that lack it: .jpg.", doc="added to those names of a table that lack it.",
        metavar=".EXT",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TableOptions(FileOptions):
    """How a data set is read: the columns of a table, the folders of a split."""

    label_column: str = option("label", "Table: classes.", show_default=True)
    split_column: str = option(
        "split", "Table: train, val or test.  none: whatever the column says, none is given.", show_default=True,
        doc='of train, val or test; "none": whatever the column says, none is given.',
    )  # fmt: skip
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
        None,
        "Where results are kept between runs.  [default: $AUTOML_TL_CACHE_DIR, else the user's cache folder]",
        doc="where features are kept between runs; default: AUTOML_TL_CACHE_DIR of the environment, else the user's "
        "cache folder.", metavar="FOLDER",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """Where to compute."""

    device: str = option(
        "auto", "Where to compute: auto, cpu, cuda, cuda:N (or N) or mps.",
        doc='"auto", "cpu", "cuda", "cuda:N" (or "N") or "mps".',
        parse=parse_device, show_default=True,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """How much is done at once."""

    batch_size: int | None = option(
        None,
        "Pictures that go through a network at once; a training step of more goes in parts.  [default: 32 on a CPU, "
        "what suits the memory of a CUDA GPU; halved where memory does not suffice]",
        doc="pictures that go through a network at once; a training step of more goes in parts; default: 32 on a CPU, "
        "what suits the memory of a CUDA GPU.",
        metavar="N", bounds=(1, None),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DecodingOptions:
    """Who decodes, where nothing else is shared out."""

    workers: int | None = option(
        None, f"Threads that decode pictures.  [default: {_THREADS}]",
        doc=f"threads that decode pictures; default: {_THREADS}.", metavar="N", bounds=(1, None),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SeedOptions:
    """What chance depends on."""

    seed: int = option(
        0,
        "Of all that chance decides: same data and seed, same result, but where a --budget lets the clock decide too.",
        doc="of the split, the folds, the samples, the sampler and training.",
        bounds=(0, LARGEST_SEED), show_default=True, kept_by_resume=True,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class WorkOptions:
    """Who watches, and where what is expensive runs."""

    monitor: Monitor | None = option(
        None, "who watches; default: Python's logging, as automl_tl.", on_command_line=False
    )
    executor: Executor = option(
        ThisProcess(), "where what is expensive runs; default: in this process.", on_command_line=False
    )
    ray: str | None = option(
        None,
        "Let Ray do the work: local starts one here, auto joins the one that runs here, ray://HOST:PORT one elsewhere.",
        doc='lets Ray do what is expensive: "local" starts one here, "auto" joins the one that runs here, '
        '"ray://HOST:PORT" one elsewhere; default: this process works alone.',
        metavar="auto|local|ray://HOST:PORT", parse=parse_ray,
    )  # fmt: skip
    workers: int | None = option(
        None,
        f"Threads that decode pictures; with --ray, pieces of work at once.  [default: threads {_THREADS}; "
        "pieces one per GPU, or one per four cores]",
        doc=f"threads that decode pictures (default: {_THREADS}); with `ray`, pieces of work at once (default: "
        "one per GPU, or one per four cores).",
        metavar="N", bounds=(1, None),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CalibrationOptions:
    """What experience is drawn on."""

    without_set: str = option(
        "", "a set of the panel that what is expected must not have seen, for benchmarks on it; default: none.",
        on_command_line=False,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LabOptions(
    CalibrationOptions,
    WorkOptions,
    CacheOptions,
    SeedOptions,
    BatchOptions,
    DeviceOptions,
    GoalOptions,
    OverrideOptions,
    BackboneOptions,
    SplitOptions,
    TableOptions,
):
    """What recommending and searching have in common.

    Raises:
        OptionError: a text that means nothing, or a value that makes no sense.
    """

    def __post_init__(self) -> None:
        """Let Python say what the command line says: budget="10m", backbones="efficientnet_lite0"; check the values."""
        for one in fields(self):
            object.__setattr__(self, one.name, as_typed(option_of(one), getattr(self, one.name)))
        check(self)


@dataclass(frozen=True, kw_only=True)
class EffortOptions:
    """What a recommendation looks at, and what it may try."""

    budget: float | None = option(
        None,
        "Training time that you will spend afterwards, which is not the time that the answer takes: 90 (seconds), "
        "10m, 1h30m.",
        doc="training time that will be spent afterwards, seconds or a text (10m); default: not considered.",
        metavar="DURATION", parse=parse_duration, bounds=(0.001, None),
    )  # fmt: skip
    max_images: int | None = option(
        None,
        "Look at a stratified sample of N pictures, at least two of a class.  [default: what takes two "
        "minutes, 300 in any case]",
        doc="look at no more training pictures than this; default: what takes about two minutes, 300 in any case.",
        metavar="N", bounds=(1, None),
    )  # fmt: skip
    try_training: bool | None = option(
        None,
        "Spend what is left of two minutes, or half of --budget where that is longer, on a short fine-tuning: then its "
        "gain is measured on your pictures.  [default: what is left of two minutes, where it can change the answer]",
        doc="spend what is left of two minutes, or half of `budget` where that is longer, on a short fine-tuning of "
        "the last stages: then what it gains is measured here, not taken from other data sets; default: where that can "
        "change the answer.",
        flag="--try-training/--no-try-training",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RecommendOptions(EffortOptions, LabOptions):
    """Every option of `recommend`."""


@dataclass(frozen=True, kw_only=True)
class TrackingOptions:
    """What else hears of every epoch."""

    tensorboard: str | Path | None = option(
        None, "Write every epoch of every training run there, for TensorBoard.",
        doc="folder that every epoch of every training run is written to, for TensorBoard; default: none.",
        metavar="FOLDER",
    )  # fmt: skip
    mlflow: str | None = option(
        None, "Log every epoch of every training run to this experiment of MLflow.",
        doc="experiment of MLflow that every epoch of every training run is logged to; default: none.",
        metavar="EXPERIMENT",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OutOptions:
    """Where a run lies."""

    out: str | Path | None = option(
        None, "Folder of the run.  [default: runs/<time>]", doc="folder of the run; default: runs/<time>.",
        metavar="RUN",
    )  # fmt: skip
    command: str = option(
        "", "what was typed, which the run keeps for its page; default: nothing was.", on_command_line=False
    )
