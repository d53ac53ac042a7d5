"""How an option is declared: one field of a dataclass, from which functions and commands derive."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from typing import Any, Concatenate, ParamSpec, TypeVar

from automl_tl.errors import OptionError

P = ParamSpec("P")
Options = TypeVar("Options")
First = TypeVar("First")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Option:
    """What is known of an option besides its name, type and default."""

    help: str
    """One sentence for the command line; Python's documentation has it too unless `doc` is given."""
    doc: str = ""
    flag: str = ""
    """On the command line; default: the name with hyphens."""
    metavar: str = ""
    parse: Callable[[Any], Any] | None = None
    """Makes the text, or the texts of a repeatable option, into the value; raises OptionError."""
    choices: tuple[str, ...] = ()
    repeatable: bool = False
    bounds: tuple[float | None, float | None] = (None, None)
    """Of a number, inclusive."""
    show_default: bool = False
    on_command_line: bool = True
    kept_by_resume: bool = False
    """Whether a run that is resumed must have been begun with the same value."""


def option(default: Any, help: str, **more: Any) -> Any:
    """Return the field of an option of dataclass `Option`."""
    return field(default=default, metadata={"option": Option(help, **more)})


def option_of(one: Field[Any]) -> Option:
    """Return what is known of the option that a dataclass's field declares."""
    known: Option = one.metadata["option"]
    return known


def of_group(options: Any, group: type) -> dict[str, Any]:
    """Return those of the options that a group declares, by name."""
    return {one.name: getattr(options, one.name) for one in fields(group)}


def as_typed(known: Option, value: Any) -> Any:
    """Return what a text means as the command line reads it, and one text or any sequence of several as a tuple.

    >>> as_typed(Option("", repeatable=True), "a"), as_typed(Option("", repeatable=True), ["a", "b"])
    (('a',), ('a', 'b'))
    >>> as_typed(Option("", parse=float), "2"), as_typed(Option("", parse=float), 3)
    (2.0, 3)
    """
    if known.repeatable and known.parse is None:
        return (value,) if isinstance(value, str) else tuple(value)
    if known.parse is None or not isinstance(value, str):
        return value
    meant = known.parse((value,) if known.repeatable else value)
    return value if meant == value else meant  # scikit-learn wants back the very object that it gave


def check(options: Any) -> None:
    """Raise OptionError unless every option of a dataclass is one of its choices and within its bounds."""
    for one in fields(options):
        known, value = option_of(one), getattr(options, one.name)
        flag = known.flag or f"--{one.name.replace('_', '-')}"
        low, high = known.bounds
        if value is None:
            continue
        for each in value if known.repeatable else (value,):
            if known.choices and each not in known.choices:
                raise OptionError(f"{flag} must be one of {', '.join(known.choices)}, but is {each!r}")
        if (low is not None and not value >= low) or (high is not None and not value <= high):
            within = f"at least {low:g}" if high is None else f"from {low or 0:g} to {high:.10g}"
            raise OptionError(f"{flag} must be {within}, but is {value}")


def takes(
    options: Callable[P, Options],
) -> Callable[[Callable[[First, Options], Result]], Callable[Concatenate[First, P], Result]]:
    """Let a function of (something, options) be called with the options as keywords, as an editor and help() see it.

    >>> @dataclass(kw_only=True)
    ... class SeedOptions:
    ...     seed: int = option(0, "Same data and seed, same result.")
    >>> @takes(SeedOptions)
    ... def double(data, options):
    ...     return data, 2 * options.seed
    >>> double("DATA", seed=21)
    ('DATA', 42)
    >>> inspect.signature(double)
    <Signature (data, *, seed: 'int' = 0)>
    """

    def decorated(function: Callable[[First, Options], Result]) -> Callable[Concatenate[First, P], Result]:
        first = next(iter(inspect.signature(function).parameters.values()))
        signature = inspect.Signature([first, *inspect.signature(options).parameters.values()])

        @functools.wraps(function)
        def called(*args: Any, **given: Any) -> Result:
            try:
                values = signature.bind(*args, **given).arguments
            except TypeError as error:
                raise TypeError(f"{function.__name__}() {error}") from None
            return function(values.pop(first.name), options(**values))  # type: ignore[call-arg]

        called.__signature__ = signature  # type: ignore[attr-defined]
        called.__doc__ = documented(function.__doc__ or "", options)
        return called

    return decorated


def documented(text: str, options: Any) -> str:
    """Return a docstring whose "Args" also describe the options."""
    entries = [f"        {one.name}: {option_of(one).doc or option_of(one).help}" for one in fields(options)]
    head, args, rest = text.partition("    Args:\n")
    if not args:
        return text
    own, blank, after = rest.partition("\n\n")
    return "\n".join([head + args + own, *entries]) + blank + after
