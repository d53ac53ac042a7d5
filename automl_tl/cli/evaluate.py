"""`automl-tl evaluate BUNDLE DATA`: how good a model is on labelled pictures."""

from __future__ import annotations

from dataclasses import astuple, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from automl_tl.cli.options import PATH, data_argument, declared, format_option, report_option, verbose_option
from automl_tl.options import (
    AnswerOptions,
    BatchOptions,
    DecodingOptions,
    DeviceOptions,
    EvaluateOptions,
    HasteOptions,
    PartOptions,
    TableOptions,
    of_group,
)
from automl_tl.output import check_output, write_csv

if TYPE_CHECKING:
    from automl_tl.data.dataset import ImageDataset
    from automl_tl.model.evaluation import Evaluation
    from automl_tl.model.model import Model

SCHEMA_VERSION = 1
COLUMNS = ("path", "given", "predicted", "confidence", "probability of given")


@click.command()
@click.argument("bundle", type=PATH)
@data_argument
@declared(TableOptions, PartOptions, AnswerOptions, DeviceOptions, HasteOptions, BatchOptions, DecodingOptions)
@report_option
@format_option
@verbose_option
@click.pass_context
def evaluate(
    ctx: click.Context, /, bundle: Path, data: Path, report: Path | None, output_format: str, verbose: bool,
    **settings: Any,
) -> None:  # fmt: skip
    """Say how good BUNDLE is on the labelled pictures of DATA.

    BUNDLE is a folder that `automl-tl search` or `train` made. DATA is a folder with one folder of pictures per class,
    a zip or tar of it, a CSV, TSV or Parquet table, Parquet files of pictures, or WebDataset tars. Shown are accuracy,
    balanced accuracy, macro F1, log loss, calibration error (ECE), and what is taken for what.
    """
    from automl_tl.cli.evaluate_page import evaluation_page
    from automl_tl.cli.haste import chosen_scorer
    from automl_tl.cli.render import print_json, print_result, progress
    from automl_tl.data.dataset import open_dataset
    from automl_tl.model.bundle import load_bundle
    from automl_tl.model.evaluate import evaluate as run
    from automl_tl.reviewer.learned import learned_note

    asked = EvaluateOptions(**settings)
    if asked.errors is not None:
        check_output(asked.errors, "--errors", read=[data])
    dataset = open_dataset(data, train=False, **of_group(asked, TableOptions))
    model = load_bundle(bundle, asked.device)
    scorer = chosen_scorer(model, fast=asked.fast)
    with progress("Looking at pictures") as update:
        size = asked.batch_size or model.pictures_at_once
        result = run(
            scorer, dataset, split=asked.split, batch_size=size, threads=asked.workers, progress=update
        )  # fmt: skip
    with progress("Comparing with the training pictures") as update:
        learned = learned_note(bundle, model, dataset, result.paths, update)
    result = replace(result, notes=(*learned, *result.notes))
    if output_format == "json":
        where = {"schema_version": SCHEMA_VERSION, "bundle": str(bundle), "data": str(dataset.root)}
        print_json({**where, **result.to_dict()})
    else:
        print_result(*evaluation_page(result, dataset, verbose=verbose))
    if asked.errors is not None:
        _write_errors(asked.errors, result)
    if report is not None:
        _write(report, result, dataset, model, ctx)


def _write_errors(file: Path, result: Evaluation) -> None:
    from automl_tl.cli.render import notice

    write_csv(file, COLUMNS, map(astuple, result.by_loss()), "--errors")
    notice(f"Every answer is in {file}")


def _write(report: Path, result: Evaluation, dataset: ImageDataset, model: Model, ctx: click.Context) -> None:
    from automl_tl.cli.pages import provenance, written
    from automl_tl.report.evaluation import evaluation_page

    how, bundle = model.preprocessings[0], str(ctx.params["bundle"])
    written(evaluation_page(result, dataset, how, bundle, provenance(ctx, model.device)), report)
