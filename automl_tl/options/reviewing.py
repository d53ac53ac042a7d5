"""What is asked of `labels`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from automl_tl.options.declaration import option
from automl_tl.options.groups import LabOptions
from automl_tl.options.texts import parse_csv_file


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Which run helps to look at labels."""

    run: str | Path | None = option(
        None,
        "Let the models of a finished run vote as well; what was trained is trained once more for each of five folds.",
        doc="folder of a finished run, whose models vote as well; what was trained is trained once more for each of "
        "five folds; default: none.",
        metavar="RUN",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LabelOptions(RunOptions, LabOptions):
    """Every option of `labels`."""


@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """Where a list is written."""

    output: Path | None = option(
        None, "Write the labels that are likely wrong as CSV.", metavar="FILE.csv", parse=parse_csv_file
    )


@dataclass(frozen=True, kw_only=True)
class LabelListOptions(ListOptions, LabelOptions):
    """Every option of the command."""
