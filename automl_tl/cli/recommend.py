"""`automl-tl recommend DATA`: which strategy, backbone and cut to use, and why."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from automl_tl.cli import options


@click.command()
@options.data_argument
@options.column_options
@options.backbone_options
@options.budget_option
@options.metric_option
@options.max_images_option
@options.device_option
@options.seed_option
@options.cache_dir_option
@options.format_option
@options.verbose_option
def recommend(data: Path, output_format: str, verbose: bool, **settings: Any) -> None:
    """Look at DATA and say which transfer strategy, backbone and cut to use, why, and what to expect.

    DATA is a folder with one folder of pictures per class, or a CSV, TSV or Parquet table. Takes about two
    minutes on a laptop's CPU; a second run on the same pictures takes seconds.
    """
    from automl_tl.cli.recommend_page import recommendation_page
    from automl_tl.cli.render import print_json, print_result, progress
    from automl_tl.recommender.recommend import recommend as run

    result = run(data, progress=progress, **settings)
    if output_format == "json":
        print_json(result.to_dict())
    else:
        print_result(*recommendation_page(result, _same_again(data, settings), verbose=verbose))


def _same_again(data: Path, settings: dict[str, Any]) -> str:
    """Return the data and the options that name it and the backbones, as one would type them."""
    columns = {"path_column": "path", "label_column": "label", "split_column": "split", "group_column": None}
    words = [str(data)]
    for name, default in columns.items():
        if settings[name] != default:
            words += [f"--{name.replace('_', '-')}", str(settings[name])]
    for backbone in settings["backbones"]:
        words += ["--backbone", backbone]
    for backbone, file in (settings["weights"] or {}).items():
        words += ["--weights", f"{backbone}={file}"]
    return shlex.join(words)
