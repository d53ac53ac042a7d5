"""A command's arguments and options as one would type them again, for the commands that a page suggests."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from typing import Any

import click

from automl_tl.options import BatchOptions, DeviceOptions, OverrideOptions, TableOptions

_GROUPS = (TableOptions, OverrideOptions, DeviceOptions, BatchOptions)
COLUMNS, OVERRIDES, DEVICE, BATCH = (tuple(one.name for one in fields(group)) for group in _GROUPS)

DATA = ("data", *COLUMNS)
SAME_TASK = (*DATA, *OVERRIDES, "drop_leaks", "metric", *DEVICE, *BATCH, "cache_dir", "ray", "workers", "seed")
"""What another command of the same pictures takes as well, besides its backbones."""


def retyped(ctx: click.Context, names: Collection[str]) -> str:
    """Return those of a command's parameters that are named and were given, in the order of the command's help.

    Args:
        ctx: of the command that runs; every one of its options gives the values that it takes back.
        names: of parameters, as the function of the command has them.
    """
    words: list[str] = []
    for param in ctx.command.params:
        if param.name in names and ctx.get_parameter_source(param.name) is click.core.ParameterSource.COMMANDLINE:
            words += _words(param, ctx.params[param.name])
    return shlex.join(words)


def _words(param: click.Parameter, value: Any) -> Iterator[str]:
    if isinstance(param, click.Argument):
        yield str(value)
        return
    if isinstance(param, click.Option) and param.is_flag:
        yield param.opts[0] if value else param.secondary_opts[0]
        return
    for one in [_duration(value)] if param.name == "budget" else _each(param, value):
        yield from (param.opts[0], one)


def _each(param: click.Parameter, value: Any) -> Iterator[str]:
    """Yield the texts of an option's values: a mapping's as NAME=VALUE, three numbers as one text."""
    if isinstance(value, Mapping):
        yield from [f"{name}={one}" for name, one in value.items()] or ["none"]
    elif isinstance(value, tuple):
        texts = [_text(one) for one in value]
        yield from texts if param.multiple else [",".join(texts)]
    else:
        yield _text(value)


def _text(value: Any) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{_text(seconds)}s"
