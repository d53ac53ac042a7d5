"""Sizes and counts as people write them: "4GB", "500 MB", "5M" parameters, "2.5e6", "20 ms"."""

from __future__ import annotations

import math
import re

from automl_tl.errors import OptionError

BYTES = {
    "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12,
}  # fmt: skip
COUNTS = {"k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}
MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?(?:e[+]?[0-9]+)?)\s*([a-z]*)")
_LARGEST = 1e15


def parse_bytes(text: str) -> int:
    """Return a number of bytes; units are powers of 1000 (kB, MB, GB) or of 1024 (KiB, MiB, GiB).

    Raises OptionError for anything else, and for less than one byte.

    >>> parse_bytes("4GB"), parse_bytes("500 MB"), parse_bytes("1GiB")
    (4000000000, 500000000, 1073741824)
    """
    value = _parse(text, BYTES, "an amount of memory", "write bytes or a unit: 500MB, 4GB, 1.5GiB")
    return _whole(value, text)


def parse_count(text: str) -> int:
    """Return a whole number, of parameters for example; k, M and B stand for thousands, millions and billions.

    Raises OptionError for anything else, and for less than one.

    >>> parse_count("5M"), parse_count("2.5e6"), parse_count("800k")
    (5000000, 2500000, 800000)
    """
    return _whole(_parse(text, COUNTS, "a number", "write 5000000, 5M or 2.5e6"), text)


def parse_milliseconds(text: str) -> float:
    """Return milliseconds, without a unit or with us, ms or s; raises OptionError for anything else, and for zero.

    >>> parse_milliseconds("20"), parse_milliseconds("20ms"), parse_milliseconds("0.5s")
    (20.0, 20.0, 500.0)
    """
    return _parse(text, MILLISECONDS, "a time", "write milliseconds (20) or a unit (20ms, 0.5s)")


def _parse(text: str, units: dict[str, int] | dict[str, float], what: str, hint: str) -> float:
    """Return the number that `text` means; raises OptionError where it is none, zero or beyond all bounds."""
    found = _QUANTITY.fullmatch(text.strip().lower())
    factor = (units.get(found[2]) if found[2] else 1) if found else None
    if found is None or factor is None:
        raise OptionError(f"{text!r} is not {what}; {hint}")
    value = float(found[1]) * factor
    if not 0 < value <= _LARGEST:
        bound = "above zero" if value == 0 else f"at most {_LARGEST:g}"
        raise OptionError(f"{what} must be {bound}, but got {text!r}; {hint}")
    return value


def _whole(value: float, text: str) -> int:
    if value < 1:
        raise OptionError(f"{text!r} is less than one")
    return math.floor(value + 0.5)
