"""`automl-tl train DATA`: exactly one configuration, trained to completion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from automl_tl.cli import options
from automl_tl.cli.retyped import SAME_TASK, retyped
from automl_tl.options import (
    BackboneOptions,
    BatchOptions,
    CacheOptions,
    ClassifierOptions,
    DeviceOptions,
    GoalOptions,
    OutOptions,
    OverrideOptions,
    RecipeOptions,
    SeedOptions,
    SourceOptions,
    SplitOptions,
    StartOptions,
    TableOptions,
    TrackingOptions,
    WorkOptions,
)

if TYPE_CHECKING:
    from automl_tl.searcher.train_result import TrainResult


@click.command()
@options.data_argument
@options.declared(
    SourceOptions, ClassifierOptions, RecipeOptions, StartOptions, OutOptions, BackboneOptions, OverrideOptions,
    GoalOptions, TableOptions, SplitOptions, DeviceOptions, BatchOptions, SeedOptions, CacheOptions, WorkOptions,
    TrackingOptions,
)  # fmt: skip
@options.report_option
@options.format_option
@options.verbose_option
@click.pass_context
def train(
    ctx: click.Context, /, data: Path, report: Path | None, output_format: str, verbose: bool, **settings: Any
) -> None:
    """Train one configuration on DATA and write its model to --out; without options the recommended one.

    DATA is a folder with one folder of pictures per class, a zip or tar of it, a CSV, TSV or Parquet table, Parquet
    files of pictures, or WebDataset tars. What is left out is as `recommend` would have it. It learns once without
    a validation part, which it is scored on, then from every training picture; a held-out test part is looked at
    once, at the end. With --from a model learns on, with DATA, instead.
    """
    from automl_tl.cli.pages import showing, typed, write_run
    from automl_tl.cli.render import BarMonitor, print_json, print_result
    from automl_tl.cli.train_page import train_page

    result = _train(data, {**settings, "monitor": BarMonitor(), "command": typed()})
    with showing(result.bundle):
        if output_format == "json":
            print_json(result.to_dict())
        else:
            print_result(*train_page(result, retyped(ctx, (*SAME_TASK, "backbone", "backbones")), verbose=verbose))
        if report is not None:
            write_run(result.bundle.parent, report)


def _train(data: Path, settings: dict[str, Any]) -> TrainResult:
    """Train in a folder that is known here: when it is ended during the test, it is said where the model lies."""
    from automl_tl.searcher.run_folder import default_out
    from automl_tl.searcher.train import train as run

    out = settings["out"] or default_out()
    try:
        return run(data, **{**settings, "out": out})
    except KeyboardInterrupt as error:
        if (out / "bundle").is_dir():
            error.add_note(f"The trained model, not tested yet, is in {out / 'bundle'}")
        raise
