"""`automl-tl report RUN`: the page of a run, without training anew."""

from __future__ import annotations

from pathlib import Path

import click

from automl_tl.cli.options import PATH, page, verbose_option


@click.command()
@click.argument("run", type=PATH)
@click.option("--output", metavar="PAGE.html", type=PATH, required=True, callback=page, help="The file of the page.")
@verbose_option
def report(run: Path, output: Path, verbose: bool) -> None:
    """Write the page of RUN, the --out folder of `automl-tl search` or `train`, finished or not.

    Nothing is trained; pictures are shown where the data still lies where it was.
    """
    from automl_tl.cli.pages import write_run

    write_run(run, output, "--output")
