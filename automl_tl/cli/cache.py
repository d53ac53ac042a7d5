"""`automl-tl cache info|clear`: what is kept on disk between runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from automl_tl import cache_dir as store
from automl_tl.cli.options import declared, format_option, verbose_option
from automl_tl.options import CacheOptions
from automl_tl.wording import clean, format_bytes, plural

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA_VERSION = 1
WHAT = {
    "scan": "which pictures are readable, and their hashes",
    "features": "statistics of every stage of a backbone",
    "domain": "domain distances",
    "evidence": "what linear classifiers on the features reached",
    "short_training": "what short fine-tunings came to",
    "timing": "measured speeds of this machine",
    "preflight": "plugins that were tried and work",
}


@click.group()
def cache() -> None:
    """Show or clear what is kept on disk between runs, so that a second run is fast."""


@cache.command()
@declared(CacheOptions)
@format_option
@verbose_option
def info(cache_dir: Path | None, output_format: str, verbose: bool) -> None:
    """Show where the cache is and how large it is."""
    from automl_tl.cli.render import print_json, print_result

    path = store.cache_path(cache_dir)
    held = store.sizes(path)
    if output_format == "json":
        kinds = {size.kind: {"files": size.n_files, "bytes": size.n_bytes} for size in held}
        n_bytes = sum(size.n_bytes for size in held)
        print_json({"schema_version": SCHEMA_VERSION, "path": str(path), "bytes": n_bytes, "kinds": kinds})
        return
    print_result(*_page(path, held))


@cache.command()
@declared(CacheOptions)
@click.option("--yes", is_flag=True, help="Do not ask.")
@verbose_option
@click.pass_context
def clear(ctx: click.Context, cache_dir: Path | None, yes: bool, verbose: bool) -> None:
    """Delete what automl-tl keeps in the cache folder, and nothing else there."""
    from automl_tl.cli.render import literal, print_result

    path = store.cache_path(cache_dir)
    held = store.sizes(path)
    total = _total(held)
    if not any(size.n_files for size in held):
        print_result(literal(f"Nothing is cached in {path}."))
        return
    if not yes and not _confirmed(f"Delete {total} in {clean(path)}?"):
        click.echo("Nothing was deleted; --yes deletes without asking.")
        ctx.exit(1)
    store.clear(path)
    print_result(literal(f"Deleted {total} in {path}."))


def _confirmed(question: str) -> bool:
    """Return the answer to a question; nobody there to ask is a no."""
    try:
        return click.confirm(question)
    except click.Abort:
        click.echo()
        return False


def _page(path: Path, held: tuple[store.KindSize, ...]) -> tuple[RenderableType, ...]:
    from rich.table import Table

    from automl_tl.cli.render import literal

    if not path.exists():
        return (literal(f"Cache {path}: nothing yet, the folder does not exist."),)
    table = Table(box=None, pad_edge=False)
    table.add_column("kind")
    table.add_column("files", justify="right")
    table.add_column("size", justify="right")
    table.add_column("what")
    for size in held:
        table.add_row(size.kind, f"{size.n_files:,}", format_bytes(size.n_bytes), WHAT[size.kind])
    return literal(f"Cache {path}: {_total(held)}"), table


def _total(held: tuple[store.KindSize, ...]) -> str:
    n_bytes = sum(size.n_bytes for size in held)
    return f"{plural(sum(size.n_files for size in held), 'file')}, {format_bytes(n_bytes)}"
