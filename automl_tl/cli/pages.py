"""Writing a result as an HTML page, for every command with --report."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from automl_tl.cli.render import notice
from automl_tl.errors import AutomlTlError

if TYPE_CHECKING:
    from automl_tl.report.parts import Page
    from automl_tl.report.provenance import Provenance


def provenance(ctx: click.Context, device: object, seconds: Mapping[str, float] | None = None) -> Provenance:
    """Return where the result of the command that runs comes from."""
    from automl_tl.report.provenance import Provenance

    return Provenance(typed(), str(device), ctx.params.get("seed"), seconds or {})


def typed() -> str:
    """Return what was typed to run the program."""
    return shlex.join(["automl-tl", *sys.argv[1:]])


def write_run(folder: Path, path: Path, option: str = "--report") -> None:
    """Write the page of the run in a folder, with pictures where they can still be read; `option` named the file."""
    from automl_tl.cli.render import progress
    from automl_tl.report.run import Pictures, run_page
    from automl_tl.reviewer.run import open_run, pictures_of

    run = open_run(folder)
    pictures: Pictures | str
    try:
        with progress("Reading pictures") as update:
            pictures = Pictures(*pictures_of(run, update))
    except AutomlTlError as error:
        pictures = str(error)
    written(run_page(run, pictures), path, option)


@contextmanager
def showing(bundle: Path) -> Iterator[None]:
    """Let what ends a command while it shows its result say where the model lies, and how to see it again."""
    try:
        yield
    except (KeyboardInterrupt, OSError, AutomlTlError) as error:
        error.add_note(f"The model is done: {bundle}")
        run = shlex.quote(str(bundle.parent))
        error.add_note(f"To see what came of it: automl-tl report {run} --output report.html")
        raise


def written(page: Page, path: Path, option: str = "--report") -> None:
    """Write a page, and say where on standard error; `option` named the file."""
    from automl_tl.report.page import write

    write(page, path, option)
    notice(f"The page is in {path}")
