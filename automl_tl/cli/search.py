"""`automl-tl search DATA`: the best model that this machine finds in the time given."""

from __future__ import annotations

import shlex
import time
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from automl_tl.cli import options
from automl_tl.cli.app import STARTED
from automl_tl.cli.retyped import DATA, retyped
from automl_tl.errors import CacheError, ShortageError
from automl_tl.options import (
    BackboneOptions,
    BatchOptions,
    BudgetOptions,
    CacheOptions,
    DeviceOptions,
    FolderOptions,
    GoalOptions,
    LimitOptions,
    OverrideOptions,
    SearchOptions,
    SeedOptions,
    SplitOptions,
    TableOptions,
    TrackingOptions,
    WorkOptions,
)

if TYPE_CHECKING:
    from automl_tl.searcher.result import SearchResult

_SAME = ("data", *(one.name for one in fields(SearchOptions) if one.name not in ("trials", "out", "resume")))
"""Parameters that a resumed run repeats as they are."""
FROM_OUTSIDE = (KeyboardInterrupt, OSError, MemoryError, CacheError, ShortageError)
"""What ends a search through no fault of its own, so that it can go on: a signal, a full disk, too little memory."""


@click.command()
@options.data_argument
@options.declared(
    BudgetOptions, FolderOptions, BackboneOptions, OverrideOptions, LimitOptions, GoalOptions, TableOptions,
    SplitOptions, DeviceOptions, BatchOptions, SeedOptions, CacheOptions, WorkOptions, TrackingOptions,
)  # fmt: skip
@options.report_option
@options.format_option
@options.verbose_option
@click.pass_context
def search(
    ctx: click.Context, /, data: Path, report: Path | None, output_format: str, verbose: bool, **settings: Any
) -> None:
    """Find the best model for DATA in the time given, train it, and write it with its leaderboard to --out.

    DATA is a folder with one folder of pictures per class, a zip or tar of it, a CSV, TSV or Parquet table, Parquet
    files of pictures, or WebDataset tars. The search begins with what `recommend` would say, tries every frozen
    ConvNet it has, then trains what promises most. A model lies in RUN/bundle from early on and only gets better;
    Ctrl-C ends the search with the best one so far.
    """
    from automl_tl.cli.pages import showing, typed, write_run
    from automl_tl.cli.search_live import watching

    started = ctx.meta.get(STARTED, time.monotonic())
    budget = SearchOptions(**settings).budget
    with watching(settings["metric"], None if budget is None else started + budget) as monitor:
        result = _search(ctx, data, {**settings, "monitor": monitor, "started": started, "command": typed()})
    with showing(result.bundle):
        steps = _steps(ctx, result)
        _show(result, steps, output_format, verbose)
        if report is not None:
            write_run(result.bundle.parent, report)


def _search(ctx: click.Context, data: Path, settings: dict[str, Any]) -> SearchResult:
    """Run the search in a folder that is known here: when it is ended early, it is said where a model lies."""
    from automl_tl.searcher.run_folder import default_out
    from automl_tl.searcher.search import search as run

    out = settings["out"]
    if out is None and not settings["resume"]:
        out = default_out()
    try:
        return run(data, **{**settings, "out": out})
    except FROM_OUTSIDE as error:
        if out is not None and (out / "run.json").exists():
            error.add_note(f"To go on with this search: {_again(ctx, out, settings['trials'])}")
        if out is not None and (out / "bundle").is_dir():
            error.add_note(f"The best model so far is in {out / 'bundle'}")
        raise


def _steps(ctx: click.Context, result: SearchResult) -> tuple[str, ...]:
    from automl_tl.cli.search_page import next_steps

    trials = ctx.params["trials"]
    done = trials is not None and result.n_trials >= trials  # else it was ended before, and goes on to as many
    again = _again(ctx, result.bundle.parent, 2 * trials if done else trials)
    return tuple(next_steps(result, retyped(ctx, DATA), again))


def _show(result: SearchResult, steps: tuple[str, ...], output_format: str, verbose: bool) -> None:
    from automl_tl.cli.render import print_json, print_result
    from automl_tl.cli.search_page import search_page

    if output_format == "json":
        print_json(result.to_dict())
    else:
        print_result(*search_page(result, steps, verbose=verbose))


def _again(ctx: click.Context, out: Path, trials: int | None) -> str:
    """Return the command that goes on with this run, to so many trials in all."""
    words = f"{retyped(ctx, _SAME)} --trials {trials}" if trials else retyped(ctx, _SAME)
    return f"automl-tl search {words} --out {shlex.quote(str(out))} --resume"
