"""`automl-tl labels DATA`: which labels are likely wrong."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from automl_tl.cli import options
from automl_tl.options import (
    BackboneOptions,
    BatchOptions,
    CacheOptions,
    DeviceOptions,
    GoalOptions,
    LabelListOptions,
    ListOptions,
    OverrideOptions,
    RunOptions,
    SeedOptions,
    SplitOptions,
    TableOptions,
    WorkOptions,
)
from automl_tl.output import check_output, write_csv

if TYPE_CHECKING:
    from automl_tl.lab.lab import Lab
    from automl_tl.reviewer.label_report import LabelReport

COLUMNS = ("path", "given", "likely", "confidence", "probability of given")


@click.command()
@options.data_argument
@options.declared(
    RunOptions, ListOptions, TableOptions, SplitOptions, BackboneOptions, OverrideOptions, GoalOptions, DeviceOptions,
    BatchOptions, SeedOptions, CacheOptions, WorkOptions,
)  # fmt: skip
@options.report_option
@options.format_option
@options.verbose_option
@click.pass_context
def labels(
    ctx: click.Context, /, data: Path, report: Path | None, output_format: str, verbose: bool, **settings: Any
) -> None:
    """List the pictures of DATA whose labels are likely wrong, the least believed label first.

    DATA is a folder with one folder of pictures per class, a zip or tar of it, a CSV, TSV or Parquet table, Parquet
    files of pictures, or WebDataset tars. Every picture is judged by classifiers that have not learned from it; nothing
    is changed.
    """
    from automl_tl.cli.labels_page import labels_page
    from automl_tl.cli.render import BarMonitor, print_json, print_result
    from automl_tl.lab.lab import open_lab
    from automl_tl.reviewer.labels import further_voters, labels_in

    asked = LabelListOptions(monitor=BarMonitor(), **settings)
    if asked.output is not None:
        check_output(asked.output, read=[data])
    further = further_voters(asked.run)
    lab = open_lab(data, asked)
    result = labels_in(lab, further)
    if output_format == "json":
        print_json(result.to_dict())
    else:
        print_result(*labels_page(result, lab.dataset, verbose=verbose))
    if asked.output is not None:
        _write_list(asked.output, result)
    if report is not None:
        _write(report, lab, result, ctx)


def _write_list(file: Path, result: LabelReport) -> None:
    from automl_tl.cli.render import notice

    write_csv(file, COLUMNS, map(astuple, result.suspects))
    notice(f"The labels that are likely wrong are in {file}")


def _write(report: Path, lab: Lab, result: LabelReport, ctx: click.Context) -> None:
    from automl_tl.cli.pages import provenance, written
    from automl_tl.report.labels import labels_page

    how = lab.networks.preprocessing(result.voters[0].backbone, result.quality.fit)
    written(labels_page(result, lab.dataset, how, provenance(ctx, lab.engine.device, result.seconds)), report)
