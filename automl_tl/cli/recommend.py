"""`automl-tl recommend DATA`: which strategy, backbone and cut to use, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from automl_tl.cli import options
from automl_tl.cli.retyped import COLUMNS, OVERRIDES, retyped
from automl_tl.options import (
    BackboneOptions,
    CacheOptions,
    DeviceOptions,
    EffortOptions,
    GoalOptions,
    OverrideOptions,
    SeedOptions,
    SplitOptions,
    TableOptions,
)


@click.command()
@options.data_argument
@options.declared(
    TableOptions, SplitOptions, BackboneOptions, OverrideOptions, EffortOptions, GoalOptions, DeviceOptions,
    SeedOptions, CacheOptions,
)  # fmt: skip
@options.format_option
@options.verbose_option
@click.pass_context
def recommend(ctx: click.Context, /, data: Path, output_format: str, verbose: bool, **settings: Any) -> None:
    """Look at DATA and say which transfer strategy, backbone and cut to use, why, and what to expect.

    DATA is a folder with one folder of pictures per class, or a CSV, TSV or Parquet table. Takes about two
    minutes on a laptop's CPU; a second run on the same pictures takes seconds.
    """
    from automl_tl.cli.recommend_page import recommendation_page
    from automl_tl.cli.render import BarMonitor, print_json, print_result
    from automl_tl.recommender.recommend import recommend as run

    result = run(data, monitor=BarMonitor(), **settings)
    if output_format == "json":
        print_json(result.to_dict())
        return
    pictures = retyped(ctx, ("data", *COLUMNS))
    same = retyped(ctx, ("data", *COLUMNS, *OVERRIDES, "drop_leaks", "backbones", "metric", "device", "cache_dir"))
    print_result(*recommendation_page(result, same, pictures, verbose=verbose))
