"""`automl-tl recommend DATA`: which strategy, backbone and cut to use, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from automl_tl.cli import options
from automl_tl.cli.retyped import COLUMNS, OVERRIDES, retyped


@click.command()
@options.data_argument
@options.column_options
@options.backbone_options
@options.budget_option
@options.metric_option
@options.max_images_option
@options.try_training_option
@options.device_option
@options.seed_option
@options.cache_dir_option
@options.format_option
@options.verbose_option
@click.pass_context
def recommend(ctx: click.Context, /, data: Path, output_format: str, verbose: bool, **settings: Any) -> None:
    """Look at DATA and say which transfer strategy, backbone and cut to use, why, and what to expect.

    DATA is a folder with one folder of pictures per class, or a CSV, TSV or Parquet table. Takes about two
    minutes on a laptop's CPU; a second run on the same pictures takes seconds.
    """
    from automl_tl.cli.recommend_page import recommendation_page
    from automl_tl.cli.render import notice, print_json, print_result, progress
    from automl_tl.recommender.recommend import recommend as run

    result = run(data, progress=progress, notice=notice, **settings)
    if output_format == "json":
        print_json(result.to_dict())
        return
    pictures = retyped(ctx, ("data", *COLUMNS))
    same = retyped(ctx, ("data", *COLUMNS, *OVERRIDES, "backbones", "metric", "device", "cache_dir"))
    print_result(*recommendation_page(result, same, pictures, verbose=verbose))
