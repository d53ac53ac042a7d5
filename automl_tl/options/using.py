"""What is asked of a model by `predict` and `evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from automl_tl.options.declaration import option
from automl_tl.options.groups import BatchOptions, DecodingOptions, DeviceOptions, FileOptions, TableOptions
from automl_tl.options.texts import parse_csv_file

SPLITS = ("all", "train", "val", "test")
FORMATS = ("table", "csv", "tsv", "json", "jsonl", "parquet")


@dataclass(frozen=True, kw_only=True)
class RowOptions:
    """What is said of every picture, and where."""

    top_k: int = option(1, "Classes to show per picture.", bounds=(1, None), show_default=True)
    probabilities: bool = option(False, "Show the probability of every class.")
    output_format: str | None = option(
        None,
        "table: for people; csv, tsv: with a header; json: one list; jsonl: one object per line; parquet: needs "
        "--output.  [default: what --output ends in, else table]",
        flag="--format", choices=FORMATS,
    )  # fmt: skip
    output: Path | None = option(None, "Write to FILE, which appears when all is done.", metavar="FILE")
    explain: Path | None = option(
        None,
        "Write a heat map over every picture to FOLDER, new or empty: the brighter, the more speaks for the label.",
        metavar="FOLDER",
    )


@dataclass(frozen=True, kw_only=True)
class HasteOptions:
    """How exactly a model is computed."""

    fast: bool = option(
        False,
        "Compute in the fastest way that this machine knows, for many pictures: probabilities then differ in the third "
        "digit. On a CPU it is worth installing 'automl-tl[openvino]'.",
    )


@dataclass(frozen=True, kw_only=True)
class PredictOptions(BatchOptions, DecodingOptions, DeviceOptions, HasteOptions, FileOptions, RowOptions):
    """Every option of `predict`."""


@dataclass(frozen=True, kw_only=True)
class PartOptions:
    """Which pictures count."""

    split: str | None = option(
        None, "Part of a given split that counts.  [default: test, where a split is given; else all]",
        choices=SPLITS,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class AnswerOptions:
    """Where the answer to every picture is written."""

    errors: Path | None = option(
        None, "Write the answer to every picture as CSV, the largest loss first.", metavar="FILE.csv",
        parse=parse_csv_file,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(
    BatchOptions, DecodingOptions, DeviceOptions, HasteOptions, AnswerOptions, PartOptions, TableOptions
):
    """Every option of `evaluate`."""
