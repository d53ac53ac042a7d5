"""`automl-tl panel list|add|remove`: your own runs, which count in later recommendations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from automl_tl.cli.options import PATH, format_option, verbose_option
from automl_tl.wording import plural

if TYPE_CHECKING:
    from rich.console import RenderableType

    from automl_tl.lab.calibration import OwnRun

SCHEMA_VERSION = 1
EMPTY = "No run of yours counts yet: automl-tl panel add RUN, the --out folder of a search."


@click.group()
def panel() -> None:
    """Let your own searches count, beside the panel of data sets, in what is expected of the next one.

    A run is known by the name of its data set, a hash of its pictures, how many pictures and classes there were, how
    unlike the pretraining they are, its backbone, how good frozen features were, and what training gained. No picture
    is kept, and nothing leaves this machine.
    """


@panel.command("list")
@format_option
@verbose_option
def list_runs(output_format: str, verbose: bool) -> None:
    """Show the runs that count."""
    from dataclasses import asdict

    from automl_tl.cli.render import print_json, print_result
    from automl_tl.lab.calibration import calibration
    from automl_tl.lab.own_runs import own_runs, own_runs_file

    runs, known = own_runs(), calibration()
    if output_format == "json":
        rows = {"rows": known.n_rows, "sets": list(known.sets)}
        shown = {"path": str(own_runs_file()), "runs": [asdict(run) for run in runs], "panel": rows}
        print_json({"schema_version": SCHEMA_VERSION, **shown})
        return
    print_result(*_page(runs, known.n_rows, len(known.sets)))


@panel.command()
@click.argument("run", type=PATH)
@verbose_option
def add(run: Path, verbose: bool) -> None:
    """Let a search's RUN count from now on; one of the same pictures is replaced."""
    from automl_tl.cli.render import literal, print_result
    from automl_tl.lab.own_runs import change_own_runs, with_run
    from automl_tl.searcher.experience import kept_experience

    new = kept_experience(run)
    runs = change_own_runs(lambda runs: with_run(runs, new))
    now = f"{plural(len(runs), 'run')} of yours now {'counts' if len(runs) == 1 else 'count'}."
    print_result(literal(_said(new)), literal(now))


@panel.command()
@click.argument("name")
@verbose_option
def remove(name: str, verbose: bool) -> None:
    """Let the runs on the data set NAME count no longer."""
    from automl_tl.lab.own_runs import change_own_runs, without_runs_on

    removed = 0

    def without(runs: tuple[OwnRun, ...]) -> tuple[OwnRun, ...]:
        nonlocal removed
        left = without_runs_on(runs, name)
        removed = len(runs) - len(left)
        return left

    change_own_runs(without)
    click.echo(f"Removed {plural(removed, 'run')}.")


def _said(run: OwnRun) -> str:
    gains = "; ".join(f"{name} {100 * gain:+z.1f} points" for name, (gain, _) in run.gains.items())
    pictures = f"{plural(run.known.n_training, 'picture')} of {plural(run.known.n_classes, 'class', 'classes')}"
    frozen = f"feature_extractor {1 - run.known.errors:.1%}"
    return f"{run.name}: {pictures} ({run.backbone}); {frozen}; {gains}"


def _page(runs: tuple[OwnRun, ...], n_rows: int, n_sets: int) -> tuple[RenderableType, ...]:
    from automl_tl.cli.render import literal

    lead = literal(f"Recommendations rest on {n_rows} measured rows of {n_sets} data sets that come with automl-tl.")
    if not runs:
        return lead, literal(EMPTY)
    from rich.table import Table

    table = Table(box=None, pad_edge=False, title="And on your own runs", title_justify="left")
    table.add_column("data set")
    for title in ("pictures", "classes", "feature_extractor", "fine_tuning", "pretrained_initialization"):
        table.add_column(title, justify="right")
    for run in runs:
        gains = [run.gains.get(name) for name in ("fine_tuning", "pretrained_initialization")]  # type: ignore[call-overload]
        shown = ["" if gain is None else f"{100 * gain[0]:+z.1f} ({100 * gain[1]:.1f})" for gain in gains]
        table.add_row(
            literal(run.name), f"{run.known.n_training:,}", f"{run.known.n_classes:,}",
            f"{1 - run.known.errors:.1%}", *shown,
        )  # fmt: skip
    return lead, table, literal("Trained: points of accuracy over the feature extractor (standard error).")
