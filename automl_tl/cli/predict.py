"""`automl-tl predict BUNDLE PATHS...`: a label for every picture."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

import click

from automl_tl.cli.options import PATH, declared, verbose_option
from automl_tl.errors import OptionError
from automl_tl.options import DeviceOptions, FileOptions
from automl_tl.output import check_output
from automl_tl.wording import plural

EXIT_BAD_PICTURES = 1
FORMATS = ("table", "csv", "tsv", "json", "jsonl", "parquet")
ENDINGS = {
    ".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
    ".pq": "parquet", ".txt": "table", "": "table",
}  # fmt: skip
"""The format that the ending of a file asks for."""


@click.command()
@click.argument("bundle", type=PATH)
@click.argument("paths", nargs=-1, required=True)
@click.option("--top-k", type=click.IntRange(min=1), default=1, show_default=True, help="Classes to show per picture.")
@click.option("--probabilities", is_flag=True, help="Show the probability of every class.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(FORMATS),
    help="table: for people; csv, tsv: with a header; json: one list; jsonl: one object per line; parquet: needs "
    "--output.  [default: what --output ends in, else table]",
)
@click.option("--output", type=PATH, metavar="FILE", help="Write to FILE, which appears when all is done.")
@declared(FileOptions)
@declared(DeviceOptions)
@verbose_option
@click.pass_context
def predict(
    ctx: click.Context,
    /,
    bundle: Path,
    paths: tuple[str, ...],
    top_k: int,
    probabilities: bool,
    output_format: str | None,
    output: Path | None,
    device: str,
    verbose: bool,
    **files: Any,
) -> None:
    """Say what is in the pictures that PATHS name, in their order.

    BUNDLE is a folder that `automl-tl search` made. PATHS are picture files, folders (with all below them), and CSV,
    TSV or Parquet tables with a column of files; labels are not needed. '-' reads paths from standard input, one a
    line, and '@FILE' from a file. A picture that cannot be read is a row with
    the reason, and the exit code is then 1.
    """
    from automl_tl.cli.predict_page import writer
    from automl_tl.cli.render import notice
    from automl_tl.model.bundle import load_bundle
    from automl_tl.model.inputs import list_inputs, listed
    from automl_tl.model.predict import predict_inputs

    if output is not None:
        check_output(output)
    kind = output_format or _by_ending(output)
    if kind == "parquet" and output is None:
        raise OptionError("--format parquet is not for standard output; name a file by --output")
    inputs = list_inputs(listed(paths, getattr(sys.stdin, "buffer", None)), **files)
    model = load_bundle(bundle, device)
    shown = len(model.classes) if probabilities and kind == "table" else top_k
    n_bad = n_unusual = 0
    with _destination(output, "wb" if kind == "parquet" else "w") as stream, _progress(output) as update:
        page = writer(kind, stream, inputs, model.classes, shown, probabilities)
        for prediction in predict_inputs(model, inputs, top_k=shown, progress=update):
            page.write(prediction)
            n_bad += prediction.error is not None
            n_unusual += prediction.unusual
        page.close()
    if n_unusual:
        verb = "is" if n_unusual == 1 else "are"
        notice(f"{plural(n_unusual, 'picture')} {verb} unlike the training pictures: the labels may mean nothing.")
    if n_bad:
        notice(f"{n_bad:,} of {plural(len(inputs), 'picture')} cannot be read: the reason is in the row.")
        ctx.exit(EXIT_BAD_PICTURES)


def _by_ending(output: Path | None) -> str:
    """Return the format that the file's ending asks for; raises OptionError for one that is unknown."""
    ending = output.suffix.lower() if output is not None else ""
    if ending not in ENDINGS:
        known = ", ".join(sorted(filter(None, ENDINGS)))
        raise OptionError(
            f"--output {str(output)!r}: no format is called {ending!r}; end it in {known}, or give --format"
        )
    return ENDINGS[ending]


@contextmanager
def _destination(output: Path | None, mode: str) -> Iterator[IO[Any]]:
    """Yield standard output, or a file, opened in "w" or "wb", that gets its name when all is written."""
    from automl_tl.cli.render import result_console

    if output is None:
        result_console()  # makes standard output take every character
        yield sys.stdout
        return
    file = Path(os.path.realpath(output.expanduser()))
    special = file.exists() and not file.is_file()  # a pipe or a device is written to, never replaced
    name = file if special else file.with_name(f".{file.name}.tmp-{os.getpid()}")
    try:
        text = {} if mode == "wb" else {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
        with name.open(mode, **text) as stream:  # type: ignore[call-overload]
            yield stream
        if not special:
            name.replace(file)
    except OSError as error:
        raise OptionError(f"--output {str(output)!r} cannot be written ({error.strerror or error})") from error
    finally:
        if not special:
            name.unlink(missing_ok=True)


def _progress(output: Path | None) -> Any:
    """Return the progress on standard error, or nothing where rows on the terminal are progress enough."""
    from automl_tl.cli.render import progress

    return nullcontext() if output is None and sys.stdout.isatty() else progress("Looking at pictures")
