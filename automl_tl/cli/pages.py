"""Writing a result as an HTML page, for every command with --report."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from automl_tl.cli.render import notice

if TYPE_CHECKING:
    from automl_tl.report.parts import Page
    from automl_tl.report.provenance import Provenance


def provenance(ctx: click.Context, device: object, seconds: Mapping[str, float] | None = None) -> Provenance:
    """Return where the result of the command that runs comes from."""
    from automl_tl.report.provenance import Provenance

    command = shlex.join(["automl-tl", *sys.argv[1:]])
    return Provenance(command, str(device), ctx.params.get("seed"), seconds or {})


def written(page: Page, path: Path) -> None:
    """Write a page, and say where on standard error."""
    from automl_tl.report.page import write

    write(page, path)
    notice(f"The page is in {path}")
