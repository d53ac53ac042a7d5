"""`automl-tl backbones check NAME`: does a backbone keep its contract?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from automl_tl.cli.options import declared, format_option, verbose_option
from automl_tl.options import OverrideOptions
from automl_tl.wording import one_line, plural

if TYPE_CHECKING:
    from rich.console import RenderableType

    from automl_tl.backbones.checks.result import CheckResult, ConformanceReport

SCHEMA_VERSION = 1
EXIT_FAILED = 1


@click.command()
@click.argument("name")
@declared(OverrideOptions)
@format_option
@verbose_option
def check(name: str, output_format: str, verbose: bool, **given: Any) -> None:
    """Run every conformance check on the backbone NAME and show what was measured.

    It is built with its weights if they are on this machine; nothing is downloaded. The exit code is 0 where no
    check failed, 1 where one did, and 2 where NAME or an option is wrong. A check that crashes the interpreter
    or takes more than ten minutes has failed; the others go on.
    """
    from automl_tl.backbones.checks.supervised import supervise
    from automl_tl.cli.render import print_json, print_result, progress

    options = _options(name, **given)
    with progress(f"Checking {name}") as update:
        report = supervise(name, options, progress=update)
    if output_format == "json":
        print_json({"schema_version": SCHEMA_VERSION, **report.to_dict()})
    else:
        print_result(*_page(report, verbose=verbose))
    if not report.passed:
        click.get_current_context().exit(EXIT_FAILED)


def _options(name: str, *, weights: dict[str, Path], **others: Any) -> dict[str, Any]:
    """Return the overrides as JSON values, once they are known to fit the backbone; raises what is wrong."""
    from automl_tl.backbones.overrides import configure, only_file
    from automl_tl.backbones.registry import get_backbone

    file = only_file(weights, name)
    configure(name, get_backbone(name), weights=file, **others)
    return {**others, "weights": str(file.resolve()) if file is not None else None}


def _page(report: ConformanceReport, *, verbose: bool) -> list[RenderableType]:
    from automl_tl.cli.render import literal

    parts: list[RenderableType] = [literal(report.backbone), _table(report)]
    parts += [literal(f"{one_line(result.sentence)}.") for result in report.failed]
    if verbose:
        parts += [literal(f"{one.name}: {one.expected}; {one.seconds:.2f} s") for one in report.results if one.expected]
    counts = [f"{report.count(status)} {status}" for status in ("passed", "failed", "skipped")]
    return [*parts, literal(f"{plural(len(report.results), 'check')}: {', '.join(counts)}.")]


def _table(report: ConformanceReport) -> RenderableType:
    from rich.table import Table

    from automl_tl.cli.render import literal

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("check", no_wrap=True)
    table.add_column("result", no_wrap=True)
    table.add_column("measured", overflow="fold")
    for result in report.results:
        table.add_row(literal(result.name), literal(result.status, _style(result)), literal(one_line(result.actual)))
    return table


def _style(result: CheckResult) -> str:
    return {"passed": "green", "failed": "bold red", "skipped": "dim"}[result.status]
