"""Options that several commands share, as decorators; values are checked here without torch or pandas."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from automl_tl.backbones.overrides import Triple, parse_assignments, parse_triple
from automl_tl.backbones.validation import mean_fault, size_fault, std_fault
from automl_tl.durations import parse_duration
from automl_tl.errors import OptionError, WeightsError

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[F], F]

METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss")
LARGEST_SEED = 2**32 - 1  # the largest that numpy's and scikit-learn's generators take
PATH = click.Path(path_type=Path)


def data_argument(function: F) -> F:
    """Add DATA: a folder of class folders or a table; what is wrong with it, `open_dataset` says."""
    return click.argument("data", type=PATH)(function)


def column_options(function: F) -> F:
    """Add --path-column, --label-column, --split-column and --group-column."""
    options = (
        click.option("--path-column", default="path", show_default=True, help="Table: picture files."),
        click.option("--label-column", default="label", show_default=True, help="Table: classes."),
        click.option("--split-column", default="split", show_default=True, help="Table: train, val or test."),
        click.option(
            "--group-column",
            help="Table: pictures of one group (a patient, a drawer) stay on one side of every split.",
        ),
    )
    return _all(options, function)


def device_option(function: F) -> F:
    """Add --device: auto, cpu, cuda, cuda:N or mps; whether it is there is seen when it is used."""
    return click.option(
        "--device",
        default="auto",
        show_default=True,
        callback=named(parse_device),
        help="Where to compute: auto, cpu, cuda, cuda:N or mps.",
    )(function)


def seed_option(function: F) -> F:
    """Add --seed, an int from 0 to 2**32 - 1, default 0."""
    return click.option(
        "--seed",
        type=click.IntRange(0, LARGEST_SEED),
        default=0,
        show_default=True,
        help="Same data and seed, same result.",
    )(function)


def cache_dir_option(function: F) -> F:
    """Add --cache-dir, a Path or None; `automl_tl.cache_dir.cache_dir` resolves it."""
    return click.option(
        "--cache-dir",
        type=PATH,
        help="Where results are kept between runs.  [default: the user's cache folder]",
    )(function)


def format_option(function: F) -> F:
    """Add --format, "text" or "json", as the parameter `output_format`."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="json: one object on standard output.",
    )(function)


def verbose_option(function: F) -> F:
    """Add --verbose: details in the output, and the traceback of an unexpected error."""
    return click.option(
        "--verbose", is_flag=True, is_eager=True, callback=_remember_verbose, help="Show every detail."
    )(function)


def backbone_options(function: F) -> F:
    """Add --backbone (names of backbones and presets, a tuple) and what `override_options` adds."""
    return click.option(
        "--backbone",
        "backbones",
        multiple=True,
        metavar="NAME",
        help="A backbone to consider, or a preset whose weights are fetched: fast, balanced or best; repeatable.  "
        "[default: all, those whose weights are on this machine]",
    )(override_options(function))


def override_options(function: F) -> F:
    """Add --weights (dict of backbone name to file), --mean, --std and --input-size."""
    options = (
        click.option(
            "--weights",
            multiple=True,
            metavar="NAME=FILE",
            callback=named(parse_weights),
            help="Weights of a backbone from a local .safetensors or .pth file; repeatable.",
        ),
        click.option("--mean", metavar="R,G,B", callback=named(parse_mean), help="Override the input mean."),
        click.option("--std", metavar="R,G,B", callback=named(parse_std), help="Override the input deviation."),
        click.option(
            "--input-size",
            metavar="PIXELS",
            callback=named(parse_input_size),
            help="Override the side of the input pictures.",
        ),
    )
    return _all(options, function)


def budget_option(function: F) -> F:
    """Add --budget, seconds as a float or None: the training time that the user will spend afterwards."""
    return click.option(
        "--budget",
        metavar="DURATION",
        callback=named(parse_duration),
        help="Training time that you will spend afterwards: 90, 10m, 1h30m.",
    )(function)


def metric_option(function: F) -> F:
    """Add --metric, one of METRICS, default accuracy."""
    return click.option(
        "--metric",
        type=click.Choice(METRICS),
        default="accuracy",
        show_default=True,
        help="What is to be good.",
    )(function)


def max_images_option(function: F) -> F:
    """Add --max-images, an int of at least 1 or None."""
    return click.option(
        "--max-images",
        type=click.IntRange(min=1),
        metavar="N",
        help="Look at a stratified sample of N pictures, at least two of a class.  [default: what takes two minutes]",
    )(function)


def try_training_option(function: F) -> F:
    """Add --try-training, a flag."""
    return click.option(
        "--try-training",
        is_flag=True,
        help="Spend what is left of two minutes, or half of --budget where that is longer, on one short fine-tuning: "
        "then its gain is measured on your pictures.",
    )(function)


def parse_device(text: str) -> str:
    """Return `text` in lower case if it names a device, else raise OptionError."""
    device = text.strip().lower()
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,2})?", device):
        raise OptionError(f"{text!r} is no device; use auto, cpu, cuda, cuda:0 or mps")
    return device


def parse_weights(values: tuple[str, ...]) -> dict[str, Path]:
    """Return {backbone name: file} of "NAME=FILE" values; raise OptionError, or WeightsError for no file."""
    files = parse_assignments(values, "--weights")
    for name, file in files.items():
        if not file.is_file():
            what = "is a folder" if file.is_dir() else "does not exist"
            raise WeightsError(f"{file} {what}, but the weights of {name} must be a .safetensors or .pth file")
    return files


def parse_mean(text: str) -> Triple:
    """Return the means of R, G and B, from 0 to 1; raise OptionError for anything else."""
    return _triple(text, "--mean", mean_fault)


def parse_std(text: str) -> Triple:
    """Return the standard deviations of R, G and B, of inputs from 0 to 1; raise OptionError otherwise."""
    return _triple(text, "--std", std_fault)


def _triple(text: str, option: str, fault_of: Callable[[object], str | None]) -> Triple:
    numbers = parse_triple(text, option)
    if fault := fault_of(numbers):
        raise OptionError(fault)
    return numbers


def parse_input_size(text: str) -> int:
    """Return a whole number of pixels; raise OptionError for anything else."""
    size: object = int(text) if re.fullmatch(r"[0-9]{1,9}", text.strip()) else text
    if fault := size_fault(size):
        raise OptionError(fault)
    return int(text)


def named(parse: Callable[[Any], Any]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Wrap a parser as a click callback whose errors begin with the option's name."""

    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        try:
            return value if value is None else parse(value)
        except (OptionError, WeightsError) as error:
            text, option = str(error), param.opts[0]
            raise type(error)(text if text.startswith(option) else f"{option}: {text}") from None

    return callback


def _remember_verbose(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    ctx.meta["automl_tl.verbose"] = value
    return value


def _all(options: tuple[Decorator[F], ...], function: F) -> F:
    for option in reversed(options):
        function = option(function)
    return function
