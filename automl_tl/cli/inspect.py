"""`automl-tl inspect DATA`: the report on the pictures alone."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from automl_tl.cli.options import data_argument, declared, format_option, report_option, verbose_option
from automl_tl.options import CacheOptions, TableOptions

if TYPE_CHECKING:
    from automl_tl.data.dataset import ImageDataset
    from automl_tl.data.quality import QualityReport

SCHEMA_VERSION = 1


@click.command()
@data_argument
@declared(TableOptions, CacheOptions)
@report_option
@format_option
@verbose_option
@click.pass_context
def inspect(
    ctx: click.Context,
    /,
    data: Path,
    cache_dir: Path | None,
    report: Path | None,
    output_format: str,
    verbose: bool,
    **columns: Any,
) -> None:
    """Look at every picture of DATA and report what is there.

    DATA is a folder with one folder of pictures per class, a zip or tar of it, a CSV, TSV or Parquet table, Parquet
    files of pictures, or WebDataset tars. Shown are counts, sizes, duplicates, identical pictures with different
    labels, and every file that is left out with the reason.
    """
    from automl_tl.cache_dir import cache_dir as resolve
    from automl_tl.cli.data_page import data_page
    from automl_tl.cli.render import print_json, print_result, progress
    from automl_tl.data.dataset import open_dataset
    from automl_tl.data.quality import scan

    dataset = open_dataset(data, **columns)
    with progress("Reading pictures") as update:
        dataset, quality = scan(dataset, cache_dir=resolve(cache_dir), progress=update)
    if output_format == "json":
        print_json(to_json(dataset, quality))
    else:
        print_result(*data_page(dataset, quality, verbose=verbose))
    if report is not None:
        _write(report, dataset, quality, ctx)


def _write(report: Path, dataset: ImageDataset, quality: QualityReport, ctx: click.Context) -> None:
    from automl_tl.cli.pages import provenance, written
    from automl_tl.report.data import data_page

    written(data_page(dataset, quality, provenance(ctx, "none")), report)


def to_json(dataset: ImageDataset, report: QualityReport) -> dict[str, Any]:
    """Return the report as one JSON object; `dataset` has the members that `recommend` gives too."""
    from automl_tl.report.facts.data import understood

    low, middle, high = report.class_sizes
    return {
        "schema_version": SCHEMA_VERSION,
        "understood": understood(dataset, report),
        "dataset": {
            "path": str(dataset.root),
            "n_images": report.n_images,
            "n_classes": report.n_classes,
            "images_per_class": {"min": low, "median": middle, "max": high},
            "n_unreadable": report.n_unreadable,
            "n_duplicates": report.n_duplicates,
        },
        "classes": dict(report.images_per_class),
        "splits": dataset.frame["split"].value_counts().to_dict() if dataset.has_given_splits else {},
        "leaks": dict(report.leaks),
        "imbalance": report.imbalance,
        "median_size": {"width": report.median_size[0], "height": report.median_size[1]},
        "size_quantiles": {f"{q:g}": value for q, value in report.sizes.items()},
        "aspect_quantiles": {f"{q:g}": value for q, value in report.aspects.items()},
        "fit": {"mode": report.fit, "reason": report.fit_reason},
        "value_range": asdict(report.value_range),
        "duplicates": {"identical": report.exact, "nearly_identical": report.near},
        "conflicts": [vars(conflict) for conflict in report.conflicts],
        "left_out": [vars(skipped) for skipped in dataset.skipped],
        "warnings": report.warnings,
        "notes": dataset.notes,
    }
