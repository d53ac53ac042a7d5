"""`automl-tl predict BUNDLE PATHS...`: a label for every picture."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from automl_tl.cli.options import PATH, declared, verbose_option
from automl_tl.errors import OptionError
from automl_tl.options import (
    BatchOptions,
    DecodingOptions,
    DeviceOptions,
    FileOptions,
    HasteOptions,
    PredictOptions,
    RowOptions,
    of_group,
)
from automl_tl.output import appearing, check_new_folder, check_output
from automl_tl.wording import plural

if TYPE_CHECKING:
    from automl_tl.model.inputs import Input
    from automl_tl.model.model import Model
    from automl_tl.model.predict import Prediction

EXIT_BAD_PICTURES = 1
ENDINGS = {
    ".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
    ".pq": "parquet", ".txt": "table", "": "table",
}  # fmt: skip
"""The format that the ending of a file asks for."""


@click.command()
@click.argument("bundle", type=PATH)
@click.argument("paths", nargs=-1, required=True)
@declared(RowOptions, FileOptions, DeviceOptions, HasteOptions, BatchOptions, DecodingOptions)
@verbose_option
@click.pass_context
def predict(ctx: click.Context, /, bundle: Path, paths: tuple[str, ...], verbose: bool, **settings: Any) -> None:
    """Say what is in the pictures that PATHS name, in their order.

    BUNDLE is a folder that `automl-tl search` or `train` made. PATHS are picture files, folders (with all below them),
    zip files, tars and Parquet files of pictures, and CSV, TSV or Parquet tables with a column of files; labels are not
    needed. '-' reads paths from standard input, one a line, and '@FILE' from a file. A picture that cannot be read is a
    row with the reason, and the exit code is then 1. The heat map of row 7 of 10 to 99 is FOLDER/07-NAME.png
    (--explain FOLDER).
    """
    from automl_tl.cli.render import notice
    from automl_tl.model.bundle import load_bundle
    from automl_tl.model.inputs import list_inputs, listed

    asked = PredictOptions(**settings)
    kind = _checked_format(asked, paths)
    inputs = list_inputs(listed(paths, getattr(sys.stdin, "buffer", None)), **of_group(asked, FileOptions))
    n_bad, n_unusual = _write(kind, load_bundle(bundle, asked.device), inputs, asked)
    if asked.explain is not None:
        notice(f"The heat maps are in {asked.explain}, in the order of the rows.")
    if n_unusual:
        verb = "is" if n_unusual == 1 else "are"
        notice(f"{plural(n_unusual, 'picture')} {verb} unlike the training pictures: the labels may mean nothing.")
    if n_bad:
        notice(f"{n_bad:,} of {plural(len(inputs), 'picture')} cannot be read: the reason is in the row.")
        ctx.exit(EXIT_BAD_PICTURES)


def _checked_format(asked: PredictOptions, paths: tuple[str, ...]) -> str:
    """Return the format that is asked for; raises OptionError where that, or a heat map, cannot be written."""
    if asked.output is not None:
        check_output(asked.output, read=[path.removeprefix("@") for path in paths])
    if asked.explain is not None:
        check_new_folder(asked.explain, "--explain")
    kind = asked.output_format or _by_ending(asked.output)
    if kind == "parquet" and asked.output is None:
        raise OptionError("--format parquet is not for standard output; name a file by --output")
    named = None if asked.output is None else ENDINGS.get(asked.output.suffix.lower())
    if named not in (None, "table", kind):
        raise OptionError(
            f"--output {str(asked.output)!r} ends as {named} does, but --format is {kind}: give one alone"
        )
    return kind


def _write(kind: str, model: Model, inputs: tuple[Input, ...], asked: PredictOptions) -> tuple[int, int]:
    """Write a row for every picture; return how many cannot be read, and how many are unusual."""
    from automl_tl.cli.haste import chosen_scorer
    from automl_tl.cli.predict_page import writer
    from automl_tl.model.predict import predict_inputs

    shown = len(model.classes) if asked.probabilities and kind == "table" else asked.top_k
    n_bad = n_unusual = 0
    scorer = chosen_scorer(model, fast=asked.fast)
    mode = "wb" if kind == "parquet" else "w"
    with _destination(asked.output, mode) as stream, _progress(asked.output) as update:
        page = writer(kind, stream, inputs, model.classes, shown, asked.probabilities)
        maps = _heat_maps(model, asked.explain, len(inputs))
        size = asked.batch_size or model.pictures_at_once
        found = predict_inputs(
            scorer, inputs, top_k=shown, batch_size=size, threads=asked.workers, progress=update
        )  # fmt: skip
        for one, prediction in zip(inputs, found, strict=True):
            page.write(prediction)
            maps(one, prediction)
            n_bad += prediction.error is not None
            n_unusual += prediction.unusual
        page.close()
    return n_bad, n_unusual


def _heat_maps(model: Model, folder: Path | None, n: int) -> Callable[[Input, Prediction], None]:
    """Return what writes the heat map of a picture, or does nothing where none are asked for."""
    if folder is None:
        return lambda one, prediction: None
    from automl_tl.report.heat_maps import HeatMaps

    folder = Path(os.path.expanduser(folder))
    folder.mkdir(exist_ok=True)
    return HeatMaps(model, folder, n).write


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
    text = {} if mode == "wb" else {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
    with appearing(output) as new, new.open(mode, **text) as stream:  # type: ignore[call-overload]
        yield stream


def _progress(output: Path | None) -> Any:
    """Return the progress on standard error, or nothing where rows on the terminal are progress enough."""
    from automl_tl.cli.render import progress

    return nullcontext() if output is None and sys.stdout.isatty() else progress("Looking at pictures")
