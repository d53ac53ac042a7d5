"""Durations as people write them: "90", "10m", "1h30m", "2min"."""

from __future__ import annotations

import math
import re
from itertools import pairwise

from automl_tl.errors import OptionError

UNITS = {
    "s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1,
    "m": 60, "min": 60, "mins": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hr": 3600, "hrs": 3600, "hour": 3600, "hours": 3600,
    "d": 86400, "day": 86400, "days": 86400,
}  # fmt: skip
LONGEST_DAYS = 366

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_PART = re.compile(rf"\s*({_NUMBER})\s*([a-z]+)\s*")
_HINT = "write seconds (90) or units from long to short (10m, 2min, 1h30m)"


def parse_duration(text: str) -> float:
    """Return the seconds that `text` means: a plain number of seconds, or numbers with units.

    Units are s, m, h, d and their longer spellings, each at most once, longest first. Raises
    OptionError for anything else, for zero, and for more than 366 days.

    >>> parse_duration("1h30m")
    5400.0
    """
    cleaned = text.strip().lower()
    seconds = float(cleaned) if re.fullmatch(_NUMBER, cleaned) else _sum_of_parts(cleaned, text)
    if seconds <= 0:
        raise OptionError(f"a duration must be longer than zero, but got {text!r}; {_HINT}")
    if not math.isfinite(seconds) or seconds > LONGEST_DAYS * UNITS["d"]:
        raise OptionError(f"a duration must be at most {LONGEST_DAYS} days, but got {text!r}; {_HINT}")
    return seconds


def _sum_of_parts(cleaned: str, text: str) -> float:
    parts = [(float(number), UNITS.get(unit)) for number, unit in _PART.findall(cleaned)]
    sizes = [size for _, size in parts if size is not None]
    descending = all(a > b for a, b in pairwise(sizes))
    if not parts or len(sizes) < len(parts) or not descending or _PART.sub("", cleaned):
        raise OptionError(f"{text!r} is no duration; {_HINT}")
    return sum(number * size for number, size in parts if size is not None)


def format_duration(seconds: float) -> str:
    """Return `seconds` for people, with one or two units: "0.4 s", "2 min 5 s", "1 h 30 min".

    >>> format_duration(5400)
    '1 h 30 min'
    """
    if seconds < 1:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    for big, small, size, ratio in (("d", "h", 86400, 24), ("h", "min", 3600, 60), ("min", "s", 60, 60)):
        if whole >= size:
            n, rest = divmod(whole * ratio // size, ratio)
            return f"{n} {big} {rest} {small}" if rest else f"{n} {big}"
    return f"{whole} s"


def format_need(seconds: float) -> str:
    """Return what work takes for people, rounded up to what is shown: 3,620 s do not fit a budget of an hour.

    >>> format_need(600.2)
    '10 min 1 s'
    >>> format_need(3620)
    '1 h 1 min'
    >>> format_need(0.03)
    '1 s'
    """
    step = 1 if seconds < UNITS["h"] else UNITS["min"] if seconds < UNITS["d"] else UNITS["h"]
    return format_duration(max(1, step * math.ceil(seconds / step)))
