"""Options as click decorators: made from `automl_tl.options`, or of the command line alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import click

from automl_tl.errors import OptionError, WeightsError
from automl_tl.options import Option, option_of
from automl_tl.options.texts import parse_page_file, parse_root
from automl_tl.output import check_output

if TYPE_CHECKING:
    from automl_tl.data.address import Root

F = TypeVar("F", bound=Callable[..., Any])


def _named(value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
    """Return a path as it is; an empty one, of a variable that is not set, would be the working folder."""
    if isinstance(value, str) and not value.strip():
        raise click.BadParameter("the path is empty: name a file or a folder", ctx, param)
    return value


class _Path(click.Path):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(_named(value, param, ctx), param, ctx)


PATH = _Path(path_type=Path)


class _Data(click.ParamType):
    """A path, or an address, which a `Path` would shorten."""

    name = "data"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Root:
        return parse_root(_named(value, param, ctx))


def data_argument(function: F) -> F:
    """Add DATA, labelled pictures in any form, on the disk or at an address; `open_dataset` says what is wrong."""
    return click.argument("data", type=_Data())(function)


def declared(*groups: type) -> Callable[[F], F]:
    """Add the options that dataclasses declare, in their order, each with the parameter of its name."""

    def decorated(function: F) -> F:
        chosen = [one for group in groups for one in fields(group) if option_of(one).on_command_line]
        hints = {name: hint for group in groups for name, hint in get_type_hints(group).items()}
        for one in reversed(chosen):
            function = click_option(one, hints[one.name])(function)
        return function

    return decorated


def click_option(one: Field[Any], kind: Any) -> Callable[[F], F]:
    """Return the decorator of one declared option; `kind` is its resolved type."""
    known = option_of(one)
    flag = known.flag or f"--{one.name.replace('_', '-')}"
    more: dict[str, Any] = {"help": known.help, "show_default": known.show_default}
    if kind is bool:
        more |= {"is_flag": True, "default": one.default}
    elif known.repeatable:
        more["multiple"] = True
    else:
        more["default"] = one.default
    if known.metavar:
        more["metavar"] = known.metavar
    if known.parse is not None:
        more["callback"] = named(known.parse)
    if (converted := _type_of(known, kind)) is not None:
        more["type"] = converted
    return click.option(flag, one.name, **more)


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


def report_option(function: F) -> F:
    """Add --report, a file for the result as a page, as the parameter `report`."""
    return click.option(
        "--report",
        metavar="PAGE.html",
        type=PATH,
        callback=page,
        help="Write the result as one HTML page as well, with charts and pictures; it needs nothing else.",
    )(function)


def verbose_option(function: F) -> F:
    """Add --verbose: details in the output, and the traceback of an unexpected error."""
    return click.option(
        "--verbose",
        is_flag=True,
        is_eager=True,
        callback=_remember_verbose,
        help="Show every detail, and where an unexpected error came from.",
    )(function)


def named(parse: Callable[[Any], Any]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Wrap a parser as a click callback whose errors begin with the option's name."""

    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        try:
            return value if value is None else parse(value)
        except (OptionError, WeightsError) as error:
            text, option = str(error), param.opts[0]
            raise type(error)(text if text.startswith(option) else f"{option}: {text}") from None

    return callback


def _type_of(known: Option, kind: Any) -> Any:
    low, high = known.bounds
    if known.choices:
        return click.Choice(known.choices)
    if known.parse is None and "Path" in str(kind):
        return PATH
    if known.parse is None and (low, high) != (None, None):
        if "float" in str(kind):
            return click.FloatRange(low, high)
        return click.IntRange(None if low is None else int(low), None if high is None else int(high))
    return None


def page(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    """Refuse a file that is no page, or cannot be written, before anything is computed for it."""
    if value is None:
        return None
    named(parse_page_file)(ctx, param, str(value))
    check_output(value, param.opts[0])
    return value


def _remember_verbose(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    ctx.meta["automl_tl.verbose"] = value
    return value
