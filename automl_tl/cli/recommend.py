"""`automl-tl recommend DATA`: which strategy, backbone and cut to use, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from automl_tl.cli import options
from automl_tl.cli.retyped import DATA, SAME_TASK, retyped
from automl_tl.options import (
    BackboneOptions,
    BatchOptions,
    CacheOptions,
    DeviceOptions,
    EffortOptions,
    GoalOptions,
    OverrideOptions,
    RecommendOptions,
    SeedOptions,
    SplitOptions,
    TableOptions,
    WorkOptions,
)

if TYPE_CHECKING:
    from automl_tl.cli.recommend_page import TypedAgain
    from automl_tl.lab.lab import Lab
    from automl_tl.recommender.recommendation import Recommendation


@click.command()
@options.data_argument
@options.declared(
    TableOptions, SplitOptions, BackboneOptions, OverrideOptions, EffortOptions, GoalOptions, DeviceOptions,
    BatchOptions, SeedOptions, CacheOptions, WorkOptions,
)  # fmt: skip
@options.report_option
@options.format_option
@options.verbose_option
@click.pass_context
def recommend(
    ctx: click.Context, /, data: Path, report: Path | None, output_format: str, verbose: bool, **settings: Any
) -> None:
    """Look at DATA and say which transfer strategy, backbone and cut to use, why, and what to expect.

    DATA is a folder with one folder of pictures per class, a zip or tar of it, a CSV, TSV or Parquet table, Parquet
    files of pictures, or WebDataset tars. Takes about two minutes on a laptop's CPU; a second run on the same
    pictures takes seconds.
    """
    from automl_tl.cli.recommend_page import next_steps, recommendation_page
    from automl_tl.cli.render import BarMonitor, print_json, print_result
    from automl_tl.recommender.recommend import lab_for, recommend_in

    asked = RecommendOptions(monitor=BarMonitor(), **settings)
    lab = lab_for(data, asked)
    result = recommend_in(lab, asked)
    steps = tuple(next_steps(result, _typed_again(ctx)))
    if output_format == "json":
        print_json(result.to_dict())
    else:
        print_result(*recommendation_page(result, steps, verbose=verbose))
    if report is not None:
        _write(report, lab, result, steps, ctx)


def _typed_again(ctx: click.Context) -> TypedAgain:
    from automl_tl.cli.recommend_page import TypedAgain

    looked_at, search = (*DATA, "cache_dir"), (*SAME_TASK, "backbones")
    untried = (*search, "budget", "max_images")
    data_text, train_text, search_text, untried_text, all_text = (
        retyped(ctx, names) for names in (looked_at, SAME_TASK, search, untried, (*untried, "try_training"))
    )
    tries = ctx.params["try_training"] is True
    return TypedAgain(data_text, train_text, search_text, untried_text, all_text, tries_training=tries)


def _write(report: Path, lab: Lab, result: Recommendation, steps: tuple[str, ...], ctx: click.Context) -> None:
    from automl_tl.cli.pages import provenance, written
    from automl_tl.report.recommendation import recommendation_page

    how = lab.networks.preprocessing(result.frozen.backbone, result.report.fit)
    origin = provenance(ctx, lab.engine.device, result.seconds)
    written(recommendation_page(result, lab.as_given, how, steps, origin), report)
