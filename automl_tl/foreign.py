"""What may come from elsewhere: files that are read within bounds, JSON's values that are checked one by one."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

LARGEST_JSON = 16 * 1024**2
"""Bytes; the manifest of a model of 10,000 classes has a tenth of it."""
JSON_IN_MEMORY = 25
"""Times its bytes that a file of JSON may take in memory."""
DEEPEST = 50
"""Lists and objects within one another; what is written here has at most 6."""
LONGEST_NAME = 200
"""Characters of the name of a backbone, a distribution or a version."""
_LONGEST_FAULT = 300
T = TypeVar("T")


def read_bytes(file: Path, most: int = LARGEST_JSON) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it has more than `most` bytes, or is no file but a pipe or a device, which may never end.
    """
    if not file.is_file():
        if file.exists():
            raise ValueError(f"{file.name} is no file")
        raise FileNotFoundError(2, os.strerror(2), str(file))
    size = file.stat().st_size
    if size > most:
        raise ValueError(f"{file.name} has {size:,} bytes, more than {most:,}")
    return file.read_bytes()


def parse_json(text: str | bytes) -> Any:
    """Return what JSON says.

    Raises:
        ValueError: it is none, or its lists and objects lie more than `DEEPEST` deep.
    """
    too_deep = f"lists and objects more than {DEEPEST} deep"
    try:
        values = json.loads(text)
    except RecursionError:
        raise ValueError(too_deep) from None
    level = [values] if isinstance(values, dict | list) else []
    for _ in range(DEEPEST):
        level = [inner for one in level for inner in _inside(one)]
    if level:
        raise ValueError(too_deep)
    return values


def facts_of(metadata: Mapping[str, str] | None) -> dict[str, Any]:
    """Return the facts in the header of a file of tensors, JSON under "facts"; raises KeyError or ValueError."""
    text = is_a(metadata, dict)["facts"]
    if len(text) > LARGEST_JSON:
        raise ValueError(f"facts of {len(text):,} characters, more than {LARGEST_JSON:,}")
    return is_a(parse_json(text), dict)


def _inside(value: dict[str, Any] | list[Any]) -> Iterator[Any]:
    """Yield the lists and objects that lie directly in one."""
    if isinstance(value, dict | list):
        yield from (
            one for one in (value.values() if isinstance(value, dict) else value) if isinstance(one, dict | list)
        )


def fault(error: Exception) -> str:
    """Return what is wrong with a value, on one line: what a ValueError says, of other errors their type as well."""
    said = " ".join(str(error).split())[:_LONGEST_FAULT]
    return said if said and isinstance(error, ValueError) else f"{type(error).__name__}: {said}"


def leads_out(path: Path, folder: Path) -> bool:
    """Return whether a path in a folder is a link, or lies behind one, that leads out of the folder."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def number(value: Any) -> float:
    """Return a finite number, or raise ValueError; a whole one has 64 bits, as arrays and tables have them."""
    is_whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    if not is_whole and not (isinstance(value, float) and math.isfinite(value)):
        raise ValueError(f"{str(value)[:40]!r} is no number")
    return float(value)


def whole_number(value: Any, least: int, most: int = 2**31 - 1) -> int:
    """Return a whole number from `least` to `most`, or raise ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{str(value)[:40]!r} is no whole number from {least} to {most}")
    return value


def name(value: Any, longest: int = LONGEST_NAME) -> str:
    """Return a text of at most `longest` characters, or raise ValueError."""
    if len(is_a(value, str)) > longest:
        raise ValueError(f"a name of {len(value):,} characters")
    return str(value)


def one_of(value: Any, choices: Collection[str]) -> str:
    """Return one of several texts, or raise ValueError."""
    if is_a(value, str) not in choices:
        raise ValueError(f"{value[:40]!r} is unknown")
    return str(value)


def check_fields(values: Any, kind: type) -> dict[str, Any]:
    """Return an object, or raise ValueError where a value is none that a field of a dataclass may have.

    Looked at are fields of numbers, names, truths and Literals; whole numbers are 0 or more.
    """
    types = get_type_hints(kind)
    for field, value in is_a(values, dict).items():
        expected = types.get(field)
        if get_origin(expected) is Literal:
            one_of(value, get_args(expected))
        elif expected in _CHECKS:
            _CHECKS[expected](value)
    return dict(values)


def listed(values: Any) -> Sequence[Any]:
    """Return a list, or raise ValueError."""
    return is_a(values, list)


def numbers(values: Any) -> tuple[float, ...]:
    """Return a list's finite numbers, or raise ValueError."""
    return tuple(number(value) for value in listed(values))


def triple(values: Any) -> tuple[float, float, float]:
    """Return three finite numbers, or raise ValueError."""
    first, second, third = numbers(values)
    return first, second, third


def texts(values: Any) -> Mapping[str, str]:
    """Return an object whose values are texts, or raise ValueError."""
    return {key: is_a(value, str) for key, value in is_a(values, dict).items()}


def is_a(value: Any, kind: type[T]) -> T:
    """Return a value of that type, or raise ValueError."""
    if not isinstance(value, kind):
        raise ValueError(f"{kind.__name__} expected, but got {type(value).__name__}")
    return value


_CHECKS: Mapping[Any, Callable[[Any], object]] = {
    float: number,
    int: lambda value: whole_number(value, 0),
    str: name,
    bool: lambda value: is_a(value, bool),
}
