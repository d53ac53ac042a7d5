"""`automl-tl search DATA`: the best model that this machine finds in the time given."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from automl_tl.cli import options
from automl_tl.cli.app import STARTED
from automl_tl.cli.options import PATH, named
from automl_tl.cli.retyped import COLUMNS, OVERRIDES, retyped
from automl_tl.durations import parse_duration
from automl_tl.quantities import parse_bytes, parse_count, parse_milliseconds
from automl_tl.strategies import STRATEGIES

if TYPE_CHECKING:
    from automl_tl.cli.search_live import Display, Lines
    from automl_tl.searcher.result import SearchResult

F = TypeVar("F", bound=Callable[..., Any])
DEFAULT_BUDGET = 600.0
"""Seconds, as `automl_tl.searcher.settings` has it, whose import takes seconds."""
SAME = (
    "data", *COLUMNS, *OVERRIDES, "budget", "backbones", "strategies", "metric", "max_memory",
    "max_latency_ms", "max_params", "device", "seed", "cache_dir",
)  # fmt: skip
"""Parameters that a resumed run repeats as they are."""


def _run_options(function: F) -> F:
    """Add --budget, --trials, --out and --resume."""
    for option in (
        click.option("--resume", is_flag=True, help="Go on with the run in --out."),
        click.option("--out", type=PATH, metavar="RUN", help="Folder of the run.  [default: runs/<time>]"),
        click.option("--trials", type=click.IntRange(min=1), metavar="N", help="Trials after the sweep, in all."),
        click.option(
            "--budget",
            metavar="DURATION",
            callback=named(parse_duration),
            help="Time from now to the finished model: 90, 10m, 1h30m.  [default: 10m, or none with --trials]",
        ),
    ):
        function = option(function)
    return function


def _limit_options(function: F) -> F:
    """Add --strategy, --max-memory, --max-latency-ms and --max-params."""
    for option in (
        click.option(
            "--max-params",
            metavar="N",
            callback=named(parse_count),
            help="Parameters of the backbone up to the cut, at most: 5M, 2.5e6.",
        ),
        click.option(
            "--max-latency-ms",
            metavar="MS",
            callback=named(parse_milliseconds),
            help="Milliseconds for one picture on this device, at most.",
        ),
        click.option(
            "--max-memory", metavar="SIZE", callback=named(parse_bytes), help="Memory to use, at most: 4GB, 500MB."
        ),
        click.option(
            "--strategy",
            "strategies",
            multiple=True,
            type=click.Choice(STRATEGIES),
            metavar="NAME",
            help=f"A strategy to consider: {', '.join(STRATEGIES)}; repeatable.  [default: all]",
        ),
    ):
        function = option(function)
    return function


@click.command()
@options.data_argument
@_run_options
@options.backbone_options
@_limit_options
@options.metric_option
@options.column_options
@options.device_option
@options.seed_option
@options.cache_dir_option
@options.format_option
@options.verbose_option
@click.pass_context
def search(ctx: click.Context, /, data: Path, output_format: str, verbose: bool, **settings: Any) -> None:
    """Find the best model for DATA in the time given, train it, and write it with its leaderboard to --out.

    DATA is a folder with one folder of pictures per class, or a CSV, TSV or Parquet table. The search begins with what
    `recommend` would say, tries every frozen ConvNet it has, then trains what promises most. A model lies in RUN/bundle
    from early on and only gets better; Ctrl-C ends the search with the best one so far.
    """
    from automl_tl.cli.search_live import watching

    started = ctx.meta.get(STARTED, time.monotonic())
    if settings["budget"] is None and settings["trials"] is None:
        settings["budget"] = DEFAULT_BUDGET
    ends = None if settings["budget"] is None else started + settings["budget"]
    with watching(settings["metric"], ends) as watcher:
        result = _search(ctx, watcher, data, {**settings, "started": started})
    _show(ctx, result, output_format, verbose)


def _search(ctx: click.Context, watcher: Lines | Display, data: Path, settings: dict[str, Any]) -> SearchResult:
    """Run the search in a folder that is known here: whoever interrupts it is told where a model lies."""
    from automl_tl.searcher.run_folder import default_out
    from automl_tl.searcher.search import search as run

    out = settings["out"]
    if out is None and not settings["resume"]:
        out = default_out()
    try:
        return run(data, monitor=watcher, notice=watcher.say, **{**settings, "out": out})
    except KeyboardInterrupt as error:
        if out is not None and (out / "run.json").exists():
            error.add_note(f"To go on with this search: {_again(ctx, out, settings['trials'])}")
        if out is not None and (out / "bundle").is_dir():
            error.add_note(f"The best model so far is in {out / 'bundle'}")
        raise


def _show(ctx: click.Context, result: SearchResult, output_format: str, verbose: bool) -> None:
    from automl_tl.cli.render import print_json, print_result
    from automl_tl.cli.search_page import search_page

    if output_format == "json":
        print_json(result.to_dict())
        return
    trials = ctx.params["trials"]
    again = _again(ctx, result.bundle.parent, trials and 2 * trials)
    print_result(*search_page(result, retyped(ctx, ("data", *COLUMNS)), again, verbose=verbose))


def _again(ctx: click.Context, out: Path, trials: int | None) -> str:
    """Return the command that goes on with this run, to so many trials in all."""
    words = f"{retyped(ctx, SAME)} --trials {trials}" if trials else retyped(ctx, SAME)
    return f"automl-tl search {words} --out {shlex.quote(str(out))} --resume"
