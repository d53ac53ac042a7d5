"""`automl-tl export BUNDLE`: a trained model for other programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from automl_tl.cli.options import PATH, verbose_option
from automl_tl.wording import clean, format_bytes, plural

if TYPE_CHECKING:
    from automl_tl.exporter.export import Exported

FORMATS = ("onnx", "torch", "timm")


@click.command()
@click.argument("bundle", type=PATH)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(FORMATS),
    required=True,
    help="onnx: for ONNX Runtime; torch: torch.export's program; timm: a state for timm.create_model.",
)
@click.option("--output", type=PATH, required=True, metavar="FILE", help="Ends in .onnx, .pt2 or .safetensors.")
@click.option(
    "--check",
    type=PATH,
    metavar="PICTURES",
    help="Pictures on which FILE must agree with BUNDLE.  [default: photos of the demo, and noise]",
)
@verbose_option
def export(bundle: Path, file_format: str, output: Path, check: Path | None, verbose: bool) -> None:
    """Write the model in BUNDLE to a file that needs no automl-tl.

    BUNDLE is a folder that `automl-tl search` or `train` made. FILE takes RGB pictures as they are decoded, of any
    size, and gives probabilities (timm: prepared pictures, and scores). It is run against BUNDLE on real pictures, and
    is only there if both agree.
    """
    from automl_tl.cli.render import notice, print_result
    from automl_tl.exporter.export import export as run

    notice("Writing the model, and running it against the bundle")
    print_result(*_page(run(bundle, output, format=file_format, check=check)))


def _page(exported: Exported) -> Iterator[str]:
    found = exported.agreement
    yield f"Wrote {clean(exported.file)} ({format_bytes(exported.n_bytes)})"
    yield f"  compared with the bundle on {found.pictures}"
    sized = plural(found.n, "picture")
    yield f"  largest difference of a probability {found.difference:.1e}, on {sized} of the model's size"
    if found.n_files:
        yield f"  the same label for {found.n_same:,} of {plural(found.n_files, 'file')}, each in its own size"
